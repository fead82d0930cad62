//! Writing of blocks, series by series; the format is described where they are read.

use crate::block::{END, MAGIC, Place, Segment};
use crate::codec::{put, put_histograms, put_signed, put_times, put_values};
use crate::label::Labels;
use crate::postings::Postings;
use crate::source::SeriesView;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// Bytes of a segment before compression: large enough for zstd to find what repeats, small enough that one
/// series is read without much else.
const SEGMENT: usize = 64 << 10;

/// The compression level: higher ones gain a few percent for a multiple of the time.
const LEVEL: i32 = 3;

/// Columns of times that are compared with the next: series of one target come together.
const COLUMNS_KEPT: usize = 8;

/// A failure of the compressor, which has no other input than memory.
#[derive(Debug, thiserror::Error)]
#[error("a segment cannot be compressed")]
pub struct WriteFault(#[source] pub(crate) std::io::Error);

/// Writes series as a block. Of two series with equal labels the first is kept; those without samples are not
/// written.
pub fn write(series: &mut Vec<SeriesView<'_>>) -> Result<Vec<u8>, WriteFault> {
    series.sort_by(|one, two| one.labels.cmp(two.labels));
    series.dedup_by(|next, kept| next.labels == kept.labels);
    let mut writer = BlockWriter::new()?;
    for one in series.iter() {
        writer.add(*one)?;
    }
    writer.finish()
}

struct Entry {
    labels: Labels,
    /// From one; zero is none.
    column: usize,
    values: Place,
    histograms: Place,
}

/// Writes a block piece by piece: finished bytes can be taken while it goes on.
pub struct BlockWriter {
    out: Vec<u8>,
    taken: u64,
    buffer: Vec<u8>,
    compressor: zstd::bulk::Compressor<'static>,
    segments: Vec<Segment>,
    column_places: Vec<Place>,
    /// The newest columns, with their numbers.
    recent: Vec<(Vec<i64>, usize)>,
    entries: Vec<Entry>,
    span: Option<(i64, i64)>,
    samples: u64,
}

impl fmt::Debug for BlockWriter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "BlockWriter({} series)", self.entries.len())
    }
}

