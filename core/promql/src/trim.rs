//! Native histograms cut at a value (`</` and `>/`).

use mainstay_metrics::FloatHistogram;
use mainstay_metrics::histogram::Bucket;

/// Keeps observations below (`upper`) or above a value. A bucket that is cut is interpolated as quantiles are;
/// the sum is estimated from the middles of what is left, since single observations are not known.
pub(crate) fn trimmed(histogram: &FloatHistogram, at: f64, upper: bool) -> FloatHistogram {
    let mut cut = histogram.clone();
    if at.is_nan() {
        return cut;
    }
    let (positive, negative) = (cut.positive.is_empty(), cut.negative.is_empty());
    let keep = |bucket: Bucket| -> f64 {
        let below = below(histogram, &bucket, at, positive, negative);
        if upper {
            bucket.count * below
        } else {
            bucket.count * (1.0 - below)
        }
    };
    let (mut count, mut sum, mut changed) = (0.0, 0.0, false);
    let mut account = |bucket: Bucket, kept: f64| {
        changed |= kept != bucket.count;
        count += kept;
        if kept > 0.0 {
            sum += kept * middle(histogram, &bucket, at, upper, positive, negative);
        }
        kept
    };
    for (index, value) in &mut cut.negative {
        let (low, high) = histogram.positive_bounds(*index);
        let bucket = Bucket {
            lower: -high,
            upper: -low,
            lower_inclusive: true,
            upper_inclusive: false,
            count: *value,
        };
        *value = account(bucket, keep(bucket));
    }
    if cut.zero_count != 0.0 {
        let width = cut.zero_threshold;
        let bucket = Bucket {
            lower: -width,
            upper: width,
            lower_inclusive: true,
            upper_inclusive: true,
            count: cut.zero_count,
        };
        cut.zero_count = account(bucket, keep(bucket));
    }
    for (index, value) in &mut cut.positive {
        let (lower, upper) = histogram.positive_bounds(*index);
        let bucket = Bucket {
            lower,
            upper,
            lower_inclusive: false,
            upper_inclusive: true,
            count: *value,
        };
        *value = account(bucket, keep(bucket));
    }
    if changed {
        cut.count = count;
        cut.sum = sum;
        cut.positive = FloatHistogram::packed(cut.positive);
        cut.negative = FloatHistogram::packed(cut.negative);
    }
    cut
}

/// Where a bucket's observations are taken to lie.
fn extent(
    histogram: &FloatHistogram,
    bucket: &Bucket,
    no_positive: bool,
    no_negative: bool,
) -> (f64, f64) {
    let (mut lower, mut upper) = (bucket.lower, bucket.upper);
    if histogram.is_custom() {
        if lower == f64::NEG_INFINITY && upper > 0.0 {
            lower = 0.0;
        }
    } else if lower < 0.0 && upper > 0.0 {
        match (no_negative, no_positive) {
            (true, false) => lower = 0.0,
            (false, true) => upper = 0.0,
            _ => {}
        }
    }
    (lower, upper)
}

/// The share of a bucket that lies below a value.
fn below(
    histogram: &FloatHistogram,
    bucket: &Bucket,
    at: f64,
    no_positive: bool,
    no_negative: bool,
) -> f64 {
    let (lower, upper) = extent(histogram, bucket, no_positive, no_negative);
    if at >= upper {
        return 1.0;
    }
    if at <= lower {
        return 0.0;
    }
    if lower == f64::NEG_INFINITY {
        return 1.0;
    }
    if upper == f64::INFINITY {
        return 0.0;
    }
    if histogram.is_custom() || (lower <= 0.0 && upper >= 0.0) {
        return (at - lower) / (upper - lower);
    }
    let (low, high, here) = (lower.abs().log2(), upper.abs().log2(), at.abs().log2());
    if at > 0.0 {
        (here - low) / (high - low)
    } else {
        1.0 - (here - high) / (low - high)
    }
}

/// The middle of what is left of a bucket.
fn middle(
    histogram: &FloatHistogram,
    bucket: &Bucket,
    at: f64,
    cut_upper: bool,
    no_positive: bool,
    no_negative: bool,
) -> f64 {
    let (mut lower, mut upper) = extent(histogram, bucket, no_positive, no_negative);
    if cut_upper {
        upper = upper.min(at);
    } else {
        lower = lower.max(at);
    }
    if lower == f64::NEG_INFINITY {
        return upper;
    }
    if upper == f64::INFINITY {
        return lower;
    }
    if histogram.is_custom() || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
        return f64::midpoint(lower, upper);
    }
    (lower * upper).sqrt().copysign(bucket.upper)
}
