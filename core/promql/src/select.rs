//! Vector selectors: the newest sample of every series at every step.

use crate::ast::Selector;
use crate::eval::{Evaluator, Looks, Result};
use crate::fault::Fault;
use crate::value::{Column, Series, Steps};
use mainstay_metrics::sample::is_stale;
use mainstay_metrics::{FloatHistogram, HistogramSample, ResetHint, Select, SeriesView, Value};
use std::sync::Arc;

impl Evaluator<'_> {
    /// Selects; with `times` the value is when the sample was, in seconds.
    pub(crate) fn select(
        &self,
        selector: &Selector,
        steps: Steps,
        times: bool,
    ) -> Result<Vec<Series>> {
        if selector.edge == crate::ast::Edge::Smoothed {
            return self.smoothed(selector, steps);
        }
        let looks = self.looks(&selector.modifiers, steps)?;
        let select = Select {
            matchers: &selector.matchers,
            after_ms: looks.first().saturating_sub(self.settings.lookback_ms),
            until_ms: looks.last(),
        };
        let mut found = Vec::new();
        self.visit(&select, |view| {
            let column = newest(view, looks, self.settings.lookback_ms, times);
            if !column.is_empty() {
                self.hold(column.len())?;
                found.push(Series {
                    labels: view.labels.clone(),
                    drop_name: times,
                    column,
                });
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Walks the source; the visitor's fault ends it.
    pub(crate) fn visit(
        &self,
        select: &Select<'_>,
        mut visitor: impl FnMut(SeriesView<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut outcome = Ok(());
        self.source
            .select(select, &mut |view| {
                let hinted;
                let mut view = view;
                if self.reads_counts() && !view.histograms.is_empty() {
                    hinted = with_hints(view.histograms);
                    view.histograms = &hinted;
                }
                outcome = self
                    .charge(view.values.len() + 4 * view.histograms.len() + 1)
                    .and_then(|()| visitor(view));
                outcome.is_ok()
            })
            .map_err(|fault| Fault::Source(fault.0))?;
        outcome
    }
}

/// The newest sample not older than the lookback at every step; a stale marker is no sample.
fn newest(view: SeriesView<'_>, looks: Looks, lookback_ms: i64, times: bool) -> Column {
    let mut column = Column::new(looks.steps.count);
    let (mut float, mut histogram) = (0, 0);
    for place in 0..looks.steps.count {
        let at = looks.at(place);
        while float < view.at_ms.len() && view.at_ms[float] <= at {
            float += 1;
        }
        while histogram < view.histograms.len() && view.histograms[histogram].at_ms <= at {
            histogram += 1;
        }
        let float_at = float.checked_sub(1).map(|last| view.at_ms[last]);
        let histogram_at = histogram
            .checked_sub(1)
            .map(|last| view.histograms[last].at_ms);
        let Some(newest) = float_at
            .max(histogram_at)
            .filter(|newest| *newest > at - lookback_ms)
        else {
            continue;
        };
        if float_at == Some(newest) {
            let value = view.values[float - 1];
            if !is_stale(value) {
                column.set_float(place, if times { newest as f64 / 1000.0 } else { value });
            }
        } else if times {
            column.set_float(place, newest as f64 / 1000.0);
        } else {
            column.set(
                place,
                Value::Histogram(view.histograms[histogram - 1].histogram.clone()),
            );
        }
    }
    column
}

/// Says of every histogram whether it was reset, where the one before it is known.
fn with_hints(histograms: &[HistogramSample]) -> Vec<HistogramSample> {
    let mut hinted = histograms.to_vec();
    for (place, pair) in histograms.windows(2).enumerate() {
        let (before, now) = (&pair[0].histogram, &pair[1].histogram);
        if now.hint == ResetHint::Unknown {
            let hint = if now.resets_after(before) {
                ResetHint::Reset
            } else {
                ResetHint::NotReset
            };
            hinted[place + 1].histogram = Arc::new(FloatHistogram {
                hint,
                ..(**now).clone()
            });
        }
    }
    hinted
}
