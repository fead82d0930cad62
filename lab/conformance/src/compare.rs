//! Whether a value is the expected one, within the tolerance of the acceptance language.

use mainstay_metrics::sample::is_stale;
use mainstay_metrics::{FloatHistogram, Value};

/// Largest relative difference.
const TOLERANCE: f64 = 1e-6;

/// Whether two floats are as good as equal.
pub(crate) fn floats(expected: f64, found: f64) -> bool {
    if is_stale(expected) || is_stale(found) {
        return is_stale(expected) && is_stale(found);
    }
    if expected.is_nan() && found.is_nan() {
        return true;
    }
    if expected == found {
        return true;
    }
    let sum = expected.abs() + found.abs();
    let difference = (expected - found).abs();
    if expected == 0.0 || found == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

/// Whether two samples are.
pub(crate) fn values(expected: &Value, found: &Value, hint: bool) -> bool {
    match (expected, found) {
        (Value::Float(expected), Value::Float(found)) => floats(*expected, *found),
        (Value::Histogram(expected), Value::Histogram(found)) => histograms(expected, found, hint),
        _ => false,
    }
}

fn histograms(expected: &FloatHistogram, found: &FloatHistogram, hint: bool) -> bool {
    let buckets = |expected: &[(i32, f64)], found: &[(i32, f64)]| {
        expected.len() == found.len()
            && expected
                .iter()
                .zip(found)
                .all(|(one, two)| one.0 == two.0 && floats(one.1, two.1))
    };
    expected.schema == found.schema
        && expected.zero_threshold == found.zero_threshold
        && expected.bounds == found.bounds
        && floats(expected.count, found.count)
        && floats(expected.sum, found.sum)
        && floats(expected.zero_count, found.zero_count)
        && buckets(&expected.positive, &found.positive)
        && buckets(&expected.negative, &found.negative)
        && (!hint || expected.hint == found.hint)
}
