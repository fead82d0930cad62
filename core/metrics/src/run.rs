//! Runs: the samples of a series in the order of time, cut where floats and native histograms take turns.

use crate::sample::HistogramSample;
use crate::source::SeriesView;

/// Samples of one series that follow each other and are of one kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Run<'a> {
    /// When, in milliseconds since 1970, and what.
    Floats(&'a [i64], &'a [f64]),
    /// Native histograms.
    Histograms(&'a [HistogramSample]),
}

impl Run<'_> {
    /// How many samples there are.
    pub fn len(self) -> usize {
        match self {
            Self::Floats(at_ms, _) => at_ms.len(),
            Self::Histograms(some) => some.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The first so many, and the rest.
    #[must_use]
    pub fn split(self, count: usize) -> (Self, Self) {
        let count = count.min(self.len());
        match self {
            Self::Floats(at_ms, values) => {
                let (at_ms, values) = (at_ms.split_at(count), values.split_at(count));
                (
                    Self::Floats(at_ms.0, values.0),
                    Self::Floats(at_ms.1, values.1),
                )
            }
            Self::Histograms(some) => {
                let (first, rest) = some.split_at(count);
                (Self::Histograms(first), Self::Histograms(rest))
            }
        }
    }
}

/// The runs of a series, oldest first. Receivers refuse what is older than what they have, so a marker that ends a
/// series of histograms must not come before them.
pub fn runs(view: SeriesView<'_>) -> Vec<Run<'_>> {
    let mut runs = Vec::new();
    let (mut at_ms, mut values, mut histograms) = (view.at_ms, view.values, view.histograms);
    loop {
        let count = match histograms.first() {
            Some(next) => at_ms.partition_point(|at| *at <= next.at_ms),
            None => at_ms.len(),
        };
        if count > 0 {
            runs.push(Run::Floats(&at_ms[..count], &values[..count]));
            (at_ms, values) = (&at_ms[count..], &values[count..]);
        }
        let count = match at_ms.first() {
            Some(next) => histograms.partition_point(|one| one.at_ms < *next),
            None => histograms.len(),
        };
        if count == 0 {
            return runs;
        }
        runs.push(Run::Histograms(&histograms[..count]));
        histograms = &histograms[count..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FloatHistogram, Labels};
    use std::sync::Arc;

    #[test]
    fn kinds_take_turns_by_time() {
        let labels = Labels::default();
        let histogram = |at_ms| HistogramSample {
            at_ms,
            histogram: Arc::new(FloatHistogram::default()),
        };
        let all = [10, 20, 40, 70].map(histogram);
        let view = SeriesView {
            labels: &labels,
            at_ms: &[1, 2, 30, 50, 60],
            values: &[0.0; 5],
            histograms: &all,
        };
        let lengths = |runs: &[Run<'_>]| -> Vec<(bool, usize)> {
            let kind = |run: &Run<'_>| (matches!(run, Run::Floats(..)), run.len());
            runs.iter().map(kind).collect()
        };
        assert_eq!(
            lengths(&runs(view)),
            [
                (true, 2),
                (false, 2),
                (true, 1),
                (false, 1),
                (true, 2),
                (false, 1)
            ]
        );
        let floats = SeriesView {
            histograms: &[],
            ..view
        };
        assert_eq!(lengths(&runs(floats)), [(true, 5)]);
        let (first, rest) = runs(floats)[0].split(2);
        assert_eq!((first.len(), rest.len()), (2, 3));
        let histograms = SeriesView {
            at_ms: &[],
            values: &[],
            ..view
        };
        assert_eq!(lengths(&runs(histograms)), [(false, 4)]);
    }
}
