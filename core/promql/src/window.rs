//! Ranges: windows that move over a series' samples, for selectors and subqueries alike.

use crate::ast::{Edge, Expr, Kind, RangeSelector, Subquery};
use crate::eval::{Evaluator, Looks, Result};
use crate::fault::{Fault, Span};
use crate::value::{Answer, AnswerSeries, Cell, Column, Series, Steps};
use mainstay_metrics::sample::is_stale;
use mainstay_metrics::{
    FloatHistogram, HistogramSample, Labels, ResetHint, Sample, Select, SeriesView, Value,
};
use std::sync::Arc;

/// What a function sees of one series at one step. Columns are sorted by time and hold no stale marker.
#[derive(Clone, Copy)]
pub(crate) struct Window<'a> {
    pub(crate) at: &'a [i64],
    pub(crate) values: &'a [f64],
    pub(crate) histograms: &'a [HistogramSample],
    /// The range, left end excluded.
    pub(crate) after: i64,
    pub(crate) until: i64,
    /// The step that it is for, and its place.
    pub(crate) now: i64,
    pub(crate) place: usize,
    pub(crate) metric: &'a str,
}

impl Window<'_> {
    pub(crate) fn is_mixed(&self) -> bool {
        !self.values.is_empty() && !self.histograms.is_empty()
    }

    /// The last sample.
    pub(crate) fn last(&self) -> Option<(i64, Cell<'_>)> {
        let float = self
            .at
            .last()
            .map(|at| (*at, Cell::Float(self.values[self.values.len() - 1])));
        let histogram = self
            .histograms
            .last()
            .map(|one| (one.at_ms, Cell::Histogram(&one.histogram)));
        match (float, histogram) {
            (Some(float), Some(histogram)) => Some(if float.0 > histogram.0 {
                float
            } else {
                histogram
            }),
            (float, histogram) => float.or(histogram),
        }
    }

    /// The first sample.
    pub(crate) fn first(&self) -> Option<(i64, Cell<'_>)> {
        let float = self.at.first().map(|at| (*at, Cell::Float(self.values[0])));
        let histogram = self
            .histograms
            .first()
            .map(|one| (one.at_ms, Cell::Histogram(&one.histogram)));
        match (float, histogram) {
            (Some(float), Some(histogram)) => Some(if float.0 < histogram.0 {
                float
            } else {
                histogram
            }),
            (float, histogram) => float.or(histogram),
        }
    }

    /// All samples by time.
    pub(crate) fn all(&self) -> Vec<(i64, Cell<'_>)> {
        let floats = self
            .at
            .iter()
            .zip(self.values)
            .map(|(at, value)| (*at, Cell::Float(*value)));
        let histograms = self
            .histograms
            .iter()
            .map(|one| (one.at_ms, Cell::Histogram(&one.histogram)));
        let mut all: Vec<_> = floats.chain(histograms).collect();
        all.sort_by_key(|(at, _)| *at);
        all
    }
}

/// One series with its samples, owned: what a subquery has made.
struct Made {
    labels: Labels,
    drop_name: bool,
    at: Vec<i64>,
    values: Vec<f64>,
    histograms: Vec<HistogramSample>,
}

/// A function over windows: the sample at a step, or none.
pub(crate) type Over<'a> = dyn FnMut(&Window<'_>) -> Option<Value> + 'a;

/// Where the range of an argument comes from.
pub(crate) struct Ranged<'a> {
    pub(crate) looks: Looks,
    pub(crate) range: i64,
    /// Whether falls are resets, where ends are interpolated.
    pub(crate) counter: bool,
    kind: RangedKind<'a>,
}

enum RangedKind<'a> {
    Selector(&'a RangeSelector),
    Subquery(&'a Subquery),
}

impl Ranged<'_> {
    fn edge(&self) -> Edge {
        match self.kind {
            RangedKind::Selector(range) => range.selector.edge,
            RangedKind::Subquery(_) => Edge::Plain,
        }
    }
}

