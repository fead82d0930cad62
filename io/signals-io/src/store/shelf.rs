//! The shelf: blocks on disk by the time they cover; their indexes are kept open within a budget.

use crate::store::file::Bytes;
use mainstay_metrics::{Block, BlockFault};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of open indexes that are kept.
const OPEN_BYTES: usize = 12 << 20;

/// A block file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) path: PathBuf,
    pub(crate) first_ms: i64,
    pub(crate) last_ms: i64,
    pub(crate) bytes: u64,
}

impl Volume {
    /// The name of a block of a window and the times it covers.
    pub(crate) fn name(epoch: u64, first_ms: i64, last_ms: i64) -> String {
        format!("{epoch:08}_{first_ms}_{last_ms}.block")
    }

    /// Reads a file's name.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_suffix(".block")?;
        let mut parts = name.split('_').skip(1);
        Some(Self {
            first_ms: parts.next()?.parse().ok()?,
            last_ms: parts.next()?.parse().ok()?,
            bytes: std::fs::metadata(path).ok()?.len(),
            path: path.to_owned(),
        })
    }
}

/// A block that is open.
pub(crate) type Open = Arc<Block<Bytes>>;

/// Indexes that are open, the newest use last.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    open: Mutex<Vec<(PathBuf, Open)>>,
}

impl Shelf {
    /// Opens a block, or takes it as it is open.
    pub(crate) fn open(&self, volume: &Volume) -> Result<Open, BlockFault> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = open.iter().position(|(path, _)| *path == volume.path) {
            let known = open.remove(place);
            let block = known.1.clone();
            open.push(known);
            return Ok(block);
        }
        let file = File::open(&volume.path).map_err(|_| BlockFault::NotABlock)?;
        let block = Arc::new(Block::open(Bytes(Arc::new(file)))?);
        open.push((volume.path.clone(), block.clone()));
        let size = |open: &[(PathBuf, Open)]| open.iter().map(|one| one.1.size()).sum::<usize>();
        while open.len() > 1 && size(&open) > OPEN_BYTES {
            open.remove(0);
        }
        Ok(block)
    }

    /// Lets go of a block.
    pub(crate) fn close(&self, path: &Path) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(known, _)| known != path);
    }
}

/// Blocks of a folder, oldest first.
pub(crate) fn volumes(folder: &Path) -> std::io::Result<Vec<Volume>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        found.extend(Volume::of(&entry?.path()));
    }
    found.sort_by_key(|one| (one.first_ms, one.last_ms));
    Ok(found)
}

/// Puts a damaged block aside, where a person can look at it.
pub(crate) fn quarantine(volume: &Volume) -> std::io::Result<()> {
    std::fs::rename(&volume.path, volume.path.with_extension("damaged"))
}
