//! What a query reads from: series by matchers, their samples in a range of time, lent and not copied.

use crate::label::Labels;
use crate::matcher::Matcher;
use crate::sample::HistogramSample;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Select<'a> {
    /// Conditions, all of which hold.
    pub matchers: &'a [Matcher],
    /// Samples later than this, in milliseconds since 1970.
    pub after_ms: i64,
    /// Samples not later than this.
    pub until_ms: i64,
}

/// One series for the time of a visit. Columns are sorted by time; a stale marker is a float.
#[derive(Debug, Clone, Copy)]
pub struct SeriesView<'a> {
    /// Which series.
    pub labels: &'a Labels,
    /// When the floats were, in milliseconds since 1970.
    pub at_ms: &'a [i64],
    /// The floats, one a time.
    pub values: &'a [f64],
    /// Native histograms.
    pub histograms: &'a [HistogramSample],
}

/// Why a source gives nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceFault(pub String);

/// A store of series. The head, a block and a union of both are sources.
pub trait Source {
    /// Shows every series that matches and has samples in the range, each once, in a fixed order. The
    /// visitor says whether to go on.
    fn select(
        &self,
        select: &Select<'_>,
        visit: &mut dyn FnMut(SeriesView<'_>) -> bool,
    ) -> Result<(), SourceFault>;
}

impl<'a> SeriesView<'a> {
    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.at_ms.is_empty() && self.histograms.is_empty()
    }

    /// The same series with the samples that are asked for.
    #[must_use]
    pub fn within(self, select: &Select<'_>) -> Self {
        let from = self.at_ms.partition_point(|at| *at <= select.after_ms);
        let to = self
            .at_ms
            .partition_point(|at| *at <= select.until_ms)
            .max(from);
        let first = self
            .histograms
            .partition_point(|one| one.at_ms <= select.after_ms);
        let last = self
            .histograms
            .partition_point(|one| one.at_ms <= select.until_ms)
            .max(first);
        Self {
            labels: self.labels,
            at_ms: &self.at_ms[from..to],
            values: &self.values[from..to],
            histograms: &self.histograms[first..last],
        }
    }

    /// The times of the first and the last sample.
    pub fn span(&self) -> Option<(i64, i64)> {
        let floats = self.at_ms.first().copied().zip(self.at_ms.last().copied());
        let ends: Option<(&HistogramSample, &'a HistogramSample)> =
            self.histograms.first().zip(self.histograms.last());
        let histograms = ends.map(|(first, last)| (first.at_ms, last.at_ms));
        match (floats, histograms) {
            (Some(one), Some(two)) => Some((one.0.min(two.0), one.1.max(two.1))),
            (one, two) => one.or(two),
        }
    }
}
