//! The ledger on disk: one folder, one writer, nothing acknowledged that is not durable.
//!
//! `ledger/` holds `ledger.db` (`SQLite`, WAL, `synchronous=FULL`), `checkpoint` and `ledger.pub` (C2SP
//! signed note and its key), `tile/` (C2SP tlog-tiles, a second copy of every full tile) and `lock`. The
//! signing key is `keys/ledger.key` beside it, 0400. Anchors are folders elsewhere that get a copy of
//! each checkpoint, so that an older copy of the whole state cannot agree with itself.
//!
//! Invariants:
//! - an append returns only once its row is durable, and one thread numbers all rows;
//! - only durable sizes are signed, and a size once signed is never signed with another root;
//! - after a failed write or sync nothing more is written until the folder is opened again;
//! - a folder that disagrees with any signed checkpoint is never written to ([`Opened::Halted`]), unless
//!   somebody accepts exactly what is lost ([`Ledger::resume`]): then it goes on as another timeline.
//!
//! What this crate never does: truncate, repair or delete rows, or read what an entry means.
//! Entry points: [`Ledger::open`], [`verify`].

mod fault;
mod file;
mod keeper;
mod key;
mod ledger;
mod lock;
mod open;
mod queue;
mod reader;
mod resume;
mod row;
mod seen;
mod tile;
mod verify;
mod writer;

pub use fault::{AppendFault, OpenFault, ReadFault, ResumeFault, VerifyFault};
pub use key::signing_seed;
pub use ledger::{Draft, Halted, Ledger, Opened, Receipt};
pub use lock::{Lock, holder};
pub use queue::Pending;
pub use reader::{Entries, Reader};
pub use verify::{Finding, Report, verify};
