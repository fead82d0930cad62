//! `rate`, `increase`, `delta`, `irate`, `idelta`: change over a range.

use crate::annotation::{Joining, named};
use crate::eval::Evaluator;
use crate::fault::Span;
use crate::value::Cell;
use crate::window::Window;
use mainstay_metrics::label::quoted;
use mainstay_metrics::{FloatHistogram, HistogramSample, ResetHint, Value};

/// What a change is of and per.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// A counter: falls are resets.
    pub(crate) counter: bool,
    /// Divided by seconds.
    pub(crate) per_second: bool,
}

/// A range may begin or end this many average distances from its first or last sample and still be taken as
/// covered: scrapes are not exactly regular.
const COVERED: f64 = 1.1;

const COUNTER_ENDINGS: [&str; 4] = ["_total", "_sum", "_count", "_bucket"];

impl Evaluator<'_> {
    /// The change over a window, extrapolated to its ends.
    pub(crate) fn change(
        &self,
        window: &Window<'_>,
        change: Change,
        seconds: f64,
        span: Span,
    ) -> Option<Value> {
        self.name_of_counter(window, change, span);
        if window.is_mixed() {
            self.mixed(window.metric, span);
            return None;
        }
        let floats = window.values.len() >= 2;
        if !floats && window.histograms.len() < 2 {
            return None;
        }
        let (first_at, last_at, between) = if floats {
            (
                window.at[0],
                window.at[window.at.len() - 1],
                window.at.len() - 1,
            )
        } else {
            let list = window.histograms;
            (list[0].at_ms, list[list.len() - 1].at_ms, list.len() - 1)
        };
        let mut float = 0.0;
        let mut histogram = None;
        // A counter's value cannot have been below zero before its first sample.
        let mut ratio_to_zero = None;
        if floats {
            float = difference(window.values, change.counter);
            if float > 0.0 && window.values[0] >= 0.0 {
                ratio_to_zero = Some(window.values[0] / float);
            }
        } else {
            let result = self.histogram_change(window, change.counter, span)?;
            let first = window.histograms[0].histogram.count;
            if result.count > 0.0 && first >= 0.0 {
                ratio_to_zero = Some(first / result.count);
            }
            histogram = Some(result);
        }
        let sampled = (last_at - first_at) as f64 / 1000.0;
        let average = sampled / between as f64;
        let mut to_start = (first_at - window.after) as f64 / 1000.0;
        let mut to_end = (window.until - last_at) as f64 / 1000.0;
        if to_start >= average * COVERED {
            to_start = average / 2.0;
        }
        if let Some(ratio) = ratio_to_zero.filter(|_| change.counter) {
            to_start = to_start.min(sampled * ratio);
        }
        if to_end >= average * COVERED {
            to_end = average / 2.0;
        }
        let mut factor = (sampled + to_start + to_end) / sampled;
        if change.per_second {
            factor /= seconds;
        }
        Some(match histogram {
            Some(histogram) => Value::Histogram(histogram.scaled(factor).into()),
            None => Value::Float(float * factor),
        })
    }

    /// Says that a metric does not look like a counter.
    pub(crate) fn name_of_counter(&self, window: &Window<'_>, change: Change, span: Span) {
        let metric = window.metric;
        if change.counter
            && !metric.is_empty()
            && !window.values.is_empty()
            && !COUNTER_ENDINGS
                .iter()
                .any(|ending| metric.ends_with(ending))
        {
            let text =
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket";
            self.inform(span, format!("{text}: {}", quoted(metric.as_bytes())));
        }
    }

    pub(crate) fn mixed(&self, metric: &str, span: Span) {
        self.warn(
            span,
            named("encountered a mix of histograms and floats", metric),
        );
    }

    fn layouts_differ(&self, metric: &str, span: Span) {
        let text =
            "vector contains a mix of histograms with exponential and custom buckets schemas";
        self.warn(span, named(text, metric));
    }

    pub(crate) fn bounds_reconciled(&self, joining: Joining, span: Span) {
        self.inform(
            span,
            format!(
                "mismatched custom buckets were reconciled during {}",
                joining.name()
            ),
        );
    }

    fn not_a(&self, kind: &str, metric: &str, span: Span) {
        let text = format!("this native histogram metric is not a {kind}");
        if metric.is_empty() {
            self.warn(span, text);
        } else {
            self.warn(span, format!("{text}: {}", quoted(metric.as_bytes())));
        }
    }

    /// The difference of the last and first histogram, with what resets took added.
    pub(crate) fn histogram_change(
        &self,
        window: &Window<'_>,
        counter: bool,
        span: Span,
    ) -> Option<FloatHistogram> {
        let list: &[HistogramSample] = window.histograms;
        let gauge = |sample: &HistogramSample| sample.histogram.hint == ResetHint::Gauge;
        if counter && list.iter().any(gauge) {
            self.not_a("counter", window.metric, span);
        }
        let last = &list[list.len() - 1].histogram;
        let mut previous = (*list[0].histogram).clone();
        if counter && list[1].histogram.resets_after(&previous) {
            // What was before a reset right at the beginning does not matter, nor does its layout.
            previous = list[1].histogram.emptied();
        }
        let custom = previous.is_custom();
        let checked = if counter {
            &list[1..]
        } else {
            &list[list.len() - 1..]
        };
        if checked
            .iter()
            .any(|sample| sample.histogram.is_custom() != custom)
        {
            self.layouts_differ(window.metric, span);
            return None;
        }
        let mut schema = previous.schema.min(last.schema);
        if counter {
            schema = list[1..]
                .iter()
                .map(|sample| sample.histogram.schema)
                .fold(schema, i32::min);
        }
        let mut result = last.at_schema(schema);
        match result.subtract(&previous) {
            Ok(joined) if joined.bounds_reconciled => {
                self.bounds_reconciled(Joining::Subtraction, span);
            }
            Ok(_) => {}
            Err(_) => {
                self.layouts_differ(window.metric, span);
                return None;
            }
        }
        if counter {
            let mut before = previous;
            for sample in &list[1..] {
                if sample.histogram.resets_after(&before) {
                    match result.add(&before) {
                        Ok(joined) if joined.bounds_reconciled => {
                            self.bounds_reconciled(Joining::Addition, span);
                        }
                        Ok(_) => {}
                        Err(_) => {
                            self.layouts_differ(window.metric, span);
                            return None;
                        }
                    }
                }
                before = (*sample.histogram).clone();
            }
        } else if !gauge(&list[0]) || !gauge(&list[list.len() - 1]) {
            self.not_a("gauge", window.metric, span);
        }
        result.hint = ResetHint::Gauge;
        Some(result)
    }

    /// The change between the last two samples.
    pub(crate) fn last_change(&self, window: &Window<'_>, rate: bool, span: Span) -> Option<Value> {
        self.name_of_counter(
            window,
            Change {
                counter: rate,
                per_second: true,
            },
            span,
        );
        let (floats, histograms) = (window.values.len(), window.histograms.len());
        let tail = Window {
            at: &window.at[floats.saturating_sub(2)..],
            values: &window.values[floats.saturating_sub(2)..],
            histograms: &window.histograms[histograms.saturating_sub(2)..],
            ..*window
        };
        let all = tail.all();
        let [.., before, last] = all.as_slice() else {
            return None;
        };
        let seconds = (last.0 - before.0) as f64 / 1000.0;
        if seconds == 0.0 {
            return None;
        }
        match (before.1, last.1) {
            (Cell::Float(before), Cell::Float(last)) => {
                let change = if rate && last < before {
                    last
                } else {
                    last - before
                };
                Some(Value::Float(if rate { change / seconds } else { change }))
            }
            (Cell::Histogram(before), Cell::Histogram(last)) => {
                let gauges = [before, last]
                    .iter()
                    .filter(|one| one.hint == ResetHint::Gauge)
                    .count();
                if rate && gauges > 0 {
                    self.not_a("counter", window.metric, span);
                }
                if !rate && gauges < 2 {
                    self.not_a("gauge", window.metric, span);
                }
                let mut change = (**last).clone();
                if !rate || !last.resets_after(before) {
                    match change.subtract(before) {
                        Ok(joined) if joined.bounds_reconciled => {
                            self.bounds_reconciled(Joining::Subtraction, span);
                        }
                        Ok(_) => {}
                        Err(_) => {
                            self.layouts_differ(window.metric, span);
                            return None;
                        }
                    }
                }
                change.hint = ResetHint::Gauge;
                let change = if rate {
                    change.divided(seconds)
                } else {
                    change
                };
                Some(Value::Histogram(change.into()))
            }
            _ => {
                self.mixed(window.metric, span);
                None
            }
        }
    }
}

/// Last minus first, with what a counter's resets took added.
pub(crate) fn difference(values: &[f64], counter: bool) -> f64 {
    let mut result = values[values.len() - 1] - values[0];
    if counter {
        for pair in values.windows(2) {
            if pair[1] < pair[0] {
                result += pair[0];
            }
        }
    }
    result
}