impl Evaluator<'_> {
    /// Resolves an argument of type range vector.
    pub(crate) fn ranged<'e>(&self, expr: &'e Expr, steps: Steps) -> Result<Ranged<'e>> {
        match &expr.bare().kind {
            Kind::Range(range) => Ok(Ranged {
                looks: self.looks(&range.selector.modifiers, steps)?,
                range: self.positive(&range.range, range.range_span)?,
                counter: false,
                kind: RangedKind::Selector(range),
            }),
            Kind::Subquery(subquery) => Ok(Ranged {
                looks: self.looks(&subquery.modifiers, steps)?,
                range: self.positive(&subquery.range, subquery.range_span)?,
                counter: false,
                kind: RangedKind::Subquery(subquery),
            }),
            _ => Err(Fault::execution("a range vector is needed")),
        }
    }

    /// Applies a function to every window of every series. `once` says that it yields the same for the same window.
    pub(crate) fn over(
        &self,
        ranged: &Ranged<'_>,
        keeps_name: bool,
        once: bool,
        function: &mut Over<'_>,
    ) -> Result<Vec<Series>> {
        let mut found = Vec::new();
        let mut take = |labels: &Labels, drop_name: bool, column: Column| -> Result<()> {
            if !column.is_empty() {
                self.hold(column.len())?;
                found.push(Series {
                    labels: labels.clone(),
                    drop_name: drop_name || !keeps_name,
                    column,
                });
            }
            Ok(())
        };
        match ranged.kind {
            RangedKind::Selector(range) => {
                let plain = range.selector.edge == Edge::Plain;
                let wider = if plain { 0 } else { self.settings.lookback_ms };
                let select = Select {
                    matchers: &range.selector.matchers,
                    after_ms: ranged.looks.first().saturating_sub(ranged.range + wider),
                    until_ms: ranged.looks.last()
                        + if range.selector.edge == Edge::Smoothed {
                            wider
                        } else {
                            0
                        },
                };
                self.visit(&select, |view| {
                    let (at, values);
                    let view = if view.values.iter().any(|value| is_stale(*value)) {
                        (at, values) = without_stale(view);
                        SeriesView {
                            at_ms: &at,
                            values: &values,
                            ..view
                        }
                    } else {
                        view
                    };
                    let column = self.windows(view, ranged, once && plain, function)?;
                    take(view.labels, false, column)
                })?;
            }
            RangedKind::Subquery(subquery) => {
                for made in self.subquery(subquery, ranged)? {
                    let view = SeriesView {
                        labels: &made.labels,
                        at_ms: &made.at,
                        values: &made.values,
                        histograms: &made.histograms,
                    };
                    let column = self.windows(view, ranged, once, function)?;
                    take(&made.labels, made.drop_name, column)?;
                }
            }
        }
        Ok(found)
    }

    /// One series' windows.
    fn windows(
        &self,
        view: SeriesView<'_>,
        ranged: &Ranged<'_>,
        once: bool,
        function: &mut Over<'_>,
    ) -> Result<Column> {
        let looks = ranged.looks;
        let mut column = Column::new(looks.steps.count);
        let metric = view.labels.metric();
        let mut floats = (0, 0);
        let mut histograms = (0, 0);
        let mut visited = 0;
        for place in 0..looks.steps.count {
            let until = looks.at(place);
            let after = until - ranged.range;
            advance(&mut floats.1, view.at_ms, |at| *at <= until);
            advance(&mut floats.0, &view.at_ms[..floats.1], |at| *at <= after);
            advance(&mut histograms.1, view.histograms, |one| one.at_ms <= until);
            advance(&mut histograms.0, &view.histograms[..histograms.1], |one| {
                one.at_ms <= after
            });
            let window = Window {
                at: &view.at_ms[floats.0..floats.1],
                values: &view.values[floats.0..floats.1],
                histograms: &view.histograms[histograms.0..histograms.1],
                after,
                until,
                now: looks.steps.at(place),
                place,
                metric,
            };
            visited += window.at.len() + window.histograms.len();
            let value = match ranged.edge() {
                Edge::Plain if window.at.is_empty() && window.histograms.is_empty() => None,
                Edge::Plain => function(&window),
                edge => {
                    let ends = crate::edge::Ends {
                        edge,
                        lookback_ms: self.settings.lookback_ms,
                        counter: ranged.counter,
                    };
                    crate::edge::extended(view, &window, ends, function)
                }
            };
            if let Some(value) = value {
                if once && looks.fixed.is_some() {
                    for place in 0..looks.steps.count {
                        column.set(place, value.clone());
                    }
                }
                column.set(place, value);
            }
            if once && looks.fixed.is_some() {
                break;
            }
        }
        // A sample seen in many windows is work each time, if not a sample read.
        self.charge(visited / 16)?;
        Ok(column)
    }

    /// Evaluates what is inside a subquery at the multiples of its step.
    fn subquery(&self, subquery: &Subquery, ranged: &Ranged<'_>) -> Result<Vec<Made>> {
        let step = match &subquery.step {
            Some(step) => self.positive(step, subquery.range_span)?,
            None => self.settings.subquery_step_ms,
        };
        let first = (ranged.looks.first() - ranged.range).div_euclid(step) * step + step;
        let last = ranged.looks.last();
        let count = if last < first {
            0
        } else {
            (last - first) / step + 1
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > self.settings.steps_max {
            return Err(Fault::execution(format!(
                "the subquery has {count} steps, the limit is {}",
                self.settings.steps_max
            )));
        }
        if count == 0 {
            return Ok(Vec::new());
        }
        let steps = Steps {
            start: first,
            step,
            count,
        };
        let inner = self.whole(|evaluator| evaluator.vector(&subquery.inner, steps))?;
        Ok(inner
            .into_iter()
            .map(|series| made(series, steps))
            .collect())
    }

    /// The samples of a range themselves, for a query that asks for them.
    pub(crate) fn matrix(&self, expr: &Expr, steps: Steps) -> Result<Answer> {
        let ranged = self.ranged(expr, steps)?;
        let mut all: Vec<(Labels, bool, Vec<Sample>)> = Vec::new();
        let mut collect = |labels: &Labels, drop_name: bool, view: SeriesView<'_>| {
            let until = ranged.looks.last();
            let after = until - ranged.range;
            let floats = view
                .at_ms
                .iter()
                .zip(view.values)
                .map(|(at, value)| (*at, Value::Float(*value)));
            let histograms = view
                .histograms
                .iter()
                .map(|one| (one.at_ms, Value::Histogram(one.histogram.clone())));
            let mut samples: Vec<Sample> = floats
                .chain(histograms)
                .filter(|(at, value)| {
                    *at > after
                        && *at <= until
                        && !matches!(value, Value::Float(value) if is_stale(*value))
                })
                .map(|(at_ms, value)| Sample { at_ms, value })
                .collect();
            samples.sort_by_key(|sample| sample.at_ms);
            if !samples.is_empty() {
                all.push((labels.clone(), drop_name, samples));
            }
        };
        match ranged.kind {
            RangedKind::Selector(range) => {
                let select = Select {
                    matchers: &range.selector.matchers,
                    after_ms: ranged.looks.first() - ranged.range,
                    until_ms: ranged.looks.last(),
                };
                self.visit(&select, |view| {
                    collect(view.labels, false, view);
                    Ok(())
                })?;
            }
            RangedKind::Subquery(subquery) => {
                for made in self.subquery(subquery, &ranged)? {
                    let view = SeriesView {
                        labels: &made.labels,
                        at_ms: &made.at,
                        values: &made.values,
                        histograms: &made.histograms,
                    };
                    collect(&made.labels, made.drop_name, view);
                }
            }
        }
        // Names that were to go do so here too.
        let names = all.iter().map(|(labels, drop_name, _)| Series {
            labels: labels.clone(),
            drop_name: *drop_name,
            column: Column::new(1).map(|_, _| None),
        });
        let labels: Vec<Labels> = names.map(|series| series.settled().labels).collect();
        let mut answer: Vec<AnswerSeries> = labels
            .into_iter()
            .zip(all)
            .map(|(labels, (_, _, samples))| AnswerSeries { labels, samples })
            .collect();
        answer.sort_by(|one, two| one.labels.cmp(&two.labels));
        if answer
            .windows(2)
            .any(|pair| pair[0].labels == pair[1].labels)
        {
            return Err(Fault::execution(crate::eval::SAME_LABELS));
        }
        Ok(Answer::Matrix(answer))
    }

    /// `absent_over_time` needs no series of its own: where has any a sample?
    pub(crate) fn present(&self, expr: &Expr, steps: Steps) -> Result<Vec<bool>> {
        let ranged = self.ranged(expr, steps)?;
        let mut present = vec![false; steps.count];
        self.over(&ranged, true, false, &mut |window| {
            present[window.place] = true;
            None
        })?;
        Ok(present)
    }

    /// Warns that a range holds both kinds, of which the function takes one.
    pub(crate) fn ignored(&self, window: &Window<'_>, span: Span) {
        if window.is_mixed() {
            let text = "ignored histograms in a range containing both floats and histograms";
            self.inform(span, crate::annotation::named(text, window.metric));
        }
    }
}

