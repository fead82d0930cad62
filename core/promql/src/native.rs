//! Quantiles and fractions of native histograms.

use mainstay_metrics::FloatHistogram;
use mainstay_metrics::histogram::Bucket;

/// What NaN observations did to a quantile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nans {
    None,
    /// The quantile falls above all buckets.
    Result,
    /// The quantile is higher than without them.
    Skewed,
}

/// Buckets as they are interpolated: the zero bucket lies on the side that has observations, the lowest custom
/// bucket begins at zero when it ends above.
fn usable(histogram: &FloatHistogram) -> Vec<Bucket> {
    let mut buckets = histogram.buckets();
    for bucket in &mut buckets {
        if histogram.is_custom() {
            if bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0 {
                bucket.lower = 0.0;
            }
        } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
            match (histogram.negative.is_empty(), histogram.positive.is_empty()) {
                (true, false) => bucket.lower = 0.0,
                (false, true) => bucket.upper = 0.0,
                _ => {}
            }
        }
    }
    buckets
}

/// Where in a bucket a share of it ends.
fn inside(histogram: &FloatHistogram, bucket: &Bucket, share: f64) -> f64 {
    if histogram.is_custom() || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
        return bucket.lower + (bucket.upper - bucket.lower) * share;
    }
    let (low, high) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
    if bucket.lower > 0.0 {
        return (low + (high - low) * share).exp2();
    }
    -(high + (low - high) * (1.0 - share)).exp2()
}

/// Which share of a bucket lies below a value inside it.
fn share(histogram: &FloatHistogram, bucket: &Bucket, value: f64) -> f64 {
    if histogram.is_custom() || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
        if bucket.lower == f64::NEG_INFINITY {
            return 1.0;
        }
        return (value - bucket.lower) / (bucket.upper - bucket.lower);
    }
    let (low, high, at) = (
        bucket.lower.abs().log2(),
        bucket.upper.abs().log2(),
        value.abs().log2(),
    );
    if value > 0.0 {
        (at - low) / (high - low)
    } else {
        1.0 - (at - high) / (low - high)
    }
}

/// The value below which a part of all observations lies.
pub(crate) fn quantile(quantile: f64, histogram: &FloatHistogram) -> (f64, Nans) {
    if quantile < 0.0 {
        return (f64::NEG_INFINITY, Nans::None);
    }
    if quantile > 1.0 {
        return (f64::INFINITY, Nans::None);
    }
    if histogram.count == 0.0 || quantile.is_nan() {
        return (f64::NAN, Nans::None);
    }
    let nans = histogram.sum.is_nan() && !histogram.is_custom();
    // From the nearer end, so that less rounding adds up; NaN observations are counted above all.
    let forward = histogram.sum.is_nan() || quantile < 0.5;
    let mut buckets = usable(histogram);
    let mut rank = if forward { quantile } else { 1.0 - quantile } * histogram.count;
    if !forward {
        buckets.reverse();
    }
    let mut seen = 0.0;
    let mut found = None;
    for bucket in &buckets {
        seen += bucket.count;
        found = Some(bucket);
        if seen >= rank {
            break;
        }
    }
    let Some(bucket) = found else {
        return (f64::NAN, if nans { Nans::Result } else { Nans::None });
    };
    if histogram.is_custom() {
        if bucket.lower == f64::NEG_INFINITY {
            return (bucket.upper, Nans::None);
        }
        if bucket.upper == f64::INFINITY {
            return (bucket.lower, Nans::None);
        }
    }
    seen = seen.min(histogram.count);
    if seen < rank {
        return if nans {
            (f64::NAN, Nans::Result)
        } else {
            (
                if forward { bucket.upper } else { bucket.lower },
                Nans::None,
            )
        };
    }
    rank = if forward {
        rank - (seen - bucket.count)
    } else {
        seen - rank
    };
    let value = inside(histogram, bucket, rank / bucket.count);
    (value, if nans { Nans::Skewed } else { Nans::None })
}

/// The part of all observations that lies between two values, and whether some were NaN.
pub(crate) fn fraction(lower: f64, upper: f64, histogram: &FloatHistogram) -> (f64, bool) {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, false);
    }
    let nans = histogram.sum.is_nan() && !histogram.is_custom();
    if lower >= upper {
        return (0.0, nans);
    }
    let buckets = usable(histogram);
    let all: f64 = buckets.iter().map(|bucket| bucket.count).sum();
    let most = if histogram.sum.is_nan() {
        all
    } else {
        histogram.count
    };
    let part = rank(histogram, &buckets, upper, most) - rank(histogram, &buckets, lower, most);
    (part / histogram.count, nans)
}

/// How many observations lie below a value.
fn rank(histogram: &FloatHistogram, buckets: &[Bucket], value: f64, most: f64) -> f64 {
    let mut below = 0.0;
    for bucket in buckets {
        if bucket.lower >= value {
            return below;
        }
        if bucket.upper > value {
            let part = if bucket.upper == f64::INFINITY {
                0.0
            } else {
                share(histogram, bucket, value)
            };
            return (below + bucket.count * part).min(most);
        }
        below += bucket.count;
    }
    most
}
