//! The life of a gateway: what it is handed, beside another one, in its place, retired.

use crate::gateway::{Gateway, civil_ms};
use crate::presence::Look;
use crate::socket;
use crate::wire::{Refusal, Response, Stage};
use crate::worker::Command;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::net::UnixListener;

impl Gateway {
    /// Where the control socket is gone because its folder was deleted or replaced, makes it again and
    /// keeps the present table there: traffic must not depend on an older copy of it. Where another
    /// gateway took the place, retires.
    pub(crate) async fn look(&self) -> Option<UnixListener> {
        let looked = match self.stage.get() {
            Stage::Present => self.place.borrow_mut().look(&self.config),
            Stage::Beside if self.is_overdue() => Look::Lost,
            Stage::Beside | Stage::Retired => Look::Same,
        };
        match looked {
            Look::Same => None,
            Look::Lost => {
                self.retire().await;
                None
            }
            Look::Again(listener) => {
                let turn = self.turn.acquire().await;
                let table = self.table.borrow().clone();
                if let Some(table) = table {
                    self.unkept.replace(self.keep(&table).await.err());
                }
                drop(turn);
                Some(listener)
            }
        }
    }

    /// Whoever started it beside another one has forgotten it.
    fn is_overdue(&self) -> bool {
        let since = civil_ms().saturating_sub(self.started_ms);
        let over = |limit: Duration| u128::from(since) > limit.as_millis();
        self.config.beside.is_some_and(over)
    }

    /// Takes no more connections and ends with the last one; the sockets are another gateway's now.
    async fn retire(&self) {
        self.stage.set(Stage::Retired);
        let turn = self.turn.acquire().await;
        for worker in &self.workers {
            // One that has ended has retired.
            drop(worker.commands.send(Command::Retire).await);
        }
        self.sockets.borrow_mut().clear();
        self.unbound.borrow_mut().clear();
        drop(turn);
    }

    /// Takes the place of the gateway that is there, which finds that out and retires.
    pub(crate) fn promote(&self) -> Result<(), Refusal> {
        let message = |message: String| Refusal::Invalid { message };
        if self.stage.get() != Stage::Beside || self.table.borrow().is_none() {
            return Err(message("it does not serve beside another gateway".into()));
        }
        let taken = self.place.borrow_mut().take(&self.config);
        taken.map_err(|fault| message(format!("the place cannot be taken: {fault}")))?;
        self.stage.set(Stage::Present);
        Ok(())
    }

    /// Keeps sockets that an earlier gateway listened on.
    pub(crate) fn adopt(&self, address: SocketAddr, fds: Vec<OwnedFd>) -> Result<(), Refusal> {
        if self.has_begun.get() {
            let message = "listeners can be handed over only before the gateway begins".into();
            return Err(Refusal::Invalid { message });
        }
        let sockets = fds.into_iter().map(TcpListener::from).filter(|socket| {
            let here = socket.local_addr().is_ok_and(|local| local == address);
            here && socket2::SockRef::from(socket)
                .is_listener()
                .unwrap_or(false)
        });
        let sockets: Vec<TcpListener> = sockets.collect();
        self.adopted
            .borrow_mut()
            .entry(address)
            .or_default()
            .extend(sockets);
        Ok(())
    }

    pub(crate) fn begin(&self) -> Response {
        self.begun.notify_one();
        Response::Done
    }

    /// Duplicates of the sockets of one address.
    pub(crate) fn handover(&self, address: SocketAddr) -> Vec<OwnedFd> {
        let sockets = self.sockets.borrow();
        let held = sockets.get(&address).into_iter().flatten();
        held.filter_map(|socket| socket.try_clone().ok())
            .map(OwnedFd::from)
            .take(socket::FDS)
            .collect()
    }
}
