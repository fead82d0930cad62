//! Where everything lies below the state folder.

use mainstay_atoms::{Digest, InstanceId};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

/// The state folder of one environment.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) state: PathBuf,
}

/// Longest socket name that fits 108 bytes behind `/proc/self/fd/NNNNN/`.
const SOCKET_NAME: usize = 80;

impl Layout {
    pub(crate) fn instances(&self) -> PathBuf {
        self.state.join("instances")
    }

    pub(crate) fn instance(&self, id: &InstanceId) -> PathBuf {
        self.instances().join(id.to_string())
    }

    /// `HOME` and `TMPDIR` of the run under way.
    pub(crate) fn home(&self, id: &InstanceId) -> PathBuf {
        self.instance(id).join("home")
    }

    pub(crate) fn run(&self) -> PathBuf {
        self.state.join("run")
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        self.state.join("artifacts")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    pub(crate) fn instance_logs(&self, id: &InstanceId) -> PathBuf {
        self.logs()
            .join(id.service.to_string())
            .join(id.to_string())
    }

    /// The socket's name in `run/`; a long id is shortened to its digest.
    pub(crate) fn socket(id: &InstanceId) -> String {
        let name = format!("{id}.sock");
        if name.len() <= SOCKET_NAME {
            return name;
        }
        format!("{}.sock", &Digest::of(name.as_bytes()).to_hex()[..32])
    }

    /// Part of group names that tells this state folder from every other.
    pub(crate) fn group(&self) -> String {
        use std::os::unix::ffi::OsStrExt as _;
        let state = self
            .state
            .canonicalize()
            .unwrap_or_else(|_| self.state.clone());
        Digest::of(state.as_os_str().as_bytes()).short()
    }
}

/// A folder held open, so that a socket deep inside has a short address.
pub(crate) struct Door {
    folder: File,
}

impl Door {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        File::open(folder).map(|folder| Self { folder })
    }

    /// An address below 108 bytes for a name in the folder; good while the door is held.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.folder.as_raw_fd()))
    }
}
