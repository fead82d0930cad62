//! Remote-write outward: series of floats and native histograms as `prometheus.TimeSeries` of version 1.0, and what both
//! versions write in the same way.

use crate::wire;
use mainstay_metrics::{FloatHistogram, HistogramSample, Label, ResetHint, Run};

/// Largest count that a float holds exactly with all its neighbours.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Writes a run of a series. Histograms with bounds of their own have no place in version 1.0 and must not be in it.
pub(crate) fn put_series(out: &mut Vec<u8>, labels: &[&Label], run: Run<'_>) {
    let mut series = Vec::with_capacity(64 + 16 * run.len());
    let mut part = Vec::new();
    for label in labels {
        part.clear();
        wire::put_bytes(&mut part, 1, label.name.as_bytes());
        wire::put_bytes(&mut part, 2, label.value.as_bytes());
        wire::put_bytes(&mut series, 1, &part);
    }
    put_samples(&mut series, run, 4);
    wire::put_bytes(out, 1, &series);
}

/// Writes the samples of a series; histograms have a field of their own.
pub(super) fn put_samples(out: &mut Vec<u8>, run: Run<'_>, histograms: u64) {
    let mut part = Vec::new();
    match run {
        Run::Floats(at_ms, values) => {
            for (at_ms, value) in at_ms.iter().zip(values) {
                part.clear();
                wire::put_float(&mut part, 1, *value);
                wire::put_number(&mut part, 2, at_ms.cast_unsigned());
                wire::put_bytes(out, 2, &part);
            }
        }
        Run::Histograms(some) => {
            for one in some {
                part.clear();
                put_histogram(&mut part, one);
                wire::put_bytes(out, histograms, &part);
            }
        }
    }
}

/// Writes `prometheus.Histogram`: with whole counts as the field's own, else with floats.
fn put_histogram(out: &mut Vec<u8>, sample: &HistogramSample) {
    let one = &*sample.histogram;
    let is_whole = is_whole(one);
    if is_whole {
        wire::put_number(out, 1, one.count as u64);
    } else {
        wire::put_float(out, 2, one.count);
    }
    wire::put_float(out, 3, one.sum);
    wire::put_zigzag(out, 4, i64::from(one.schema));
    wire::put_float(out, 5, one.zero_threshold);
    if is_whole {
        wire::put_number(out, 6, one.zero_count as u64);
    } else {
        wire::put_float(out, 7, one.zero_count);
    }
    put_side(out, 8, &one.negative, is_whole);
    put_side(out, 11, &one.positive, is_whole);
    let hint = match one.hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NotReset => 2,
        ResetHint::Gauge => 3,
    };
    wire::put_number(out, 14, hint);
    wire::put_number(out, 15, sample.at_ms.cast_unsigned());
    wire::put_fixeds(out, 16, one.bounds.iter().map(|bound| bound.to_bits()));
}

/// Whether all counts can be written as whole numbers without changing.
fn is_whole(one: &FloatHistogram) -> bool {
    let fits = |count: f64| (0.0..=EXACT).contains(&count) && count.fract() == 0.0;
    let sides = one.negative.iter().chain(&one.positive);
    fits(one.count) && fits(one.zero_count) && sides.into_iter().all(|(_, count)| fits(*count))
}

/// Writes one side: spans, then counts as differences or as they are; their fields follow that of the spans.
fn put_side(out: &mut Vec<u8>, field: u64, buckets: &[(i32, f64)], is_whole: bool) {
    let mut part = Vec::new();
    // Where the next span is counted from: its own first bucket, then behind the last one.
    let mut behind = 0;
    for span in buckets.chunk_by(|one, two| two.0 == one.0.wrapping_add(1)) {
        part.clear();
        let begin = i64::from(span[0].0);
        wire::put_zigzag(&mut part, 1, begin - behind);
        wire::put_number(&mut part, 2, span.len() as u64);
        wire::put_bytes(out, field, &part);
        behind = i64::from(span[span.len() - 1].0) + 1;
    }
    if is_whole {
        let mut before = 0;
        let deltas = buckets.iter().map(|(_, count)| {
            let count = *count as i64;
            wire::zag(count - std::mem::replace(&mut before, count))
        });
        wire::put_numbers(out, field + 1, deltas);
    } else {
        wire::put_fixeds(
            out,
            field + 2,
            buckets.iter().map(|(_, count)| count.to_bits()),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::{read_first, read_second};
    use mainstay_metrics::{Labels, Value};
    use std::sync::Arc;

    fn histogram(positive: &[(i32, f64)], negative: &[(i32, f64)]) -> FloatHistogram {
        let all = positive.iter().chain(negative);
        FloatHistogram {
            schema: 3,
            zero_threshold: 1e-9,
            zero_count: 2.0,
            count: all.map(|(_, count)| count).sum::<f64>() + 2.0,
            sum: 12.25,
            positive: positive.to_vec(),
            negative: negative.to_vec(),
            ..FloatHistogram::default()
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let labels = Labels::new([("__name__", "a"), ("job", "b")]);
        let list: Vec<&Label> = labels.iter().collect();
        let mut body = Vec::new();
        let values = [2.5, f64::INFINITY, mainstay_metrics::sample::stale()];
        put_series(&mut body, &list, Run::Floats(&[-3, 1, 2], &values));
        let read = read_first(&body).unwrap();
        assert_eq!(read[0].labels, labels);
        let bits: Vec<(i64, u64)> = read[0]
            .samples
            .iter()
            .map(|(at_ms, value)| match value {
                Value::Float(value) => (*at_ms, value.to_bits()),
                Value::Histogram(_) => panic!("a float was written"),
            })
            .collect();
        assert_eq!(
            bits,
            [
                (-3, values[0].to_bits()),
                (1, values[1].to_bits()),
                (2, values[2].to_bits())
            ]
        );
        for cut in 0..body.len() {
            // Cut anywhere it is read in part or refused, and never more.
            drop(read_first(&body[..cut]));
            drop(read_second(&body[..cut]));
        }
    }

    #[test]
    fn native_histograms_are_read_as_they_were() {
        let whole = histogram(&[(-5, 3.0), (-4, 1.0), (9, 7.0)], &[(0, 4.0), (2, 1.0)]);
        let parts = histogram(&[(1, 0.5), (2, 1.25)], &[]);
        let gauge = FloatHistogram {
            hint: ResetHint::Gauge,
            sum: f64::NAN,
            ..histogram(&[], &[(i32::MAX - 1, 1.0)])
        };
        let samples: Vec<HistogramSample> = (5i64..)
            .zip([whole, parts, gauge])
            .map(|(at_ms, one)| HistogramSample {
                at_ms,
                histogram: Arc::new(one),
            })
            .collect();
        let labels = Labels::new([("__name__", "a")]);
        let list: Vec<&Label> = labels.iter().collect();
        let mut body = Vec::new();
        put_series(&mut body, &list, Run::Histograms(&samples));
        let read = read_first(&body).unwrap();
        assert_eq!(read.len(), 1);
        for (sample, (at_ms, value)) in samples.iter().zip(&read[0].samples) {
            let Value::Histogram(found) = value else {
                panic!("a histogram was written");
            };
            assert_eq!(*at_ms, sample.at_ms);
            assert!(found.equals(&sample.histogram), "{found:?}");
            assert_eq!(found.hint, sample.histogram.hint);
        }
        for cut in 0..body.len() {
            drop(read_first(&body[..cut]));
        }
    }
}
