//! Evaluation: every expression is computed for all steps of the query at once, series by series.

use crate::annotation::{Annotation, Annotations, Level};
use crate::ast::{At, Expr, Kind, Modifiers, Type};
use crate::fault::{Fault, Span};
use crate::value::{Answer, AnswerSeries, Cell, Evaluated, Series, Steps};
use mainstay_metrics::{Labels, Sample, Source, Value};
use std::cell::{Cell as StdCell, RefCell};
use std::collections::HashMap;

/// What a query may use, and how it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How old the newest sample of a series may be, in milliseconds.
    pub lookback_ms: i64,
    /// The step of subqueries that name none, in milliseconds.
    pub subquery_step_ms: i64,
    /// Most samples read and made.
    pub samples_max: u64,
    /// Most bytes of results held, partial ones included.
    pub bytes_max: u64,
    /// Most steps of a query or subquery.
    pub steps_max: usize,
}

impl Default for Settings {
    /// Five minutes and one minute are the field's; the budgets serve 10k series over a day and hold the
    /// process within its memory.
    fn default() -> Self {
        Self {
            lookback_ms: 300_000,
            subquery_step_ms: 60_000,
            samples_max: 50_000_000,
            bytes_max: 1 << 30,
            steps_max: 1_000_000,
        }
    }
}

/// When a query is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Once, at this time in milliseconds since 1970.
    Instant(i64),
    /// From a time to another, both included, every so many milliseconds.
    Range {
        /// First.
        start_ms: i64,
        /// Last.
        end_ms: i64,
        /// Distance, above zero.
        step_ms: i64,
    },
}

/// An answer with remarks.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The value.
    pub answer: Answer,
    /// Remarks, warnings first.
    pub annotations: Vec<Annotation>,
    /// Samples read and made.
    pub samples: u64,
}

/// Evaluates a parsed query. `expired` is asked now and then whether the time is up: the core has no clock.
pub fn evaluate(
    source: &dyn Source,
    query: &str,
    expr: &Expr,
    when: When,
    settings: &Settings,
    expired: &dyn Fn() -> bool,
) -> Result<Outcome> {
    let (steps, instant) = match when {
        When::Instant(at) => (
            Steps {
                start: at,
                step: 0,
                count: 1,
            },
            true,
        ),
        When::Range {
            start_ms,
            end_ms,
            step_ms,
        } => {
            if step_ms <= 0 {
                return Err(Fault::execution(
                    "zero or negative query resolution step widths are not accepted",
                ));
            }
            let count = (i128::from(end_ms) - i128::from(start_ms)) / i128::from(step_ms) + 1;
            let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
            (
                Steps {
                    start: start_ms,
                    step: step_ms,
                    count,
                },
                false,
            )
        }
    };
    let end = match when {
        When::Instant(at) => at,
        When::Range { end_ms, .. } => end_ms,
    };
    let evaluator = Evaluator {
        source,
        query,
        settings,
        expired,
        query_start: steps.start,
        query_end: end,
        query_step: steps.step,
        samples: StdCell::new(0),
        bytes: StdCell::new(0),
        counts: StdCell::new(false),
        annotations: RefCell::default(),
    };
    if steps.count > settings.steps_max {
        return Err(Fault::execution(format!(
            "the query has {} steps, the limit is {}",
            steps.count, settings.steps_max
        )));
    }
    let answer = match expr.yields() {
        Type::Matrix if instant => evaluator.matrix(expr, steps)?,
        Type::Matrix | Type::String if !instant => {
            return Err(Fault::execution(format!(
                "invalid expression type {:?} for range query, must be Scalar or instant Vector",
                expr.yields().name()
            )));
        }
        _ => finish(evaluator.eval(expr, steps)?, steps, instant)?,
    };
    Ok(Outcome {
        answer,
        samples: evaluator.samples.get(),
        annotations: evaluator.annotations.into_inner().into_vec(),
    })
}

/// The state of one query.
pub(crate) struct Evaluator<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) query: &'a str,
    pub(crate) settings: &'a Settings,
    expired: &'a dyn Fn() -> bool,
    pub(crate) query_start: i64,
    pub(crate) query_end: i64,
    pub(crate) query_step: i64,
    samples: StdCell<u64>,
    bytes: StdCell<u64>,
    /// Whether histograms are read for their counts alone, and so learn of resets while they are read.
    counts: StdCell<bool>,
    annotations: RefCell<Annotations>,
}

pub(crate) type Result<T> = std::result::Result<T, Fault>;

/// What two series of one label set at one step are.
pub(crate) const SAME_LABELS: &str = "vector cannot contain metrics with the same labelset";

