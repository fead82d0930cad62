//! Files of the store: read at places, appended to, replaced whole.

use mainstay_metrics::Storage;
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

/// A file that is read at places while others are written behind them.
#[derive(Debug, Clone)]
pub(crate) struct Bytes(pub(crate) Arc<File>);

impl Storage for Bytes {
    fn length(&self) -> u64 {
        self.0.metadata().map_or(0, |found| found.len())
    }

    fn read(&self, offset: u64, length: usize) -> Option<Cow<'_, [u8]>> {
        if self.length() < offset.checked_add(length as u64)? {
            return None;
        }
        let mut bytes = vec![0; length];
        self.0.read_exact_at(&mut bytes, offset).ok()?;
        Some(Cow::Owned(bytes))
    }
}

/// A file that grows at its end. A write that fails leaves it as it was before.
#[derive(Debug)]
pub(crate) struct Growing {
    pub(crate) file: Arc<File>,
    pub(crate) end: u64,
    /// Whether something was written since it was last synced.
    pub(crate) dirty: bool,
}

impl Growing {
    /// Opens or makes a file whose content is whole up to `end`; what is behind is cut off.
    pub(crate) fn open(path: &Path, end: u64) -> io::Result<Self> {
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path)?;
        file.set_len(end)?;
        Ok(Self {
            file: Arc::new(file),
            end,
            dirty: true,
        })
    }

    /// Writes behind the end; returns where.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let at = self.end;
        match self.file.write_all_at(bytes, at) {
            Ok(()) => {
                self.end += bytes.len() as u64;
                self.dirty = true;
                Ok(at)
            }
            Err(fault) => {
                // What was written of it would look like a record that was torn; the next one overwrites it.
                drop(self.file.set_len(at));
                Err(fault)
            }
        }
    }
}

/// Puts a file in place whole: a crash at any point leaves the old one or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    // Written over what is there, so that room that was reserved is used.
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(false);
    let mut file = options.open(&fresh)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_data()?;
    std::fs::rename(&fresh, path)?;
    sync_folder(path)
}

/// Makes the name of a file last.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|one| !one.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_data()
}
