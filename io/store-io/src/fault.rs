//! What can go wrong with a store.

use crate::program::Missing;
use crate::secret::SecretFault;
use std::io;
use std::path::{Path, PathBuf};

/// Why something about a store was not done.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// The machine has no such server.
    #[error("{0}")]
    Program(Missing),
    /// The data is of another kind or version than what is wanted.
    #[error("`{store}` holds data of {found}, and the file says {wanted}")]
    Data {
        /// The store.
        store: String,
        /// What is there.
        found: String,
        /// What the file says.
        wanted: String,
    },
    /// Data was made, and is not there.
    #[error("`{store}` was made, and `{}` is gone", path.display())]
    Gone {
        /// The store.
        store: String,
        /// What every store of its kind has.
        path: PathBuf,
    },
    /// A folder or file cannot be used.
    #[error("`{}` cannot be {action}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// `made`, `written`, `read`.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A tool of the server failed.
    #[error("`{tool}` failed: {said}")]
    Tool {
        /// Which.
        tool: &'static str,
        /// The last lines that it wrote.
        said: String,
    },
    /// The server does not answer, or not yet.
    #[error("the server of `{store}` does not answer: {why}")]
    Silent {
        /// The store.
        store: String,
        /// Why.
        why: String,
    },
    /// The server refused what it was told.
    #[error("the server of `{store}` refused {what}: {why}")]
    Refused {
        /// The store.
        store: String,
        /// What it was told.
        what: String,
        /// Its answer.
        why: String,
    },
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretFault),
}

impl StoreFault {
    /// Whether it may work later without anybody changing the file or the machine.
    pub fn passes(&self) -> bool {
        match self {
            Self::Silent { .. } => true,
            Self::File { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            // initdb says so itself when the disk is full.
            Self::Tool { said, .. } => said.contains("No space left"),
            Self::Program(_)
            | Self::Data { .. }
            | Self::Gone { .. }
            | Self::Refused { .. }
            | Self::Secret(_) => false,
        }
    }
}

pub(crate) fn file(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> StoreFault {
    let path = path.to_owned();
    move |source| StoreFault::File {
        path,
        action,
        source,
    }
}
