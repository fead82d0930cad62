//! The handle that everybody appends through.

use crate::keeper::{Keeper, Places, Shared};
use crate::lock::Lock;
use crate::open::{self, Admitted};
use crate::queue::{ENDED, Pending, Queue, Turn};
use crate::tile::Tiles;
use crate::writer::{Committer, Writer};
use crate::{AppendFault, Entries, OpenFault, Reader, ResumeFault, key, resume};
use mainstay_atoms::{Actor, Digest, Epoch, Generation, Wall};
use mainstay_ledger::{Checkpoint, Entry, Halt, IdempotencyKey, Kind, Loss};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long [`Ledger::sign`] waits for the disk.
const SIGN_PATIENCE: Duration = Duration::from_secs(10);

/// An entry before it has its index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What it is about.
    pub kind: Kind,
    /// Who acts.
    pub actor: Actor,
    /// The control plane that records it.
    pub epoch: Epoch,
    /// The step it belongs to, where there is one.
    pub generation: Option<Generation>,
    /// Equal for every repetition of the same request.
    pub key: IdempotencyKey,
    /// The caller's bytes, JSON by convention.
    pub payload: Vec<u8>,
    /// When.
    pub at: Wall,
}

/// Proof that a row is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The row's index, from 0.
    pub index: u64,
    /// False when a request with this key was recorded before; that row stands unchanged.
    pub fresh: bool,
}

/// What opening gives.
#[derive(Debug)]
pub enum Opened {
    /// It takes entries.
    Ready(Ledger),
    /// It must not be written to; it can still be read. The folder was not changed.
    Halted(Box<Halted>),
}

/// A folder that contradicts something signed.
#[derive(Debug)]
pub struct Halted {
    /// Why.
    pub reason: Halt,
    /// Reads what is there.
    pub reader: Reader,
    /// What [`Ledger::resume`] would give up, where it can help.
    pub loss: Option<Loss>,
    /// Nobody else may go on with the folder meanwhile.
    pub lock: Lock,
}

/// A ledger that takes entries. Clones share one order and one database; the last one to go closes it.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Arc<Queue>,
    writer: Arc<Writer>,
    shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
    dir: PathBuf,
}

struct Threads {
    writer: JoinHandle<()>,
    keeper: JoinHandle<()>,
    _lock: Lock,
}

impl Ledger {
    /// Opens the ledger folder `dir`, or makes it; the signing key lives in `keys/` beside it. Each folder
    /// in `anchors` gets a copy of every checkpoint and is asked for the last one first.
    pub fn open(dir: &Path, anchors: &[PathBuf], now: Wall) -> Result<Opened, OpenFault> {
        key::create_private(dir)?;
        let lock = Lock::take(dir, now)?;
        let places = Places {
            dir: dir.to_owned(),
            anchors: anchors.to_vec(),
        };
        match open::admit(&places, now)? {
            Ok(admitted) => start(admitted, places, lock).map(Opened::Ready),
            Err(stopped) => Ok(Opened::Halted(Box::new(Halted {
                reason: stopped.halt,
                reader: Reader::new(dir),
                loss: stopped.loss,
                lock,
            }))),
        }
    }

    /// Goes on with a halted folder without the entries that are gone, because somebody decided so over
    /// exactly this loss. `first` says who and what, as the first entry of the new timeline. What the old
    /// timeline signed stays beside it, in `before-timeline-N/`. The halt's lock has to be dropped before.
    pub fn resume(
        dir: &Path,
        anchors: &[PathBuf],
        accepted: &Loss,
        first: Draft,
        now: Wall,
    ) -> Result<Self, ResumeFault> {
        let lock = Lock::take(dir, now).map_err(ResumeFault::Open)?;
        let places = Places {
            dir: dir.to_owned(),
            anchors: anchors.to_vec(),
        };
        let mut entry = encode(first).map_err(ResumeFault::Append)?.1;
        Entry::assign_index(&mut entry, accepted.kept);
        resume::begin(&places, accepted, &entry, now)?;
        match open::admit(&places, now).map_err(ResumeFault::Open)? {
            Ok(admitted) => start(admitted, places, lock).map_err(ResumeFault::Open),
            Err(stopped) => Err(ResumeFault::Halted(stopped.halt)),
        }
    }

    /// Opens a ledger that acknowledges what no disk holds: what the power-cut test has to catch. Not part
    /// of a release build.
    #[cfg(debug_assertions)]
    #[doc(hidden)]
    pub fn open_without_sync(
        dir: &Path,
        anchors: &[PathBuf],
        now: Wall,
    ) -> Result<Self, OpenFault> {
        let lock = Lock::take(dir, now)?;
        let places = Places {
            dir: dir.to_owned(),
            anchors: anchors.to_vec(),
        };
        let admitted = open::admit(&places, now)?;
        let admitted = admitted.unwrap_or_else(|stopped| panic!("it is halted: {}", stopped.halt));
        let off = admitted.connection.execute_batch("PRAGMA synchronous=OFF");
        off.expect("SQLite takes its own setting");
        start(admitted, places, lock)
    }

