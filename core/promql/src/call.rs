//! Function calls: which code a function of the table is.

use crate::ast::{Call, Expr, Kind};
use crate::eval::{Evaluator, Result};
use crate::fault::{Fault, Span};
use crate::over_time::{
    changes, max, median_deviation, min, regression, resets, smooth, time_of, variance,
};
use crate::rate::Change;
use crate::value::{Cell, Column, Evaluated, Series, Steps};
use crate::window::Window;
use mainstay_metrics::{Labels, Value};

impl Evaluator<'_> {
    /// Computes a call for all steps.
    pub(crate) fn call(&self, expr: &Expr, call: &Call, steps: Steps) -> Result<Evaluated> {
        let arguments = &call.arguments;
        let name = call.function.name;
        if let Some(values) = self.scalar_call(name, arguments, steps)? {
            return Ok(Evaluated::Scalar(values));
        }
        let has_range = arguments
            .iter()
            .any(|argument| argument.yields() == crate::ast::Type::Matrix);
        let series = if name == "absent_over_time" {
            let present = self.present(&arguments[0], steps)?;
            absent(&arguments[0], &present)
        } else if has_range {
            self.range_call(name, arguments, steps)?
        } else {
            self.vector_call(expr, name, arguments, steps)?
        };
        Ok(Evaluated::Vector(series))
    }

    fn scalar_call(
        &self,
        name: &str,
        arguments: &[Expr],
        steps: Steps,
    ) -> Result<Option<Vec<f64>>> {
        let seconds = |milliseconds: i64| milliseconds as f64 / 1000.0;
        let same = |value: f64| vec![value; steps.count];
        Ok(Some(match name {
            "pi" => same(std::f64::consts::PI),
            "time" => (0..steps.count)
                .map(|place| seconds(steps.at(place)))
                .collect(),
            "start" => same(seconds(self.query_start)),
            "end" => same(seconds(self.query_end)),
            "step" => same(seconds(self.query_step)),
            "range" => same(seconds(self.query_end - self.query_start)),
            "max_of" | "min_of" => {
                let (one, two) = (
                    self.scalar(&arguments[0], steps)?,
                    self.scalar(&arguments[1], steps)?,
                );
                let pick = |(one, two): (&f64, &f64)| match (one.is_nan() || two.is_nan(), name) {
                    (true, _) => f64::NAN,
                    (false, "max_of") => one.max(*two),
                    (false, _) => one.min(*two),
                };
                one.iter().zip(&two).map(pick).collect()
            }
            "scalar" => {
                let series = self.vector(&arguments[0], steps)?;
                let only = |place: usize| {
                    let mut floats = series.iter().filter_map(|one| one.column.float(place));
                    floats
                        .next()
                        .filter(|_| floats.next().is_none())
                        .unwrap_or(f64::NAN)
                };
                (0..steps.count).map(only).collect()
            }
            _ => return Ok(None),
        }))
    }

    /// Functions of instant vectors and of scalars that yield vectors.
    fn vector_call(
        &self,
        expr: &Expr,
        name: &str,
        arguments: &[Expr],
        steps: Steps,
    ) -> Result<Vec<Series>> {
        let first = |evaluator: &Self| evaluator.vector(&arguments[0], steps);
        Ok(match name {
            "vector" => {
                let values = self.scalar(&arguments[0], steps)?;
                vec![constant(Labels::default(), &values)]
            }
            "absent" => {
                let series = first(self)?;
                let present: Vec<bool> = (0..steps.count)
                    .map(|place| series.iter().any(|one| one.column.has(place)))
                    .collect();
                absent(&arguments[0], &present)
            }
            "timestamp" => match &arguments[0].bare().kind {
                Kind::Select(selector) => self.select(selector, steps, true)?,
                _ => mapped(first(self)?, |place, _| {
                    Some(Value::Float(steps.at(place) as f64 / 1000.0))
                }),
            },
            "clamp" | "clamp_min" | "clamp_max" => self.clamp(name, arguments, steps)?,
            "round" => {
                let nearest = match arguments.get(1) {
                    Some(nearest) => self.scalar(nearest, steps)?,
                    None => vec![1.0; steps.count],
                };
                // Dividing by the inverse keeps 0.1 from becoming 0.30000000000000004.
                let round = |place: usize, value: f64| {
                    let inverse = 1.0 / nearest[place];
                    (value * inverse + 0.5).floor() / inverse
                };
                floats(first(self)?, round)
            }
            "label_replace" | "label_join" => self.relabel(name, arguments, steps)?,
            "sort" | "sort_desc" => {
                crate::order::by_value(first(self)?, name == "sort_desc", self.query_step == 0)
            }
            "sort_by_label" | "sort_by_label_desc" => {
                let labels = arguments[1..]
                    .iter()
                    .map(crate::relabel::label_name)
                    .collect::<Result<Vec<_>>>()?;
                let series = first(self)?;
                if self.query_step == 0 {
                    crate::order::by_label(series, &labels, name == "sort_by_label_desc")
                } else {
                    series
                }
            }
            "histogram_quantile" => self.histogram_quantile(arguments, steps)?,
            "histogram_quantiles" => self.histogram_quantiles(arguments, steps)?,
            "histogram_fraction" => self.histogram_fraction(arguments, steps)?,
            "histogram_count" | "histogram_sum" | "histogram_avg" | "histogram_stddev"
            | "histogram_stdvar" => mapped(self.counted(first)?, |_, cell| match cell {
                Cell::Histogram(histogram) => {
                    Some(Value::Float(crate::quantile::figure(name, histogram)))
                }
                Cell::Float(_) => None,
            }),
            "info" => self.info(expr, arguments, steps)?,
            _ if crate::calendar::FUNCTIONS.contains(&name) => {
                let series = if let Some(argument) = arguments.first() {
                    self.vector(argument, steps)?
                } else {
                    let times: Vec<f64> = (0..steps.count)
                        .map(|place| steps.at(place) as f64 / 1000.0)
                        .collect();
                    vec![constant(Labels::default(), &times)]
                };
                floats(series, |_, value| crate::calendar::part(name, value))
            }
            _ => {
                let function = crate::math::function(name)
                    .ok_or_else(|| Fault::execution(format!("function {name:?} is not there")))?;
                floats(first(self)?, |_, value| function(value))
            }
        })
    }

    fn clamp(&self, name: &str, arguments: &[Expr], steps: Steps) -> Result<Vec<Series>> {
        let series = self.vector(&arguments[0], steps)?;
        let bound = |place: usize, missing: f64| match arguments.get(place) {
            Some(bound) => self.scalar(bound, steps),
            None => Ok(vec![missing; steps.count]),
        };
        let (low, high) = match name {
            "clamp_max" => (bound(9, f64::NEG_INFINITY)?, bound(1, 0.0)?),
            "clamp_min" => (bound(1, 0.0)?, bound(9, f64::INFINITY)?),
            _ => (bound(1, 0.0)?, bound(2, 0.0)?),
        };
        Ok(mapped(series, |place, cell| {
            let Cell::Float(value) = cell else {
                return None;
            };
            let (low, high) = (low[place], high[place]);
            if low > high {
                return None;
            }
            let clamped = if value.is_nan() || low.is_nan() || high.is_nan() {
                f64::NAN
            } else {
                value.max(low).min(high)
            };
            Some(Value::Float(clamped))
        }))
    }

    /// Functions of range vectors.
    fn range_call(&self, name: &str, arguments: &[Expr], steps: Steps) -> Result<Vec<Series>> {
        let place = arguments
            .iter()
            .position(|argument| argument.yields() == crate::ast::Type::Matrix)
            .unwrap_or(0);
        let argument = &arguments[place];
        let span = argument.span;
        let mut scalars = Vec::new();
        for (number, argument) in arguments.iter().enumerate() {
            if number != place {
                scalars.push(self.scalar(argument, steps)?);
            }
        }
        let mut ranged = self.ranged(argument, steps)?;
        ranged.counter = matches!(name, "rate" | "increase");
        crate::edge::permitted(&argument.bare().kind, name)?;
        let keeps_name = matches!(name, "last_over_time" | "first_over_time");
        let once = scalars.is_empty();
        if name == "quantile_over_time" {
            self.check_quantiles(&scalars[0], arguments[0].span);
        }
        if name == "double_exponential_smoothing" {
            factors(&scalars)?;
        }
        let seconds = ranged.range as f64 / 1000.0;
        let smoothed = crate::edge::of(&argument.bare().kind) != crate::ast::Edge::Plain;
        self.over(&ranged, keeps_name, once, &mut |window| {
            let scalar = |number: usize| {
                scalars
                    .get(number)
                    .map_or(f64::NAN, |values| values[window.place])
            };
            if smoothed {
                return self.exact_change(name, window, seconds, span);
            }
            self.of_range(name, window, &scalar, seconds, span)
        })
    }

    fn of_range(
        &self,
        name: &str,
        window: &Window<'_>,
        scalar: &dyn Fn(usize) -> f64,
        seconds: f64,
        span: Span,
    ) -> Option<Value> {
        let change = |counter, per_second| {
            self.change(
                window,
                Change {
                    counter,
                    per_second,
                },
                seconds,
                span,
            )
        };
        match name {
            "rate" => change(true, true),
            "increase" => change(true, false),
            "delta" => change(false, false),
            "irate" => self.last_change(window, true, span),
            "idelta" => self.last_change(window, false, span),
            "sum_over_time" => self.total(window, false, span),
            "avg_over_time" => self.total(window, true, span),
            "min_over_time" => self.of_floats(window, span, min),
            "max_over_time" => self.of_floats(window, span, max),
            "stddev_over_time" => self.of_floats(window, span, |values| variance(values).sqrt()),
            "stdvar_over_time" => self.of_floats(window, span, variance),
            "mad_over_time" => self.of_floats(window, span, median_deviation),
            "quantile_over_time" => self.of_floats(window, span, |values| {
                crate::aggregate::quantile(scalar(0), &mut values.to_vec())
            }),
            "ts_of_min_over_time" => {
                self.of_floats(window, span, |_| time_of(window, |one, two| one < two))
            }
            "ts_of_max_over_time" => {
                self.of_floats(window, span, |_| time_of(window, |one, two| one > two))
            }
            "count_over_time" => Some(Value::Float(
                (window.values.len() + window.histograms.len()) as f64,
            )),
            "present_over_time" => Some(Value::Float(1.0)),
            "last_over_time" => window.last().map(|(_, cell)| cell.owned()),
            "first_over_time" => window.first().map(|(_, cell)| cell.owned()),
            "ts_of_last_over_time" => window
                .last()
                .map(|(at, _)| Value::Float(at as f64 / 1000.0)),
            "ts_of_first_over_time" => window
                .first()
                .map(|(at, _)| Value::Float(at as f64 / 1000.0)),
            "changes" => Some(Value::Float(changes(window))),
            "resets" => Some(Value::Float(resets(window))),
            "deriv" | "predict_linear" => {
                if window.values.len() == 1 && !window.histograms.is_empty() {
                    self.ignored(window, span);
                }
                if window.values.len() < 2 {
                    return None;
                }
                self.ignored(window, span);
                // Near the samples, so that squares of times keep their digits.
                let around = if name == "deriv" {
                    window.at[0]
                } else {
                    window.now
                };
                let (slope, value) = regression(window, around);
                Some(Value::Float(if name == "deriv" {
                    slope
                } else {
                    slope * scalar(0) + value
                }))
            }
            "double_exponential_smoothing" => {
                if window.values.len() == 1 {
                    self.ignored(window, span);
                }
                let smoothed = smooth(window.values, scalar(0), scalar(1))?;
                self.ignored(window, span);
                Some(Value::Float(smoothed))
            }
            _ => None,
        }
    }

    /// Says when a quantile is none.
    pub(crate) fn check_quantiles(&self, values: &[f64], span: Span) {
        for value in values.iter().filter(|value| !(0.0..=1.0).contains(*value)) {
            let found = mainstay_metrics::histogram::general(*value);
            self.warn(
                span,
                format!("quantile value should be between 0 and 1, got {found}"),
            );
        }
    }
}

