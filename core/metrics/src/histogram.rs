//! Native histograms with float counts: buckets by an exponential schema or by custom bounds.

use std::fmt;
use std::sync::Arc;

/// The schema that says: bucket bounds are listed.
pub const CUSTOM: i32 = -53;

/// Coarsest and finest exponential schema: a bucket's bound is the one before times 2^(2^-schema).
pub const SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;

/// What is known about a reset of the counter between this histogram and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResetHint {
    /// Compare with the one before to find out.
    #[default]
    Unknown,
    /// The counter began again.
    Reset,
    /// It did not.
    NotReset,
    /// No counter: resets have no meaning.
    Gauge,
}

/// Buckets that hold something: index and count, by index, no count zero.
pub type Buckets = Vec<(i32, f64)>;

/// A histogram. Two with equal content are equal whatever empty buckets they were written with: those are
/// not kept.
#[derive(Debug, Clone, Default)]
pub struct FloatHistogram {
    /// Whether a reset is known.
    pub hint: ResetHint,
    /// -4…8, or [`CUSTOM`].
    pub schema: i32,
    /// Observations not farther than this from zero are in the zero bucket.
    pub zero_threshold: f64,
    /// How many those are.
    pub zero_count: f64,
    /// All observations; more than the buckets hold when some were NaN.
    pub count: f64,
    /// Their sum; NaN when one was.
    pub sum: f64,
    /// Buckets above zero; with custom bounds all buckets.
    pub positive: Buckets,
    /// Buckets below zero, by the index of their mirror image.
    pub negative: Buckets,
    /// Upper bounds for [`CUSTOM`], rising; one more bucket up to infinity follows.
    pub bounds: Arc<[f64]>,
}

/// One bucket with its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Whether the lower bound itself is inside.
    pub lower_inclusive: bool,
    /// Whether the upper bound itself is inside.
    pub upper_inclusive: bool,
    /// Observations.
    pub count: f64,
}

/// Upper bound of an exponential bucket. The last one before infinity ends at the largest finite number.
pub fn exponential_bound(index: i32, schema: i32) -> f64 {
    let index = i64::from(index);
    if schema <= 0 {
        let exponent = index << (-schema).min(32);
        return if exponent == 1024 {
            f64::MAX
        } else {
            power_of_two(exponent)
        };
    }
    let per_double = 1i64 << schema.min(32);
    let within = index.rem_euclid(per_double);
    let whole = index.div_euclid(per_double);
    if within == 0 && whole == 1024 {
        return f64::MAX;
    }
    let part = (within as f64 / per_double as f64).exp2();
    if whole >= 1024 {
        return f64::INFINITY;
    }
    // Two steps, so that a subnormal result is rounded once.
    if whole < -1000 {
        part * power_of_two(whole + 1000) * power_of_two(-1000)
    } else {
        part * power_of_two(whole)
    }
}

fn power_of_two(exponent: i64) -> f64 {
    if exponent > 1023 {
        f64::INFINITY
    } else if exponent < -1100 {
        0.0
    } else {
        (exponent as f64).exp2()
    }
}

impl FloatHistogram {
    /// Whether the bounds are listed.
    pub fn is_custom(&self) -> bool {
        self.schema == CUSTOM
    }

    /// Takes buckets that may be empty or unsorted and keeps what holds something.
    pub fn packed(mut buckets: Buckets) -> Buckets {
        buckets.retain(|(_, count)| *count != 0.0);
        buckets.sort_by_key(|(index, _)| *index);
        buckets
    }

    /// Bounds of a bucket of the positive side.
    pub fn positive_bounds(&self, index: i32) -> (f64, f64) {
        if self.is_custom() {
            let bound = |place: i32| {
                usize::try_from(place)
                    .ok()
                    .and_then(|place| self.bounds.get(place))
                    .copied()
            };
            let lower = if index <= 0 {
                f64::NEG_INFINITY
            } else {
                bound(index - 1).unwrap_or(f64::INFINITY)
            };
            return (lower, bound(index).unwrap_or(f64::INFINITY));
        }
        (
            exponential_bound(index.saturating_sub(1), self.schema),
            exponential_bound(index, self.schema),
        )
    }

    fn positive_bucket(&self, index: i32, count: f64) -> Bucket {
        let (lower, upper) = self.positive_bounds(index);
        Bucket {
            lower,
            upper,
            lower_inclusive: lower == f64::NEG_INFINITY,
            upper_inclusive: true,
            count,
        }
    }

