//! Chunks of native histograms with float counts.

use super::bit::{Bits, Xor};
use crate::histogram::{Buckets, FloatHistogram, ResetHint};
use crate::sample::HistogramSample;
use std::collections::BTreeSet;

/// Counts that a chunk holds at most: histograms of thousands of buckets become chunks of a few.
const COUNTS: usize = 32_768;

/// Largest bound in thousandths that has a short form.
const THOUSANDTHS: f64 = 33_554_430.0;

/// What all histograms of a chunk have in common.
struct Layout<'a> {
    first: &'a FloatHistogram,
    positive: BTreeSet<i32>,
    negative: BTreeSet<i32>,
}

/// How many of the histograms, from the first, fit into one chunk of at most so many. Readers take for granted that
/// within a chunk no counter was reset.
pub(super) fn count(some: &[HistogramSample], most: usize) -> usize {
    let Some(first) = some.first() else {
        return 0;
    };
    let mut counts = width(&first.histogram);
    for (place, pair) in some.windows(2).enumerate().take(most) {
        let (one, two) = (&*pair[0].histogram, &*pair[1].histogram);
        counts += width(two);
        if place + 1 == most || counts > COUNTS || !follows(one, two) {
            return place + 1;
        }
    }
    some.len().min(most)
}

fn width(one: &FloatHistogram) -> usize {
    1 + one.positive.len() + one.negative.len()
}

fn follows(one: &FloatHistogram, two: &FloatHistogram) -> bool {
    let is_gauge = |one: &FloatHistogram| one.hint == ResetHint::Gauge;
    let is_like = one.schema == two.schema
        && one.zero_threshold.to_bits() == two.zero_threshold.to_bits()
        && one.bounds == two.bounds
        && is_gauge(one) == is_gauge(two);
    // What says that nothing was reset is believed by queries, but what fell is told apart here all the same.
    let unbiased = |two: &FloatHistogram| FloatHistogram {
        hint: ResetHint::Unknown,
        ..two.clone()
    };
    is_like && two.hint != ResetHint::Reset && (is_gauge(two) || !unbiased(two).resets_after(one))
}

/// Writes histograms that fit into one chunk.
pub(super) fn encode(some: &[HistogramSample]) -> Vec<u8> {
    let mut bytes = (some.len() as u16).to_be_bytes().to_vec();
    let Some(first) = some.first() else {
        return bytes;
    };
    bytes.push(match first.histogram.hint {
        ResetHint::Reset => 0b1000_0000,
        ResetHint::Gauge => 0b1100_0000,
        // What came before may be in no block.
        ResetHint::NotReset | ResetHint::Unknown => 0,
    });
    let layout = Layout::of(&first.histogram, some);
    let mut bits = Bits::after(bytes);
    layout.put(&mut bits);
    let mut columns: Vec<Xor> = Vec::new();
    let (mut before_ms, mut distance) = (0, 0);
    for (place, sample) in some.iter().enumerate() {
        let next = sample.at_ms.wrapping_sub(before_ms);
        bits.varbit(next.wrapping_sub(distance));
        // The first distance is counted from the first sample, and not from 1970.
        distance = if place == 0 { 0 } else { next };
        before_ms = sample.at_ms;
        let values = layout.values(&sample.histogram);
        if place == 0 {
            columns = values.map(|value| Xor::begin(&mut bits, value)).collect();
        } else {
            for (column, value) in columns.iter_mut().zip(values) {
                column.put(&mut bits, value);
            }
        }
    }
    bits.done()
}

impl<'a> Layout<'a> {
    fn of(first: &'a FloatHistogram, some: &[HistogramSample]) -> Self {
        let (mut positive, mut negative) = (BTreeSet::new(), BTreeSet::new());
        for one in some {
            positive.extend(one.histogram.positive.iter().map(|bucket| bucket.0));
            negative.extend(one.histogram.negative.iter().map(|bucket| bucket.0));
        }
        Self {
            first,
            positive,
            negative,
        }
    }

    fn put(&self, bits: &mut Bits) {
        put_zero_threshold(bits, self.first.zero_threshold);
        bits.varbit(i64::from(self.first.schema));
        put_spans(bits, &self.positive);
        put_spans(bits, &self.negative);
        if self.first.is_custom() {
            bits.varbit_unsigned(self.first.bounds.len() as u64);
            for bound in &*self.first.bounds {
                put_bound(bits, *bound);
            }
        }
    }

