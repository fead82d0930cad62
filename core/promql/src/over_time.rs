//! Functions `…_over_time` and their kin: one value of a range.

use crate::aggregate::quantile;
use crate::annotation::{Joining, named};
use crate::eval::Evaluator;
use crate::fault::Span;
use crate::value::Cell;
use crate::window::Window;
use mainstay_metrics::arithmetic::Compensated;
use mainstay_metrics::{FloatHistogram, ResetHint, Value};

impl Evaluator<'_> {
    /// Sum or average; floats and histograms do not mix.
    pub(crate) fn total(&self, window: &Window<'_>, average: bool, span: Span) -> Option<Value> {
        if window.is_mixed() {
            self.mixed(window.metric, span);
            return None;
        }
        if !window.values.is_empty() {
            return Some(Value::Float(if average {
                mean(window.values)
            } else {
                sum(window.values)
            }));
        }
        let mut total = HistogramTotal::default();
        for sample in window.histograms {
            if !total.add(self, &sample.histogram, average, span) {
                let text = "vector contains a mix of histograms with exponential and custom buckets schemas";
                self.warn(span, named(text, window.metric));
                return None;
            }
        }
        total
            .value(self, average, span)
            .map(|histogram| Value::Histogram(histogram.into()))
    }

    /// A function of the floats; a range of histograms alone yields nothing.
    pub(crate) fn of_floats(
        &self,
        window: &Window<'_>,
        span: Span,
        function: impl Fn(&[f64]) -> f64,
    ) -> Option<Value> {
        if window.values.is_empty() {
            return None;
        }
        self.ignored(window, span);
        Some(Value::Float(function(window.values)))
    }
}

/// A running sum or average of histograms.
#[derive(Debug, Default)]
pub(crate) struct HistogramTotal {
    sum: Option<FloatHistogram>,
    lost: FloatHistogram,
    count: f64,
    /// Whether the sum overflowed, so that it holds the mean instead.
    incremental: bool,
    resets: (bool, bool),
    collides: bool,
}

impl HistogramTotal {
    /// Adds one; false when the layouts cannot be joined.
    pub(crate) fn add(
        &mut self,
        evaluator: &Evaluator<'_>,
        histogram: &FloatHistogram,
        average: bool,
        span: Span,
    ) -> bool {
        self.count += 1.0;
        self.resets.0 |= histogram.hint == ResetHint::Reset;
        self.resets.1 |= histogram.hint == ResetHint::NotReset;
        let Some(sum) = &mut self.sum else {
            self.sum = Some(histogram.clone());
            self.lost = histogram.emptied();
            return true;
        };
        if average && !self.incremental {
            let (mut trial, mut lost) = (sum.clone(), self.lost.clone());
            let Ok(joined) = trial.add_compensated(&mut lost, histogram) else {
                return false;
            };
            if !trial.overflows() {
                if joined.bounds_reconciled {
                    evaluator.bounds_reconciled(Joining::Aggregation, span);
                }
                (*sum, self.lost) = (trial, lost);
                return true;
            }
            self.incremental = true;
            *sum = sum.clone().divided(self.count - 1.0);
            self.lost = self.lost.clone().divided(self.count - 1.0);
        }
        let joined = if self.incremental {
            let share = (self.count - 1.0) / self.count;
            *sum = sum.clone().scaled(share);
            self.lost = self.lost.clone().scaled(share);
            sum.add_compensated(&mut self.lost, &histogram.clone().divided(self.count))
        } else {
            sum.add_compensated(&mut self.lost, histogram)
        };
        let Ok(joined) = joined else {
            return false;
        };
        if joined.bounds_reconciled {
            evaluator.bounds_reconciled(Joining::Aggregation, span);
        }
        true
    }

    /// The sum or average so far; says when resets contradicted one another.
    pub(crate) fn value(
        mut self,
        evaluator: &Evaluator<'_>,
        average: bool,
        span: Span,
    ) -> Option<FloatHistogram> {
        let sum = self.sum.take()?;
        self.collides |= self.resets == (true, true);
        if self.collides {
            let text = format!(
                "conflicting counter resets during histogram {}",
                Joining::Aggregation.name()
            );
            evaluator.warn(span, text);
        }
        let settled = sum.settled(&self.lost);
        Some(if average && !self.incremental {
            settled.divided(self.count)
        } else {
            settled
        })
    }
}

/// A sum that keeps what rounding loses.
pub(crate) fn sum(values: &[f64]) -> f64 {
    let mut total = Compensated::default();
    for value in values {
        total.add(*value);
    }
    total.value()
}

/// A running mean: of the sum as long as that does not overflow, then by increments.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mean {
    total: Compensated,
    count: f64,
    incremental: bool,
}

