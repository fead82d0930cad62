//! Blocks: samples of many series over a span of time as bytes that never change.
//!
//! Format, version 1. Integers are of variable length (seven bits a byte, low ones first; signed ones zigzag)
//! but for the trailer, whose are eight bytes little-endian. A *place* is segment, offset, length.
//!
//! ```text
//! block    = "MSTBLCK" version:1 segment… index trailer
//! segment  = zstd frame with checksum, about 64 KiB before compression
//! index    = zstd frame with checksum of:
//!              first:signed last:signed
//!              count { offset length raw }                        segments
//!              count { place }                                    columns of times
//!              count { length text }                              symbols
//!              count { labels { name value } column place place } series: times (0 is none), values, histograms
//!              count { name value length roaring }                postings
//! trailer  = offset:8 length:8 raw:8 "MSTBLEND"                   of the index
//! ```
//!
//! Series and symbols are sorted; samples lie target by target. Series of one target share one column of times. Values are integers scaled by a
//! power of ten where that loses nothing, as differences; else floats, each XOR the one before.

use crate::block_index::{Entry, Index, Texts};
use crate::codec::{self, Bytes};
use crate::column::Columns;
use crate::label::Labels;
use crate::matcher::Matcher;
use crate::source::{Select, SeriesView, Source, SourceFault};
use crate::storage::Storage;
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) const MAGIC: &[u8; 8] = b"MSTBLCK\x01";
pub(crate) const END: &[u8; 8] = b"MSTBLEND";

/// Bytes of the trailer.
pub(crate) const TRAILER: usize = 32;

/// Largest segment or index before compression that is believed: a damaged length must not take the memory.
const RAW_MAX: usize = 256 << 20;

/// Why bytes are no block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockFault {
    /// They do not begin or end as a block does.
    #[error("the bytes are no block, or one that was cut off")]
    NotABlock,
    /// The version is another one.
    #[error("the block has version {found}, version 1 is known")]
    Version {
        /// What stands there.
        found: u8,
    },
    /// A part is damaged.
    #[error("the block's {part} is damaged")]
    Damaged {
        /// Which part.
        part: &'static str,
    },
}

/// Where bytes are: in which segment, from where, how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    pub(crate) segment: usize,
    pub(crate) offset: usize,
    pub(crate) length: usize,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) length: usize,
    pub(crate) raw: usize,
}

/// A block that was checked and can be read. Holds its index; samples are read and decoded when asked for.
#[derive(Debug)]
pub struct Block<S = Arc<[u8]>> {
    storage: S,
    index: Index,
}

/// A series of a block that fulfils what was asked.
#[derive(Debug, Clone)]
pub struct Found {
    /// Which series.
    pub labels: Labels,
    /// Its number in the block.
    pub number: u32,
}

impl<S: Storage> Block<S> {
    /// Reads the index. Segments are checked when they are read.
    pub fn open(storage: S) -> Result<Self, BlockFault> {
        let damaged = || BlockFault::Damaged { part: "index" };
        let length = storage.length();
        let trailer_at = length.checked_sub(TRAILER as u64);
        let trailer_at = trailer_at.ok_or(BlockFault::NotABlock)?;
        let begin = storage.read(0, MAGIC.len()).ok_or(BlockFault::NotABlock)?;
        let trailer = storage.read(trailer_at, TRAILER);
        let trailer = trailer.ok_or(BlockFault::NotABlock)?;
        if begin[..7] != MAGIC[..7] || !trailer.ends_with(END) {
            return Err(BlockFault::NotABlock);
        }
        if begin[7] != MAGIC[7] {
            return Err(BlockFault::Version { found: begin[7] });
        }
        let number = |place: usize| {
            let bytes = trailer.get(8 * place..8 * place + 8)?.try_into().ok()?;
            Some(u64::from_le_bytes(bytes))
        };
        let segment = (|| {
            Some(Segment {
                offset: number(0)?,
                length: usize::try_from(number(1)?).ok()?,
                raw: usize::try_from(number(2)?).ok()?,
            })
        })();
        let bytes = inflate(&storage, segment.ok_or_else(damaged)?).ok_or_else(damaged)?;
        let index = Index::parse(bytes).ok_or_else(damaged)?;
        Ok(Self { storage, index })
    }

    /// The first sample's time, in milliseconds since 1970.
    pub fn first_ms(&self) -> i64 {
        self.index.first_ms
    }

    /// The last sample's time.
    pub fn last_ms(&self) -> i64 {
        self.index.last_ms
    }

    /// How many series it holds.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that its index takes in memory, about.
    pub fn size(&self) -> usize {
        self.index.size()
    }

    /// Names of labels, sorted.
    pub fn label_names(&self) -> Vec<&str> {
        self.index.names()
    }

    /// Values of a label, sorted.
    pub fn label_values(&self, name: &str) -> Vec<&str> {
        self.index.values(name)
    }

