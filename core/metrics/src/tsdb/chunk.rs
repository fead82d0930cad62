//! Chunks: up to some samples of a series, compressed.

use super::{float, histogram};
use crate::run::{Run, runs};
use crate::source::SeriesView;

/// Samples of one chunk at most, as Prometheus cuts them.
pub const CHUNK_SAMPLES: usize = 120;

/// What a chunk holds, by the number that the format gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Floats.
    Float = 1,
    /// Native histograms with float counts: Prometheus reads them since version 2.42.
    FloatHistogram = 3,
}

/// Some samples of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Time of the first sample, in milliseconds since 1970.
    pub first_ms: i64,
    /// Time of the last sample.
    pub last_ms: i64,
    /// How many there are.
    pub samples: u16,
    /// What they are.
    pub encoding: Encoding,
    /// Whether they are histograms with bounds of their own: Prometheus reads them since version 3.
    pub is_custom: bool,
    /// The samples.
    pub bytes: Vec<u8>,
}

/// Compresses a series; every sample is in one chunk, in the order of time.
pub fn chunks(view: SeriesView<'_>) -> Vec<Chunk> {
    let mut all = Vec::new();
    for mut run in runs(view) {
        while !run.is_empty() {
            let count = match run {
                Run::Floats(..) => CHUNK_SAMPLES,
                Run::Histograms(some) => histogram::count(some, CHUNK_SAMPLES),
            };
            let (first, rest) = run.split(count);
            all.extend(chunk(first));
            run = rest;
        }
    }
    all
}

fn chunk(run: Run<'_>) -> Option<Chunk> {
    let samples = run.len() as u16;
    Some(match run {
        Run::Floats(at_ms, values) => Chunk {
            first_ms: *at_ms.first()?,
            last_ms: *at_ms.last()?,
            samples,
            encoding: Encoding::Float,
            is_custom: false,
            bytes: float::encode(at_ms, values),
        },
        Run::Histograms(some) => Chunk {
            first_ms: some.first()?.at_ms,
            last_ms: some.last()?.at_ms,
            samples,
            encoding: Encoding::FloatHistogram,
            is_custom: some.first()?.histogram.is_custom(),
            bytes: histogram::encode(some),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FloatHistogram, HistogramSample, Labels};
    use std::sync::Arc;

    #[test]
    fn a_series_is_cut_by_count_and_kind() {
        let labels = Labels::default();
        let at_ms: Vec<i64> = (0..250).chain([400]).collect();
        let values = vec![1.0; at_ms.len()];
        let histograms: Vec<HistogramSample> = (300..310)
            .map(|at_ms| HistogramSample {
                at_ms,
                histogram: Arc::new(FloatHistogram::default()),
            })
            .collect();
        let view = SeriesView {
            labels: &labels,
            at_ms: &at_ms,
            values: &values,
            histograms: &histograms,
        };
        let cut: Vec<(i64, i64, u16, Encoding)> = chunks(view)
            .into_iter()
            .map(|one| (one.first_ms, one.last_ms, one.samples, one.encoding))
            .collect();
        assert_eq!(
            cut,
            [
                (0, 119, 120, Encoding::Float),
                (120, 239, 120, Encoding::Float),
                (240, 249, 10, Encoding::Float),
                (300, 309, 10, Encoding::FloatHistogram),
                (400, 400, 1, Encoding::Float),
            ]
        );
    }
}
