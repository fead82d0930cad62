//! Opening a state folder: the lock, the ledger, the replay.

use crate::clock;
use crate::gateway::Keeper;
use crate::real::RealWorld;
use crate::state::{State, anchors};
use mainstay_ledger::{Entry, Halt};
use mainstay_ledger_io::{Ledger, OpenFault, Opened, ReadFault};
use mainstay_plan::{Event, History};
use std::path::Path;

/// A world with the history of its ledger.
pub struct OpenedWorld {
    /// What the ledger says.
    pub history: History,
    /// The world, or why nothing may be changed in it.
    pub world: Result<Box<RealWorld>, Halted>,
}

/// A state that contradicts its signed checkpoint: traffic goes on, nothing is changed.
pub struct Halted {
    /// Why.
    pub halt: Halt,
    /// Keeps the gateway alive.
    pub gateway: Keeper,
}

/// Why a state cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum WorldFault {
    /// Its folders cannot be made.
    #[error("the state folder cannot be made")]
    Folder(#[source] std::io::Error),
    /// The ledger cannot be opened, or somebody holds it.
    #[error(transparent)]
    Ledger(OpenFault),
    /// Threads cannot be started.
    #[error("the world's threads cannot be started")]
    Threads(#[source] std::io::Error),
    /// An entry cannot be read.
    #[error("the ledger cannot be replayed")]
    Replay(#[source] ReadFault),
    /// An entry is not one of ours.
    #[error("entry {index} of the ledger says nothing this version understands")]
    Event {
        /// Which.
        index: u64,
        /// Why.
        source: serde_json::Error,
    },
}

/// Opens the state of one environment; `binary` is what shims and gateways are started from.
pub fn open(state: &State, binary: &Path) -> Result<OpenedWorld, WorldFault> {
    state.create().map_err(WorldFault::Folder)?;
    let opened = Ledger::open(&state.ledger(), &anchors(state), clock::wall());
    match opened.map_err(WorldFault::Ledger)? {
        Opened::Ready(ledger) => {
            let history = replay(ledger.entries(0))?;
            let world = RealWorld::new(state, binary, ledger, history.table.clone())
                .map_err(WorldFault::Threads)?;
            let world = Ok(Box::new(world));
            Ok(OpenedWorld { history, world })
        }
        Opened::Halted { reason, reader } => {
            // What can be read is shown; what cannot is the reason for the halt.
            let history = replay(reader.entries(0)).unwrap_or_default();
            let gateway = Keeper::start(binary, state);
            Ok(OpenedWorld {
                history,
                world: Err(Halted {
                    halt: reason,
                    gateway,
                }),
            })
        }
    }
}

fn replay(entries: impl Iterator<Item = Result<Entry, ReadFault>>) -> Result<History, WorldFault> {
    let mut history = History::default();
    for entry in entries {
        let entry = entry.map_err(WorldFault::Replay)?;
        let event = Event::from_bytes(&entry.payload).map_err(|source| WorldFault::Event {
            index: entry.index,
            source,
        })?;
        history.apply(&event, entry.epoch, &entry.actor, entry.at);
    }
    Ok(history)
}
