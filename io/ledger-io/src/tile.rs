//! Full tiles and entry bundles as files: a second copy of everything hashed.

use crate::file::{self, Durable};
use crate::row;
use mainstay_atoms::Digest;
use mainstay_ledger::{TILE_WIDTH, bundle_path, encode_bundle, root_of, tile_path};
use rusqlite::Connection;
use std::io;
use std::path::{Path, PathBuf};

/// Exports full tiles behind the writer. A tile that cannot be written is tried again later; nothing
/// waits for one, because rows and checkpoint are the first copy.
pub(crate) struct Tiles {
    dir: PathBuf,
    connection: Option<Connection>,
    /// The first bundle that is not known to be on disk.
    next: u64,
}

/// Bundles of one turn, so that signatures are not kept waiting.
const TURN: u64 = 512;

impl Tiles {
    /// Continues where the files on disk end.
    pub(crate) fn new(dir: &Path, size: u64) -> Self {
        let full = size / TILE_WIDTH;
        let missing = |number: &u64| !is_whole(dir, *number);
        Self {
            dir: dir.to_owned(),
            connection: None,
            next: (0..full).find(missing).unwrap_or(full),
        }
    }

    /// Writes what is full at this size; everything when closing, else one turn's worth.
    pub(crate) fn export(&mut self, size: u64, closing: bool) {
        let full = size / TILE_WIDTH;
        let end = if closing {
            full
        } else {
            full.min(self.next + TURN)
        };
        while self.next < end && self.bundle(self.next).is_ok() {
            self.next += 1;
        }
    }

    fn bundle(&mut self, number: u64) -> io::Result<()> {
        let path = self.dir.join("ledger.db");
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => row::open_reader(&path).map_err(io::Error::other)?,
        };
        let mut rows = Vec::new();
        row::scan(&connection, number * TILE_WIDTH, TILE_WIDTH, |row| {
            rows.push(row);
            true
        })
        .map_err(io::Error::other)?;
        self.connection = Some(connection);
        let hashes: Vec<Digest> = rows.iter().map(row::Row::hash).collect();
        let bytes = encode_bundle(rows.iter().map(|row| row.bytes.as_slice()));
        self.write(&bundle_path(number), &bytes)?;
        self.write(
            &tile_path(0, number),
            &hashes.iter().flat_map(|hash| hash.0).collect::<Vec<_>>(),
        )?;
        self.parents(number)
    }

    /// Tiles of higher levels that this bundle completes.
    fn parents(&self, bundle: u64) -> io::Result<()> {
        let (mut level, mut number) = (0_u8, bundle);
        while (number + 1).is_multiple_of(TILE_WIDTH) {
            let first = number + 1 - TILE_WIDTH;
            let mut bytes = Vec::new();
            for child in first..=number {
                bytes.extend(root_of(&read_tile(&self.dir, level, child)?).0);
            }
            (level, number) = (level + 1, number / TILE_WIDTH);
            self.write(&tile_path(level, number), &bytes)?;
        }
        Ok(())
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.dir.join(path);
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        file::replace(&path, bytes, 0o644, Durable::No)
    }
}

/// The 256 hashes of a full tile.
pub(crate) fn read_tile(dir: &Path, level: u8, number: u64) -> io::Result<Vec<Digest>> {
    let bytes = std::fs::read(dir.join(tile_path(level, number)))?;
    let (hashes, rest) = bytes.as_chunks::<32>();
    if hashes.len() as u64 != TILE_WIDTH || !rest.is_empty() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(hashes.iter().map(|&hash| Digest(hash)).collect())
}

/// Whether both files of a bundle are there with a believable length: a power cut may have emptied them.
fn is_whole(dir: &Path, number: u64) -> bool {
    let length = |path: String| std::fs::metadata(dir.join(path)).map_or(0, |meta| meta.len());
    length(tile_path(0, number)) == TILE_WIDTH * 32 && length(bundle_path(number)) > TILE_WIDTH * 2
}