fn factors(scalars: &[Vec<f64>]) -> Result<()> {
    for (values, name) in scalars.iter().zip(["smoothing", "trend"]) {
        if let Some(value) = values.iter().find(|value| **value <= 0.0 || **value >= 1.0) {
            return Err(Fault::execution(format!(
                "invalid {name} factor. Expected: 0 < {} < 1, got: {value:.6}",
                if name == "trend" { "tf" } else { "sf" }
            )));
        }
    }
    Ok(())
}

/// One series with a value at every step.
pub(crate) fn constant(labels: Labels, values: &[f64]) -> Series {
    let mut column = Column::new(values.len());
    for (place, value) in values.iter().enumerate() {
        column.set_float(place, *value);
    }
    Series {
        labels,
        drop_name: false,
        column,
    }
}

/// Every sample changed or taken away; the name goes.
pub(crate) fn mapped(
    series: Vec<Series>,
    mut change: impl FnMut(usize, Cell<'_>) -> Option<Value>,
) -> Vec<Series> {
    let changed = series.into_iter().map(|one| Series {
        drop_name: true,
        column: one.column.map(&mut change),
        ..one
    });
    changed.filter(|one| !one.column.is_empty()).collect()
}

/// Every float changed, histograms taken away; the name goes.
fn floats(series: Vec<Series>, mut change: impl FnMut(usize, f64) -> f64) -> Vec<Series> {
    let changed = series.into_iter().map(|one| Series {
        drop_name: true,
        column: one.column.map_floats(&mut change),
        ..one
    });
    changed.filter(|one| !one.column.is_empty()).collect()
}

/// One where nothing was found, labelled by what the selector says for sure.
fn absent(argument: &Expr, present: &[bool]) -> Vec<Series> {
    let matchers = match &argument.bare().kind {
        Kind::Select(selector) => selector.matchers.as_slice(),
        Kind::Range(range) => range.selector.matchers.as_slice(),
        _ => &[],
    };
    let mut labels = Labels::default().edit();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|matcher| !matcher.is_name()) {
        let sure =
            matcher.op == mainstay_metrics::MatchOp::Equal && !seen.contains(&&*matcher.name);
        if sure {
            labels.set(&matcher.name, &matcher.value);
            seen.push(&matcher.name);
        } else {
            labels.remove(&matcher.name);
        }
    }
    let mut column = Column::new(present.len());
    for (place, _) in present.iter().enumerate().filter(|(_, present)| !**present) {
        column.set_float(place, 1.0);
    }
    if column.is_empty() {
        return Vec::new();
    }
    vec![Series {
        labels: labels.build(),
        drop_name: false,
        column,
    }]
}
