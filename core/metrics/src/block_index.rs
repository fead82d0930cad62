//! The index of a block: checked once, kept as the bytes it was written as, and decoded where it is asked for.

use crate::block::{Place, Segment};
use crate::codec::Bytes;
use crate::label::{Label, Labels};
use crate::matcher::{MatchOp, Matcher};
use crate::postings;
use roaring::RoaringBitmap;
use std::ops::Range;
use std::sync::Arc;

/// A set of series numbers, as bytes of the index.
#[derive(Debug)]
struct Set {
    name: u32,
    value: u32,
    bytes: Range<u32>,
}

/// What a series' entry says of its samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// The column of times, where there are floats.
    pub(crate) column: Option<usize>,
    pub(crate) values: Place,
    pub(crate) histograms: Option<Place>,
}

/// The checked index.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) first_ms: i64,
    pub(crate) last_ms: i64,
    pub(crate) segments: Vec<Segment>,
    pub(crate) columns: Vec<Place>,
    /// Sorted by their texts.
    symbols: Vec<Range<u32>>,
    /// Where each series' entry begins.
    series: Vec<u32>,
    /// Sorted by name and value.
    sets: Vec<Set>,
    bytes: Vec<u8>,
}

/// Texts that were made for one walk, by symbol.
pub(crate) type Texts = Vec<Option<Arc<str>>>;