impl Mean {
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.total = Compensated::new(value);
            return;
        }
        if !self.incremental {
            let mut trial = self.total;
            trial.add(value);
            if !trial.sum.is_infinite() {
                self.total = trial;
                return;
            }
            self.incremental = true;
            self.total.sum /= self.count - 1.0;
            self.total.lost /= self.count - 1.0;
        }
        let share = (self.count - 1.0) / self.count;
        self.total.sum *= share;
        self.total.lost *= share;
        self.total.add(value / self.count);
    }

    pub(crate) fn value(self) -> f64 {
        if self.incremental {
            return self.total.value();
        }
        self.total.sum / self.count + self.total.lost / self.count
    }
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    let mut mean = Mean::default();
    for value in values {
        mean.add(*value);
    }
    mean.value()
}

/// Population variance in one pass (Welford), compensated.
pub(crate) fn variance(values: &[f64]) -> f64 {
    let (mut mean, mut squares) = (Compensated::default(), Compensated::default());
    let mut count = 0.0;
    for value in values {
        count += 1.0;
        let delta = value - (mean.sum + mean.lost);
        mean.add(delta / count);
        squares.add(delta * (value - (mean.sum + mean.lost)));
    }
    (squares.sum + squares.lost) / count
}

/// The smallest value; NaN only when there is nothing else.
pub(crate) fn min(values: &[f64]) -> f64 {
    let mut least = values[0];
    for value in &values[1..] {
        if *value < least || least.is_nan() {
            least = *value;
        }
    }
    least
}

/// The largest value; NaN only when there is nothing else.
pub(crate) fn max(values: &[f64]) -> f64 {
    let mut most = values[0];
    for value in &values[1..] {
        if *value > most || most.is_nan() {
            most = *value;
        }
    }
    most
}

/// Median of the distances from the median; NaN when a value is.
pub(crate) fn median_deviation(values: &[f64]) -> f64 {
    if values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let mut sorted = values.to_vec();
    let median = quantile(0.5, &mut sorted);
    let mut distances: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
    quantile(0.5, &mut distances)
}

/// When the smallest or largest value was last seen, in seconds.
pub(crate) fn time_of(window: &Window<'_>, better: impl Fn(f64, f64) -> bool) -> f64 {
    let (mut value, mut at) = (window.values[0], window.at[0]);
    for (candidate, when) in window.values.iter().zip(window.at) {
        if better(*candidate, value) || *candidate == value || value.is_nan() {
            (value, at) = (*candidate, *when);
        }
    }
    at as f64 / 1000.0
}

/// How often a value differs from the one before it.
pub(crate) fn changes(window: &Window<'_>) -> f64 {
    let mut count = 0.0;
    let all = window.all();
    for pair in all.windows(2) {
        let same = match (pair[0].1, pair[1].1) {
            (Cell::Float(one), Cell::Float(two)) => one == two || (one.is_nan() && two.is_nan()),
            (Cell::Histogram(one), Cell::Histogram(two)) => one.equals(two),
            _ => false,
        };
        count += f64::from(u8::from(!same));
    }
    count
}

/// How often a counter began again.
pub(crate) fn resets(window: &Window<'_>) -> f64 {
    if window.histograms.is_empty() {
        return window
            .values
            .windows(2)
            .filter(|pair| pair[1] < pair[0])
            .count() as f64;
    }
    let mut count = 0.0;
    let all = window.all();
    for pair in all.windows(2) {
        let reset = match (pair[0].1, pair[1].1) {
            (Cell::Float(one), Cell::Float(two)) => two < one,
            (Cell::Histogram(one), Cell::Histogram(two)) => {
                (one.hint == ResetHint::Gauge) != (two.hint == ResetHint::Gauge)
                    || two.resets_after(one)
            }
            _ => true,
        };
        count += f64::from(u8::from(reset));
    }
    count
}

/// Slope a second and value at a time, by least squares; NaN when a value is infinite.
pub(crate) fn regression(window: &Window<'_>, around_ms: i64) -> (f64, f64) {
    let values = window.values;
    let first = values[0];
    if values.iter().all(|value| *value == first) {
        return if first.is_infinite() {
            (f64::NAN, f64::NAN)
        } else {
            (0.0, first)
        };
    }
    let mut sums = [Compensated::default(); 4];
    for (at, value) in window.at.iter().zip(values) {
        let x = (at - around_ms) as f64 / 1000.0;
        for (sum, part) in sums.iter_mut().zip([x, *value, x * value, x * x]) {
            sum.add(part);
        }
    }
    let count = values.len() as f64;
    let [x, y, xy, xx] = sums.map(|sum| sum.sum + sum.lost);
    let covariance = xy - x * y / count;
    let spread = xx - x * x / count;
    let slope = covariance / spread;
    (slope, y / count - slope * x / count)
}

/// Holt's linear smoothing: the level after the last value.
pub(crate) fn smooth(values: &[f64], level_factor: f64, trend_factor: f64) -> Option<f64> {
    let [first, second, ..] = values else {
        return None;
    };
    let (mut before, mut level, mut trend) = (0.0, *first, second - first);
    for (place, value) in values.iter().enumerate().skip(1) {
        if place > 1 {
            trend = trend_factor * (level - before) + (1.0 - trend_factor) * trend;
        }
        let smoothed = level_factor * value + (1.0 - level_factor) * (level + trend);
        before = level;
        level = smoothed;
    }
    Some(level)
}
