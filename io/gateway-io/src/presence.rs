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
///
/// The socket has two names: one of this process, `gateway.PID.sock`, and the one that everybody asks,
/// `gateway.sock`, which is a hard link to the socket of the gateway that is in place.
pub(crate) struct Place {
    own: PathBuf,
    socket: Option<(u64, u64)>,
    lock: Option<(u64, u64)>,
    /// Keeps other gateways away from the folder that is there; freed by death. None beside another one.
    held: Option<File>,
}

/// How the place was found.
pub(crate) enum Look {
    /// As it was, or nothing can be done about it now.
    Same,
    /// The socket was gone, and was made anew.
    Again(UnixListener),
    /// Another gateway is there.
    Lost,
}

impl Place {
    /// Opens the control socket; in place where `held` is the lock, beside another gateway where not.
    pub(crate) fn open(config: &Config, held: Option<File>) -> io::Result<(Self, UnixListener)> {
        let own = config
            .socket
            .with_extension(format!("{}.sock", std::process::id()));
        let mut place = Self {
            own,
            socket: None,
            lock: None,
            held,
        };
        let listener = place.listen(config)?;
        Ok((place, listener))
    }

    fn listen(&mut self, config: &Config) -> io::Result<UnixListener> {
        let listener = socket::listen(&self.own)?;
        listener.set_nonblocking(true)?;
        if self.held.is_some() {
            self.occupy(config)?;
        }
        UnixListener::from_std(listener)
    }

    /// Gives the socket the name that everybody asks.
    fn occupy(&mut self, config: &Config) -> io::Result<()> {
        let link = self.own.with_extension("link");
        // Left by one of this number that was killed at this very point.
        drop(std::fs::remove_file(&link));
        std::fs::hard_link(&self.own, &link)?;
        std::fs::rename(&link, &config.socket)?;
        self.socket = identity(&config.socket);
        self.lock = identity(&lock_path(&config.socket));
        Ok(())
    }

    /// Takes the place of the gateway that is there: first its lock's name, then its socket's.
    pub(crate) fn take(&mut self, config: &Config) -> io::Result<()> {
        let fresh = self.own.with_extension("lock");
        let file = File::create(&fresh)?;
        file.try_lock().map_err(io::Error::from)?;
        std::fs::rename(&fresh, lock_path(&config.socket))?;
        self.held = Some(file);
        self.occupy(config)
    }

    /// Makes the socket again where it is gone. Another gateway that took the place keeps it.
    pub(crate) fn look(&mut self, config: &Config) -> Look {
        let there = identity(&config.socket);
        if self.socket.is_some() && self.socket == there {
            return Look::Same;
        }
        if self.lock.is_none() || self.lock != identity(&lock_path(&config.socket)) {
            match lock(config) {
                Ok(held) => self.held = Some(held),
                Err(GatewayFault::Running { .. }) => return Look::Lost,
                Err(_) => return Look::Same,
            }
        }
        self.listen(config).map_or(Look::Same, Look::Again)
    }

    /// Takes away its own name, at the end.
    pub(crate) fn leave(&self) {
        // Gone already where its folder is.
        drop(std::fs::remove_file(&self.own));
    }
}

/// The sockets of all gateways of a folder but the one in place, `gateway.sock`: beside it or retired.
/// Those of gateways that were killed are among them.
pub fn others(socket: &Path) -> Vec<(u32, PathBuf)> {
    let present = identity(socket);
    let folder = socket.parent().unwrap_or(Path::new("."));
    let stem = socket.file_stem().unwrap_or_default().to_string_lossy();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| {
        let name = entry.file_name();
        let rest = name.to_str()?.strip_prefix(&*stem)?;
        let pid = rest
            .strip_prefix('.')?
            .strip_suffix(".sock")?
            .parse()
            .ok()?;
        (identity(&entry.path()) != present).then(|| (pid, entry.path()))
    });
    found.collect()
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
