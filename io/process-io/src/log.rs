//! The frame of one log record, and the bounded files that records go to.
//!
//! A record is `0xA5`, flags (bit 0: standard error, bit 1: the line goes on in the next record), time
//! in ms (8 bytes, big-endian), length (4), the bytes of the line, and an FNV-1a sum (4) of all before.
//! A run never appends to an earlier run's file, so only the last record of a file can be torn.

use mainstay_atoms::Wall;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// First byte of each record.
const MAGIC: u8 = 0xA5;
/// Bytes before the line.
const HEAD: usize = 14;
/// Bytes after it.
const TAIL: usize = 4;
/// Longest piece of a line in one record.
pub(crate) const LINE_LIMIT: usize = 64 * 1024;
/// A file is closed above this…
const FILE_LIMIT: u64 = 4 * 1024 * 1024;
/// …and the oldest goes when there are more than this: 16 MiB an instance.
const FILES: usize = 4;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) at: Wall,
    pub(crate) error: bool,
    pub(crate) continues: bool,
    pub(crate) line: &'a [u8],
}

/// FNV-1a, 32 bits: enough to tell a torn record, not a forged one.
fn sum(bytes: &[u8]) -> u32 {
    let step = |sum: u32, &byte: &u8| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    bytes.iter().fold(0x811c_9dc5, step)
}

impl<'a> Record<'a> {
    /// Appends the record's bytes.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let length = u32::try_from(self.line.len()).expect("a piece of a line is at most 64 KiB");
        out.push(MAGIC);
        out.push(u8::from(self.error) | u8::from(self.continues) << 1);
        out.extend(self.at.0.to_be_bytes());
        out.extend(length.to_be_bytes());
        out.extend(self.line);
        let sum = sum(&out[start..]);
        out.extend(sum.to_be_bytes());
    }

    /// The first record and its whole length; `None` for a torn one or the end.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let head: &[u8; HEAD] = bytes.first_chunk()?;
        let length = u32::from_be_bytes(head[10..].try_into().ok()?) as usize;
        let end = HEAD + length;
        if head[0] != MAGIC || head[1] > 3 || length > LINE_LIMIT || bytes.len() < end + TAIL {
            return None;
        }
        let stored = u32::from_be_bytes(bytes[end..end + TAIL].try_into().ok()?);
        let record = Self {
            at: Wall(u64::from_be_bytes(head[2..10].try_into().ok()?)),
            error: head[1] & 1 == 1,
            continues: head[1] & 2 == 2,
            line: &bytes[HEAD..end],
        };
        (stored == sum(&bytes[..end])).then_some((record, end + TAIL))
    }
}

/// Writes records into numbered files of one instance.
pub(crate) struct Writer {
    dir: PathBuf,
    file: File,
    number: u64,
    size: u64,
    batch: Vec<u8>,
}

impl Writer {
    /// Begins a new file after the last.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let number = numbers(dir)?.last().map_or(1, |last| last + 1);
        let mut writer = Self {
            dir: dir.to_owned(),
            file: create(dir, number)?,
            number,
            size: 0,
            batch: Vec::new(),
        };
        writer.drop_oldest();
        Ok(writer)
    }

    /// Queues one record.
    pub(crate) fn push(&mut self, record: &Record<'_>) {
        record.encode(&mut self.batch);
    }

    /// Hands what is queued to the kernel. A full disk loses the batch, never the workload.
    pub(crate) fn flush(&mut self) {
        if self.size >= FILE_LIMIT
            && let Ok(file) = create(&self.dir, self.number + 1)
        {
            self.file = file;
            self.number += 1;
            self.size = 0;
            self.drop_oldest();
        }
        let batch = std::mem::take(&mut self.batch);
        if self.file.write_all(&batch).is_err() {
            // A record may be half written: nothing may follow it in this file.
            self.size = FILE_LIMIT;
        }
        self.size += batch.len() as u64;
        self.batch = batch;
        self.batch.clear();
        self.batch.shrink_to(LINE_LIMIT);
    }

    /// Makes the end durable; a log that cannot be is still readable now.
    pub(crate) fn finish(mut self) {
        self.flush();
        drop(self.file.sync_data());
    }

    fn drop_oldest(&mut self) {
        let numbers = numbers(&self.dir).unwrap_or_default();
        for number in numbers.iter().rev().skip(FILES) {
            drop(fs::remove_file(file_path(&self.dir, *number)));
        }
    }
}

