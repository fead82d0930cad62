//! Functions of histograms, classic and native: quantiles, fractions, moments.

use crate::annotation::{Repair, named};
use crate::ast::Expr;
use crate::classic::{self, ClassicBucket};
use crate::eval::{Evaluator, Result};
use crate::fault::Span;
use crate::native::{self, Nans};
use crate::value::{Cell, Column, Series, Steps};
use mainstay_metrics::arithmetic::Compensated;
use mainstay_metrics::histogram::general;
use mainstay_metrics::label::{BUCKET, quoted};
use mainstay_metrics::{FloatHistogram, Labels, Value};
use std::collections::HashMap;

/// A classic histogram: series that differ in `le` alone.
struct Classic {
    labels: Labels,
    drop_name: bool,
    /// Upper bounds and which series.
    buckets: Vec<(f64, usize)>,
    /// A native histogram of the same labels.
    native: Option<usize>,
}

/// What is computed of one histogram.
#[derive(Clone, Copy)]
enum Figure<'a> {
    Quantile(&'a [f64]),
    Fraction(&'a [f64], &'a [f64]),
}

impl Evaluator<'_> {
    pub(crate) fn histogram_quantile(
        &self,
        arguments: &[Expr],
        steps: Steps,
    ) -> Result<Vec<Series>> {
        let quantiles = self.scalar(&arguments[0], steps)?;
        self.check_quantiles(&quantiles, arguments[0].span);
        let series = self.whole(|evaluator| evaluator.vector(&arguments[1], steps))?;
        self.figures(
            &series,
            Figure::Quantile(&quantiles),
            arguments[1].span,
            steps,
        )
    }

    /// Several quantiles, told apart by a label.
    pub(crate) fn histogram_quantiles(
        &self,
        arguments: &[Expr],
        steps: Steps,
    ) -> Result<Vec<Series>> {
        let label = crate::relabel::label_name(&arguments[1])?;
        let series = self.whole(|evaluator| evaluator.vector(&arguments[0], steps))?;
        let mut results = Vec::new();
        for argument in &arguments[2..] {
            let quantiles = self.scalar(argument, steps)?;
            self.check_quantiles(&quantiles, argument.span);
            for one in self.figures(
                &series,
                Figure::Quantile(&quantiles),
                arguments[0].span,
                steps,
            )? {
                // A quantile may change from step to step, and its label with it.
                let mut by_quantile: Vec<(u64, Column)> = Vec::new();
                for (place, quantile) in quantiles.iter().enumerate() {
                    let Some(value) = one.column.float(place) else {
                        continue;
                    };
                    let bits = quantile.to_bits();
                    let at = by_quantile
                        .iter()
                        .position(|(known, _)| *known == bits)
                        .unwrap_or_else(|| {
                            by_quantile.push((bits, Column::new(steps.count)));
                            by_quantile.len() - 1
                        });
                    by_quantile[at].1.set_float(place, value);
                }
                for (bits, column) in by_quantile {
                    let mut labels = one.labels.edit();
                    labels.set(&label, &general(f64::from_bits(bits)));
                    results.push(Series {
                        labels: labels.build(),
                        drop_name: one.drop_name,
                        column,
                    });
                }
            }
        }
        Ok(results)
    }

    pub(crate) fn histogram_fraction(
        &self,
        arguments: &[Expr],
        steps: Steps,
    ) -> Result<Vec<Series>> {
        let lower = self.scalar(&arguments[0], steps)?;
        let upper = self.scalar(&arguments[1], steps)?;
        let series = self.whole(|evaluator| evaluator.vector(&arguments[2], steps))?;
        self.figures(
            &series,
            Figure::Fraction(&lower, &upper),
            arguments[2].span,
            steps,
        )
    }

    fn figures(
        &self,
        series: &[Series],
        figure: Figure<'_>,
        span: Span,
        steps: Steps,
    ) -> Result<Vec<Series>> {
        let mut results = Vec::new();
        let classics = self.classics(series, span);
        let natives = series.iter().enumerate().map(|(index, one)| {
            let beside = classics
                .iter()
                .find(|classic| classic.native == Some(index) && !classic.buckets.is_empty());
            let column = one.column.map(|place, cell| {
                let Cell::Histogram(histogram) = cell else {
                    return None;
                };
                if let Some(classic) = beside
                    && classic
                        .buckets
                        .iter()
                        .any(|(_, bucket)| series[*bucket].column.float(place).is_some())
                {
                    let text = "vector contains a mix of classic and native histograms";
                    self.warn(span, named(text, one.labels.metric()));
                    return None;
                }
                Some(Value::Float(self.of_native(
                    histogram,
                    figure,
                    place,
                    one.labels.metric(),
                    span,
                )))
            });
            Series {
                labels: one.labels.clone(),
                drop_name: true,
                column,
            }
        });
        results.extend(natives.filter(|one| !one.column.is_empty()));
        for classic in classics
            .iter()
            .filter(|classic| !classic.buckets.is_empty())
        {
            let mut column = Column::new(steps.count);
            let mut buckets = Vec::with_capacity(classic.buckets.len());
            for place in 0..steps.count {
                if let Some(native) = classic.native
                    && matches!(series[native].column.get(place), Some(Cell::Histogram(_)))
                {
                    continue;
                }
                buckets.clear();
                for (upper, member) in &classic.buckets {
                    if let Some(count) = series[*member].column.float(place) {
                        buckets.push(ClassicBucket {
                            upper: *upper,
                            count,
                        });
                    }
                }
                if !buckets.is_empty() {
                    let value = self.of_classic(
                        &mut buckets,
                        figure,
                        place,
                        classic.labels.metric(),
                        span,
                        steps,
                    );
                    column.set_float(place, value);
                }
            }
            if !column.is_empty() {
                self.hold(column.len())?;
                results.push(Series {
                    labels: classic.labels.clone(),
                    drop_name: classic.drop_name,
                    column,
                });
            }
        }
        Ok(results)
    }

    /// Sorts float series into classic histograms; notes native ones of the same labels.
    fn classics(&self, series: &[Series], span: Span) -> Vec<Classic> {
        let mut classics: Vec<Classic> = Vec::new();
        let mut places: HashMap<Labels, usize> = HashMap::new();
        for (index, one) in series.iter().enumerate() {
            let cells = (0..one.column.len()).map(|place| one.column.get(place));
            let (mut floats, mut histograms) = (false, false);
            for cell in cells.flatten() {
                floats |= matches!(cell, Cell::Float(_));
                histograms |= matches!(cell, Cell::Histogram(_));
            }
            let bound = one.labels.get(BUCKET);
            let upper = if floats { bound_of(bound) } else { None };
            if floats && upper.is_none() {
                let text = format!(
                    "bucket label \"le\" is missing or has a malformed value of {}",
                    quoted(bound.as_bytes())
                );
                self.warn(span, named(&text, one.labels.metric()));
            }
            let labels = if floats && upper.is_some() {
                one.labels.filtered(|label| &*label.name != BUCKET)
            } else {
                one.labels.clone()
            };
            if upper.is_none() && !histograms {
                continue;
            }
            let place = *places.entry(labels.clone()).or_insert_with(|| {
                classics.push(Classic {
                    labels,
                    drop_name: true,
                    buckets: Vec::new(),
                    native: None,
                });
                classics.len() - 1
            });
            if let Some(upper) = upper {
                classics[place].buckets.push((upper, index));
            }
            if histograms {
                classics[place].native = Some(index);
            }
        }
        classics
    }

    fn of_native(
        &self,
        histogram: &FloatHistogram,
        figure: Figure<'_>,
        place: usize,
        metric: &str,
        span: Span,
    ) -> f64 {
        match figure {
            Figure::Quantile(quantiles) => {
                let (value, nans) = native::quantile(quantiles[place], histogram);
                let text = match nans {
                    Nans::None => return value,
                    Nans::Result => {
                        "input to histogram_quantile has NaN observations, result is NaN"
                    }
                    Nans::Skewed => {
                        "input to histogram_quantile has NaN observations, result is skewed higher"
                    }
                };
                self.inform(span, named(text, metric));
                value
            }
            Figure::Fraction(lower, upper) => {
                let (value, nans) = native::fraction(lower[place], upper[place], histogram);
                if nans {
                    let text = "input to histogram_fraction has NaN observations, which are excluded from all fractions";
                    self.inform(span, named(text, metric));
                }
                value
            }
        }
    }

    fn of_classic(
        &self,
        buckets: &mut Vec<ClassicBucket>,
        figure: Figure<'_>,
        place: usize,
        metric: &str,
        span: Span,
        steps: Steps,
    ) -> f64 {
        match figure {
            Figure::Quantile(quantiles) => {
                let (value, mended) = classic::quantile(quantiles[place], buckets);
                if let Some(mended) = mended {
                    let at = steps.at(place);
                    let text = "input to histogram_quantile needed to be fixed for monotonicity (see \
                                https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
                    let repair = Repair {
                        first_ms: at,
                        last_ms: at,
                        lowest: mended.lowest,
                        highest: mended.highest,
                        difference: mended.difference,
                        samples: 1,
                    };
                    self.repaired(span, named(text, metric), repair);
                }
                value
            }
            Figure::Fraction(lower, upper) => {
                classic::fraction(lower[place], upper[place], buckets)
            }
        }
    }
}

/// A bucket's bound: a float as it is written in labels.
fn bound_of(text: &str) -> Option<f64> {
    if text.is_empty() {
        return None;
    }
    text.parse().ok()
}

/// `histogram_count` and its kin.
pub(crate) fn figure(name: &str, histogram: &FloatHistogram) -> f64 {
    match name {
        "histogram_count" => histogram.count,
        "histogram_sum" => histogram.sum,
        "histogram_avg" => histogram.sum / histogram.count,
        "histogram_stddev" => variance(histogram).sqrt(),
        _ => variance(histogram),
    }
}

/// Every observation is taken to lie in the middle of its bucket: the geometric one in exponential buckets,
/// zero in the zero bucket, the arithmetic one between custom bounds.
fn variance(histogram: &FloatHistogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let mut squares = Compensated::default();
    for bucket in histogram.buckets() {
        let middle = if histogram.is_custom() {
            f64::midpoint(bucket.lower, bucket.upper)
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            (bucket.lower * bucket.upper).sqrt().copysign(bucket.upper)
        };
        let delta = middle - mean;
        squares.add(bucket.count * delta * delta);
    }
    (squares.sum + squares.lost) / histogram.count
}
