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
//! Series are sorted by labels. Series of one target share one column of times. Values are integers scaled by a
//! power of ten where that loses nothing, as differences; else floats, each XOR the one before.

use crate::codec::{self, Bytes};
use crate::label::{Label, Labels};
use crate::postings::Postings;
use crate::sample::HistogramSample;
use crate::source::{Select, SeriesView, Source, SourceFault};
use roaring::RoaringBitmap;
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
    pub(crate) offset: usize,
    pub(crate) length: usize,
    pub(crate) raw: usize,
}

#[derive(Debug)]
struct Entry {
    labels: Labels,
    /// Times, where there are floats.
    column: Option<usize>,
    values: Place,
    histograms: Option<Place>,
}

/// A block that was checked and can be read. Holds its bytes and its index; samples are decoded when asked for.
#[derive(Debug)]
pub struct Block {
    bytes: Arc<[u8]>,
    first_ms: i64,
    last_ms: i64,
    segments: Vec<Segment>,
    columns: Vec<Place>,
    series: Vec<Entry>,
    postings: Postings,
}

impl Block {
    /// Reads the index. Segments are checked when they are read.
    pub fn open(bytes: Arc<[u8]>) -> Result<Self, BlockFault> {
        let damaged = || BlockFault::Damaged { part: "index" };
        let trailer = bytes
            .len()
            .checked_sub(TRAILER)
            .ok_or(BlockFault::NotABlock)?;
        if bytes.get(..7) != Some(&MAGIC[..7]) || !bytes.ends_with(END) {
            return Err(BlockFault::NotABlock);
        }
        if bytes[7] != MAGIC[7] {
            return Err(BlockFault::Version { found: bytes[7] });
        }
        let number = |place: usize| {
            let at = trailer + 8 * place;
            let bytes = bytes.get(at..at + 8)?.try_into().ok()?;
            usize::try_from(u64::from_le_bytes(bytes)).ok()
        };
        let segment = (|| {
            Some(Segment {
                offset: number(0)?,
                length: number(1)?,
                raw: number(2)?,
            })
        })();
        let index = inflate(&bytes, segment.ok_or_else(damaged)?).ok_or_else(damaged)?;
        let parsed = Self::index(&mut Bytes(&index), bytes);
        parsed.ok_or_else(damaged)
    }

    fn index(index: &mut Bytes<'_>, bytes: Arc<[u8]>) -> Option<Self> {
        let (first_ms, last_ms) = (index.signed()?, index.signed()?);
        let segments = list(index, |index| {
            Some(Segment {
                offset: index.length()?,
                length: index.length()?,
                raw: index.length()?,
            })
        })?;
        let columns = list(index, place)?;
        let symbols: Vec<Arc<str>> = list(index, |index| index.text().map(Arc::from))?;
        let series = list(index, |index| {
            let labels = list(index, |index| {
                Some(Label {
                    name: symbols.get(index.length()?)?.clone(),
                    value: symbols.get(index.length()?)?.clone(),
                })
            })?;
            if !labels.is_sorted_by(|one, two| one.name < two.name) {
                return None;
            }
            let column = index.length()?;
            let (values, histograms) = (place(index)?, place(index)?);
            if column > columns.len() {
                return None;
            }
            Some(Entry {
                labels: Labels::from_sorted(labels),
                column: column.checked_sub(1),
                values,
                histograms: (histograms.length > 0).then_some(histograms),
            })
        })?;
        let mut postings = Postings::default();
        let count = u32::try_from(series.len()).ok()?;
        postings.fill(count);
        for _ in 0..index.length()? {
            let (name, value) = (
                symbols.get(index.length()?)?.clone(),
                symbols.get(index.length()?)?.clone(),
            );
            let length = index.length()?;
            let numbers = RoaringBitmap::deserialize_from(index.take(length)?).ok()?;
            if numbers.max().is_some_and(|last| last >= count) {
                return None;
            }
            postings.put(name, value, numbers);
        }
        Some(Self {
            bytes,
            first_ms,
            last_ms,
            segments,
            columns,
            series,
            postings,
        })
    }