impl Evaluator<'_> {
    /// Counts samples against the budgets, and looks at the time.
    pub(crate) fn charge(&self, samples: usize) -> Result<()> {
        let before = self.samples.get();
        let total = before + samples as u64;
        self.samples.set(total);
        if total > self.settings.samples_max {
            return Err(Fault::TooManySamples {
                limit: self.settings.samples_max,
            });
        }
        // A look at the time costs little, but not nothing.
        if before >> 12 != total >> 12 && (self.expired)() {
            return Err(Fault::TimedOut);
        }
        Ok(())
    }

    /// Counts a column that is made.
    pub(crate) fn hold(&self, cells: usize) -> Result<()> {
        // A series costs its labels' handle and three vectors beside its cells.
        let total = self.bytes.get() + 8 * cells as u64 + 96;
        self.bytes.set(total);
        if total > self.settings.bytes_max {
            return Err(Fault::execution(format!(
                "the query would hold more than {} bytes",
                self.settings.bytes_max
            )));
        }
        self.charge(cells)
    }

    /// Evaluates a part that reads histograms for their counts alone.
    pub(crate) fn counted<T>(&self, part: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let before = self.counts.replace(true);
        let result = part(self);
        self.counts.set(before);
        result
    }

    /// Evaluates a part that reads histograms whole.
    pub(crate) fn whole<T>(&self, part: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let before = self.counts.replace(false);
        let result = part(self);
        self.counts.set(before);
        result
    }

    pub(crate) fn reads_counts(&self) -> bool {
        self.counts.get()
    }

    pub(crate) fn warn(&self, span: Span, text: impl Into<String>) {
        self.annotations
            .borrow_mut()
            .add(Level::Warning, text.into(), span);
    }

    pub(crate) fn inform(&self, span: Span, text: impl Into<String>) {
        self.annotations
            .borrow_mut()
            .add(Level::Info, text.into(), span);
    }

    pub(crate) fn repaired(&self, span: Span, text: String, repair: crate::annotation::Repair) {
        self.annotations.borrow_mut().repaired(text, span, repair);
    }

    /// Computes an expression for all steps.
    pub(crate) fn eval(&self, expr: &Expr, steps: Steps) -> Result<Evaluated> {
        match &expr.kind {
            Kind::Number(value) => Ok(Evaluated::Scalar(vec![*value; steps.count])),
            Kind::Text(text) => Ok(Evaluated::Text(text.clone())),
            Kind::Paren(inner) => self.eval(inner, steps),
            Kind::Negate(inner) => Ok(negate(self.eval(inner, steps)?)),
            Kind::Select(selector) => Ok(Evaluated::Vector(self.select(selector, steps, false)?)),
            Kind::Range(_) | Kind::Subquery(_) => Err(Fault::execution(
                "a range stands where an instant vector is needed",
            )),
            Kind::Call(call) => self.call(expr, call, steps),
            Kind::Aggregate(aggregate) => Ok(Evaluated::Vector(self.aggregate(aggregate, steps)?)),
            Kind::Binary(binary) => self.binary(expr, binary, steps),
        }
    }

    pub(crate) fn vector(&self, expr: &Expr, steps: Steps) -> Result<Vec<Series>> {
        match self.eval(expr, steps)? {
            Evaluated::Vector(series) => Ok(series),
            _ => Err(Fault::execution("an instant vector is needed")),
        }
    }

    pub(crate) fn scalar(&self, expr: &Expr, steps: Steps) -> Result<Vec<f64>> {
        match self.eval(expr, steps)? {
            Evaluated::Scalar(values) => Ok(values),
            _ => Err(Fault::execution("a scalar is needed")),
        }
    }

    /// Length of time as the query makes it.
    pub(crate) fn length(&self, length: &crate::ast::Length, span: Span) -> Result<i64> {
        let range = self.query_end - self.query_start;
        length.resolve(self.query_step, range).map_err(|why| {
            Fault::Parse(crate::fault::ParseFault {
                position: span.position(self.query),
                why,
            })
        })
    }

    /// As [`Self::length`], and above zero.
    pub(crate) fn positive(&self, length: &crate::ast::Length, span: Span) -> Result<i64> {
        let milliseconds = self.length(length, span)?;
        if milliseconds > 0 {
            return Ok(milliseconds);
        }
        Err(Fault::Parse(crate::fault::ParseFault {
            position: span.position(self.query),
            why: "duration must be greater than 0".into(),
        }))
    }

    /// When a selector looks: a time for every step, and whether it is one for all.
    pub(crate) fn looks(&self, modifiers: &Modifiers, steps: Steps) -> Result<Looks> {
        let offset = match &modifiers.offset {
            Some((length, span)) => self.length(length, *span)?,
            None => 0,
        };
        let fixed = modifiers.at.as_ref().map(|at| match at {
            At::Time(at) => *at,
            At::Start => self.query_start,
            At::End => self.query_end,
        });
        Ok(Looks {
            steps,
            offset,
            fixed,
        })
    }
}

