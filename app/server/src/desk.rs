//! Requests to the engine, answered on its own thread between two ticks.

use mainstay_execute::{Engine, Leases};
use mainstay_world::RealWorld;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// Requests that may wait at one time; more are told to come again.
const QUEUE: usize = 256;

/// Everything a request may use.
pub(crate) struct Office {
    pub(crate) engine: Engine,
    pub(crate) world: RealWorld,
    pub(crate) leases: Leases,
}

type Errand = Box<dyn FnOnce(&mut Office) + Send>;

/// The way to the engine's thread. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    errands: SyncSender<Errand>,
}

/// Why a request was not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DeskFault {
    /// Too many wait already.
    #[error("the control plane is busy")]
    Busy,
    /// It is stopping.
    #[error("the control plane is stopping")]
    Closed,
}

impl Desk {
    pub(crate) fn open() -> (Self, Receiver<Errand>) {
        let (errands, receiver) = sync_channel(QUEUE);
        (Self { errands }, receiver)
    }

    /// Runs `errand` on the engine's thread and brings back its answer.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        errand: impl FnOnce(&mut Office) -> T + Send + 'static,
    ) -> Result<T, DeskFault> {
        let (answer, answered) = oneshot::channel();
        let boxed: Errand = Box::new(move |office| {
            // Whoever asked may have gone; then the answer is for nobody.
            let _gone = answer.send(errand(office));
        });
        self.errands.try_send(boxed).map_err(|fault| match fault {
            TrySendError::Full(_) => DeskFault::Busy,
            TrySendError::Disconnected(_) => DeskFault::Closed,
        })?;
        answered.await.map_err(|_| DeskFault::Closed)
    }
}

/// The engine's thread: ticks, and runs errands in between, until everything is down or `stop` says so.
pub(crate) struct Clerk {
    pub(crate) office: Office,
    pub(crate) errands: Receiver<Errand>,
    pub(crate) stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Clerk {
    /// Runs until the end; true when everything was brought down as asked.
    pub(crate) fn run(mut self) -> (Office, bool) {
        loop {
            let tick = self.office.engine.tick(&mut self.office.world);
            if tick.down {
                return (self.office, true);
            }
            if self.stop.load(std::sync::atomic::Ordering::Relaxed) {
                return (self.office, false);
            }
            self.errands_for(tick.again);
        }
    }

    fn errands_for(&mut self, wait: Duration) {
        let Ok(first) = self.errands.recv_timeout(wait) else { return };
        first(&mut self.office);
        while let Ok(next) = self.errands.try_recv() {
            next(&mut self.office);
        }
    }
}
