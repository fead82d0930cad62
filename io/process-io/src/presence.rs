//! A shim whose folder was deleted or replaced under it puts its records and its socket back.
//!
//! Else an older copy of the state, put in the place of the present one, would leave the instance running
//! with nobody who knows it.

use crate::layout::Door;
use crate::record::{self, Identity, Orders, State};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// What a shim has on disk, and the socket file that tells whether it is still there.
pub(crate) struct Presence {
    dir: PathBuf,
    orders: Orders,
    state: State,
    socket: Option<(u64, u64)>,
    /// Held as long as the shim.
    lock: File,
}

impl Presence {
    pub(crate) fn new(dir: &Path, orders: &Orders, state: State, lock: File) -> Self {
        let mut presence = Self {
            dir: dir.to_owned(),
            orders: orders.clone(),
            state,
            socket: None,
            lock,
        };
        presence.socket = presence.found();
        presence
    }

    fn found(&self) -> Option<(u64, u64)> {
        identity(&self.orders.run.join(&self.orders.socket)).ok()
    }

    /// A new socket where the old one is gone; `None` where it is there, or the folder cannot be used now.
    pub(crate) fn restore(&mut self) -> Option<UnixListener> {
        if self.socket.is_some() && self.socket == self.found() {
            return None;
        }
        let (listener, socket) = self.put_back().ok()?;
        self.socket = Some(socket);
        Some(listener)
    }

    fn put_back(&mut self) -> io::Result<(UnixListener, (u64, u64))> {
        // Whoever moves a whole state aside is about to put another one there, and must find no folder.
        if !self.orders.run.parent().is_some_and(Path::is_dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        for folder in [&self.dir, &self.orders.run] {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700).create(folder)?;
        }
        self.take()?;
        let file = |name: &str| self.dir.join(name);
        record::remove(&file("exit.json"))?;
        record::write(&file("shim.json"), &self.state.shim)?;
        record::write(&file("groups.json"), &self.state)?;
        record::write(&file("state.json"), &self.state)?;
        record::write(&file("launch.json"), &self.orders)?;
        let door = Door::open(&self.orders.run)?;
        record::remove(&door.path(&self.orders.socket))?;
        let listener = UnixListener::bind(door.path(&self.orders.socket))?;
        listener.set_nonblocking(true)?;
        // By the same door: meanwhile the folder's name may lead to another one, with an old socket in it.
        let socket = identity(&door.path(&self.orders.socket))?;
        Ok((listener, socket))
    }

    /// Takes the folder, unless another shim lives there.
    fn take(&mut self) -> io::Result<()> {
        let path = self.dir.join("lock");
        let mut options = File::options();
        let lock = options
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let (ours, there) = (self.lock.metadata()?, lock.metadata()?);
        if (ours.dev(), ours.ino()) == (there.dev(), there.ino()) {
            return Ok(());
        }
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        let other = record::read::<Identity>(&self.dir.join("shim.json"))?;
        if other.is_some_and(|other| other != self.state.shim && other.is_alive()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.lock = lock;
        Ok(())
    }
}

/// Device and inode of a file: which one it is, whatever it is called.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}