fn advance<T>(place: &mut usize, list: &[T], before: impl Fn(&T) -> bool) {
    while *place < list.len() && before(&list[*place]) {
        *place += 1;
    }
}

fn without_stale(view: SeriesView<'_>) -> (Vec<i64>, Vec<f64>) {
    let pairs = view.at_ms.iter().zip(view.values);
    pairs
        .filter(|(_, value)| !is_stale(**value))
        .map(|(at, value)| (*at, *value))
        .unzip()
}

fn made(series: Series, steps: Steps) -> Made {
    let mut made = Made {
        labels: series.labels,
        drop_name: series.drop_name,
        at: Vec::new(),
        values: Vec::new(),
        histograms: Vec::new(),
    };
    for place in 0..steps.count {
        match series.column.get(place) {
            Some(Cell::Float(value)) => {
                made.at.push(steps.at(place));
                made.values.push(value);
            }
            Some(Cell::Histogram(histogram)) => made.histograms.push(HistogramSample {
                at_ms: steps.at(place),
                histogram: unhinted(histogram),
            }),
            None => {}
        }
    }
    made
}

/// A subquery skips samples and repeats them, so what a sample knew of the one before it is no longer so.
fn unhinted(histogram: &Arc<FloatHistogram>) -> Arc<FloatHistogram> {
    if matches!(histogram.hint, ResetHint::Gauge | ResetHint::Unknown) {
        return histogram.clone();
    }
    Arc::new(FloatHistogram {
        hint: ResetHint::Unknown,
        ..(**histogram).clone()
    })
}