/// Takes names away that were to go, joins what has become one series, and orders.
fn finish(evaluated: Evaluated, steps: Steps, instant: bool) -> Result<Answer> {
    let series = match evaluated {
        Evaluated::Text(text) => {
            return Ok(Answer::Text(String::from_utf8_lossy(&text).into_owned()));
        }
        Evaluated::Scalar(values) if instant => {
            return Ok(Answer::Scalar {
                at_ms: steps.start,
                value: values.first().copied().unwrap_or(f64::NAN),
            });
        }
        Evaluated::Scalar(values) => {
            let samples = values.iter().enumerate().map(|(place, value)| Sample {
                at_ms: steps.at(place),
                value: Value::Float(*value),
            });
            return Ok(Answer::Matrix(vec![AnswerSeries {
                labels: Labels::default(),
                samples: samples.collect(),
            }]));
        }
        Evaluated::Vector(series) => series,
    };
    let answer = merge(series.into_iter().map(Series::settled))?
        .into_iter()
        .map(|series| AnswerSeries {
            samples: samples(&series, steps),
            labels: series.labels,
        })
        .filter(|series| !series.samples.is_empty());
    let mut answer: Vec<_> = answer.collect();
    if instant {
        return Ok(Answer::Vector(answer));
    }
    answer.sort_by(|one, two| one.labels.cmp(&two.labels));
    Ok(Answer::Matrix(answer))
}

/// A text argument, which no step changes.
pub(crate) fn text(expr: &Expr) -> Result<Vec<u8>> {
    match &expr.bare().kind {
        Kind::Text(text) => Ok(text.clone()),
        _ => Err(Fault::execution("a string is needed")),
    }
}

fn samples(series: &Series, steps: Steps) -> Vec<Sample> {
    let cells = (0..steps.count).filter_map(|place| {
        let value = series.column.get(place)?.owned();
        Some(Sample {
            at_ms: steps.at(place),
            value,
        })
    });
    cells.collect()
}

impl Series {
    /// Without its name, when that was to go.
    pub(crate) fn settled(mut self) -> Self {
        if self.drop_name {
            self.labels = self.labels.without_name();
            self.drop_name = false;
        }
        self
    }
}

/// Joins series of one label set; two samples at one step are a fault.
pub(crate) fn merge(series: impl IntoIterator<Item = Series>) -> Result<Vec<Series>> {
    let mut merged: Vec<Series> = Vec::new();
    let mut places: HashMap<Labels, usize> = HashMap::new();
    for one in series {
        let Some(place) = places.get(&one.labels).copied() else {
            if !one.column.is_empty() {
                places.insert(one.labels.clone(), merged.len());
                merged.push(one);
            }
            continue;
        };
        let into = &mut merged[place];
        into.drop_name &= one.drop_name;
        for step in 0..one.column.len() {
            if let Some(cell) = one.column.get(step) {
                if into.column.has(step) {
                    return Err(Fault::execution(SAME_LABELS));
                }
                into.column.set(step, cell.owned());
            }
        }
    }
    Ok(merged)
}

fn negate(evaluated: Evaluated) -> Evaluated {
    match evaluated {
        Evaluated::Scalar(values) => {
            Evaluated::Scalar(values.into_iter().map(|value| -value).collect())
        }
        Evaluated::Vector(series) => Evaluated::Vector(
            series
                .into_iter()
                .map(|one| Series {
                    drop_name: true,
                    column: one.column.map(|_, cell| {
                        Some(match cell {
                            Cell::Float(value) => Value::Float(-value),
                            Cell::Histogram(histogram) => {
                                Value::Histogram((**histogram).clone().scaled(-1.0).into())
                            }
                        })
                    }),
                    ..one
                })
                .collect(),
        ),
        text @ Evaluated::Text(_) => text,
    }
}

/// When a selector looks, step by step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Looks {
    pub(crate) steps: Steps,
    pub(crate) offset: i64,
    pub(crate) fixed: Option<i64>,
}

impl Looks {
    pub(crate) fn at(self, place: usize) -> i64 {
        self.fixed.unwrap_or_else(|| self.steps.at(place)) - self.offset
    }

    pub(crate) fn first(self) -> i64 {
        self.at(0)
    }

    pub(crate) fn last(self) -> i64 {
        self.at(self.steps.count.saturating_sub(1))
    }
}