impl BlockWriter {
    /// Begins a block.
    pub fn new() -> Result<Self, WriteFault> {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL).map_err(WriteFault)?;
        compressor.include_checksum(true).map_err(WriteFault)?;
        Ok(Self {
            out: MAGIC.to_vec(),
            taken: 0,
            buffer: Vec::with_capacity(2 * SEGMENT),
            compressor,
            segments: Vec::new(),
            column_places: Vec::new(),
            recent: Vec::new(),
            entries: Vec::new(),
            span: None,
            samples: 0,
        })
    }

    /// Adds a series; no other may have its labels. One without samples is left out. Series that share times
    /// should follow one another.
    pub fn add(&mut self, view: SeriesView<'_>) -> Result<(), WriteFault> {
        let Some((first, last)) = view.span() else {
            return Ok(());
        };
        let span = self.span.unwrap_or((first, last));
        self.span = Some((span.0.min(first), span.1.max(last)));
        self.samples += (view.values.len() + view.histograms.len()) as u64;
        let column = self.column(view.at_ms)?;
        let values = self.part(|out| put_values(out, view.values))?;
        let histograms = if view.histograms.is_empty() {
            Place::default()
        } else {
            self.part(|out| put_histograms(out, view.histograms))?
        };
        self.entries.push(Entry {
            labels: view.labels.clone(),
            column,
            values,
            histograms,
        });
        Ok(())
    }

    /// How many samples were added.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Takes the bytes that are finished; those that follow belong right behind them.
    pub fn take(&mut self) -> Vec<u8> {
        self.taken += self.out.len() as u64;
        std::mem::take(&mut self.out)
    }

    /// Ends the block and yields the bytes that were not taken.
    pub fn finish(mut self) -> Result<Vec<u8>, WriteFault> {
        self.flush()?;
        self.entries.sort_by(|one, two| one.labels.cmp(&two.labels));
        let index = self.index();
        self.recent = Vec::new();
        let frame = self.compressor.compress(&index).map_err(WriteFault)?;
        let offset = self.taken + self.out.len() as u64;
        self.out.extend_from_slice(&frame);
        for number in [offset, frame.len() as u64, index.len() as u64] {
            self.out.extend(number.to_le_bytes());
        }
        self.out.extend(END);
        Ok(self.out)
    }

    /// Writes a part into the open segment and says where it is.
    fn part(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<Place, WriteFault> {
        let offset = self.buffer.len();
        write(&mut self.buffer);
        let place = Place {
            segment: self.segments.len(),
            offset,
            length: self.buffer.len() - offset,
        };
        if self.buffer.len() >= SEGMENT {
            self.flush()?;
        }
        Ok(place)
    }

    fn flush(&mut self) -> Result<(), WriteFault> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let frame = self.compressor.compress(&self.buffer);
        let frame = frame.map_err(WriteFault)?;
        self.segments.push(Segment {
            offset: self.taken + self.out.len() as u64,
            length: frame.len(),
            raw: self.buffer.len(),
        });
        self.out.extend_from_slice(&frame);
        self.buffer.clear();
        Ok(())
    }

    /// Writes a column of times unless it was written just before; returns its number, from one.
    fn column(&mut self, at_ms: &[i64]) -> Result<usize, WriteFault> {
        if at_ms.is_empty() {
            return Ok(0);
        }
        if let Some((_, number)) = self.recent.iter().find(|(known, _)| known == at_ms) {
            return Ok(*number);
        }
        let place = self.part(|out| put_times(out, at_ms))?;
        self.column_places.push(place);
        if self.recent.len() >= COLUMNS_KEPT {
            self.recent.remove(0);
        }
        let number = self.column_places.len();
        self.recent.push((at_ms.to_vec(), number));
        Ok(number)
    }

    fn index(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let (first, last) = self.span.unwrap_or((0, 0));
        put_signed(&mut out, first);
        put_signed(&mut out, last);
        put(&mut out, self.segments.len() as u64);
        for segment in &self.segments {
            put(&mut out, segment.offset);
            put(&mut out, segment.length as u64);
            put(&mut out, segment.raw as u64);
        }
        put(&mut out, self.column_places.len() as u64);
        for place in &self.column_places {
            put_place(&mut out, *place);
        }
        let texts = self.texts();
        let symbols: HashMap<&str, u64> = texts
            .iter()
            .zip(0..)
            .map(|(text, number)| (&***text, number))
            .collect();
        put(&mut out, texts.len() as u64);
        for text in &texts {
            put(&mut out, text.len() as u64);
            out.extend(text.as_bytes());
        }
        let symbol = |text: &str| symbols.get(text).copied().unwrap_or_default();
        self.put_series(&mut out, symbol);
        self.put_postings(&mut out, symbol);
        out
    }

    /// Every text of the labels, sorted.
    fn texts(&self) -> Vec<&Arc<str>> {
        let labels = self.entries.iter().flat_map(|one| &one.labels);
        let texts: HashSet<&Arc<str>> = labels
            .flat_map(|label| [&label.name, &label.value])
            .collect();
        let mut texts: Vec<&Arc<str>> = texts.into_iter().collect();
        texts.sort_unstable();
        texts
    }

    fn put_series(&self, out: &mut Vec<u8>, symbol: impl Fn(&str) -> u64) {
        put(out, self.entries.len() as u64);
        for entry in &self.entries {
            put(out, entry.labels.len() as u64);
            for label in &entry.labels {
                put(out, symbol(&label.name));
                put(out, symbol(&label.value));
            }
            put(out, entry.column as u64);
            put_place(out, entry.values);
            put_place(out, entry.histograms);
        }
    }

    fn put_postings(&self, out: &mut Vec<u8>, symbol: impl Fn(&str) -> u64) {
        let mut postings = Postings::default();
        for (number, entry) in (0..).zip(&self.entries) {
            postings.add(number, &entry.labels);
        }
        let sorted = postings.sorted();
        put(out, sorted.len() as u64);
        for (name, value, numbers) in sorted {
            put(out, symbol(name));
            put(out, symbol(value));
            put(out, numbers.serialized_size() as u64);
            // A vector takes everything.
            numbers.serialize_into(&mut *out).ok();
        }
    }
}

fn put_place(out: &mut Vec<u8>, place: Place) {
    for number in [place.segment, place.offset, place.length] {
        put(out, number as u64);
    }
}
