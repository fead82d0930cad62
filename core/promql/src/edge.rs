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

/// Calls a function with the samples of a window and those that stand at its ends.
pub(crate) fn extended(
    view: SeriesView<'_>,
    window: Window<'_>,
    edge: Edge,
    lookback_ms: i64,
    function: &mut Over<'_>,
) -> Option<Value> {
    if !window.histograms.is_empty() {
        return function(&window);
    }
    let inside = window.at.len();
    let first = view.at_ms.partition_point(|at| *at <= window.after);
    let last = first + inside;
    let before = first
        .checked_sub(1)
        .filter(|place| view.at_ms[*place] > window.after - lookback_ms);
    let after =
        (last < view.at_ms.len() && view.at_ms[last] <= window.until + lookback_ms).then_some(last);
    if inside == 0 && (before.is_none() || (edge == Edge::Smoothed && after.is_none())) {
        if edge == Edge::Anchored || before.is_none() {
            return None;
        }
    }
    let mut at = Vec::with_capacity(inside + 2);
    let mut values = Vec::with_capacity(inside + 2);
    let start = match (edge, before) {
        (_, None) => window.values.first().copied()?,
        (Edge::Smoothed, Some(place))
            if place + 1 < view.at_ms.len() && view.at_ms[place] < window.after =>
        {
            between(view, place, window.after)
        }
        (_, Some(place)) => view.values[place],
    };
    at.push(window.after);
    values.push(start);
    at.extend_from_slice(window.at);
    values.extend_from_slice(window.values);
    if at.last() != Some(&window.until) {
        let end = match (edge, after) {
            (Edge::Smoothed, Some(place)) if place > 0 => between(view, place - 1, window.until),
            _ => values[values.len() - 1],
        };
        at.push(window.until);
        values.push(end);
    }
    function(&Window {
        at: &at,
        values: &values,
        ..window
    })
}

/// The value at a time between two samples; after a counter's reset it rises from zero.
fn between(view: SeriesView<'_>, place: usize, at: i64) -> f64 {
    let (from, to) = (view.at_ms[place], view.at_ms[place + 1]);
    let share = (at - from) as f64 / (to - from) as f64;
    let (low, high) = (view.values[place], view.values[place + 1]);
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
                    (Some(before), Some(_)) => between(view, before, at),
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
