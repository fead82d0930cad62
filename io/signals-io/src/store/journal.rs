//! The journal: what came since the last pages, in segments that go when pages hold what they say.

use crate::store::file::Growing;
use crate::store::frame;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

/// Bytes of a segment before the next begins.
const SEGMENT: u64 = 16 << 20;

/// The segments of one window.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    epoch: u64,
    number: u64,
    pub(crate) file: Growing,
    /// Segments before the one that is written, with their sizes.
    old: VecDeque<(u64, u64)>,
    buffer: Vec<u8>,
}

fn path(folder: &Path, epoch: u64, number: u64) -> PathBuf {
    folder.join(format!("journal-{epoch}-{number}"))
}

/// The numbers of a window's segments that lie in a folder, sorted.
pub(crate) fn segments(folder: &Path, epoch: u64) -> io::Result<Vec<u64>> {
    let prefix = format!("journal-{epoch}-");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(&prefix));
        found.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

impl Journal {
    /// Shows every record of the segments that are there, each with its segment, and begins another segment.
    pub(crate) fn open(
        folder: &Path,
        epoch: u64,
        mut visit: impl FnMut(u64, &[u8]),
    ) -> io::Result<Self> {
        let mut old = VecDeque::new();
        for number in segments(folder, epoch)? {
            let bytes = std::fs::read(path(folder, epoch, number))?;
            // What follows a torn record cannot be read; it was never acknowledged as synced.
            frame::each(&bytes, |record| visit(number, record));
            old.push_back((number, bytes.len() as u64));
        }
        let number = old.back().map_or(0, |(number, _)| number + 1);
        Ok(Self {
            file: Growing::open(&path(folder, epoch, number), 0)?,
            folder: folder.to_owned(),
            epoch,
            number,
            old,
            buffer: Vec::new(),
        })
    }

    /// The segment that is written.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes of all segments.
    pub(crate) fn size(&self) -> u64 {
        self.file.end + self.old.iter().map(|(_, size)| size).sum::<u64>()
    }

    /// Takes a record; [`Journal::write`] writes it.
    pub(crate) fn put(&mut self, record: impl FnOnce(&mut Vec<u8>)) {
        frame::put(&mut self.buffer, record);
    }

    /// Writes the records that were put, all or none of them.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.file.append(&self.buffer);
        self.buffer.clear();
        if self.buffer.capacity() > 1 << 20 {
            self.buffer = Vec::new();
        }
        written.map(drop)
    }

    /// Begins the next segment when this one is long; returns the file that has to be synced.
    pub(crate) fn turn(&mut self) -> io::Result<Option<Growing>> {
        if self.file.end < SEGMENT {
            return Ok(None);
        }
        let next = Growing::open(&path(&self.folder, self.epoch, self.number + 1), 0)?;
        self.old.push_back((self.number, self.file.end));
        self.number += 1;
        Ok(Some(std::mem::replace(&mut self.file, next)))
    }

    /// Removes segments below a number: pages that are synced hold what they say.
    pub(crate) fn drop_below(&mut self, number: u64) {
        while self.old.front().is_some_and(|(first, _)| *first < number) {
            if let Some((first, _)) = self.old.pop_front() {
                // One that stays is read again at the next start, and says what pages hold already.
                drop(std::fs::remove_file(path(&self.folder, self.epoch, first)));
            }
        }
    }
}

/// Removes all segments of a window.
pub(crate) fn remove(folder: &Path, epoch: u64) -> io::Result<()> {
    for number in segments(folder, epoch)? {
        std::fs::remove_file(path(folder, epoch, number))?;
    }
    Ok(())
}
