//! Bytes kept under their digest: plans and release records.

use crate::durable::{self, BESIDE};
use mainstay_atoms::Digest;
use mainstay_execute::RecordFault;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub(crate) struct Blobs {
    dir: PathBuf,
}

impl Blobs {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.dir.join(format!("{digest}.json"))
    }

    fn mark(&self, digest: Digest) -> PathBuf {
        self.dir.join(format!("{digest}.unused"))
    }

    /// Keeps bytes durably.
    pub(crate) fn keep(&self, bytes: &[u8]) -> Result<Digest, RecordFault> {
        let digest = Digest::of(bytes);
        let path = self.path(digest);
        remove(&self.mark(digest))?;
        if fs::read(&path).is_ok_and(|held| held == bytes) {
            return Ok(digest);
        }
        durable::write(&path, bytes, 0o600)
            .map(|()| digest)
            .map_err(|fault| refused(&path, &fault))
    }

    /// Removes what nothing needs, in two phases: what is not in `kept` is marked, and goes at the next
    /// sweep unless it was kept again meanwhile.
    pub(crate) fn sweep(&self, kept: &BTreeSet<Digest>) -> Result<(), RecordFault> {
        let entries = fs::read_dir(&self.dir).map_err(|fault| refused(&self.dir, &fault))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.starts_with(BESIDE) {
                // Nobody writes now; whoever began it was killed.
                remove(&entry.path())?;
            }
            let digest = name.strip_suffix(".json");
            let Some(Ok(digest)) = digest.map(str::parse::<Digest>) else {
                continue;
            };
            let mark = self.mark(digest);
            if kept.contains(&digest) {
                remove(&mark)?;
            } else if mark.exists() {
                remove(&entry.path())?;
                remove(&mark)?;
            } else {
                File::create(&mark).map_err(|fault| refused(&mark, &fault))?;
            }
        }
        Ok(())
    }

    /// Reads bytes back and holds them against their digest.
    pub(crate) fn fetch(&self, digest: Digest) -> Result<Vec<u8>, RecordFault> {
        let path = self.path(digest);
        let bytes = fs::read(&path).map_err(|fault| refused(&path, &fault))?;
        if Digest::of(&bytes) == digest {
            return Ok(bytes);
        }
        Err(RecordFault(format!(
            "`{}` was altered: its digest is another",
            path.display()
        )))
    }
}

fn remove(path: &Path) -> Result<(), RecordFault> {
    match fs::remove_file(path) {
        Err(fault) if fault.kind() != ErrorKind::NotFound => Err(refused(path, &fault)),
        _ => Ok(()),
    }
}

fn refused(path: &Path, fault: &std::io::Error) -> RecordFault {
    RecordFault(format!("`{}`: {fault}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_needs_goes_at_the_second_sweep_unless_it_was_kept_again() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(dir.path().to_owned());
        let [needed, again, gone] = [b"needed", b"again-", b"gone--"].map(|bytes| {
            let digest = blobs.keep(bytes).unwrap();
            (digest, bytes)
        });
        fs::write(dir.path().join(".new-7"), "half").unwrap();
        let kept = [needed.0].into();
        blobs.sweep(&kept).unwrap();
        assert!(
            [needed, again, gone]
                .iter()
                .all(|one| blobs.fetch(one.0).is_ok())
        );
        blobs.keep(again.1).unwrap();
        blobs.sweep(&kept).unwrap();
        assert!(blobs.fetch(needed.0).is_ok() && blobs.fetch(again.0).is_ok());
        assert!(blobs.fetch(gone.0).is_err());
        let left = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(left, 3, "two bodies and one mark");
    }
}
