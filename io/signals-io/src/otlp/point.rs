//! Points as they are sent: values of series in the messages of opentelemetry-proto 1.
//!
//! A marker that ends a series becomes a point that says "no value was recorded". When a counter began is not
//! known here and is left out, as the data model allows.

use crate::wire;
use mainstay_metrics::sample::is_stale;
use mainstay_metrics::{FloatHistogram, Label, Labels};

/// Labels that stand elsewhere than with the point.
pub(crate) const ELSEWHERE: [&str; 5] = [
    "__name__",
    "job",
    "instance",
    "otel_scope_name",
    "otel_scope_version",
];

/// Buckets of one side of an exponential histogram: all from the first to the last are sent, so neighbours are
/// merged until they are no more than these.
const BUCKETS_MAX: i64 = 4096;

/// What a point's flags say where there is no value.
const NO_VALUE: u64 = 1;

/// Writes an attribute.
pub(crate) fn put_attribute(out: &mut Vec<u8>, field: u64, name: &str, value: &str) {
    let (mut pair, mut any) = (Vec::new(), Vec::new());
    wire::put_bytes(&mut any, 1, value.as_bytes());
    wire::put_bytes(&mut pair, 1, name.as_bytes());
    wire::put_bytes(&mut pair, 2, &any);
    wire::put_bytes(out, field, &pair);
}

/// The attributes of a series' points, as a field of this number.
fn attributes(field: u64, labels: &Labels) -> Vec<u8> {
    let mut out = Vec::new();
    let own = |label: &&Label| !ELSEWHERE.contains(&&*label.name);
    for label in labels.iter().filter(own) {
        put_attribute(&mut out, field, &label.name, &label.value);
    }
    out
}

/// Points of one series; its attributes are written once.
#[derive(Debug)]
pub(crate) struct Writer {
    numbers: Vec<u8>,
    histograms: Vec<u8>,
    exponentials: Vec<u8>,
}

/// A count as the protocol has them.
fn whole(count: f64) -> u64 {
    // What is below zero or no number is zero.
    count.round() as u64
}

fn put_time(out: &mut Vec<u8>, at_ms: i64) {
    let nanoseconds = at_ms.max(0).saturating_mul(1_000_000);
    wire::put_fixed(out, 3, nanoseconds.cast_unsigned());
}

impl Writer {
    pub(crate) fn new(labels: &Labels) -> Self {
        Self {
            numbers: attributes(7, labels),
            histograms: attributes(9, labels),
            exponentials: attributes(1, labels),
        }
    }

    /// `NumberDataPoint`.
    pub(crate) fn number(&self, at_ms: i64, value: f64) -> Vec<u8> {
        let mut out = self.numbers.clone();
        put_time(&mut out, at_ms);
        if is_stale(value) {
            wire::put_number(&mut out, 8, NO_VALUE);
        } else {
            wire::put_float(&mut out, 4, value);
        }
        out
    }

    /// `HistogramDataPoint`; there is one count more than there are bounds.
    pub(crate) fn histogram(
        &self,
        at_ms: i64,
        count: f64,
        sum: Option<f64>,
        counts: &[f64],
        bounds: &[f64],
    ) -> Vec<u8> {
        let mut out = self.histograms.clone();
        put_time(&mut out, at_ms);
        if is_stale(count) {
            wire::put_number(&mut out, 10, NO_VALUE);
            return out;
        }
        wire::put_fixed(&mut out, 4, whole(count));
        if let Some(sum) = sum {
            wire::put_float(&mut out, 5, sum);
        }
        wire::put_fixeds(&mut out, 6, counts.iter().map(|count| whole(*count)));
        wire::put_fixeds(&mut out, 7, bounds.iter().map(|bound| bound.to_bits()));
        out
    }

    /// `SummaryDataPoint`.
    pub(crate) fn summary(
        &self,
        at_ms: i64,
        count: f64,
        sum: f64,
        quantiles: &[(f64, f64)],
    ) -> Vec<u8> {
        let mut out = self.numbers.clone();
        put_time(&mut out, at_ms);
        if is_stale(count) {
            wire::put_number(&mut out, 8, NO_VALUE);
            return out;
        }
        wire::put_fixed(&mut out, 4, whole(count));
        wire::put_float(&mut out, 5, sum);
        let mut part = Vec::new();
        for (quantile, value) in quantiles {
            part.clear();
            wire::put_float(&mut part, 1, *quantile);
            wire::put_float(&mut part, 2, *value);
            wire::put_bytes(&mut out, 6, &part);
        }
        out
    }