    /// Series that fulfil every condition, in the order in which their samples lie.
    pub fn find(&self, matchers: &[Matcher]) -> Vec<Found> {
        let mut numbers: Vec<(usize, usize, u32)> = self
            .index
            .select(matchers)
            .iter()
            .filter_map(|number| {
                let place = self.index.entry(number)?.values;
                Some((place.segment, place.offset, number))
            })
            .collect();
        numbers.sort_unstable();
        let mut texts = Texts::new();
        let found = numbers.into_iter().map(|(_, _, number)| Found {
            labels: self.index.labels(number, &mut texts),
            number,
        });
        found.collect()
    }

    /// Begins to read samples.
    pub fn reader(&self) -> BlockReader<'_, S> {
        BlockReader {
            block: self,
            segment: None,
            columns: HashMap::new(),
        }
    }
}

fn inflate(storage: &impl Storage, segment: Segment) -> Option<Vec<u8>> {
    if segment.raw > RAW_MAX || segment.length > RAW_MAX {
        return None;
    }
    let frame = storage.read(segment.offset, segment.length)?;
    let raw = zstd::bulk::decompress(&frame, segment.raw).ok()?;
    (raw.len() == segment.raw).then_some(raw)
}

/// Times, values and histograms of a series.
type Samples = (Arc<[i64]>, Columns);

/// What one walk has decoded: series come in the order of segments, columns are shared.
#[derive(Debug)]
pub struct BlockReader<'a, S> {
    block: &'a Block<S>,
    segment: Option<(usize, Vec<u8>)>,
    columns: HashMap<usize, Arc<[i64]>>,
}

/// Columns of times that a walk keeps: a target has one or a few.
const COLUMNS_KEPT: usize = 64;

impl<S: Storage> BlockReader<'_, S> {
    /// Adds a series' samples in a range to others that are before it.
    pub fn read(
        &mut self,
        number: u32,
        select: &Select<'_>,
        into: &mut Columns,
    ) -> Result<(), SourceFault> {
        let samples = self.block.index.entry(number);
        let samples = samples.and_then(|entry| self.series(&entry));
        let (times, columns) = samples.ok_or_else(|| self.damaged(number))?;
        let labels = Labels::default();
        let view = SeriesView {
            labels: &labels,
            at_ms: &times,
            values: &columns.values,
            histograms: &columns.histograms,
        };
        into.add(view.within(select));
        Ok(())
    }

    fn damaged(&self, number: u32) -> SourceFault {
        let labels = self.block.index.labels(number, &mut Texts::new());
        SourceFault(format!("a block's samples of {labels} are damaged"))
    }

    fn bytes(&mut self, place: Place) -> Option<&[u8]> {
        if self
            .segment
            .as_ref()
            .is_none_or(|(known, _)| *known != place.segment)
        {
            let segment = *self.block.index.segments.get(place.segment)?;
            self.segment = Some((place.segment, inflate(&self.block.storage, segment)?));
        }
        let (_, raw) = self.segment.as_ref()?;
        raw.get(place.offset..place.offset.checked_add(place.length)?)
    }

    fn column(&mut self, number: usize) -> Option<Arc<[i64]>> {
        if let Some(known) = self.columns.get(&number) {
            return Some(known.clone());
        }
        let place = *self.block.index.columns.get(number)?;
        let times: Arc<[i64]> = codec::times(&mut Bytes(self.bytes(place)?))?.into();
        if self.columns.len() >= COLUMNS_KEPT {
            self.columns.clear();
        }
        self.columns.insert(number, times.clone());
        Some(times)
    }

    fn series(&mut self, entry: &Entry) -> Option<Samples> {
        let mut columns = Columns::default();
        let times = match entry.column {
            Some(column) => {
                let times = self.column(column)?;
                let bytes = self.bytes(entry.values)?;
                columns.values = codec::values(&mut Bytes(bytes), times.len())?;
                times
            }
            None => Arc::from([]),
        };
        if let Some(place) = entry.histograms {
            columns.histograms = codec::histograms(&mut Bytes(self.bytes(place)?))?;
        }
        Some((times, columns))
    }
}

impl<S: Storage> Source for Block<S> {
    fn select(
        &self,
        select: &Select<'_>,
        visit: &mut dyn FnMut(SeriesView<'_>) -> bool,
    ) -> Result<(), SourceFault> {
        if select.after_ms >= self.last_ms() || select.until_ms < self.first_ms() {
            return Ok(());
        }
        let mut reader = self.reader();
        let mut columns = Columns::default();
        for found in self.find(select.matchers) {
            columns.clear();
            reader.read(found.number, select, &mut columns)?;
            let view = columns.view(&found.labels);
            if !view.is_empty() && !visit(view) {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "block_test.rs"]
mod tests;
