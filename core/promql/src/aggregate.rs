//! Aggregations over labels.

use crate::annotation::named;
use crate::ast::{Aggregate, Aggregation};
use crate::eval::{Evaluator, Result};
use crate::fault::{Fault, Span};
use crate::over_time::{HistogramTotal, Mean};
use crate::value::{Cell, Column, Series, Steps};
use mainstay_metrics::arithmetic::Compensated;
use mainstay_metrics::label::NAME;
use mainstay_metrics::{Labels, Value};
use std::collections::HashMap;

/// Series that are aggregated together.
pub(crate) struct Group {
    pub(crate) labels: Labels,
    pub(crate) drop_name: bool,
    pub(crate) members: Vec<usize>,
}

impl Evaluator<'_> {
    pub(crate) fn aggregate(&self, aggregate: &Aggregate, steps: Steps) -> Result<Vec<Series>> {
        let span = aggregate.inner.span;
        match aggregate.aggregation {
            Aggregation::Topk
            | Aggregation::Bottomk
            | Aggregation::Limitk
            | Aggregation::LimitRatio => {
                return self.rank(aggregate, steps);
            }
            Aggregation::CountValues => return self.count_values(aggregate, steps),
            _ => {}
        }
        let parameter = match &aggregate.parameter {
            Some(parameter) => self.scalar(parameter, steps)?,
            None => Vec::new(),
        };
        if let Some(expr) = &aggregate.parameter {
            self.check_quantiles(&parameter, expr.span);
        }
        let series = self.vector(&aggregate.inner, steps)?;
        let mut results = Vec::new();
        for group in groups(aggregate, &series) {
            let mut column = Column::new(steps.count);
            for place in 0..steps.count {
                let cells = group.members.iter().filter_map(|member| {
                    let one = &series[*member];
                    Some((one.column.get(place)?, one.labels.metric()))
                });
                let value = match aggregate.aggregation {
                    Aggregation::Sum => self.sum(cells, span),
                    Aggregation::Avg => self.average(cells, span),
                    Aggregation::Count => some_count(cells.count()),
                    Aggregation::Group => some_count(cells.count().min(1)),
                    aggregation => self.of_values(
                        aggregation,
                        cells,
                        parameter.get(place).copied().unwrap_or(f64::NAN),
                        span,
                    ),
                };
                if let Some(value) = value {
                    column.set(place, value);
                }
            }
            if !column.is_empty() {
                self.hold(column.len())?;
                results.push(Series {
                    labels: group.labels,
                    drop_name: group.drop_name,
                    column,
                });
            }
        }
        Ok(results)
    }

    fn sum<'c>(
        &self,
        cells: impl Iterator<Item = (Cell<'c>, &'c str)>,
        span: Span,
    ) -> Option<Value> {
        let mut sum = Compensated::default();
        let mut floats = false;
        let mut histograms: Option<HistogramTotal> = None;
        for (cell, metric) in cells {
            match cell {
                Cell::Float(value) => {
                    floats = true;
                    sum.add(value);
                }
                Cell::Histogram(histogram) => {
                    if !histograms
                        .get_or_insert_default()
                        .add(self, histogram, false, span)
                    {
                        return self.layouts_of_aggregation(metric, span);
                    }
                }
            }
        }
        match histograms {
            Some(_) if floats => self.mixed_aggregation(span),
            Some(total) => total
                .value(self, false, span)
                .map(|sum| Value::Histogram(sum.into())),
            None => floats.then(|| Value::Float(sum.value())),
        }
    }

    fn average<'c>(
        &self,
        cells: impl Iterator<Item = (Cell<'c>, &'c str)>,
        span: Span,
    ) -> Option<Value> {
        let mut mean = Mean::default();
        let mut floats = false;
        let mut histograms: Option<HistogramTotal> = None;
        for (cell, metric) in cells {
            match cell {
                Cell::Float(value) => {
                    floats = true;
                    mean.add(value);
                }
                Cell::Histogram(histogram) => {
                    if !histograms
                        .get_or_insert_default()
                        .add(self, histogram, true, span)
                    {
                        return self.layouts_of_aggregation(metric, span);
                    }
                }
            }
        }
        match histograms {
            Some(_) if floats => self.mixed_aggregation(span),
            Some(total) => total
                .value(self, true, span)
                .map(|mean| Value::Histogram(mean.into())),
            None => floats.then(|| Value::Float(mean.value())),
        }
    }

    fn mixed_aggregation(&self, span: Span) -> Option<Value> {
        self.warn(
            span,
            "encountered a mix of histograms and floats for aggregation",
        );
        None
    }

    fn layouts_of_aggregation(&self, metric: &str, span: Span) -> Option<Value> {
        let text =
            "vector contains a mix of histograms with exponential and custom buckets schemas";
        self.warn(span, named(text, metric));
        None
    }

    /// Says that a histogram was passed over.
    pub(crate) fn passed_over(&self, aggregation: Aggregation, span: Span) {
        self.inform(
            span,
            format!("ignored histogram in {} aggregation", aggregation.name()),
        );
    }

    /// Aggregations of floats alone.
    fn of_values<'c>(
        &self,
        aggregation: Aggregation,
        cells: impl Iterator<Item = (Cell<'c>, &'c str)>,
        parameter: f64,
        span: Span,
    ) -> Option<Value> {
        let mut values = Vec::new();
        for (cell, _) in cells {
            match cell {
                Cell::Float(value) => values.push(value),
                Cell::Histogram(_) => self.passed_over(aggregation, span),
            }
        }
        if values.is_empty() {
            return None;
        }
        Some(Value::Float(match aggregation {
            Aggregation::Min => crate::over_time::min(&values),
            Aggregation::Max => crate::over_time::max(&values),
            Aggregation::Stddev => variance(&values).sqrt(),
            Aggregation::Stdvar => variance(&values),
            _ => quantile(parameter, &mut values),
        }))
    }

    fn count_values(&self, aggregate: &Aggregate, steps: Steps) -> Result<Vec<Series>> {
        let label = match &aggregate.parameter {
            Some(parameter) => crate::relabel::label_name(parameter)?,
            None => return Err(Fault::execution("a string is needed")),
        };
        // The label that is written takes no part in the grouping.
        let mut grouped = aggregate.clone();
        if aggregate.without {
            grouped.grouping.push(label.clone());
        } else {
            grouped.grouping.retain(|name| *name != label);
        }
        let series = self.vector(&aggregate.inner, steps)?;
        let mut results: Vec<Series> = Vec::new();
        let mut places: HashMap<Labels, usize> = HashMap::new();
        for group in groups(&grouped, &series) {
            for (member, place) in group
                .members
                .iter()
                .flat_map(|member| (0..steps.count).map(move |place| (*member, place)))
            {
                let text = match series[member].column.get(place) {
                    Some(Cell::Float(value)) => decimal(value),
                    Some(Cell::Histogram(histogram)) => histogram.to_string(),
                    None => continue,
                };
                let mut labels = group.labels.edit();
                labels.set(&label, &text);
                let labels = labels.build();
                let result = *places.entry(labels.clone()).or_insert_with(|| {
                    results.push(Series {
                        labels,
                        drop_name: group.drop_name && label != NAME,
                        column: Column::new(steps.count),
                    });
                    results.len() - 1
                });
                let column = &mut results[result].column;
                let before = column.float(place).unwrap_or(0.0);
                column.set_float(place, before + 1.0);
                self.charge(1)?;
            }
        }
        Ok(results)
    }
}

