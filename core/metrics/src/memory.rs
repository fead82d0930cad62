//! A store that keeps samples as they are: for rule tests, results of rules and everything small.

use crate::histogram::{FloatHistogram, ResetHint};
use crate::label::Labels;
use crate::matcher::all_match;
use crate::sample::{HistogramSample, Sample, Value};
use crate::source::{Select, SeriesView, Source, SourceFault};
use std::collections::HashMap;
use std::sync::Arc;

/// Series with their samples, in the order in which they first came.
#[derive(Debug, Default)]
pub struct Memory {
    series: Vec<Stored>,
    places: HashMap<Labels, usize>,
}

#[derive(Debug)]
struct Stored {
    labels: Labels,
    at_ms: Vec<i64>,
    values: Vec<f64>,
    histograms: Vec<HistogramSample>,
}

impl Memory {
    /// Adds a sample; one of the same time is replaced. A histogram learns from the one before it whether its
    /// counter was reset.
    pub fn append(&mut self, labels: &Labels, sample: Sample) {
        let place = *self.places.entry(labels.clone()).or_insert_with(|| {
            self.series.push(Stored {
                labels: labels.clone(),
                at_ms: Vec::new(),
                values: Vec::new(),
                histograms: Vec::new(),
            });
            self.series.len() - 1
        });
        self.series[place].append(sample);
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}

impl Stored {
    fn append(&mut self, sample: Sample) {
        let at = sample.at_ms;
        let float = self.at_ms.partition_point(|time| *time < at);
        let histogram = self.histograms.partition_point(|one| one.at_ms < at);
        if self.at_ms.get(float) == Some(&at) {
            self.at_ms.remove(float);
            self.values.remove(float);
        }
        if self
            .histograms
            .get(histogram)
            .is_some_and(|one| one.at_ms == at)
        {
            self.histograms.remove(histogram);
        }
        match sample.value {
            Value::Float(value) => {
                self.at_ms.insert(float, at);
                self.values.insert(float, value);
            }
            Value::Histogram(value) => {
                let before = histogram
                    .checked_sub(1)
                    .map(|place| &self.histograms[place]);
                let float_between =
                    float > 0 && before.is_some_and(|one| one.at_ms < self.at_ms[float - 1]);
                let before = before.filter(|_| !float_between).map(|one| &*one.histogram);
                let hint = hint(before, &value);
                let value = if hint == value.hint {
                    value
                } else {
                    Arc::new(FloatHistogram {
                        hint,
                        ..(*value).clone()
                    })
                };
                self.histograms.insert(
                    histogram,
                    HistogramSample {
                        at_ms: at,
                        histogram: value,
                    },
                );
            }
        }
    }
}

/// What a histogram says of the one before it once both are stored: as in the field's stores, only that the
/// counter went on is kept, because what came before a reset may be gone when it is read.
fn hint(before: Option<&FloatHistogram>, now: &FloatHistogram) -> ResetHint {
    if now.hint == ResetHint::Gauge {
        return ResetHint::Gauge;
    }
    let goes_on = before.is_some_and(|before| {
        let compared = FloatHistogram {
            hint: ResetHint::Unknown,
            ..now.clone()
        };
        now.hint != ResetHint::Reset
            && before.hint != ResetHint::Gauge
            && compared.schema == before.schema
            && compared.zero_threshold == before.zero_threshold
            && compared.bounds == before.bounds
            && !compared.resets_after(before)
    });
    if goes_on {
        ResetHint::NotReset
    } else {
        ResetHint::Unknown
    }
}

impl Source for Memory {
    fn select(
        &self,
        select: &Select<'_>,
        visit: &mut dyn FnMut(SeriesView<'_>) -> bool,
    ) -> Result<(), SourceFault> {
        for one in self
            .series
            .iter()
            .filter(|one| all_match(select.matchers, &one.labels))
        {
            let view = SeriesView {
                labels: &one.labels,
                at_ms: &one.at_ms,
                values: &one.values,
                histograms: &one.histograms,
            };
            let view = view.within(select);
            if view.is_empty() {
                continue;
            }
            if !visit(view) {
                break;
            }
        }
        Ok(())
    }
}
