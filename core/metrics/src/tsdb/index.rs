//! The index of a block: which series it holds, where their chunks are, and which series have a label.

use super::chunk::{Chunk, Encoding};
use super::order::{checksum, put_signed, put_text, put_unsigned};
use crate::label::{Label, Labels};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Bytes of one file of chunks at most, as Prometheus cuts them.
const SEGMENT_MAX: u64 = 512 << 20;

/// How a file of chunks begins: magic, version 1 and a filling.
const SEGMENT: [u8; 8] = [0x85, 0xbd, 0x40, 0xdd, 1, 0, 0, 0];

/// How an index begins: magic and version 2.
const INDEX: [u8; 5] = [0xba, 0xaa, 0xd7, 0x00, 2];

/// Bytes that are handed on at a time.
const PIECE: usize = 64 << 10;

/// Why a block cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexFault {
    /// Chunks of a series did not come one after the other.
    #[error("the series {labels} came twice")]
    Twice {
        /// Which series.
        labels: String,
    },
    /// Chunks of a series did not come in the order of time.
    #[error("chunks of the series {labels} are out of order at {at_ms} ms")]
    Order {
        /// Which series.
        labels: String,
        /// When the later chunk begins, in milliseconds since 1970.
        at_ms: i64,
    },
    /// The format has no room for so much.
    #[error("{what} of the block take {found} bytes, the format has room for {limit}")]
    Large {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        found: u64,
        /// How large it may be.
        limit: u64,
    },
}

/// What a block holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BlockStats {
    /// Series.
    pub series: u64,
    /// Chunks.
    pub chunks: u64,
    /// Floats, stale markers among them.
    pub floats: u64,
    /// Native histograms.
    pub histograms: u64,
    /// Those of them that have bounds of their own.
    pub customs: u64,
}

/// What is to be written into a file of chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The number of the file, from one; a number that was not there before begins a file.
    pub segment: u32,
    /// What is written at its end.
    pub bytes: Vec<u8>,
}

/// Numbers of a name and a value among the texts.
type Pair = (u32, u32);

#[derive(Debug)]
struct Place {
    first_ms: i64,
    last_ms: i64,
    reference: u64,
}

#[derive(Debug)]
struct Entry {
    labels: Box<[Pair]>,
    chunks: Vec<Place>,
}

/// A block in the making. It holds labels and the places of chunks, and no samples.
#[derive(Debug, Default)]
pub struct BlockBuilder {
    texts: HashMap<Arc<str>, u32>,
    entries: Vec<Entry>,
    segment: u32,
    /// Bytes of the file at hand.
    end: u64,
    stats: BlockStats,
}

/// A block whose series are in the order of the format.
#[derive(Debug)]
pub struct SortedBlock {
    symbols: Vec<Arc<str>>,
    entries: Vec<Entry>,
}

impl BlockBuilder {
    /// What it holds so far.
    pub fn stats(&self) -> BlockStats {
        self.stats
    }

    /// Adds the next chunk of a series; the chunks of a series come one after the other.
    pub fn add(&mut self, labels: &Labels, chunk: &Chunk) -> Placed {
        let mut bytes = Vec::with_capacity(chunk.bytes.len() + 24);
        let length = chunk.bytes.len() as u64 + 16;
        if self.segment == 0 || self.end + length > SEGMENT_MAX {
            self.segment += 1;
            self.end = SEGMENT.len() as u64;
            bytes.extend_from_slice(&SEGMENT);
        }
        let head = bytes.len();
        put_unsigned(&mut bytes, chunk.bytes.len() as u64);
        let checked = bytes.len();
        bytes.push(chunk.encoding as u8);
        bytes.extend_from_slice(&chunk.bytes);
        let crc = crc32c::crc32c(&bytes[checked..]);
        bytes.extend_from_slice(&checksum(crc));
        let place = Place {
            first_ms: chunk.first_ms,
            last_ms: chunk.last_ms,
            reference: u64::from(self.segment - 1) << 32 | self.end,
        };
        self.end += (bytes.len() - head) as u64;
        self.enter(labels, place);
        self.count(chunk);
        Placed {
            segment: self.segment,
            bytes,
        }
    }

    fn enter(&mut self, labels: &Labels, place: Place) {
        let labels: Box<[Pair]> = labels
            .iter()
            .map(|label| (self.text(&label.name), self.text(&label.value)))
            .collect();
        match self.entries.last_mut() {
            Some(last) if last.labels == labels => last.chunks.push(place),
            _ => {
                self.stats.series += 1;
                let chunks = vec![place];
                self.entries.push(Entry { labels, chunks });
            }
        }
    }

