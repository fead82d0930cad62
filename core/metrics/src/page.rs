//! Pages: some minutes of a group of series as compressed bytes, between the head's memory and blocks.
//!
//! ```text
//! page   = zstd frame with checksum of:
//!            kind:1 [times]                               0: times are shared; 1: each series has its own
//!            count { number length entry }                series, by place in the group
//! entry  = [times] values histograms                      own times come first; shared ones count the values
//! ```

use crate::block_writer::WriteFault;
use crate::codec::{self, Bytes};
use crate::column::Columns;
use crate::label::Labels;
use crate::sample::HistogramSample;
use crate::source::{Select, SeriesView, SourceFault};
use crate::storage::Storage;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Bits that stand where a series has no sample at a time of its group; no value has them.
pub(crate) const GAP: u64 = 0x7ff0_0000_0000_0ead;

/// Bytes of decoded pages that a reader keeps.
const KEPT_BYTES: usize = 12 << 20;

/// Largest page before compression that is believed.
const RAW_MAX: usize = 256 << 20;

/// Where a page is, and what time it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRef {
    /// Place of its first byte in its storage.
    pub offset: u64,
    /// Compressed bytes.
    pub length: u32,
    /// Bytes before compression.
    pub raw: u32,
    /// Time of the first sample, in milliseconds since 1970.
    pub first_ms: i64,
    /// Time of the last sample.
    pub last_ms: i64,
}

/// A page that was made and is not stored yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Compressed bytes.
    pub bytes: Vec<u8>,
    /// Bytes before compression.
    pub raw: u32,
    /// Time of the first sample, in milliseconds since 1970.
    pub first_ms: i64,
    /// Time of the last sample.
    pub last_ms: i64,
    /// How many samples it holds.
    pub samples: u64,
}

impl Page {
    /// The reference to it once it lies at a place.
    pub fn at(&self, offset: u64) -> PageRef {
        PageRef {
            offset,
            length: u32::try_from(self.bytes.len()).unwrap_or(u32::MAX),
            raw: self.raw,
            first_ms: self.first_ms,
            last_ms: self.last_ms,
        }
    }
}

/// Begins the bytes of a page.
pub(crate) fn begin(times: Option<&[i64]>, count: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 << 10);
    out.push(u8::from(times.is_none()));
    if let Some(times) = times {
        codec::put_times(&mut out, times);
    }
    codec::put(&mut out, count as u64);
    out
}

/// Adds a series to the bytes of a page.
pub(crate) fn put(
    out: &mut Vec<u8>,
    number: u32,
    times: Option<&[i64]>,
    values: &[f64],
    histograms: &[HistogramSample],
) {
    let mut entry = Vec::with_capacity(2 * values.len() + 16);
    if let Some(times) = times {
        codec::put_times(&mut entry, times);
    }
    codec::put_values(&mut entry, values);
    codec::put_histograms(&mut entry, histograms);
    codec::put(out, u64::from(number));
    codec::put(out, entry.len() as u64);
    out.extend_from_slice(&entry);
}

/// Compresses the bytes of a page.
pub(crate) fn compress(raw: &[u8], level: i32) -> Result<Vec<u8>, WriteFault> {
    let mut compressor = zstd::bulk::Compressor::new(level).map_err(WriteFault)?;
    compressor.include_checksum(true).map_err(WriteFault)?;
    compressor.compress(raw).map_err(WriteFault)
}

/// A decoded page: its bytes and where each series is in them.
#[derive(Debug)]
struct Decoded {
    raw: Vec<u8>,
    times: Option<Vec<i64>>,
    entries: HashMap<u32, Range<usize>>,
}

