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