impl Index {
    /// Reads and checks everything, so that later reading cannot fail.
    pub(crate) fn parse(bytes: Vec<u8>) -> Option<Self> {
        u32::try_from(bytes.len()).ok()?;
        let whole = bytes.len();
        let mut rest = Bytes(&bytes);
        let here = |rest: &Bytes<'_>| (whole - rest.0.len()) as u32;
        let (first_ms, last_ms) = (rest.signed()?, rest.signed()?);
        let segments = list(&mut rest, |rest| {
            Some(Segment {
                offset: rest.unsigned()?,
                length: rest.length()?,
                raw: rest.length()?,
            })
        })?;
        let columns = list(&mut rest, place)?;
        let symbols = list(&mut rest, |rest| {
            let length = rest.text()?.len() as u32;
            let end = here(rest);
            Some(end - length..end)
        })?;
        let text = |symbol: usize| {
            let range: &Range<u32> = symbols.get(symbol)?;
            bytes.get(range.start as usize..range.end as usize)
        };
        if !(1..symbols.len()).all(|symbol| text(symbol - 1) < text(symbol)) {
            return None;
        }
        let series = list(&mut rest, |rest| {
            let begin = here(rest);
            check_entry(rest, symbols.len(), columns.len())?;
            Some(begin)
        })?;
        let sets = list(&mut rest, |rest| {
            let (name, value, length) = (rest.length()?, rest.length()?, rest.length()?);
            text(name).and(text(value))?;
            let begin = here(rest);
            let numbers = RoaringBitmap::deserialize_from(rest.take(length)?).ok()?;
            let known = numbers
                .max()
                .is_none_or(|last| (last as usize) < series.len());
            known.then_some(Set {
                name: name as u32,
                value: value as u32,
                bytes: begin..begin + length as u32,
            })
        })?;
        if !sets.is_sorted_by(|one, two| (one.name, one.value) < (two.name, two.value)) {
            return None;
        }
        Some(Self {
            first_ms,
            last_ms,
            segments,
            columns,
            symbols,
            series,
            sets,
            bytes,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    /// Bytes that it takes in memory, about.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
            + 4 * self.series.len()
            + 8 * self.symbols.len()
            + 16 * self.sets.len()
            + 24 * (self.segments.len() + self.columns.len())
    }

    fn text(&self, symbol: u32) -> &str {
        let range = self.symbols.get(symbol as usize).cloned();
        let range = range.unwrap_or_default();
        let bytes = self.bytes.get(range.start as usize..range.end as usize);
        std::str::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
    }

    fn symbol(&self, text: &str) -> Option<u32> {
        let found = self.symbols.binary_search_by(|range| {
            let bytes = &self.bytes[range.start as usize..range.end as usize];
            bytes.cmp(text.as_bytes())
        });
        found.ok().map(|place| place as u32)
    }

    /// The labels of a series.
    pub(crate) fn labels(&self, number: u32, texts: &mut Texts) -> Labels {
        let Some(mut rest) = self.entry_bytes(number) else {
            return Labels::default();
        };
        let mut shared = |symbol: Option<u64>| {
            let symbol = symbol.unwrap_or_default() as u32;
            let place = symbol as usize;
            if texts.len() <= place {
                texts.resize(self.symbols.len().max(place + 1), None);
            }
            let made = texts[place].get_or_insert_with(|| self.text(symbol).into());
            made.clone()
        };
        let count = rest.length().unwrap_or_default();
        let labels = (0..count).map(|_| Label {
            name: shared(rest.unsigned()),
            value: shared(rest.unsigned()),
        });
        Labels::from_sorted(labels.collect())
    }

    /// Where a series' samples are.
    pub(crate) fn entry(&self, number: u32) -> Option<Entry> {
        let mut rest = self.entry_bytes(number)?;
        for _ in 0..2 * rest.length()? {
            rest.unsigned()?;
        }
        let column = rest.length()?;
        let (values, histograms) = (place(&mut rest)?, place(&mut rest)?);
        Some(Entry {
            column: column.checked_sub(1),
            values,
            histograms: (histograms.length > 0).then_some(histograms),
        })
    }

    fn entry_bytes(&self, number: u32) -> Option<Bytes<'_>> {
        let begin = *self.series.get(number as usize)?;
        self.bytes.get(begin as usize..).map(Bytes)
    }

    /// Series that fulfil every condition.
    pub(crate) fn select(&self, matchers: &[Matcher]) -> RoaringBitmap {
        let all = || {
            let mut all = RoaringBitmap::new();
            all.insert_range(0..self.series.len() as u32);
            all
        };
        postings::select(matchers, all, |matcher, fulfils| {
            self.with(matcher, fulfils)
        })
    }

    fn sets_of(&self, name: &str) -> &[Set] {
        let Some(name) = self.symbol(name) else {
            return &[];
        };
        let begin = self.sets.partition_point(|set| set.name < name);
        let end = self.sets.partition_point(|set| set.name <= name);
        &self.sets[begin..end]
    }

    fn with(&self, matcher: &Matcher, fulfils: bool) -> RoaringBitmap {
        let sets = self.sets_of(&matcher.name);
        if matcher.op == MatchOp::Equal && fulfils {
            let value = self.symbol(&matcher.value);
            let found = sets
                .binary_search_by(|set| Some(set.value).cmp(&value))
                .ok()
                .map(|place| self.numbers(&sets[place]));
            return found.unwrap_or_default();
        }
        let mut found = RoaringBitmap::new();
        for set in sets {
            if matcher.matches(self.text(set.value)) == fulfils {
                found |= self.numbers(set);
            }
        }
        found
    }

    fn numbers(&self, set: &Set) -> RoaringBitmap {
        let bytes = &self.bytes[set.bytes.start as usize..set.bytes.end as usize];
        RoaringBitmap::deserialize_from(bytes).unwrap_or_default()
    }

    /// Names of labels, sorted.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<u32> = self.sets.iter().map(|set| set.name).collect();
        names.dedup();
        names.into_iter().map(|name| self.text(name)).collect()
    }

    /// Values of a label, sorted.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let sets = self.sets_of(name).iter();
        sets.map(|set| self.text(set.value)).collect()
    }
}

fn check_entry(rest: &mut Bytes<'_>, symbols: usize, columns: usize) -> Option<()> {
    let count = rest.length().filter(|count| *count <= rest.0.len())?;
    let mut before = None;
    for _ in 0..count {
        let (name, value) = (rest.length()?, rest.length()?);
        // Symbols are sorted, so their numbers compare as their texts do.
        if name >= symbols || value >= symbols || before.is_some_and(|before| before >= name) {
            return None;
        }
        before = Some(name);
    }
    let column = rest.length()?;
    place(rest)?;
    place(rest)?;
    (column <= columns).then_some(())
}

fn place(rest: &mut Bytes<'_>) -> Option<Place> {
    Some(Place {
        segment: rest.length()?,
        offset: rest.length()?,
        length: rest.length()?,
    })
}

/// A count and as many items; a count beyond the bytes left is damage.
fn list<'a, T>(
    rest: &mut Bytes<'a>,
    mut item: impl FnMut(&mut Bytes<'a>) -> Option<T>,
) -> Option<Vec<T>> {
    let count = rest.length().filter(|count| *count <= rest.0.len())?;
    (0..count).map(|_| item(rest)).collect()
}
