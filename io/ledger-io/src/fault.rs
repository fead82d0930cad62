//! What can go wrong, one enum a task.

use mainstay_atoms::Wall;
use mainstay_ledger::{EntryFault, Halt, Loss};
use std::path::PathBuf;

/// Why a ledger cannot be opened at all. Inconsistent contents are no fault but a halt.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    /// Another process writes to it.
    #[error("the ledger is held by process {pid} since {}", since.0)]
    Held {
        /// The holder.
        pid: u32,
        /// Since when, as the holder noted it.
        since: Wall,
    },
    /// A file or folder cannot be made, read or written.
    #[error("`{}` cannot be {action}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What was tried: `created`, `read`, `written`, `locked`.
        action: &'static str,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
    /// The database refuses.
    #[error("the database `{}` cannot be opened", path.display())]
    Database {
        /// Which one.
        path: PathBuf,
        /// Its answer.
        #[source]
        source: rusqlite::Error,
    },
    /// No entropy for a new signing key.
    #[error("the machine gives no random bytes for a signing key")]
    Entropy,
}

/// Why an entry was not recorded. Repeat the request with the same key once the cause is gone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendFault {
    /// The entry cannot be stored.
    #[error("the entry cannot be encoded")]
    Entry(#[source] EntryFault),
    /// No space is left; nothing of the request was recorded.
    #[error("no space is left on the disk of `{}`", dir.display())]
    DiskFull {
        /// The ledger's folder.
        dir: PathBuf,
    },
    /// Writing or syncing failed, so nothing is known of what reached the disk; the ledger takes no
    /// more entries until it is opened again.
    #[error("the ledger stopped writing: {why}")]
    Halted {
        /// The first failure, in words for a person.
        why: String,
    },
    /// The ledger was closed.
    #[error("the ledger is closed")]
    Closed,
}

/// Why a halted ledger does not go on.
#[derive(Debug, thiserror::Error)]
pub enum ResumeFault {
    /// The folder cannot be opened.
    #[error(transparent)]
    Open(OpenFault),
    /// The first entry of the new timeline cannot be stored.
    #[error(transparent)]
    Append(AppendFault),
    /// It is in order; there is nothing to accept.
    #[error("the ledger is not halted")]
    Sound,
    /// What is left contradicts what was signed, so nobody can say what would be kept.
    #[error("what is left of the ledger was altered: {why}")]
    Altered {
        /// The first contradiction.
        why: String,
    },
    /// Something else is lost than was accepted.
    #[error(
        "the loss is another than the accepted one: {} of {} entries are left now", found.kept, found.signed
    )]
    Moved {
        /// What would be given up now.
        found: Box<Loss>,
    },
    /// A part could not be put aside or written.
    #[error("`{}` cannot be {action}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
    /// It still contradicts something signed.
    #[error("the ledger is still halted: {0}")]
    Halted(Halt),
}

/// Why entries cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadFault {
    /// The database refuses.
    #[error("the database `{}` cannot be read", path.display())]
    Database {
        /// Which one.
        path: PathBuf,
        /// Its answer.
        #[source]
        source: rusqlite::Error,
    },
    /// A row does not hold an entry.
    #[error("entry {index} cannot be decoded")]
    Entry {
        /// Its index.
        index: u64,
        /// What is wrong with it.
        #[source]
        source: EntryFault,
    },
    /// A row is gone.
    #[error("entry {index} is missing")]
    Missing {
        /// Its index.
        index: u64,
    },
}

/// Why a folder cannot be verified at all.
#[derive(Debug, thiserror::Error)]
pub enum VerifyFault {
    /// There is no ledger here.
    #[error("`{}` holds no ledger", dir.display())]
    Absent {
        /// The folder that was named.
        dir: PathBuf,
    },
    /// A file cannot be read.
    #[error("`{}` cannot be read", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
}