    fn count(&mut self, chunk: &Chunk) {
        let samples = u64::from(chunk.samples);
        self.stats.chunks += 1;
        match chunk.encoding {
            Encoding::Float => self.stats.floats += samples,
            Encoding::FloatHistogram => self.stats.histograms += samples,
        }
        if chunk.is_custom {
            self.stats.customs += samples;
        }
    }

    fn text(&mut self, text: &Arc<str>) -> u32 {
        if let Some(known) = self.texts.get(text) {
            return *known;
        }
        let number = self.texts.len() as u32;
        self.texts.insert(text.clone(), number);
        number
    }

    /// Puts everything into the order of the format, once nothing more is added.
    pub fn sort(self) -> Result<SortedBlock, IndexFault> {
        let mut texts: Vec<(Arc<str>, u32)> = self.texts.into_iter().collect();
        texts.sort_unstable();
        let mut ranks = vec![0; texts.len()];
        for (rank, (_, number)) in (0..).zip(&texts) {
            ranks[*number as usize] = rank;
        }
        let symbols: Vec<Arc<str>> = texts.into_iter().map(|(text, _)| text).collect();
        let mut entries = self.entries;
        for entry in &mut entries {
            for (name, value) in &mut entry.labels {
                (*name, *value) = (ranks[*name as usize], ranks[*value as usize]);
            }
        }
        // Texts are numbered in their own order, so numbers are compared for them.
        entries.sort_unstable_by(|one, two| one.labels.cmp(&two.labels));
        let sorted = SortedBlock { symbols, entries };
        sorted.check()?;
        Ok(sorted)
    }
}

impl SortedBlock {
    fn check(&self) -> Result<(), IndexFault> {
        for pair in self.entries.windows(2) {
            if pair[0].labels == pair[1].labels {
                let labels = self.labels(&pair[0]);
                return Err(IndexFault::Twice { labels });
            }
        }
        for entry in &self.entries {
            for pair in entry.chunks.windows(2) {
                if pair[1].first_ms < pair[0].last_ms {
                    return Err(IndexFault::Order {
                        labels: self.labels(entry),
                        at_ms: pair[1].first_ms,
                    });
                }
            }
        }
        let small = |what, found, limit: u64| match found {
            found if found > limit => Err(IndexFault::Large { what, found, limit }),
            _ => Ok(()),
        };
        // With the most that numbers take beside texts.
        let texts = self.symbols.iter().map(|text| text.len() as u64 + 5);
        small("texts", texts.sum(), u32::MAX.into())?;
        let series = self.entries.iter().map(|entry| {
            let (labels, chunks) = (entry.labels.len() as u64, entry.chunks.len() as u64);
            48 + 10 * labels + 30 * chunks
        });
        // Series are referred to in steps of sixteen bytes.
        small("series", series.sum(), u64::from(u32::MAX) * 16)
    }

    fn labels(&self, entry: &Entry) -> String {
        let text = |number: u32| self.symbols[number as usize].clone();
        let labels = entry.labels.iter().map(|pair| Label {
            name: text(pair.0),
            value: text(pair.1),
        });
        Labels::from_sorted(labels.collect()).to_string()
    }

    /// Writes the index, piece by piece.
    pub fn write<E>(&self, put: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut out = Out {
            put,
            at: 0,
            held: Vec::with_capacity(PIECE),
        };
        out.bytes(&INDEX)?;
        let symbols = out.at;
        self.put_symbols(&mut out)?;
        let series = out.align(16)?;
        let lists = self.put_series(&mut out)?;
        let postings = out.align(4)?;
        let offsets = put_postings(&mut out, &lists)?;
        let table = out.align(4)?;
        self.put_table(&mut out, &offsets)?;
        // The places of sections; two of them are for what nobody reads any more.
        let places = [symbols, series, 0, 0, postings, table];
        let contents: Vec<u8> = places
            .iter()
            .flat_map(|place| place.to_be_bytes())
            .collect();
        out.bytes(&contents)?;
        out.bytes(&checksum(crc32c::crc32c(&contents)))?;
        out.flush()
    }

    fn put_symbols<E>(&self, out: &mut Out<'_, E>) -> Result<(), E> {
        let mut section = (self.symbols.len() as u32).to_be_bytes().to_vec();
        for text in &self.symbols {
            put_text(&mut section, text);
        }
        out.section(&section)
    }