    /// Count, count of the zero bucket, sum, and a value for every bucket of the layout.
    fn values<'b>(&'b self, one: &'b FloatHistogram) -> impl Iterator<Item = f64> + 'b {
        let side = |layout: &'b BTreeSet<i32>, buckets: &'b Buckets| {
            let mut buckets = buckets.iter().peekable();
            layout.iter().map(move |index| {
                let found = buckets.next_if(|bucket| bucket.0 == *index);
                found.map_or(0.0, |bucket| bucket.1)
            })
        };
        [one.count, one.zero_count, one.sum]
            .into_iter()
            .chain(side(&self.positive, &one.positive))
            .chain(side(&self.negative, &one.negative))
    }
}

/// A zero, a power of two, or the number itself.
fn put_zero_threshold(bits: &mut Bits, threshold: f64) {
    const DIGITS: u64 = (1 << 52) - 1;
    if threshold == 0.0 {
        return bits.byte(0);
    }
    let raw = threshold.to_bits();
    // 2^-243, the smallest with a short form, is written as 1.
    let power = (raw >> 52).cast_signed() - 1023 + 244;
    match u8::try_from(power) {
        Ok(byte) if byte > 0 && byte < 255 && raw & DIGITS == 0 => bits.byte(byte),
        _ => {
            bits.byte(255);
            bits.float(threshold);
        }
    }
}

/// Stretches of buckets: how long, and how far behind the one before.
fn put_spans(bits: &mut Bits, indices: &BTreeSet<i32>) {
    let indices: Vec<i32> = indices.iter().copied().collect();
    let spans: Vec<&[i32]> = indices
        .chunk_by(|one, two| i64::from(*one) + 1 == i64::from(*two))
        .collect();
    bits.varbit_unsigned(spans.len() as u64);
    let mut behind = 0;
    for span in spans {
        bits.varbit_unsigned(span.len() as u64);
        bits.varbit(i64::from(span[0]) - behind);
        behind = i64::from(span[span.len() - 1]) + 1;
    }
}

/// A bound in thousandths, where that says it whole.
#[expect(clippy::cast_sign_loss, reason = "thousandths are not negative there")]
fn put_bound(bits: &mut Bits, bound: f64) {
    let thousandths = (bound * 1000.0).round();
    if (0.0..=THOUSANDTHS).contains(&(bound * 1000.0)) && thousandths / 1000.0 == bound {
        bits.varbit_unsigned(thousandths as u64 + 1);
    } else {
        bits.put(0, 1);
        bits.float(bound);
    }
}

#[cfg(test)]
mod tests {
    use super::super::bit::tests::Reader;
    use super::*;
    use std::sync::Arc;

    fn sample(at_ms: i64, positive: &[(i32, f64)], negative: &[(i32, f64)]) -> HistogramSample {
        let all = positive.iter().chain(negative).map(|bucket| bucket.1);
        HistogramSample {
            at_ms,
            histogram: Arc::new(FloatHistogram {
                schema: 3,
                zero_threshold: 2f64.powi(-128),
                zero_count: 2.0,
                count: all.sum::<f64>() + 2.0,
                sum: 12.25,
                positive: positive.to_vec(),
                negative: negative.to_vec(),
                ..FloatHistogram::default()
            }),
        }
    }

    fn spans(reader: &mut Reader<'_>) -> Vec<i64> {
        let (mut all, mut index) = (Vec::new(), 0);
        for _ in 0..reader.varbit_unsigned() {
            let length = reader.varbit_unsigned();
            index += reader.varbit();
            for _ in 0..length {
                all.push(index);
                index += 1;
            }
        }
        all
    }

    #[test]
    fn buckets_of_all_are_the_layout() {
        let some = [
            sample(1000, &[(-3, 1.0), (2, 2.5)], &[]),
            sample(2000, &[(-3, 1.0), (-2, 1.0), (2, 2.5)], &[(7, 4.0)]),
            sample(3500, &[(-3, 2.0), (-2, 1.0), (2, 3.0)], &[(7, 4.0)]),
        ];
        assert_eq!(count(&some, 120), 3);
        let bytes = encode(&some);
        let mut reader = Reader {
            bytes: &bytes,
            at: 0,
        };
        assert_eq!((reader.bits(16), reader.bits(8)), (3, 0));
        // 2^-128, which is usual, as its description says.
        assert_eq!(reader.bits(8), 116);
        assert_eq!(reader.varbit(), 3);
        assert_eq!(spans(&mut reader), [-3, -2, 2]);
        assert_eq!(spans(&mut reader), [7]);
        let expected = [
            (1000, [5.5, 2.0, 12.25, 1.0, 0.0, 2.5, 0.0]),
            (2000, [10.5, 2.0, 12.25, 1.0, 1.0, 2.5, 4.0]),
            (3500, [12.0, 2.0, 12.25, 2.0, 1.0, 3.0, 4.0]),
        ];
        let (mut at_ms, mut distance) = (0, 0);
        let (mut values, mut windows) = ([0.0; 7], [(0, 0); 7]);
        for (place, (time, counts)) in expected.iter().enumerate() {
            distance += reader.varbit();
            at_ms += distance;
            if place == 0 {
                distance = 0;
            }
            for (value, window) in values.iter_mut().zip(&mut windows) {
                *value = match place {
                    0 => f64::from_bits(reader.bits(64)),
                    _ => reader.xor(*value, window),
                };
            }
            assert_eq!((at_ms, values), (*time, *counts));
        }
    }

