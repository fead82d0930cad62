//! The head: the newest samples in memory, a column of times a target, before they become a block.

use crate::block_writer::{WriteFault, write};
use crate::label::Labels;
use crate::postings::Postings;
use crate::sample::{HistogramSample, Value};
use crate::source::{Select, SeriesView, Source, SourceFault};
use std::collections::HashMap;

/// Bits that stand where a series has no sample at a time of its target; no value has them.
const GAP: u64 = 0x7ff0_0000_0000_0ead;

/// A target: what is scraped together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TargetId(u32);

/// A series of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeriesId(u32);

/// What became of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is stored.
    Stored,
    /// There is one of that time; the first is kept.
    Duplicate,
    /// It is older than its target's newest; it is not stored.
    OutOfOrder,
}

/// Why a series is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the target has {limit} series, its limit; {labels} is refused")]
pub struct Full {
    /// The limit.
    pub limit: usize,
    /// Which series.
    pub labels: String,
}

#[derive(Debug, Default)]
struct Target {
    at_ms: Vec<i64>,
    series: usize,
}

#[derive(Debug)]
struct Stored {
    labels: Labels,
    target: u32,
    /// The row of the target's times at which `values` begins.
    first_row: usize,
    values: Vec<f64>,
    gaps: bool,
    histograms: Vec<HistogramSample>,
}

/// Times and values that had to be copied, because there were gaps between them.
type Column = (Vec<i64>, Vec<f64>);

/// Newest samples. Series are numbered as they come; numbers stay until [`Head::cut`] has taken all samples.
#[derive(Debug)]
pub struct Head {
    series_max: usize,
    targets: Vec<Target>,
    series: Vec<Stored>,
    by_labels: HashMap<Labels, u32>,
    postings: Postings,
}

impl Head {
    /// An empty head that takes so many series of each target.
    pub fn new(series_max: usize) -> Self {
        Self {
            series_max,
            targets: Vec::new(),
            series: Vec::new(),
            by_labels: HashMap::new(),
            postings: Postings::default(),
        }
    }

    /// Begins a target.
    pub fn target(&mut self) -> TargetId {
        self.targets.push(Target::default());
        TargetId(u32::try_from(self.targets.len() - 1).unwrap_or(u32::MAX))
    }

    /// Finds or begins a series. One that another target began stays with that one.
    pub fn series(&mut self, target: TargetId, labels: &Labels) -> Result<SeriesId, Full> {
        if let Some(known) = self.by_labels.get(labels) {
            return Ok(SeriesId(*known));
        }
        let own = &mut self.targets[target.0 as usize];
        let number = u32::try_from(self.series.len())
            .ok()
            .filter(|_| own.series < self.series_max);
        let number = number.ok_or_else(|| Full {
            limit: self.series_max,
            labels: labels.to_string(),
        })?;
        own.series += 1;
        self.series.push(Stored {
            labels: labels.clone(),
            target: target.0,
            first_row: own.at_ms.len(),
            values: Vec::new(),
            gaps: false,
            histograms: Vec::new(),
        });
        self.by_labels.insert(labels.clone(), number);
        self.postings.add(number, labels);
        Ok(SeriesId(number))
    }