impl Decoded {
    fn parse(raw: Vec<u8>) -> Option<Self> {
        let mut rest = Bytes(&raw);
        let times = match rest.take(1)?[0] {
            0 => Some(codec::times(&mut rest)?),
            1 => None,
            _ => return None,
        };
        let count = rest.length().filter(|count| *count <= rest.0.len())?;
        let mut entries = HashMap::with_capacity(count);
        for _ in 0..count {
            let number = u32::try_from(rest.unsigned()?).ok()?;
            let length = rest.length()?;
            let begin = raw.len() - rest.0.len();
            rest.take(length)?;
            entries.insert(number, begin..begin + length);
        }
        Some(Self {
            raw,
            times,
            entries,
        })
    }

    fn size(&self) -> usize {
        self.raw.len() + 32 * self.entries.len() + 8 * self.times.as_ref().map_or(0, Vec::len)
    }

    fn read(&self, number: u32, select: &Select<'_>, into: &mut Columns) -> Option<()> {
        let Some(range) = self.entries.get(&number) else {
            return Some(());
        };
        let mut rest = Bytes(self.raw.get(range.clone())?);
        let own;
        let times = if let Some(times) = &self.times {
            times
        } else {
            own = codec::times(&mut rest)?;
            &own
        };
        let values = codec::values(&mut rest, times.len())?;
        let histograms = codec::histograms(&mut rest)?;
        add(times, &values, &histograms, select, into);
        Some(())
    }
}

/// Adds samples in a range, without gaps.
pub(crate) fn add(
    times: &[i64],
    values: &[f64],
    histograms: &[HistogramSample],
    select: &Select<'_>,
    into: &mut Columns,
) {
    let labels = Labels::default();
    let view = SeriesView {
        labels: &labels,
        at_ms: times,
        values,
        histograms,
    };
    let view = view.within(select);
    let is_gap = |value: &f64| value.to_bits() == GAP;
    if !view.values.iter().any(is_gap) {
        into.add(view);
        return;
    }
    let pairs = view.at_ms.iter().zip(view.values);
    let pairs = pairs.filter(|(_, value)| !is_gap(value));
    let (at_ms, values): (Vec<i64>, Vec<f64>) = pairs.map(|(at, value)| (*at, *value)).unzip();
    into.add(SeriesView {
        labels: &labels,
        at_ms: &at_ms,
        values: &values,
        histograms: view.histograms,
    });
}

/// Reads pages of one storage; keeps those that it has decoded within a budget.
#[derive(Debug)]
pub struct PageReader<S> {
    storage: S,
    decoded: HashMap<u64, Decoded>,
    size: usize,
}

impl<S: Storage> PageReader<S> {
    /// Begins to read.
    pub fn new(storage: S) -> Self {
        Self {
            storage,
            decoded: HashMap::new(),
            size: 0,
        }
    }

    /// Adds a series' samples of these pages in a range, in the order of the pages.
    pub fn read(
        &mut self,
        pages: &Arc<Vec<PageRef>>,
        number: u32,
        select: &Select<'_>,
        into: &mut Columns,
    ) -> Result<(), SourceFault> {
        let inside =
            |page: &&PageRef| page.last_ms > select.after_ms && page.first_ms <= select.until_ms;
        for page in pages.iter().filter(inside) {
            let read = self.page(page);
            let read = read.and_then(|page| page.read(number, select, into));
            read.ok_or_else(|| {
                SourceFault(format!("the page at byte {} is damaged", page.offset))
            })?;
        }
        Ok(())
    }

    fn page(&mut self, page: &PageRef) -> Option<&Decoded> {
        if !self.decoded.contains_key(&page.offset) {
            let raw = usize::try_from(page.raw).ok()?;
            if raw > RAW_MAX {
                return None;
            }
            let frame = self.storage.read(page.offset, page.length as usize)?;
            let raw = zstd::bulk::decompress(&frame, raw).ok()?;
            let decoded = Decoded::parse(raw)?;
            if self.size > KEPT_BYTES {
                self.decoded.clear();
                self.size = 0;
            }
            self.size += decoded.size();
            self.decoded.insert(page.offset, decoded);
        }
        self.decoded.get(&page.offset)
    }
}
