//! Classic histograms: cumulative buckets with upper bounds.

/// One bucket: all observations up to its bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ClassicBucket {
    pub(crate) upper: f64,
    pub(crate) count: f64,
}

/// What had to be mended: counts that fell from one bucket to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mended {
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
    pub(crate) difference: f64,
}

/// There is no bucket up to infinity.
struct Unbounded;

/// Differences below this part of both counts are rounding, not data.
const ROUNDING: f64 = 1e-12;

/// Sorts, joins equal bounds and makes counts rise. An error when there is no bucket up to
/// infinity.
fn prepare(buckets: &mut Vec<ClassicBucket>) -> Result<Option<Mended>, Unbounded> {
    buckets.sort_by(|one, two| one.upper.total_cmp(&two.upper));
    if buckets.last().map(|last| last.upper) != Some(f64::INFINITY) {
        return Err(Unbounded);
    }
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
    let mut mended: Option<Mended> = None;
    let mut before = buckets[0].count;
    for bucket in &mut buckets[1..] {
        let fell = before - bucket.count;
        if fell.abs() < ROUNDING * (before.abs() + bucket.count.abs()) {
            bucket.count = before;
        } else if fell > 0.0 {
            let known = mended.get_or_insert(Mended {
                lowest: bucket.upper,
                highest: bucket.upper,
                difference: fell,
            });
            known.highest = bucket.upper;
            known.difference = known.difference.max(fell);
            bucket.count = before;
        }
        before = bucket.count;
    }
    Ok(mended)
}

/// The value below which a part of all observations lies.
pub(crate) fn quantile(quantile: f64, buckets: &mut Vec<ClassicBucket>) -> (f64, Option<Mended>) {
    if quantile.is_nan() {
        return (f64::NAN, None);
    }
    if quantile < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if quantile > 1.0 {
        return (f64::INFINITY, None);
    }
    let Ok(mended) = prepare(buckets) else {
        return (f64::NAN, None);
    };
    if buckets.len() < 2 {
        return (f64::NAN, None);
    }
    let last = buckets.len() - 1;
    let all = buckets[last].count;
    if all == 0.0 {
        return (f64::NAN, mended);
    }
    let rank = quantile * all;
    let place = buckets[..last]
        .iter()
        .position(|bucket| bucket.count >= rank)
        .unwrap_or(last);
    if place == last {
        return (buckets[last - 1].upper, mended);
    }
    let upper = buckets[place].upper;
    if place == 0 && upper <= 0.0 {
        return (upper, mended);
    }
    let (lower, below) = if place == 0 {
        (0.0, 0.0)
    } else {
        (buckets[place - 1].upper, buckets[place - 1].count)
    };
    let share = (rank - below) / (buckets[place].count - below);
    (lower + (upper - lower) * share, mended)
}

/// The part of all observations that lies between two values.
pub(crate) fn fraction(lower: f64, upper: f64, buckets: &mut Vec<ClassicBucket>) -> f64 {
    if prepare(buckets).is_err() {
        return f64::NAN;
    }
    let all = buckets[buckets.len() - 1].count;
    if all == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank(upper, buckets, all) - rank(lower, buckets, all)) / all
}

/// How many observations lie below a value.
fn rank(value: f64, buckets: &[ClassicBucket], all: f64) -> f64 {
    let mut below = 0.0;
    let mut low = f64::NEG_INFINITY;
    for (place, bucket) in buckets.iter().enumerate() {
        if place == 0 && bucket.upper > 0.0 {
            low = 0.0;
        }
        if low >= value {
            return below;
        }
        if bucket.upper > value {
            if low == f64::NEG_INFINITY {
                return if value == f64::NEG_INFINITY {
                    below
                } else {
                    bucket.count
                };
            }
            if bucket.upper == f64::INFINITY {
                return below;
            }
            return below + (bucket.count - below) * (value - low) / (bucket.upper - low);
        }
        below = bucket.count;
        low = bucket.upper;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(list: &[(f64, f64)]) -> Vec<ClassicBucket> {
        list.iter()
            .map(|(upper, count)| ClassicBucket {
                upper: *upper,
                count: *count,
            })
            .collect()
    }

    #[test]
    fn a_quantile_is_interpolated() {
        let list = [(1.0, 10.0), (2.0, 20.0), (f64::INFINITY, 20.0)];
        assert_eq!(quantile(0.75, &mut buckets(&list)), (1.5, None));
        assert_eq!(quantile(0.25, &mut buckets(&list)), (0.5, None));
        assert!(quantile(0.5, &mut buckets(&[(1.0, 1.0)])).0.is_nan());
    }

    #[test]
    fn falling_counts_are_mended_and_told() {
        let mut list = buckets(&[(1.0, 10.0), (2.0, 8.0), (f64::INFINITY, 20.0)]);
        let (_, mended) = quantile(0.5, &mut list);
        assert_eq!(
            mended,
            Some(Mended {
                lowest: 2.0,
                highest: 2.0,
                difference: 2.0
            })
        );
    }

    #[test]
    fn a_fraction_is_a_difference_of_ranks() {
        let list = [(1.0, 10.0), (2.0, 20.0), (f64::INFINITY, 40.0)];
        assert_eq!(fraction(0.5, 1.5, &mut buckets(&list)), 0.25);
        assert_eq!(
            fraction(f64::NEG_INFINITY, f64::INFINITY, &mut buckets(&list)),
            1.0
        );
    }
}
