//! Opening a state folder: the lock, the ledger, the replay.

use crate::clock;
use crate::gateway::{Keeper, comes_back};
use crate::real::RealWorld;
use crate::schema::{self, SchemaFault};
use crate::state::{State, anchors};
use mainstay_atoms::{Actor, Digest, Wall};
use mainstay_faults::chain;
use mainstay_ledger::{Entry, Halt, Kind, Loss};
use mainstay_ledger_io::{Draft, Ledger, Lock, OpenFault, Opened, ReadFault, ResumeFault};
use mainstay_plan::{Event, History, Serving};
use mainstay_routing::Table;
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
    /// What going on would give up, where that is possible.
    pub loss: Option<Loss>,
    /// When the last entry that is left was recorded.
    pub kept_at: Option<Wall>,
    /// Keeps the gateway alive.
    pub gateway: Keeper,
    /// Nobody else may go on meanwhile.
    lock: Option<Lock>,
}

/// Why a state cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum WorldFault {
    /// Its folders cannot be made.
    #[error("the state folder cannot be made")]
    Folder(#[source] std::io::Error),
    /// It is of a newer schema, or cannot be brought to ours.
    #[error(transparent)]
    Schema(SchemaFault),
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
    ready(state)?;
    let opened = Ledger::open(&state.ledger(), &anchors(state), clock::wall());
    match opened.map_err(WorldFault::Ledger)? {
        Opened::Ready(ledger) => {
            let history = replay(ledger.entries(0))?;
            let world = RealWorld::new(state, binary, ledger, history.table.clone())
                .map_err(WorldFault::Threads)?;
            let world = Ok(Box::new(world));
            Ok(OpenedWorld { history, world })
        }
        Opened::Halted(found) => {
            // What can be read is shown; what cannot is the reason for the halt.
            let history = replay(found.reader.entries(0)).unwrap_or_default();
            let gateway = Keeper::start(binary, state);
            let world = Err(Halted::of(*found, gateway));
            Ok(OpenedWorld { history, world })
        }
    }
}

/// Makes what is missing and brings an older state to the present schema; a newer one is not touched.
fn ready(state: &State) -> Result<(), WorldFault> {
    schema::check(state).map_err(WorldFault::Schema)?;
    state.create().map_err(WorldFault::Folder)?;
    if schema::is_settled(state).map_err(WorldFault::Schema)? {
        return Ok(());
    }
    // Nobody who knows only the older schema writes meanwhile.
    let held = Lock::take(&state.ledger(), clock::wall()).map_err(WorldFault::Ledger)?;
    let settled = schema::settle(state).map_err(WorldFault::Schema);
    drop(held);
    settled
}

/// Whether this program could open the state: reads everything, changes nothing, and may be asked while
/// another control plane works.
pub fn check(state: &State) -> Result<(), WorldFault> {
    schema::check(state).map_err(WorldFault::Schema)?;
    replay(mainstay_ledger_io::Reader::of(&state.ledger()).entries(0)).map(drop)
}

impl Halted {
    fn of(found: mainstay_ledger_io::Halted, gateway: Keeper) -> Self {
        let last = found
            .loss
            .as_ref()
            .and_then(|loss| loss.kept.checked_sub(1));
        let last = last.and_then(|last| found.reader.entries(last).next()?.ok());
        Self {
            halt: found.reason,
            loss: found.loss,
            kept_at: last.map(|entry| entry.at),
            gateway,
            lock: Some(found.lock),
        }
    }
}

/// Goes on with a halted state without what is gone: `by` accepts exactly `accepted`. When that is refused
/// the state stays halted; when the new timeline stands and cannot be opened, the next start tries again.
pub fn resume(
    state: &State,
    binary: &Path,
    halted: &mut Halted,
    history: &History,
    (accepted, by): (&Loss, Actor),
) -> Result<(History, Box<RealWorld>), ResumeFault> {
    let first = resumed(accepted, history, by, serving(state))?;
    let (dir, anchors, now) = (state.ledger(), anchors(state), clock::wall());
    // A resume takes the lock itself.
    halted.lock = None;
    let ledger = Ledger::resume(&dir, &anchors, accepted, first, now).inspect_err(|_| {
        if let Ok(Opened::Halted(found)) = Ledger::open(&dir, &anchors, now) {
            halted.lock = Some(found.lock);
            halted.loss = found.loss;
        }
    })?;
    halted.gateway.let_go();
    let broken = |why: String| ResumeFault::Altered { why };
    let history = replay(ledger.entries(0)).map_err(|fault| broken(chain(&fault)))?;
    let world = RealWorld::new(state, binary, ledger, history.table.clone());
    let world = world.map_err(|fault| broken(fault.to_string()))?;
    Ok((history, Box::new(world)))
}

/// More of a table than fits into an entry beside the rest is left out; then traffic moves at once.
const SERVING_LIMIT: usize = 48 * 1024;

/// What the gateway serves: a gateway that runs keeps its table in the state folder, whatever lay there,
/// once it has found that the folder was replaced.
fn serving(state: &State) -> Option<Box<Serving>> {
    comes_back(state, || false);
    let bytes = std::fs::read(state.gateway_table()).ok()?;
    let table: Table = serde_json::from_slice(&bytes).ok()?;
    let serving = Serving::of(&table);
    let size = serde_json::to_vec(&serving).ok()?.len();
    (size <= SERVING_LIMIT).then(|| Box::new(serving))
}

/// The first entry of the new timeline: who accepted what.
fn resumed(
    accepted: &Loss,
    history: &History,
    by: Actor,
    serving: Option<Box<Serving>>,
) -> Result<Draft, ResumeFault> {
    let event = Event::LedgerResumed {
        timeline: accepted.timeline.0,
        kept: accepted.kept,
        signed: accepted.signed,
        serving,
    };
    let payload = event.to_bytes();
    let (code, name) = event.kind();
    let identity = Digest::of_parts(&[&accepted.root.0, &payload]).0;
    let mut key = [0; 16];
    key.copy_from_slice(&identity[..16]);
    Ok(Draft {
        kind: Kind::new(code, name).map_err(|fault| ResumeFault::Altered {
            why: fault.to_string(),
        })?,
        actor: by,
        epoch: history.epoch,
        generation: None,
        key,
        payload,
        at: clock::wall(),
    })
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