/// A float without an exponent.
fn decimal(value: f64) -> String {
    if value.is_finite() {
        return format!("{value}");
    }
    mainstay_metrics::histogram::general(value)
}

fn some_count(count: usize) -> Option<Value> {
    (count > 0).then_some(Value::Float(count as f64))
}

/// Sorts series into groups, in the order in which groups first come.
pub(crate) fn groups(aggregate: &Aggregate, series: &[Series]) -> Vec<Group> {
    let mut grouping: Vec<&str> = aggregate.grouping.iter().map(String::as_str).collect();
    grouping.sort_unstable();
    grouping.dedup();
    if grouping.is_empty() && !aggregate.without {
        let members: Vec<usize> = (0..series.len()).collect();
        let drop_name = series.iter().any(|one| one.drop_name);
        return vec![Group {
            labels: Labels::default(),
            drop_name,
            members,
        }];
    }
    let mut groups: Vec<Group> = Vec::new();
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut key = Vec::new();
    for (member, one) in series.iter().enumerate() {
        key.clear();
        let kept = |name: &str| match grouping.binary_search(&name) {
            Ok(_) => !aggregate.without,
            Err(_) => aggregate.without && name != NAME,
        };
        for label in one.labels.iter().filter(|label| kept(&label.name)) {
            key.extend_from_slice(label.name.as_bytes());
            key.push(0xff);
            key.extend_from_slice(label.value.as_bytes());
            key.push(0xff);
        }
        let place = if let Some(place) = places.get(key.as_slice()) {
            *place
        } else {
            groups.push(Group {
                labels: one.labels.filtered(|label| kept(&label.name)),
                drop_name: one.drop_name,
                members: Vec::new(),
            });
            places.insert(key.clone(), groups.len() - 1);
            groups.len() - 1
        };
        groups[place].members.push(member);
        // A name that one of them is to lose is lost by the group.
        groups[place].drop_name |= one.drop_name;
    }
    groups
}

/// Population variance (Welford); NaN when a value is not finite.
fn variance(values: &[f64]) -> f64 {
    let (mut mean, mut squares, mut count) = (0.0, 0.0, 0.0);
    for value in values {
        if !value.is_finite() {
            return f64::NAN;
        }
        count += 1.0;
        let delta = value - mean;
        mean += delta / count;
        squares += delta * (value - mean);
    }
    squares / count
}

/// The value at a rank between the lowest (0) and highest (1), interpolated; NaN counts as lowest. Sorts.
pub(crate) fn quantile(rank: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || rank.is_nan() {
        return f64::NAN;
    }
    if rank < 0.0 {
        return f64::NEG_INFINITY;
    }
    if rank > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(|one, two| match (one.is_nan(), two.is_nan()) {
        (true, false) => std::cmp::Ordering::Less,
        (false, true) => std::cmp::Ordering::Greater,
        _ => one.total_cmp(two),
    });
    let last = values.len() - 1;
    let exact = rank * last as f64;
    let lower = (exact.floor() as usize).min(last);
    let upper = (lower + 1).min(last);
    let weight = exact - exact.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}
