//! Requests to the engine, answered on its own thread between two ticks.

use crate::api::LeaseGiven;
use crate::page;
use crate::serve::Options;
use crate::upgrade::Leaving;
use mainstay_atoms::Moment;
use mainstay_execute::{Engine, LeaseFault, Leases, Tick, World as _};
use mainstay_plan::History;
use mainstay_world::{Halted, RealWorld, Tail};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Requests that may wait at one time; more are told to come again.
const QUEUE: usize = 256;

/// How long a control plane that finds everything stopped waits to be told to bring it back.
const CALLED: Duration = Duration::from_secs(10);

/// How often signals are told what runs.
const FOLLOW: Duration = Duration::from_secs(1);

/// How often what nothing needs any more is looked for.
const SWEEP: Duration = Duration::from_secs(3600);

/// How often a halted control plane looks for an order to stop.
const LOOK: Duration = Duration::from_millis(200);

/// Everything a request may use.
pub(crate) struct Office {
    pub(crate) standing: Standing,
    pub(crate) options: Options,
    pub(crate) tails: Tails,
    /// How often a token was shown that nobody knows.
    pub(crate) refused: u64,
    /// The program that this process is about to become.
    pub(crate) leaving: Option<Leaving>,
    /// When signals were last told what runs.
    followed: Option<Instant>,
    /// When the status page was last made, and how many were.
    paged: Option<(Instant, u64)>,
    leases: Leases,
}

/// Whether decisions are made.
pub(crate) enum Standing {
    /// The engine works.
    Working {
        engine: Box<Engine>,
        world: Box<RealWorld>,
    },
    /// The ledger must not be written to: nothing is decided, and the gateway is kept alive.
    Halted {
        why: String,
        history: Box<History>,
        halted: Box<Halted>,
    },
}

/// Places in logs that somebody follows; the oldest are forgotten first.
#[derive(Default)]
pub(crate) struct Tails {
    next: u64,
    kept: BTreeMap<u64, Tail>,
}

/// How many may follow logs at one time.
const TAILS: usize = 64;

impl Tails {
    pub(crate) fn keep(&mut self, tail: Tail) -> u64 {
        self.next += 1;
        self.kept.insert(self.next, tail);
        while self.kept.len() > TAILS {
            self.kept.pop_first();
        }
        self.next
    }

    pub(crate) fn take(&mut self, number: u64) -> Option<Tail> {
        self.kept.remove(&number)
    }
}

impl Office {
    pub(crate) fn new(standing: Standing, leases: Leases, options: Options) -> Self {
        Self {
            standing,
            options,
            tails: Tails::default(),
            refused: 0,
            leaving: None,
            followed: None,
            paged: None,
            leases,
        }
    }

    /// Where everything lies.
    pub(crate) fn state(&self) -> mainstay_world::State {
        mainstay_world::State::new(&self.options.state, &self.options.environment)
    }

    fn tick(&mut self) -> Tick {
        match &mut self.standing {
            Standing::Working { engine, world } => {
                let tick = engine.tick(&mut **world);
                if self.followed.is_none_or(|at| at.elapsed() >= FOLLOW) {
                    self.followed = Some(Instant::now());
                    world.follow(engine.serving_record(), engine.history());
                }
                let made = self.paged.map_or(0, |(_, made)| made);
                if self.paged.is_none_or(|(at, _)| at.elapsed() >= page::EVERY) {
                    self.paged = Some((Instant::now(), made + 1));
                    page::announce(engine, world, made + 1);
                }
                tick
            }
            Standing::Halted { .. } => Tick {
                again: LOOK,
                down: false,
            },
        }
    }

    /// What cannot be swept now is swept another time; it costs disk, nothing else.
    pub(crate) fn sweep(&mut self) {
        if let Standing::Working { engine, world } = &mut self.standing {
            drop(world.sweep(engine.history()));
        }
    }

    fn now(&self) -> Moment {
        match &self.standing {
            Standing::Working { world, .. } => world.now().0,
            Standing::Halted { .. } => Moment(0),
        }
    }

    pub(crate) fn lease(
        &mut self,
        token: Option<u64>,
        by: String,
    ) -> Result<LeaseGiven, LeaseFault> {
        let now = self.now();
        let lease = match token {
            Some(token) => self.leases.renew(token, now)?,
            None => self.leases.take(by, now),
        };
        let for_ms = u64::try_from(lease.until.since(now).as_millis()).unwrap_or(u64::MAX);
        Ok(LeaseGiven {
            token: lease.token,
            for_ms,
        })
    }

    pub(crate) fn ship_lease(&mut self, token: u64) -> Result<(), LeaseFault> {
        let now = self.now();
        self.leases.ship(token, now)
    }
}

pub(crate) type Errand = Box<dyn FnOnce(&mut Office) + Send>;

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
        // Whoever started it over a platform that was brought down is about to say `up`.
        let called = Instant::now() + CALLED;
        let mut was_down = self.office.history().down;
        let mut swept = Instant::now();
        loop {
            if swept.elapsed() >= SWEEP {
                swept = Instant::now();
                self.office.sweep();
            }
            was_down &= self.office.history().down;
            let tick = self.office.tick();
            if tick.down && !(was_down && Instant::now() < called) {
                return (self.office, true);
            }
            let leaves = self.office.leaving.is_some();
            if leaves || self.stop.load(std::sync::atomic::Ordering::Relaxed) {
                return (self.office, false);
            }
            self.errands_for(tick.again);
        }
    }

    fn errands_for(&mut self, wait: Duration) {
        let Ok(first) = self.errands.recv_timeout(wait) else {
            return;
        };
        first(&mut self.office);
        while let Ok(next) = self.errands.try_recv() {
            next(&mut self.office);
        }
    }
}