    /// The first sample's time, in milliseconds since 1970.
    pub fn first_ms(&self) -> i64 {
        self.first_ms
    }

    /// The last sample's time.
    pub fn last_ms(&self) -> i64 {
        self.last_ms
    }

    /// How many series it holds.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Names of labels, sorted.
    pub fn label_names(&self) -> Vec<&str> {
        self.postings.names()
    }

    /// Values of a label, sorted.
    pub fn label_values(&self, name: &str) -> Vec<&str> {
        self.postings.values(name)
    }
}

fn place(index: &mut Bytes<'_>) -> Option<Place> {
    Some(Place {
        segment: index.length()?,
        offset: index.length()?,
        length: index.length()?,
    })
}

/// A count and as many items; a count beyond the bytes left is damage.
fn list<T>(
    index: &mut Bytes<'_>,
    mut item: impl FnMut(&mut Bytes<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let count = index.length().filter(|count| *count <= index.0.len())?;
    (0..count).map(|_| item(index)).collect()
}

fn inflate(bytes: &[u8], segment: Segment) -> Option<Vec<u8>> {
    let end = segment.offset.checked_add(segment.length)?;
    let frame = bytes
        .get(segment.offset..end)
        .filter(|_| segment.raw <= RAW_MAX)?;
    let raw = zstd::bulk::decompress(frame, segment.raw).ok()?;
    (raw.len() == segment.raw).then_some(raw)
}

/// Times, values and histograms of a series.
type Columns = (Arc<[i64]>, Vec<f64>, Vec<HistogramSample>);

/// What one walk has decoded: segments come in order, columns are shared.
struct Decoded<'a> {
    block: &'a Block,
    segment: Option<(usize, Vec<u8>)>,
    columns: HashMap<usize, Arc<[i64]>>,
}

impl Decoded<'_> {
    fn bytes(&mut self, place: Place) -> Option<&[u8]> {
        if self
            .segment
            .as_ref()
            .is_none_or(|(known, _)| *known != place.segment)
        {
            let segment = *self.block.segments.get(place.segment)?;
            self.segment = Some((place.segment, inflate(&self.block.bytes, segment)?));
        }
        let (_, raw) = self.segment.as_ref()?;
        raw.get(place.offset..place.offset.checked_add(place.length)?)
    }

    fn column(&mut self, number: usize) -> Option<Arc<[i64]>> {
        if let Some(known) = self.columns.get(&number) {
            return Some(known.clone());
        }
        let place = *self.block.columns.get(number)?;
        let times: Arc<[i64]> = codec::times(&mut Bytes(self.bytes(place)?))?.into();
        self.columns.insert(number, times.clone());
        Some(times)
    }

    fn series(&mut self, entry: &Entry) -> Option<Columns> {
        let (times, values) = match entry.column {
            Some(column) => {
                let times = self.column(column)?;
                let values = codec::values(&mut Bytes(self.bytes(entry.values)?), times.len())?;
                (times, values)
            }
            None => (Arc::from([]), Vec::new()),
        };
        let histograms = match entry.histograms {
            Some(place) => codec::histograms(&mut Bytes(self.bytes(place)?))?,
            None => Vec::new(),
        };
        Some((times, values, histograms))
    }
}

impl Source for Block {
    fn select(
        &self,
        select: &Select<'_>,
        visit: &mut dyn FnMut(SeriesView<'_>) -> bool,
    ) -> Result<(), SourceFault> {
        if select.after_ms >= self.last_ms || select.until_ms < self.first_ms {
            return Ok(());
        }
        let mut decoded = Decoded {
            block: self,
            segment: None,
            columns: HashMap::new(),
        };
        for number in self.postings.select(select.matchers) {
            let Some(entry) = self.series.get(number as usize) else {
                continue;
            };
            let damaged =
                || SourceFault(format!("a block's samples of {} are damaged", entry.labels));
            let (times, values, histograms) = decoded.series(entry).ok_or_else(damaged)?;
            let view = SeriesView {
                labels: &entry.labels,
                at_ms: &times,
                values: &values,
                histograms: &histograms,
            };
            let view = view.within(select);
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
