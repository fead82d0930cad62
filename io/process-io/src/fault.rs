//! What can go wrong, one enum a task.

use mainstay_atoms::{Epoch, Generation, InstanceId};
use rustix::io::Errno;
use std::io;
use std::path::PathBuf;

/// Why a snapshot cannot be stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// What should be stored is not there.
    #[error("`{}` does not exist", path.display())]
    Missing {
        /// Which one.
        path: PathBuf,
    },
    /// A path that leaves the folder.
    #[error("`{}` lies outside the folder of the file", path.display())]
    Outside {
        /// Which one.
        path: PathBuf,
    },
    /// A symbolic link that leaves the folder.
    #[error("the link `{}` leads outside to `{}`", path.display(), target.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// Neither file nor folder nor link.
    #[error("`{}` is a socket, pipe or device, which cannot be stored", path.display())]
    Special {
        /// Which one.
        path: PathBuf,
    },
    /// The program is not there.
    #[error("the program `{}` does not exist", path.display())]
    Program {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The program is there and may not be executed.
    #[error("the program `{}` is not executable", path.display())]
    NotExecutable {
        /// Which one.
        path: PathBuf,
    },
    /// A file changed while it was copied.
    #[error("`{}` changed while it was stored", path.display())]
    Changed {
        /// Which one.
        path: PathBuf,
    },
    /// The kernel refuses.
    #[error("`{}` cannot be {action}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

/// Why a service got no user of its own.
#[derive(Debug, thiserror::Error)]
pub enum UserFault {
    /// All are given.
    #[error("all {count} users for services are given (`{}`)", path.display())]
    Exhausted {
        /// Where it is written down.
        path: PathBuf,
        /// How many there are.
        count: usize,
    },
    /// The registry cannot be used.
    #[error("the registry of users `{}` cannot be {action}", path.display())]
    File {
        /// Its folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

/// Why an instance was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// An earlier run is still there; stop it first.
    #[error("{instance} still runs as generation {running}")]
    Running {
        /// Which instance.
        instance: InstanceId,
        /// The generation that runs.
        running: Generation,
    },
    /// The order is older than one that was taken.
    #[error("{instance} already has an order of epoch {epoch}, generation {generation}")]
    Stale {
        /// Which instance.
        instance: InstanceId,
        /// The newer order's epoch.
        epoch: Epoch,
        /// The newer order's generation.
        generation: Generation,
    },
    /// The program could not be executed.
    #[error("{instance} could not be executed: {why}")]
    Program {
        /// Which instance.
        instance: InstanceId,
        /// The kernel's answer, with the path.
        why: String,
    },
    /// The shim failed before the program.
    #[error("the shim of {instance} failed: {why}")]
    Shim {
        /// Which instance.
        instance: InstanceId,
        /// What it said.
        why: String,
    },
    /// Its service got no user of its own.
    #[error("{instance} cannot run as a user of its own")]
    User {
        /// Which instance.
        instance: InstanceId,
        /// Why.
        source: UserFault,
    },
    /// The kernel refuses.
    #[error("`{}` cannot be {action}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

/// Why an order to stop was not taken.
#[derive(Debug, thiserror::Error)]
pub enum StopFault {
    /// There is no such instance.
    #[error("there is no instance {instance}")]
    Unknown {
        /// Which one.
        instance: InstanceId,
    },
    /// The order is older than one that was taken.
    #[error("{instance} already has an order of epoch {epoch}, generation {generation}")]
    Stale {
        /// Which instance.
        instance: InstanceId,
        /// The newer order's epoch.
        epoch: Epoch,
        /// The newer order's generation.
        generation: Generation,
    },
    /// A name that is no signal's.
    #[error("`{name}` is not a signal that can stop a process")]
    Signal {
        /// The name.
        name: String,
    },
    /// The shim runs and does not answer.
    #[error("the shim of {instance} does not answer")]
    Silent {
        /// Which instance.
        instance: InstanceId,
        /// What the socket said.
        #[source]
        source: io::Error,
    },
}

/// Why nothing could be observed.
#[derive(Debug, thiserror::Error)]
pub enum ObserveFault {
    /// A folder cannot be read.
    #[error("`{}` cannot be read", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

/// Why an instance was not forgotten.
#[derive(Debug, thiserror::Error)]
pub enum ForgetFault {
    /// It still runs.
    #[error("{instance} still runs")]
    Running {
        /// Which one.
        instance: InstanceId,
    },
    /// The kernel refuses.
    #[error("`{}` cannot be removed", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

/// Why logs cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// The kernel refuses.
    #[error("`{}` cannot be read", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

/// This process lacks what the kernel would need to do it: descriptors, memory, or room for a process.
pub(crate) fn is_want(fault: &io::Error) -> bool {
    let wants = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN];
    wants
        .iter()
        .any(|want| fault.raw_os_error() == Some(want.raw_os_error()))
}

impl StartFault {
    /// Whether the same order may work later: the disk is full, or descriptors are used up.
    pub fn may_pass(&self) -> bool {
        let (Self::File { source, .. }
        | Self::User {
            source: UserFault::File { source, .. },
            ..
        }) = self
        else {
            return false;
        };
        source.kind() == io::ErrorKind::StorageFull || is_want(source)
    }
}