    fn negative_bucket(&self, index: i32, count: f64) -> Bucket {
        let (lower, upper) = self.positive_bounds(index);
        Bucket {
            lower: -upper,
            upper: -lower,
            lower_inclusive: true,
            upper_inclusive: false,
            count,
        }
    }

    /// Buckets that hold something, from the lowest value to the highest, the zero bucket in its place.
    pub fn buckets(&self) -> Vec<Bucket> {
        let mut all = Vec::with_capacity(self.positive.len() + self.negative.len() + 1);
        for (index, count) in self.negative.iter().rev() {
            all.push(self.negative_bucket(*index, *count));
        }
        if self.zero_count != 0.0 {
            all.push(Bucket {
                lower: -self.zero_threshold,
                upper: self.zero_threshold,
                lower_inclusive: true,
                upper_inclusive: true,
                count: self.zero_count,
            });
        }
        for (index, count) in &self.positive {
            all.push(self.positive_bucket(*index, *count));
        }
        all
    }

    /// Whether two are the same but for their hints. NaN equals NaN.
    pub fn equals(&self, other: &Self) -> bool {
        let same = |left: f64, right: f64| {
            left.to_bits() == right.to_bits() || left == right || (left.is_nan() && right.is_nan())
        };
        let same_buckets = |left: &Buckets, right: &Buckets| {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(one, two)| one.0 == two.0 && same(one.1, two.1))
        };
        self.schema == other.schema
            && same(self.count, other.count)
            && same(self.sum, other.sum)
            && (!self.is_custom() || self.bounds == other.bounds)
            && (self.is_custom() || self.zero_threshold == other.zero_threshold)
            && same(self.zero_count, other.zero_count)
            && same_buckets(&self.positive, &other.positive)
            && same_buckets(&self.negative, &other.negative)
    }

    /// Bytes that it occupies, about.
    pub fn bytes(&self) -> usize {
        std::mem::size_of::<Self>()
            + 16 * (self.positive.len() + self.negative.len())
            + 8 * self.bounds.len()
    }
}

impl PartialEq for FloatHistogram {
    fn eq(&self, other: &Self) -> bool {
        self.hint == other.hint && self.equals(other)
    }
}

/// `{count:20, sum:10, [-1,-0.5):1, [-0.001,0.001]:2, (0.5,1]:1}`.
impl fmt::Display for FloatHistogram {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{{count:{}, sum:{}",
            general(self.count),
            general(self.sum)
        )?;
        for bucket in self.buckets() {
            write!(
                out,
                ", {}{},{}{}:{}",
                if bucket.lower_inclusive { '[' } else { '(' },
                general(bucket.lower),
                general(bucket.upper),
                if bucket.upper_inclusive { ']' } else { ')' },
                general(bucket.count)
            )?;
        }
        out.write_str("}")
    }
}

/// A float in the fewest digits that read back, with an exponent when it is below 1e-4 or at least 1e6:
/// `%g` of the field's tools, which decide so for shortest digits.
pub fn general(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 {
            "+Inf".into()
        } else {
            "-Inf".into()
        };
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    format!("{value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_powers() {
        for (index, schema, bound) in [
            (0, 0, 1.0),
            (1, 0, 2.0),
            (-1, 0, 0.5),
            (1, 1, std::f64::consts::SQRT_2),
            (2, 1, 2.0),
            (1, -1, 4.0),
            (1024, 0, f64::MAX),
            (1025, 0, f64::INFINITY),
            (-1074, 0, 5e-324),
            (8192, 3, f64::MAX),
        ] {
            let found = exponential_bound(index, schema);
            assert!(
                (found - bound).abs() <= bound * 1e-15 || found == bound,
                "{index} {schema}: {found}"
            );
        }
    }

    #[test]
    fn a_histogram_reads_from_low_to_high() {
        let histogram = FloatHistogram {
            count: 20.0,
            sum: 10.0,
            zero_threshold: 0.001,
            zero_count: 2.0,
            positive: vec![(0, 1.0), (1, 2.0)],
            negative: vec![(0, 1.0), (1, 2.0)],
            ..FloatHistogram::default()
        };
        assert_eq!(
            histogram.to_string(),
            "{count:20, sum:10, [-2,-1):2, [-1,-0.5):1, [-0.001,0.001]:2, (0.5,1]:1, (1,2]:2}"
        );
    }

    #[test]
    fn floats_are_short() {
        for (value, text) in [
            (0.1, "0.1"),
            (1e6, "1e+06"),
            (123_456.0, "123456"),
            (1e-5, "1e-05"),
            (f64::INFINITY, "+Inf"),
            (1.5e300, "1.5e+300"),
        ] {
            assert_eq!(general(value), text);
        }
    }
}