fn create(dir: &Path, number: u64) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(file_path(dir, number))
}

/// The path of a numbered file.
pub(crate) fn file_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.log"))
}

/// The numbers of the files there are, in order.
pub(crate) fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<u64> = fs::read_dir(dir)?
        .flatten()
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_suffix(".log")?
                .parse()
                .ok()
        })
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Cuts one stream into lines.
pub(crate) struct Lines {
    error: bool,
    rest: Vec<u8>,
}

impl Lines {
    pub(crate) fn new(error: bool) -> Self {
        Self {
            error,
            rest: Vec::new(),
        }
    }

    /// Takes what was read, and writes the lines that are whole or too long to wait for.
    pub(crate) fn take(&mut self, bytes: &[u8], at: Wall, out: &mut Writer) {
        let mut pieces = bytes.split(|&byte| byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            self.extend(piece, at, out);
            if pieces.peek().is_some() {
                self.record(false, at, out);
            }
        }
        out.flush();
    }

    fn extend(&mut self, mut piece: &[u8], at: Wall, out: &mut Writer) {
        while self.rest.len() + piece.len() > LINE_LIMIT {
            let (head, tail) = piece.split_at(LINE_LIMIT - self.rest.len());
            self.rest.extend(head);
            self.record(true, at, out);
            piece = tail;
        }
        self.rest.extend(piece);
    }

    fn record(&mut self, continues: bool, at: Wall, out: &mut Writer) {
        out.push(&Record {
            at,
            error: self.error,
            continues,
            line: &self.rest,
        });
        self.rest.clear();
        if continues {
            out.flush();
        }
    }

    /// Writes a last line that has no end.
    pub(crate) fn finish(&mut self, at: Wall, out: &mut Writer) {
        if !self.rest.is_empty() {
            self.record(false, at, out);
        }
        self.rest = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_or_flipped_record_is_not_read() {
        let record = Record {
            at: Wall(7),
            error: true,
            continues: false,
            line: b"caf\xff",
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        assert_eq!(Record::decode(&bytes), Some((record, bytes.len())));
        for end in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..end]), None, "cut at {end}");
            let mut flipped = bytes.clone();
            flipped[end] ^= 1;
            assert_eq!(Record::decode(&flipped), None, "flipped at {end}");
        }
    }

    #[test]
    fn long_lines_are_split_and_files_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut out = Writer::open(dir.path()).unwrap();
        let mut lines = Lines::new(false);
        let flood = vec![b'x'; 1024 * 1024];
        for _ in 0..40 {
            lines.take(&flood, Wall(1), &mut out);
        }
        lines.take(b"\nend", Wall(2), &mut out);
        lines.finish(Wall(3), &mut out);
        out.finish();
        let numbers = numbers(dir.path()).unwrap();
        assert_eq!(numbers.len(), FILES);
        let mut size = 0;
        let mut last = Vec::new();
        for number in numbers {
            let bytes = fs::read(file_path(dir.path(), number)).unwrap();
            size += bytes.len();
            let mut rest = &bytes[..];
            while let Some((record, length)) = Record::decode(rest) {
                assert!(record.continues || record.line.len() < LINE_LIMIT || record.at == Wall(2));
                last = record.line.to_vec();
                rest = &rest[length..];
            }
            assert!(rest.is_empty());
        }
        assert_eq!(last, b"end");
        assert!(size < 21 * 1024 * 1024, "{size}");
    }
}
