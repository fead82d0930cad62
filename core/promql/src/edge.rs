//! Ranges with exact ends (`anchored`, `smoothed`): no extrapolation, a value stands at each end.

use crate::ast::{Edge, Kind, Selector};
use crate::eval::{Evaluator, Result};
use crate::fault::{Fault, Span};
use crate::rate::{Change, difference};
use crate::value::{Column, Series, Steps};
use crate::window::{Over, Window};
use mainstay_metrics::sample::is_stale;
use mainstay_metrics::{Select, SeriesView, Value};

const ANCHORED: [&str; 5] = ["changes", "delta", "increase", "rate", "resets"];
const SMOOTHED: [&str; 3] = ["delta", "increase", "rate"];

/// How an argument treats its ends.
pub(crate) fn of(kind: &Kind) -> Edge {
    match kind {
        Kind::Range(range) => range.selector.edge,
        _ => Edge::Plain,
    }
}

/// Refuses functions for which ends have no meaning.
pub(crate) fn permitted(kind: &Kind, name: &str) -> Result<()> {
    let (edge, list) = match of(kind) {
        Edge::Plain => return Ok(()),
        Edge::Anchored => ("anchored", &ANCHORED[..]),
        Edge::Smoothed => ("smoothed", &SMOOTHED[..]),
    };
    if list.contains(&name) {
        return Ok(());
    }
    Err(Fault::execution(format!(
        "{edge} modifier can only be used with: {} - not with {name}",
        list.join(", ")
    )))
}

/// Calls a function with the samples of a window and the values that stand at its ends. `view` reaches a
/// lookback farther than the window, to both sides where ends are interpolated.
pub(crate) fn extended(
    view: SeriesView<'_>,
    window: &Window<'_>,
    ends: Ends,
    function: &mut Over<'_>,
) -> Option<Value> {
    if !window.histograms.is_empty() {
        return function(window);
    }
    let smoothed = ends.edge == Edge::Smoothed;
    let reach = if smoothed { ends.lookback_ms } else { 0 };
    let from = view
        .at_ms
        .partition_point(|at| *at <= window.after - ends.lookback_ms);
    let to = view.at_ms.partition_point(|at| *at <= window.until + reach);
    let (at, values) = (
        &view.at_ms[from..to.max(from)],
        &view.values[from..to.max(from)],
    );
    let mut last = at.len().checked_sub(1)?;
    let first = at[..last]
        .partition_point(|time| *time <= window.after)
        .saturating_sub(1);
    if smoothed {
        last = at[..last].partition_point(|time| *time < window.until);
    }
    if at[last] <= window.after {
        return None;
    }
    let left = if smoothed && at[first] < window.after {
        between(
            [at[first], at[first + 1]],
            [values[first], values[first + 1]],
            window.after,
            ends.counter,
            true,
        )
    } else {
        values[first]
    };
    let right = if smoothed && last > 0 && at[last] > window.until {
        between(
            [at[last - 1], at[last]],
            [values[last - 1], values[last]],
            window.until,
            ends.counter,
            false,
        )
    } else {
        values[last]
    };
    let mut times = vec![window.after];
    let mut points = vec![left];
    for (time, value) in at.iter().zip(values) {
        if *time > window.after && *time < window.until {
            times.push(*time);
            points.push(*value);
        }
    }
    times.push(window.until);
    points.push(right);
    function(&Window {
        at: &times,
        values: &points,
        ..*window
    })
}

/// How the ends of a range are found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) edge: Edge,
    pub(crate) lookback_ms: i64,
    /// Whether a fall between two samples is a reset.
    pub(crate) counter: bool,
}

/// The value at a time between two samples. Where a counter was reset between them, it rises from zero at the
/// left end of a range, and by what the second sample says at the right end.
fn between(at: [i64; 2], values: [f64; 2], time: i64, counter: bool, left_end: bool) -> f64 {
    let [mut low, mut high] = values;
    if counter && high < low {
        if left_end {
            low = 0.0;
        } else {
            high += low;
        }
    }
    let share = (time - at[0]) as f64 / (at[1] - at[0]) as f64;
    low + (high - low) * share
}

impl Evaluator<'_> {
    /// Change between the ends of a range, as they are.
    pub(crate) fn exact_change(
        &self,
        name: &str,
        window: &Window<'_>,
        seconds: f64,
        span: Span,
    ) -> Option<Value> {
        if !window.histograms.is_empty() {
            self.mixed(window.metric, span);
            return None;
        }
        let counter = name == "rate" || name == "increase";
        match name {
            "changes" => return Some(Value::Float(crate::over_time::changes(window))),
            "resets" => return Some(Value::Float(crate::over_time::resets(window))),
            _ => {}
        }
        self.name_of_counter(
            window,
            Change {
                counter,
                per_second: false,
            },
            span,
        );
        let change = difference(window.values, counter);
        Some(Value::Float(if name == "rate" {
            change / seconds
        } else {
            change
        }))
    }

    /// Instant values interpolated between the samples around a step.
    pub(crate) fn smoothed(&self, selector: &Selector, steps: Steps) -> Result<Vec<Series>> {
        let looks = self.looks(&selector.modifiers, steps)?;
        let lookback = self.settings.lookback_ms;
        let select = Select {
            matchers: &selector.matchers,
            after_ms: looks.first().saturating_sub(lookback),
            until_ms: looks.last() + lookback,
        };
        let mut found = Vec::new();
        self.visit(&select, |view| {
            let mut column = Column::new(steps.count);
            for place in 0..steps.count {
                let at = looks.at(place);
                let next = view.at_ms.partition_point(|time| *time <= at);
                let before = next.checked_sub(1).filter(|before| {
                    view.at_ms[*before] > at - lookback && !is_stale(view.values[*before])
                });
                let after = (next < view.at_ms.len()
                    && view.at_ms[next] <= at + lookback
                    && !is_stale(view.values[next]))
                .then_some(next);
                let value = match (before, after) {
                    (Some(before), _) if view.at_ms[before] == at => view.values[before],
                    (Some(before), Some(_)) => between(
                        [view.at_ms[before], view.at_ms[before + 1]],
                        [view.values[before], view.values[before + 1]],
                        at,
                        false,
                        true,
                    ),
                    (Some(before), None) => view.values[before],
                    (None, _) => continue,
                };
                column.set_float(place, value);
            }
            if !column.is_empty() {
                self.hold(column.len())?;
                found.push(Series {
                    labels: view.labels.clone(),
                    drop_name: false,
                    column,
                });
            }
            Ok(())
        })?;
        Ok(found)
    }
}