    /// Adds a sample.
    pub fn append(&mut self, series: SeriesId, at_ms: i64, value: Value) -> Appended {
        let one = &mut self.series[series.0 as usize];
        if let Value::Histogram(histogram) = value {
            return match one.histograms.last().map(|last| last.at_ms.cmp(&at_ms)) {
                Some(std::cmp::Ordering::Equal) => Appended::Duplicate,
                Some(std::cmp::Ordering::Greater) => Appended::OutOfOrder,
                _ => {
                    one.histograms.push(HistogramSample { at_ms, histogram });
                    Appended::Stored
                }
            };
        }
        let Value::Float(value) = value else {
            return Appended::OutOfOrder;
        };
        let times = &mut self.targets[one.target as usize].at_ms;
        match times.last() {
            Some(last) if *last > at_ms => return Appended::OutOfOrder,
            Some(last) if *last == at_ms => {}
            _ => times.push(at_ms),
        }
        let row = times.len() - 1;
        if one.values.is_empty() {
            one.first_row = row;
        } else if one.first_row + one.values.len() > row {
            return Appended::Duplicate;
        }
        while one.first_row + one.values.len() < row {
            one.values.push(f64::from_bits(GAP));
            one.gaps = true;
        }
        one.values.push(value);
        Appended::Stored
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Writes everything as a block and forgets it: targets and series begin anew.
    pub fn cut(&mut self) -> Result<Vec<u8>, WriteFault> {
        let columns: Vec<_> = self.series.iter().map(|one| self.column(one)).collect();
        let views = self
            .series
            .iter()
            .zip(&columns)
            .map(|(one, column)| self.view(one, column.as_ref()));
        let bytes = write(&mut views.collect())?;
        *self = Self::new(self.series_max);
        Ok(bytes)
    }

    /// Names of labels, sorted.
    pub fn label_names(&self) -> Vec<&str> {
        self.postings.names()
    }

    /// Values of a label, sorted.
    pub fn label_values(&self, name: &str) -> Vec<&str> {
        self.postings.values(name)
    }

    /// A series' columns without gaps, where it has any.
    fn column(&self, one: &Stored) -> Option<Column> {
        if !one.gaps {
            return None;
        }
        let times = &self.targets[one.target as usize].at_ms[one.first_row..];
        let pairs = times
            .iter()
            .zip(&one.values)
            .filter(|(_, value)| value.to_bits() != GAP);
        Some(pairs.map(|(at, value)| (*at, *value)).unzip())
    }

    fn view<'a>(&'a self, one: &'a Stored, column: Option<&'a Column>) -> SeriesView<'a> {
        let (at_ms, values) = match column {
            Some((at_ms, values)) => (&at_ms[..], &values[..]),
            None if one.values.is_empty() => (&[][..], &[][..]),
            None => {
                let times = &self.targets[one.target as usize].at_ms;
                (
                    &times[one.first_row..one.first_row + one.values.len()],
                    &one.values[..],
                )
            }
        };
        SeriesView {
            labels: &one.labels,
            at_ms,
            values,
            histograms: &one.histograms,
        }
    }
}

impl Source for Head {
    fn select(
        &self,
        select: &Select<'_>,
        visit: &mut dyn FnMut(SeriesView<'_>) -> bool,
    ) -> Result<(), SourceFault> {
        for number in self.postings.select(select.matchers) {
            let one = &self.series[number as usize];
            let column = self.column(one);
            let view = self.view(one, column.as_ref()).within(select);
            if !view.is_empty() && !visit(view) {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Block;
    use crate::matcher::Matcher;

    fn seen(source: &dyn Source, name: &str) -> Vec<(i64, f64)> {
        let mut seen = Vec::new();
        let matchers = [Matcher::equal("__name__", name)];
        let select = Select {
            matchers: &matchers,
            after_ms: 0,
            until_ms: 100,
        };
        let mut visit = |view: SeriesView<'_>| {
            seen.extend(view.at_ms.iter().copied().zip(view.values.iter().copied()));
            true
        };
        source.select(&select, &mut visit).unwrap();
        seen
    }

    #[test]
    fn samples_are_read_back_from_head_and_block() {
        let mut head = Head::new(10);
        let target = head.target();
        let labels = |name: &str| Labels::new([("__name__", name)]);
        let a = head.series(target, &labels("a")).unwrap();
        let b = head.series(target, &labels("b")).unwrap();
        assert_eq!(head.series(target, &labels("a")), Ok(a));
        for (series, at, value, expected) in [
            (a, 10, 1.0, Appended::Stored),
            (b, 10, 5.0, Appended::Stored),
            (a, 10, 9.0, Appended::Duplicate),
            (a, 20, 2.0, Appended::Stored),
            (a, 15, 9.0, Appended::OutOfOrder),
            (a, 30, 3.0, Appended::Stored),
            (b, 30, 6.0, Appended::Stored),
        ] {
            assert_eq!(
                head.append(series, at, Value::Float(value)),
                expected,
                "{at}"
            );
        }
        let expected = (
            vec![(10, 1.0), (20, 2.0), (30, 3.0)],
            vec![(10, 5.0), (30, 6.0)],
        );
        assert_eq!((seen(&head, "a"), seen(&head, "b")), expected);
        let block = Block::open(head.cut().unwrap().into()).unwrap();
        assert_eq!((seen(&block, "a"), seen(&block, "b")), expected);
        assert!(head.is_empty() && seen(&head, "a").is_empty());
    }

    #[test]
    fn a_target_has_a_limit_of_its_own() {
        let mut head = Head::new(1);
        let (one, two) = (head.target(), head.target());
        assert!(head.series(one, &Labels::new([("__name__", "a")])).is_ok());
        let full = head
            .series(one, &Labels::new([("__name__", "b")]))
            .unwrap_err();
        assert_eq!(
            full.to_string(),
            "the target has 1 series, its limit; {__name__=\"b\"} is refused"
        );
        assert!(head.series(two, &Labels::new([("__name__", "b")])).is_ok());
    }
}