    #[test]
    fn a_chunk_ends_where_a_counter_begins_again() {
        let grow = sample(1, &[(0, 1.0)], &[]);
        let more = sample(2, &[(0, 3.0)], &[]);
        let fell = sample(3, &[(0, 2.0)], &[]);
        let mut finer = sample(3, &[(0, 5.0)], &[]);
        Arc::make_mut(&mut finer.histogram).schema = 4;
        let mut told = sample(3, &[(0, 5.0)], &[]);
        Arc::make_mut(&mut told.histogram).hint = ResetHint::Reset;
        let mut gauge = sample(3, &[(0, 5.0)], &[]);
        Arc::make_mut(&mut gauge.histogram).hint = ResetHint::Gauge;
        for other in [&fell, &finer, &told, &gauge] {
            let some = [grow.clone(), more.clone(), other.clone()];
            assert_eq!(count(&some, 120), 2, "{other:?}");
        }
        let some = [grow.clone(), more.clone(), more];
        assert_eq!((count(&some, 120), count(&some, 2)), (3, 2));
        let mut lower = gauge.clone();
        Arc::make_mut(&mut lower.histogram).positive = vec![(0, 1.0)];
        assert_eq!(count(&[gauge.clone(), lower], 120), 2, "a gauge may fall");
        assert_eq!(encode(&[told])[2], 0b1000_0000);
        assert_eq!(encode(&[gauge])[2], 0b1100_0000);
        assert_eq!(encode(&[grow])[2], 0);
    }

    #[test]
    fn bounds_of_its_own_stand_behind_the_spans() {
        let one = HistogramSample {
            at_ms: 5,
            histogram: Arc::new(FloatHistogram {
                schema: crate::histogram::CUSTOM,
                count: 6.0,
                sum: 9.5,
                positive: vec![(0, 1.0), (2, 5.0)],
                bounds: [0.5, 2.0].into(),
                ..FloatHistogram::default()
            }),
        };
        let mut other = one.clone();
        Arc::make_mut(&mut other.histogram).bounds = [0.5, 3.0].into();
        assert_eq!(count(&[one.clone(), other], 120), 1, "other bounds");
        let bytes = encode(&[one]);
        let mut reader = Reader {
            bytes: &bytes,
            at: 0,
        };
        assert_eq!((reader.bits(16), reader.bits(8)), (1, 0));
        assert_eq!((reader.bits(8), reader.varbit()), (0, -53));
        assert_eq!(spans(&mut reader), [0, 2]);
        assert_eq!(spans(&mut reader), [0; 0]);
        let bounds: Vec<u64> = (0..3).map(|_| reader.varbit_unsigned()).collect();
        assert_eq!(bounds, [2, 501, 2001], "two, in thousandths and one more");
        assert_eq!(reader.varbit(), 5);
        let values = [6.0, 0.0, 9.5, 1.0, 5.0];
        assert_eq!(values.map(|_| f64::from_bits(reader.bits(64))), values);
    }

    #[test]
    fn thresholds_and_bounds_are_short_where_they_can_be() {
        let threshold = |value| {
            let mut bits = Bits::default();
            put_zero_threshold(&mut bits, value);
            bits.done()
        };
        assert_eq!(threshold(0.0), [0]);
        assert_eq!(threshold(2f64.powi(-243)), [1]);
        assert_eq!(threshold(2f64.powi(10)), [254]);
        for long in [2f64.powi(-244), 2f64.powi(11), 0.001, -1.0] {
            let expected = [&[255][..], &long.to_be_bytes()].concat();
            assert_eq!(threshold(long), expected, "{long}");
        }
        let bounds = [0.005, 0.0, 33_554.43, 33_554.431, -1.0, 1e-9, f64::INFINITY];
        let mut bits = Bits::default();
        for bound in bounds {
            put_bound(&mut bits, bound);
        }
        let bytes = bits.done();
        let mut reader = Reader {
            bytes: &bytes,
            at: 0,
        };
        for (place, bound) in bounds.iter().enumerate() {
            let found = match reader.varbit_unsigned() {
                0 => f64::from_bits(reader.bits(64)),
                thousandths => (thousandths - 1) as f64 / 1000.0,
            };
            assert_eq!(found, *bound);
            assert!(place != 0 || reader.at == 5, "three bits and their prefix");
        }
    }
}
