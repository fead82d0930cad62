//! Whether the control socket still lies where it was made: its folder may be replaced under a gateway.

use crate::socket;
use crate::{Config, GatewayFault};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixListener;

/// How often the control socket is looked for.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Which files the control socket and the lock beside it are.
pub(crate) struct Place {
    socket: Option<(u64, u64)>,
    lock: Option<(u64, u64)>,
    /// Keeps other gateways away from the folder that is there; freed by death.
    held: File,
}

impl Place {
    pub(crate) fn of(socket: &Path, held: File) -> Self {
        Self {
            socket: identity(socket),
            lock: identity(&lock_path(socket)),
            held,
        }
    }

    /// Makes the socket again where it is gone; `None` where it is there, or cannot be made now. Another
    /// gateway that took the new folder keeps it.
    pub(crate) fn retake(&mut self, config: &Config) -> Option<UnixListener> {
        let there = identity(&config.socket);
        if self.socket.is_some() && self.socket == there {
            return None;
        }
        if self.lock.is_none() || self.lock != identity(&lock_path(&config.socket)) {
            self.held = lock(config).ok()?;
        }
        let listener = open(config).ok()?;
        self.socket = identity(&config.socket);
        self.lock = identity(&lock_path(&config.socket));
        Some(listener)
    }
}

/// Opens the control socket; the library wants it non-blocking.
pub(crate) fn open(config: &Config) -> io::Result<UnixListener> {
    let listener = socket::listen(&config.socket)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

fn lock_path(socket: &Path) -> PathBuf {
    socket.with_extension("lock")
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = std::fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// The lock that keeps a second gateway away from the folder of the socket.
pub(crate) fn lock(config: &Config) -> Result<File, GatewayFault> {
    let socket = config.socket.clone();
    let path = lock_path(&config.socket);
    let opened = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(source) => return Err(GatewayFault::Socket { socket, source }),
    };
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(GatewayFault::Running { socket }),
        Err(std::fs::TryLockError::Error(source)) => Err(GatewayFault::Socket { socket, source }),
    }
}
