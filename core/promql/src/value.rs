//! Values during and after evaluation: columns over the steps of a query.

use mainstay_metrics::{FloatHistogram, Labels, Sample, Value};
use std::sync::Arc;

/// Bits of a NaN that no arithmetic yields: no sample at this step.
const ABSENT: u64 = 0x7ff0_0000_0000_0da7;

/// The times of an evaluation: equally spaced, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Steps {
    pub(crate) start: i64,
    pub(crate) step: i64,
    pub(crate) count: usize,
}

impl Steps {
    pub(crate) fn at(self, place: usize) -> i64 {
        self.start + self.step * place as i64
    }
}

/// A sample during evaluation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell<'a> {
    Float(f64),
    Histogram(&'a Arc<FloatHistogram>),
}

impl Cell<'_> {
    pub(crate) fn owned(self) -> Value {
        match self {
            Self::Float(value) => Value::Float(value),
            Self::Histogram(histogram) => Value::Histogram(histogram.clone()),
        }
    }
}

/// One series' samples, a place a step.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    floats: Vec<f64>,
    /// Empty until the first histogram comes.
    histograms: Vec<Option<Arc<FloatHistogram>>>,
}

impl Column {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            floats: vec![f64::from_bits(ABSENT); count],
            histograms: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.floats.len()
    }

    pub(crate) fn get(&self, place: usize) -> Option<Cell<'_>> {
        let float = self.floats[place];
        if float.to_bits() != ABSENT {
            return Some(Cell::Float(float));
        }
        let histogram = self.histograms.get(place)?.as_ref()?;
        Some(Cell::Histogram(histogram))
    }

    pub(crate) fn has(&self, place: usize) -> bool {
        self.get(place).is_some()
    }

    /// The float at a step, where there is one.
    pub(crate) fn float(&self, place: usize) -> Option<f64> {
        let float = self.floats[place];
        (float.to_bits() != ABSENT).then_some(float)
    }

    pub(crate) fn set_float(&mut self, place: usize, value: f64) {
        self.floats[place] = value;
    }

    pub(crate) fn set(&mut self, place: usize, value: Value) {
        match value {
            Value::Float(value) => self.floats[place] = value,
            Value::Histogram(histogram) => {
                if self.histograms.is_empty() {
                    self.histograms.resize(self.floats.len(), None);
                }
                self.histograms[place] = Some(histogram);
            }
        }
    }

    pub(crate) fn clear(&mut self, place: usize) {
        self.floats[place] = f64::from_bits(ABSENT);
        if let Some(histogram) = self.histograms.get_mut(place) {
            *histogram = None;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        (0..self.len()).all(|place| !self.has(place))
    }

    /// The same column with every sample changed or taken away.
    pub(crate) fn map(&self, mut change: impl FnMut(usize, Cell<'_>) -> Option<Value>) -> Self {
        let mut column = Self::new(self.len());
        for place in 0..self.len() {
            if let Some(value) = self.get(place).and_then(|cell| change(place, cell)) {
                column.set(place, value);
            }
        }
        column
    }

    /// The same column with every float changed and histograms gone.
    pub(crate) fn map_floats(mut self, mut change: impl FnMut(usize, f64) -> f64) -> Self {
        self.histograms = Vec::new();
        for (place, float) in self.floats.iter_mut().enumerate() {
            if float.to_bits() != ABSENT {
                *float = change(place, *float);
            }
        }
        self
    }
}

/// One series during evaluation.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    /// Whether the metric's name goes at the very end.
    pub(crate) drop_name: bool,
    pub(crate) column: Column,
}

/// What an expression has come to.
#[derive(Debug, Clone)]
pub(crate) enum Evaluated {
    Scalar(Vec<f64>),
    Text(Vec<u8>),
    Vector(Vec<Series>),
}

/// One series of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerSeries {
    /// Which series.
    pub labels: Labels,
    /// Its samples, by time.
    pub samples: Vec<Sample>,
}

/// What a query has come to.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// One number.
    Scalar {
        /// When, in milliseconds since 1970.
        at_ms: i64,
        /// What.
        value: f64,
    },
    /// A text.
    Text(String),
    /// One sample a series, in the order that the query asks for.
    Vector(Vec<AnswerSeries>),
    /// Samples of a range a series, by labels.
    Matrix(Vec<AnswerSeries>),
}
