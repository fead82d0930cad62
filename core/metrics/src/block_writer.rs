//! Writing of blocks; the format is described where they are read.

use crate::block::{END, MAGIC, Place, Segment};
use crate::codec::{put, put_histograms, put_signed, put_times, put_values};
use crate::postings::Postings;
use crate::source::SeriesView;
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of a segment before compression: large enough for zstd to find what repeats, small enough that one
/// series is read without much else.
const SEGMENT: usize = 64 << 10;

/// The compression level: higher ones gain a few percent for a multiple of the time.
const LEVEL: i32 = 3;

/// A failure of the compressor, which has no other input than memory.
#[derive(Debug, thiserror::Error)]
#[error("a segment cannot be compressed")]
pub struct WriteFault(#[source] std::io::Error);

/// Writes series as a block. Of two series with equal labels the first is kept; those without samples are not
/// written.
pub fn write(series: &mut Vec<SeriesView<'_>>) -> Result<Vec<u8>, WriteFault> {
    series.retain(|one| !one.is_empty());
    series.sort_by(|one, two| one.labels.cmp(two.labels));
    series.dedup_by(|next, kept| next.labels == kept.labels);
    let mut writer = Writer {
        out: MAGIC.to_vec(),
        buffer: Vec::with_capacity(2 * SEGMENT),
        segments: Vec::new(),
    };
    let (column_places, columns) = writer.columns(series)?;
    let mut places = Vec::with_capacity(series.len());
    for one in series.iter() {
        let values = writer.part(|out| put_values(out, one.values))?;
        let histograms = if one.histograms.is_empty() {
            Place::default()
        } else {
            writer.part(|out| put_histograms(out, one.histograms))?
        };
        places.push((values, histograms));
    }
    writer.flush()?;
    let index = index(series, &writer.segments, &column_places, &columns, &places);
    let frame = compress(&index)?;
    let mut out = writer.out;
    let trailer = [out.len(), frame.len(), index.len()];
    out.extend(frame);
    for number in trailer {
        out.extend((number as u64).to_le_bytes());
    }
    out.extend(END);
    Ok(out)
}

fn compress(bytes: &[u8]) -> Result<Vec<u8>, WriteFault> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL).map_err(WriteFault)?;
    compressor.include_checksum(true).map_err(WriteFault)?;
    compressor.compress(bytes).map_err(WriteFault)
}

struct Writer {
    out: Vec<u8>,
    buffer: Vec<u8>,
    segments: Vec<Segment>,
}

impl Writer {
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
        let frame = compress(&self.buffer)?;
        self.segments.push(Segment {
            offset: self.out.len(),
            length: frame.len(),
            raw: self.buffer.len(),
        });
        self.out.extend(frame);
        self.buffer.clear();
        Ok(())
    }

    /// Writes every different column of times once; returns their places and each series' column, from one.
    fn columns(
        &mut self,
        series: &[SeriesView<'_>],
    ) -> Result<(Vec<Place>, Vec<usize>), WriteFault> {
        let mut known: HashMap<&[i64], usize> = HashMap::new();
        let mut places = Vec::new();
        let mut columns = Vec::with_capacity(series.len());
        for one in series {
            if one.at_ms.is_empty() {
                columns.push(0);
                continue;
            }
            let column = if let Some(column) = known.get(one.at_ms) {
                *column
            } else {
                places.push(self.part(|out| put_times(out, one.at_ms))?);
                known.insert(one.at_ms, places.len());
                places.len()
            };
            columns.push(column);
        }
        self.flush()?;
        Ok((places, columns))
    }
}

fn put_place(out: &mut Vec<u8>, place: Place) {
    for number in [place.segment, place.offset, place.length] {
        put(out, number as u64);
    }
}

fn index(
    series: &[SeriesView<'_>],
    segments: &[Segment],
    column_places: &[Place],
    columns: &[usize],
    places: &[(Place, Place)],
) -> Vec<u8> {
    let mut out = Vec::new();
    let times = series.iter().filter_map(SeriesView::span);
    let span = times.reduce(|one, two| (one.0.min(two.0), one.1.max(two.1)));
    let (first, last) = span.unwrap_or((0, 0));
    put_signed(&mut out, first);
    put_signed(&mut out, last);
    put(&mut out, segments.len() as u64);
    for segment in segments {
        for number in [segment.offset, segment.length, segment.raw] {
            put(&mut out, number as u64);
        }
    }
    put(&mut out, column_places.len() as u64);
    for place in column_places {
        put_place(&mut out, *place);
    }
    let mut postings = Postings::default();
    for (number, one) in (0..).zip(series) {
        postings.add(number, one.labels);
    }
    let texts = series
        .iter()
        .flat_map(|one| one.labels)
        .flat_map(|label| [&label.name, &label.value]);
    let mut texts: Vec<&Arc<str>> = texts.collect();
    texts.sort_unstable();
    texts.dedup();
    let symbols: HashMap<&str, u64> = texts
        .iter()
        .zip(0..)
        .map(|(text, number)| (&***text, number))
        .collect();
    put(&mut out, texts.len() as u64);
    for text in texts {
        put(&mut out, text.len() as u64);
        out.extend(text.as_bytes());
    }
    let symbol = |text: &str| symbols.get(text).copied().unwrap_or_default();
    put(&mut out, series.len() as u64);
    for ((one, column), (values, histograms)) in series.iter().zip(columns).zip(places) {
        put(&mut out, one.labels.len() as u64);
        for label in one.labels {
            put(&mut out, symbol(&label.name));
            put(&mut out, symbol(&label.value));
        }
        put(&mut out, *column as u64);
        put_place(&mut out, *values);
        put_place(&mut out, *histograms);
    }
    let sorted = postings.sorted();
    put(&mut out, sorted.len() as u64);
    for (name, value, numbers) in sorted {
        put(&mut out, symbol(name));
        put(&mut out, symbol(value));
        put(&mut out, numbers.serialized_size() as u64);
        // A vector takes everything.
        numbers.serialize_into(&mut out).ok();
    }
    out
}