    /// A native histogram with bounds of its own, as `HistogramDataPoint`.
    pub(crate) fn custom(&self, at_ms: i64, one: &FloatHistogram) -> Vec<u8> {
        let mut counts = vec![0.0; one.bounds.len() + 1];
        for (index, count) in &one.positive {
            let place = usize::try_from(*index).unwrap_or_default();
            counts[place.min(one.bounds.len())] += count;
        }
        self.histogram(at_ms, one.count, Some(one.sum), &counts, &one.bounds)
    }

    /// A native histogram, as `ExponentialHistogramDataPoint`.
    pub(crate) fn exponential(&self, at_ms: i64, one: &FloatHistogram) -> Vec<u8> {
        let mut out = self.exponentials.clone();
        put_time(&mut out, at_ms);
        let shift = shift(&one.positive).max(shift(&one.negative));
        wire::put_fixed(&mut out, 4, whole(one.count));
        wire::put_float(&mut out, 5, one.sum);
        wire::put_zigzag(&mut out, 6, i64::from(one.schema) - i64::from(shift));
        wire::put_fixed(&mut out, 7, whole(one.zero_count));
        for (field, side) in [(8, &one.positive), (9, &one.negative)] {
            if !side.is_empty() {
                wire::put_bytes(&mut out, field, &buckets(side, shift));
            }
        }
        wire::put_float(&mut out, 14, one.zero_threshold);
        out
    }

    /// A marker that ends a series of native histograms.
    pub(crate) fn no_exponential(&self, at_ms: i64) -> Vec<u8> {
        let mut out = self.exponentials.clone();
        put_time(&mut out, at_ms);
        wire::put_number(&mut out, 10, NO_VALUE);
        out
    }
}

/// Where a bucket is in the other numbering: by its lower bound and not its upper one, so many times merged.
fn place(index: i32, shift: u32) -> i64 {
    (i64::from(index) - 1) >> shift
}

/// How often two neighbours must become one until all buckets of a side fit.
fn shift(side: &[(i32, f64)]) -> u32 {
    let (Some(first), Some(last)) = (side.first(), side.last()) else {
        return 0;
    };
    let fits = |shift: &u32| place(last.0, *shift) - place(first.0, *shift) < BUCKETS_MAX;
    (0..32).find(fits).unwrap_or(32)
}

/// `Buckets`: an index, and the counts of all buckets from there on.
fn buckets(side: &[(i32, f64)], shift: u32) -> Vec<u8> {
    let first = side.first().map_or(0, |one| place(one.0, shift));
    let mut counts: Vec<f64> = Vec::new();
    for (index, count) in side {
        let slot = usize::try_from(place(*index, shift) - first).unwrap_or_default();
        if counts.len() <= slot {
            counts.resize(slot + 1, 0.0);
        }
        counts[slot] += count;
    }
    let mut out = Vec::new();
    wire::put_zigzag(&mut out, 1, first);
    wire::put_numbers(&mut out, 2, counts.into_iter().map(whole));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_buckets_are_merged_and_none_is_lost() {
        for side in [
            vec![(1, 2.0), (4096, 3.0)],
            vec![(1, 2.0), (4097, 3.0)],
            vec![(-200_000, 2.0), (-199_999, 1.0), (260_000, 3.0)],
            vec![(i32::MIN, 1.0), (i32::MAX, 1.0)],
        ] {
            let shift = shift(&side);
            let mut counts = Vec::new();
            wire::each(&buckets(&side, shift), |number, field| {
                if number == 2 {
                    counts = field.numbers()?;
                }
                Some(())
            })
            .unwrap();
            assert!(counts.len() <= 4096, "{}", counts.len());
            let wanted: f64 = side.iter().map(|one| one.1).sum();
            assert_eq!(counts.iter().sum::<u64>(), whole(wanted));
            assert_eq!(shift == 0, side[1].0 == 4096, "{side:?}");
        }
    }

    #[test]
    fn counts_are_whole_and_never_below_zero() {
        assert_eq!(
            [-1.0, 0.4, 2.6, f64::NAN, 1e30].map(whole),
            [0, 0, 3, 0, u64::MAX]
        );
    }
}