    /// Writes all series; returns which series have a label, by their references.
    fn put_series<E>(&self, out: &mut Out<'_, E>) -> Result<Lists, E> {
        let mut lists = Lists {
            all: Vec::with_capacity(self.entries.len()),
            by_label: BTreeMap::new(),
        };
        for entry in &self.entries {
            let reference = (out.align(16)? / 16) as u32;
            let mut content = Vec::with_capacity(128);
            put_unsigned(&mut content, entry.labels.len() as u64);
            for (name, value) in &entry.labels {
                put_unsigned(&mut content, u64::from(*name));
                put_unsigned(&mut content, u64::from(*value));
            }
            put_places(&mut content, &entry.chunks);
            let mut head = Vec::with_capacity(5);
            put_unsigned(&mut head, content.len() as u64);
            out.bytes(&head)?;
            out.bytes(&content)?;
            out.bytes(&checksum(crc32c::crc32c(&content)))?;
            lists.all.push(reference);
            for pair in &entry.labels {
                lists.by_label.entry(*pair).or_default().push(reference);
            }
        }
        Ok(lists)
    }

    /// Writes where the lists of series are, by label.
    fn put_table<E>(&self, out: &mut Out<'_, E>, offsets: &[(Option<Pair>, u64)]) -> Result<(), E> {
        let mut section = (offsets.len() as u32).to_be_bytes().to_vec();
        for (pair, offset) in offsets {
            let text = |number: u32| &*self.symbols[number as usize];
            let (name, value) = pair.map_or(("", ""), |pair| (text(pair.0), text(pair.1)));
            // A key of two parts.
            section.push(2);
            put_text(&mut section, name);
            put_text(&mut section, value);
            put_unsigned(&mut section, *offset);
        }
        out.section(&section)
    }
}

/// Which series there are, and which have a label.
struct Lists {
    all: Vec<u32>,
    by_label: BTreeMap<Pair, Vec<u32>>,
}

fn put_places(out: &mut Vec<u8>, places: &[Place]) {
    put_unsigned(out, places.len() as u64);
    let mut before: Option<&Place> = None;
    for place in places {
        let length = place.last_ms.wrapping_sub(place.first_ms).cast_unsigned();
        match before {
            None => {
                put_signed(out, place.first_ms);
                put_unsigned(out, length);
                put_unsigned(out, place.reference);
            }
            Some(before) => {
                let distance = place.first_ms.wrapping_sub(before.last_ms);
                put_unsigned(out, distance.cast_unsigned());
                put_unsigned(out, length);
                let step = place.reference.wrapping_sub(before.reference);
                put_signed(out, step.cast_signed());
            }
        }
        before = Some(place);
    }
}

/// Writes lists of series; returns where each is. The first one has no label: it lists them all.
fn put_postings<E>(out: &mut Out<'_, E>, lists: &Lists) -> Result<Vec<(Option<Pair>, u64)>, E> {
    let mut offsets = Vec::with_capacity(lists.by_label.len() + 1);
    let by_label = lists
        .by_label
        .iter()
        .map(|(pair, list)| (Some(*pair), list));
    for (pair, list) in std::iter::once((None, &lists.all)).chain(by_label) {
        offsets.push((pair, out.align(4)?));
        let mut section = (list.len() as u32).to_be_bytes().to_vec();
        section.extend(list.iter().flat_map(|one| one.to_be_bytes()));
        out.section(&section)?;
    }
    Ok(offsets)
}

/// Where the index goes.
struct Out<'a, E> {
    put: &'a mut dyn FnMut(&[u8]) -> Result<(), E>,
    at: u64,
    held: Vec<u8>,
}

impl<E> Out<'_, E> {
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), E> {
        self.at += bytes.len() as u64;
        self.held.extend_from_slice(bytes);
        if self.held.len() >= PIECE {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), E> {
        (self.put)(&self.held)?;
        self.held.clear();
        Ok(())
    }

    /// Fills up with zeros; returns where what follows begins.
    fn align(&mut self, step: u64) -> Result<u64, E> {
        let missing = (step - self.at % step) % step;
        self.bytes(&[0; 16][..missing as usize])?;
        Ok(self.at)
    }

    /// Writes a section: its length, its content, its checksum.
    fn section(&mut self, content: &[u8]) -> Result<(), E> {
        self.bytes(&(content.len() as u32).to_be_bytes())?;
        self.bytes(content)?;
        self.bytes(&checksum(crc32c::crc32c(content)))
    }
}

#[cfg(test)]
#[path = "index_test.rs"]
mod tests;
