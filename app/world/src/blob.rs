//! Bytes kept under their digest: plans and release records.

use mainstay_atoms::Digest;
use mainstay_execute::RecordFault;
use std::fs::{self, File};
use std::io::Write;
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

    /// Keeps bytes durably: written beside, synced, renamed, folder synced.
    pub(crate) fn keep(&self, bytes: &[u8]) -> Result<Digest, RecordFault> {
        let digest = Digest::of(bytes);
        let path = self.path(digest);
        if fs::read(&path).is_ok_and(|held| held == bytes) {
            return Ok(digest);
        }
        let beside = self.dir.join(format!(".new-{}", std::process::id()));
        let kept = write(&beside, bytes)
            .and_then(|()| fs::rename(&beside, &path))
            .and_then(|()| File::open(&self.dir)?.sync_all());
        kept.map(|()| digest)
            .map_err(|fault| refused(&path, &fault))
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

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn refused(path: &Path, fault: &std::io::Error) -> RecordFault {
    RecordFault(format!("`{}`: {fault}", path.display()))
}
