//! The thread beside the writer: signs durable sizes and exports full tiles.

use crate::file::{self, Durable};
use crate::tile::Tiles;
use mainstay_atoms::Wall;
use mainstay_ledger::{Checkpoint, Frontier, PublicKey, SigningKey, Timeline};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// An unsigned entry waits at most this long…
const SIGN_AFTER: Duration = Duration::from_secs(1);
/// …or until this many wait.
const SIGN_ENTRIES: u64 = 256;
/// Between two signatures, so that their syncs do not eat the disk under load.
const SIGN_GAP: Duration = Duration::from_millis(250);

/// What writer, keeper and handles share.
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    frontier: Frontier,
    signed: Option<Checkpoint>,
    halted: Option<String>,
    anchor_fault: Option<String>,
    /// Somebody waits for a signature now.
    wanted: bool,
    closing: bool,
}

impl Shared {
    pub(crate) fn new(frontier: Frontier, signed: Checkpoint) -> Self {
        let state = State {
            frontier,
            signed: Some(signed),
            halted: None,
            anchor_fault: None,
            wanted: false,
            closing: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is one assignment, so a panic elsewhere leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that these rows are durable.
    pub(crate) fn publish(&self, frontier: &Frontier) {
        let mut state = self.lock();
        let waiting = state.unsigned();
        state.frontier.clone_from(frontier);
        let full = waiting < SIGN_ENTRIES && state.unsigned() >= SIGN_ENTRIES;
        drop(state);
        if waiting == 0 || full {
            self.changed.notify_all();
        }
    }

    pub(crate) fn halt(&self, why: &str) {
        let mut state = self.lock();
        state.halted.get_or_insert_with(|| why.to_owned());
        self.changed.notify_all();
    }

    pub(crate) fn halted(&self) -> Option<String> {
        self.lock().halted.clone()
    }

    pub(crate) fn anchor_fault(&self) -> Option<String> {
        self.lock().anchor_fault.clone()
    }

    pub(crate) fn set_checkpoint_fault(&self, fault: Option<String>) {
        self.lock().anchor_fault = fault;
    }

    pub(crate) fn frontier(&self) -> Frontier {
        self.lock().frontier.clone()
    }

    pub(crate) fn signed(&self) -> Option<Checkpoint> {
        self.lock().signed
    }

    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    /// Waits until the rows durable now are signed; false when that does not happen in time.
    pub(crate) fn sign_now(&self, patience: Duration) -> bool {
        let mut state = self.lock();
        let size = state.frontier.size();
        state.wanted = true;
        self.changed.notify_all();
        let waited = self.changed.wait_timeout_while(state, patience, |state| {
            state.halted.is_none() && state.signed.is_none_or(|signed| signed.size < size)
        });
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.signed.is_some_and(|signed| signed.size >= size)
    }
}

impl State {
    fn unsigned(&self) -> u64 {
        let signed = self.signed.map_or(0, |signed| signed.size);
        self.frontier.size().saturating_sub(signed)
    }
}

/// Where checkpoints go.
pub(crate) struct Places {
    pub(crate) dir: PathBuf,
    pub(crate) anchors: Vec<PathBuf>,
}

impl Places {
    pub(crate) fn database(&self) -> PathBuf {
        self.dir.join("ledger.db")
    }

    pub(crate) fn local(&self) -> PathBuf {
        self.dir.join("checkpoint")
    }

    /// The anchors' files; named after the key, so one folder serves many ledgers, and the latest
    /// timeline of each replaces the one before.
    pub(crate) fn anchors(&self, key: &PublicKey) -> Vec<PathBuf> {
        let name = format!("{}.checkpoint", key.base().replace('/', "-"));
        self.anchors.iter().map(|dir| dir.join(&name)).collect()
    }
}

pub(crate) struct Keeper {
    pub(crate) places: Places,
    pub(crate) key: SigningKey,
    pub(crate) shared: Arc<Shared>,
    pub(crate) tiles: Tiles,
}

impl Keeper {
    /// Signs and exports until closed, then once more.
    pub(crate) fn run(mut self) {
        let mut last = Instant::now();
        while self.wait(last) {
            self.sign();
            self.tiles.export(self.shared.frontier().size(), false);
            last = Instant::now();
        }
        self.sign();
        self.tiles.export(self.shared.frontier().size(), true);
    }

    /// Until a signature is due; false when closing.
    fn wait(&self, last: Instant) -> bool {
        let mut state = self.shared.lock();
        loop {
            if state.closing {
                return false;
            }
            let due = match state.unsigned() {
                _ if state.wanted => return true,
                0 => None,
                SIGN_ENTRIES.. => Some(last + SIGN_GAP),
                _ => Some(last + SIGN_AFTER),
            };
            let patience = due.map(|due| due.saturating_duration_since(Instant::now()));
            state = match patience {
                Some(Duration::ZERO) => return true,
                Some(patience) => {
                    let waited = self.shared.changed.wait_timeout(state, patience);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.shared.changed.wait(state);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    /// Signs what is durable. A failed write is tried again at the next turn, with a new file.
    fn sign(&self) {
        let (frontier, signed) = {
            let state = self.shared.lock();
            (state.frontier.clone(), state.signed)
        };
        let current = signed.is_some_and(|signed| signed.size == frontier.size());
        let outcome = match signed {
            Some(signed) if current => Ok(signed),
            _ => {
                let timeline = signed.map_or(Timeline::FIRST, |signed| signed.timeline);
                self.write(timeline, &frontier)
            }
        };
        let mut state = self.shared.lock();
        state.wanted = false;
        match outcome {
            Ok(checkpoint) => state.signed = Some(checkpoint),
            Err(fault) => state.anchor_fault = Some(fault),
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    fn write(&self, timeline: Timeline, frontier: &Frontier) -> Result<Checkpoint, String> {
        let checkpoint = Checkpoint {
            timeline,
            size: frontier.size(),
            root: frontier.root(),
            at: wall_now(),
        };
        write_checkpoint(&checkpoint, &self.key, &self.places)
            .map(|anchor_fault| {
                self.shared.lock().anchor_fault = anchor_fault;
                checkpoint
            })
            .map_err(|fault| fault.to_string())
    }
}

/// Writes a checkpoint beside the ledger, then to each anchor. An anchor that cannot be written is
/// answered in words; the others are written all the same.
pub(crate) fn write_checkpoint(
    checkpoint: &Checkpoint,
    key: &SigningKey,
    places: &Places,
) -> std::io::Result<Option<String>> {
    let text = checkpoint.sign(key);
    file::replace(&places.local(), text.as_bytes(), 0o644, Durable::Yes)?;
    Ok(write_anchors(&text, key, places))
}

/// Writes a signed checkpoint to each anchor; what cannot be written, in words.
pub(crate) fn write_anchors(text: &str, key: &SigningKey, places: &Places) -> Option<String> {
    let mut fault = None;
    for path in places.anchors(key.public()) {
        if let Err(source) = write_anchor(&path, text.as_bytes()) {
            fault = Some(format!("the anchor `{}`: {source}", path.display()));
        }
    }
    fault
}

fn write_anchor(path: &Path, text: &[u8]) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    file::replace(path, text, 0o644, Durable::Yes)
}

/// Civil time, for people: no rule depends on it.
pub(crate) fn wall_now() -> Wall {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let ms = since.unwrap_or_default().as_millis();
    Wall(u64::try_from(ms).unwrap_or(u64::MAX))
}