    /// Records one entry; returns once it is durable.
    pub fn append(&self, draft: Draft) -> Result<Receipt, AppendFault> {
        let receipts = self.append_all(vec![draft])?;
        Ok(receipts[0])
    }

    /// Records several entries in this order, all or none; returns once they are durable.
    pub fn append_all(&self, drafts: Vec<Draft>) -> Result<Vec<Receipt>, AppendFault> {
        let rows = drafts.into_iter().map(encode).collect::<Result<_, _>>()?;
        match self.inner.queue.enter(rows)? {
            Turn::Lead(mut led) => {
                self.inner.writer.settle(&mut led.batch);
                led.finish()
            }
            Turn::Follow(pending) => pending.wait(),
        }
    }

    /// Hands over one entry without waiting for the disk, so that one caller may have several under way;
    /// they are recorded in this order. Nothing counts before its [`Pending::wait`] is over.
    pub fn submit(&self, draft: Draft) -> Result<Pending, AppendFault> {
        self.inner.queue.submit(vec![encode(draft)?])
    }

    /// The entries from this index on.
    pub fn entries(&self, from: u64) -> Entries {
        self.reader().entries(from)
    }

    /// Reads this ledger from any thread.
    pub fn reader(&self) -> Reader {
        Reader::new(&self.inner.dir)
    }

    /// How many entries are durable.
    pub fn size(&self) -> u64 {
        self.inner.shared.frontier().size()
    }

    /// The root over all durable entries.
    pub fn root(&self) -> Digest {
        self.inner.shared.frontier().root()
    }

    /// The last signed checkpoint; at most one second or 256 entries (and 250 ms) behind.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        self.inner.shared.signed()
    }

    /// Signs what is durable now, without waiting for the next turn; false when that failed.
    pub fn sign(&self) -> bool {
        self.inner.shared.sign_now(SIGN_PATIENCE)
    }

    /// Why nothing more is written, once that is so.
    pub fn halted(&self) -> Option<String> {
        self.inner.shared.halted()
    }

    /// What is wrong with the last checkpoint or an anchor, in words; entries are recorded all the same.
    pub fn checkpoint_fault(&self) -> Option<String> {
        self.inner.shared.anchor_fault()
    }

    /// Takes no more entries, signs, exports, and frees the folder. Waits for requests in the queue.
    pub fn close(&self) {
        self.inner.close();
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Ledger({})", self.inner.dir.display())
    }
}

impl Inner {
    fn close(&self) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(threads) = threads.take() else {
            return;
        };
        self.queue.close();
        let joined = threads.writer.join();
        if joined.is_err() {
            self.shared.halt(ENDED);
        }
        let committer = self.writer.close();
        self.shared.close();
        if threads.keeper.join().is_err() {
            self.shared.halt("the keeper ended unexpectedly");
        }
        // The last connection to go moves the write-ahead log into the database.
        drop(committer);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

fn encode(draft: Draft) -> Result<(IdempotencyKey, Vec<u8>), AppendFault> {
    let key = draft.key;
    let entry = Entry {
        index: 0,
        at: draft.at,
        epoch: draft.epoch,
        generation: draft.generation,
        actor: draft.actor,
        kind: draft.kind,
        key,
        payload: draft.payload,
    };
    let bytes = entry.encode().map_err(AppendFault::Entry)?;
    Ok((key, bytes))
}

fn start(admitted: Admitted, places: Places, lock: Lock) -> Result<Ledger, OpenFault> {
    let dir = places.dir.clone();
    let fault = key::fault(&dir, "given a thread");
    let spawned = spawn(admitted, places, lock);
    spawned.map_err(fault).map(|inner| Ledger {
        inner: Arc::new(inner),
    })
}

fn spawn(admitted: Admitted, places: Places, lock: Lock) -> io::Result<Inner> {
    let dir = places.dir.clone();
    let queue = Arc::<Queue>::default();
    let shared = Arc::new(Shared::new(admitted.frontier.clone(), admitted.signed));
    shared.set_checkpoint_fault(admitted.anchor_fault);
    let keeper = Keeper {
        tiles: Tiles::new(&dir, admitted.frontier.size()),
        places,
        key: admitted.key,
        shared: Arc::clone(&shared),
    };
    let committer = Committer {
        connection: admitted.connection,
        dir: dir.clone(),
        frontier: admitted.frontier,
        seen: admitted.seen,
        shared: Arc::clone(&shared),
    };
    let writer = Arc::new(Writer::new(committer, Arc::clone(&shared)));
    let keeper = named("ledger-keeper", move || keeper.run())?;
    let (commits, gathered) = (Arc::clone(&writer), Arc::clone(&queue));
    let thread = named("ledger-writer", move || commits.run(&gathered))?;
    let threads = Threads {
        writer: thread,
        keeper,
        _lock: lock,
    };
    Ok(Inner {
        queue,
        writer,
        shared,
        threads: Mutex::new(Some(threads)),
        dir,
    })
}

fn named<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    thread::Builder::new().name(name.into()).spawn(work)
}
