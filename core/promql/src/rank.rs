//! Aggregations that keep elements: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use crate::aggregate::groups;
use crate::ast::{Aggregate, Aggregation};
use crate::eval::{Evaluator, Result};
use crate::fault::Fault;
use crate::order::compare;
use crate::value::{Cell, Column, Series, Steps};
use mainstay_metrics::Labels;
use mainstay_metrics::histogram::general;
use std::cmp::Ordering;

impl Evaluator<'_> {
    pub(crate) fn rank(&self, aggregate: &Aggregate, steps: Steps) -> Result<Vec<Series>> {
        let aggregation = aggregate.aggregation;
        let Some(expr) = &aggregate.parameter else {
            return Err(Fault::execution("a parameter is needed"));
        };
        let parameter = self.scalar(expr, steps)?;
        if parameter.iter().any(|value| value.is_nan()) {
            let what = if aggregation == Aggregation::LimitRatio {
                "Ratio"
            } else {
                "Parameter"
            };
            return Err(Fault::execution(format!("{what} value is NaN")));
        }
        let mut capped = parameter.clone();
        if aggregation == Aggregation::LimitRatio {
            for value in capped.iter_mut().filter(|value| value.abs() > 1.0) {
                let to = value.signum();
                let text = format!(
                    "ratio value should be between -1 and 1, got {}, capping to {}",
                    general(*value),
                    general(to)
                );
                self.warn(expr.span, text);
                *value = to;
            }
        } else if let Some(value) = parameter
            .iter()
            .find(|value| value.abs() > 9.223_372_036_854_776e18)
        {
            return Err(Fault::execution(format!(
                "Scalar value {} overflows int64",
                general(*value)
            )));
        }
        let series = self.vector(&aggregate.inner, steps)?;
        let mut columns: Vec<Option<Column>> = vec![None; series.len()];
        // In an instant query the order of the answer is that of the rank.
        let mut order = Vec::new();
        for group in groups(aggregate, &series) {
            for (place, limit) in capped.iter().enumerate() {
                let chosen = if aggregation == Aggregation::LimitRatio {
                    let members = group
                        .members
                        .iter()
                        .copied()
                        .filter(|member| series[*member].column.has(place));
                    members
                        .filter(|member| in_ratio(&series[*member].labels, *limit))
                        .collect()
                } else {
                    self.chosen(aggregate, &series, &group.members, *limit, place)
                };
                for member in chosen {
                    let Some(cell) = series[member].column.get(place) else {
                        continue;
                    };
                    if columns[member].is_none() {
                        self.hold(steps.count)?;
                        order.push(member);
                    }
                    columns[member]
                        .get_or_insert_with(|| Column::new(steps.count))
                        .set(place, cell.owned());
                }
            }
        }
        let ranked = order.into_iter().filter_map(|member| {
            let one = &series[member];
            Some(Series {
                labels: one.labels.clone(),
                drop_name: one.drop_name,
                column: columns[member].take()?,
            })
        });
        Ok(ranked.collect())
    }

    /// The best, in their order; of equal ones those that come first.
    fn chosen(
        &self,
        aggregate: &Aggregate,
        series: &[Series],
        members: &[usize],
        count: f64,
        place: usize,
    ) -> Vec<usize> {
        let count = if count < 1.0 { 0 } else { count as usize };
        if aggregate.aggregation == Aggregation::Limitk {
            return members
                .iter()
                .copied()
                .filter(|member| series[*member].column.has(place))
                .take(count)
                .collect();
        }
        let mut values: Vec<(f64, usize)> = Vec::new();
        for member in members {
            match series[*member].column.get(place) {
                Some(Cell::Float(value)) => values.push((value, *member)),
                Some(Cell::Histogram(_)) if count > 0 => {
                    self.passed_over(aggregate.aggregation, aggregate.inner.span);
                }
                _ => {}
            }
        }
        let descending = aggregate.aggregation == Aggregation::Topk;
        let by = |one: &(f64, usize), two: &(f64, usize)| -> Ordering {
            let equal = one.0 == two.0;
            let by_value = if equal {
                Ordering::Equal
            } else {
                compare(one.0, two.0, descending)
            };
            by_value.then(one.1.cmp(&two.1))
        };
        values.sort_by(by);
        values.truncate(count);
        values.into_iter().map(|(_, member)| member).collect()
    }
}

/// Whether a series is in a ratio of all, chosen by its labels alone: a positive ratio counts from the low
/// end of the hash, a negative one from the high end, so that r and r-1 complement one another.
fn in_ratio(labels: &Labels, ratio: f64) -> bool {
    let share = hash(labels) as f64 / u64::MAX as f64;
    if ratio >= 0.0 {
        share < ratio
    } else {
        share >= 1.0 + ratio
    }
}

/// A hash of a label set that no run and no machine changes: xxHash64 of lengths and texts.
fn hash(labels: &Labels) -> u64 {
    let mut bytes = Vec::new();
    for label in labels {
        for text in [&label.name, &label.value] {
            let length = text.len();
            if length < 255 {
                bytes.push(length as u8);
            } else {
                bytes.push(255);
                bytes.extend_from_slice(&(length as u32).to_le_bytes()[..3]);
            }
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    crate::hash::xx64(&bytes)
}
