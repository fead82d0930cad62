//! One writer a folder, enforced by the kernel: the lock dies with its holder.

use crate::OpenFault;
use mainstay_atoms::Wall;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A folder held against every other process, until dropped.
#[derive(Debug)]
#[must_use = "the folder is free once this is dropped"]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the folder's lock and notes who holds it: `PID SINCE_MS`.
    pub fn take(dir: &Path, now: Wall) -> Result<Self, OpenFault> {
        let path = dir.join("lock");
        let fault = |action| {
            let path = path.clone();
            move |source: io::Error| OpenFault::File {
                path,
                action,
                source,
            }
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(fault("created"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(held(&path)),
            Err(errno) => return Err(fault("locked")(errno.into())),
        }
        let note = format!("{} {}\n", std::process::id(), now.0);
        file.set_len(0)
            .and_then(|()| file.write_all(note.as_bytes()))
            .map_err(fault("written"))?;
        Ok(Self { _file: file })
    }
}

/// Who holds the folder's lock, and since when; asks without taking it, so that nobody who wants it is
/// refused meanwhile.
pub fn holder(dir: &Path) -> Option<(u32, Wall)> {
    let path = dir.join("lock");
    let inode = format!(":{}", fs::metadata(&path).ok()?.ino());
    // `1: FLOCK  ADVISORY  WRITE 708 fe:00:23 0 EOF`
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let is_held = |line: &str| {
        let mut words = line.split_whitespace();
        words.nth(1) == Some("FLOCK") && words.nth(3).is_some_and(|file| file.ends_with(&inode))
    };
    if !locks.lines().any(is_held) {
        return None;
    }
    match held(&path) {
        OpenFault::Held { pid, since } => Some((pid, since)),
        _ => None,
    }
}

fn held(path: &Path) -> OpenFault {
    let note = fs::read_to_string(path).unwrap_or_default();
    let mut words = note.split_whitespace();
    let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
    let pid = number().and_then(|pid| u32::try_from(pid).ok());
    OpenFault::Held {
        pid: pid.unwrap_or(0),
        since: Wall(number().unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_named_while_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(holder(folder.path()), None);
        let lock = Lock::take(folder.path(), Wall(7)).unwrap();
        assert_eq!(holder(folder.path()), Some((std::process::id(), Wall(7))));
        drop(lock);
        assert_eq!(holder(folder.path()), None);
    }
}
