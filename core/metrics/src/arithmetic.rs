//! Arithmetic of native histograms: sums, differences, factors, and the detection of counter resets.

use crate::histogram::{Buckets, CUSTOM, FloatHistogram, ResetHint, exponential_bound};
use std::sync::Arc;

/// Why two histograms cannot be joined: one has exponential buckets and the other custom bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("histograms have incompatible bucket layouts")]
pub struct Incompatible;

/// What was noticed while two were joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Joined {
    /// One says that the counter was reset, the other that it was not.
    pub resets_collide: bool,
    /// Custom bounds differed; what both have was kept.
    pub bounds_reconciled: bool,
}

/// A running sum with what rounding lost (Kahan and Neumaier), so that small values survive beside large ones.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Compensated {
    /// The sum so far.
    pub sum: f64,
    /// What is to be added to it.
    pub lost: f64,
}

impl Compensated {
    /// Starts from a value.
    pub fn new(sum: f64) -> Self {
        Self { sum, lost: 0.0 }
    }

    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        let total = self.sum + value;
        if total.is_infinite() {
            self.lost = 0.0;
        } else if self.sum.abs() >= value.abs() {
            self.lost += (self.sum - total) + value;
        } else {
            self.lost += (value - total) + self.sum;
        }
        self.sum = total;
    }

    /// The sum.
    pub fn value(self) -> f64 {
        if self.sum.is_infinite() {
            self.sum
        } else {
            self.sum + self.lost
        }
    }
}

/// Joins two sorted bucket lists.
fn join(left: &Buckets, right: &Buckets, mut with: impl FnMut(f64, f64) -> f64) -> Buckets {
    let mut joined = Vec::with_capacity(left.len().max(right.len()));
    let (mut one, mut two) = (left.iter().peekable(), right.iter().peekable());
    loop {
        let (index, value) = match (one.peek(), two.peek()) {
            (None, None) => break,
            (Some(&&(index, count)), None) => {
                one.next();
                (index, with(count, 0.0))
            }
            (None, Some(&&(index, count))) => {
                two.next();
                (index, with(0.0, count))
            }
            (Some(&&(first, a)), Some(&&(second, b))) => {
                let index = first.min(second);
                let a = if first == index {
                    one.next().map_or(0.0, |_| a)
                } else {
                    0.0
                };
                let b = if second == index {
                    two.next().map_or(0.0, |_| b)
                } else {
                    0.0
                };
                (index, with(a, b))
            }
        };
        if value != 0.0 {
            joined.push((index, value));
        }
    }
    joined
}

/// Merges buckets that fall together.
fn merged(buckets: impl IntoIterator<Item = (i32, f64)>) -> Buckets {
    let mut out: Buckets = Vec::new();
    for (index, count) in buckets {
        match out.last_mut() {
            Some(last) if last.0 == index => last.1 += count,
            _ => out.push((index, count)),
        }
    }
    out.retain(|(_, count)| *count != 0.0);
    out
}

fn coarser(buckets: &Buckets, from: i32, to: i32) -> Buckets {
    let shift = u32::try_from(from - to).unwrap_or(0).min(31);
    merged(
        buckets
            .iter()
            .map(|(index, count)| (((index - 1) >> shift) + 1, *count)),
    )
}

impl FloatHistogram {
    /// The same observations in a coarser schema; itself when the schema is not coarser.
    #[must_use]
    pub fn at_schema(&self, schema: i32) -> Self {
        if self.is_custom() || schema >= self.schema {
            return self.clone();
        }
        Self {
            schema,
            positive: coarser(&self.positive, self.schema, schema),
            negative: coarser(&self.negative, self.schema, schema),
            ..self.clone()
        }
    }

    /// Widens the zero bucket to at least `threshold`; a bucket that the threshold would cut is taken whole,
    /// so the new one may be larger.
    pub fn widen_zero(&mut self, threshold: f64) {
        let mut threshold = threshold;
        loop {
            let before = threshold;
            for (index, _) in self.positive.iter().chain(&self.negative) {
                let (lower, upper) = self.positive_bounds(*index);
                if lower < threshold && upper > threshold {
                    threshold = upper;
                }
            }
            if threshold == before {
                break;
            }
        }
        let schema = self.schema;
        let inside = |index: i32| exponential_bound(index, schema) <= threshold;
        let mut taken = 0.0;
        for side in [&mut self.positive, &mut self.negative] {
            side.retain(|(index, count)| {
                let inner = inside(*index);
                if inner {
                    taken += count;
                }
                !inner
            });
        }
        self.zero_count += taken;
        self.zero_threshold = threshold;
    }

    /// Brings two to one schema, one zero bucket and one list of bounds.
    fn reconcile(&mut self, other: &Self) -> Result<(Self, bool), Incompatible> {
        if self.is_custom() != other.is_custom() {
            return Err(Incompatible);
        }
        if self.is_custom() {
            return Ok(self.reconcile_bounds(other));
        }
        let schema = self.schema.min(other.schema);
        if self.schema > schema {
            *self = self.at_schema(schema);
        }
        let mut other = other.at_schema(schema);
        while self.zero_threshold != other.zero_threshold {
            if self.zero_threshold < other.zero_threshold {
                self.widen_zero(other.zero_threshold);
            } else {
                other.widen_zero(self.zero_threshold);
            }
        }
        Ok((other, false))
    }

    fn reconcile_bounds(&mut self, other: &Self) -> (Self, bool) {
        if self.bounds == other.bounds {
            return (other.clone(), false);
        }
        let shared: Arc<[f64]> = self
            .bounds
            .iter()
            .filter(|bound| other.bounds.contains(bound))
            .copied()
            .collect();
        *self = self.at_bounds(&shared);
        (other.at_bounds(&shared), true)
    }

    /// The same observations in fewer custom bounds, each of which it has.
    fn at_bounds(&self, bounds: &Arc<[f64]>) -> Self {
        let place = |index: i32| {
            let (_, upper) = self.positive_bounds(index);
            let place = bounds.partition_point(|bound| *bound < upper);
            i32::try_from(place).unwrap_or(i32::MAX)
        };
        Self {
            positive: merged(
                self.positive
                    .iter()
                    .map(|(index, count)| (place(*index), *count)),
            ),
            bounds: bounds.clone(),
            ..self.clone()
        }
    }

    /// The hint of a joined histogram, and whether the two contradicted one another.
    fn join_hints(&mut self, other: ResetHint) -> bool {
        let (joined, collide) = match (self.hint, other) {
            (one, two) if one == two => (one, false),
            (ResetHint::Gauge, _) | (_, ResetHint::Gauge) => (ResetHint::Gauge, false),
            (ResetHint::Unknown, _) | (_, ResetHint::Unknown) => (ResetHint::Unknown, false),
            _ => (ResetHint::Unknown, true),
        };
        self.hint = joined;
        collide
    }

    /// Adds another one.
    pub fn add(&mut self, other: &Self) -> Result<Joined, Incompatible> {
        self.combine(other, |one, two| one + two)
    }

    /// Takes another one away.
    pub fn subtract(&mut self, other: &Self) -> Result<Joined, Incompatible> {
        self.combine(other, |one, two| one - two)
    }

    fn combine(
        &mut self,
        other: &Self,
        with: impl Fn(f64, f64) -> f64,
    ) -> Result<Joined, Incompatible> {
        let (other, bounds_reconciled) = self.reconcile(other)?;
        let resets_collide = self.join_hints(other.hint);
        self.count = with(self.count, other.count);
        self.sum = with(self.sum, other.sum);
        self.zero_count = with(self.zero_count, other.zero_count);
        self.positive = join(&self.positive, &other.positive, &with);
        self.negative = join(&self.negative, &other.negative, &with);
        Ok(Joined {
            resets_collide,
            bounds_reconciled,
        })
    }

    /// Adds another one, keeping what rounding loses in `lost`, a histogram of the same layout.
    pub fn add_compensated(
        &mut self,
        lost: &mut Self,
        other: &Self,
    ) -> Result<Joined, Incompatible> {
        let (other, bounds_reconciled) = self.reconcile(other)?;
        let hint = lost.hint;
        // The lost part follows the layout; it has no observations of its own to disagree with.
        lost.reconcile(self)?;
        lost.hint = hint;
        let resets_collide = self.join_hints(other.hint);
        let step = |sum: &mut f64, lost: &mut f64, value: f64| {
            let mut running = Compensated {
                sum: *sum,
                lost: *lost,
            };
            running.add(value);
            (*sum, *lost) = (running.sum, running.lost);
        };
        step(&mut self.count, &mut lost.count, other.count);
        step(&mut self.sum, &mut lost.sum, other.sum);
        step(&mut self.zero_count, &mut lost.zero_count, other.zero_count);
        for (mine, missing, theirs) in [
            (&mut self.positive, &mut lost.positive, &other.positive),
            (&mut self.negative, &mut lost.negative, &other.negative),
        ] {
            (*mine, *missing) = add_buckets(mine, missing, theirs);
        }
        Ok(Joined {
            resets_collide,
            bounds_reconciled,
        })
    }

    /// The sum of a compensated addition.
    #[must_use]
    pub fn settled(mut self, lost: &Self) -> Self {
        let settle = |sum: f64, lost: f64| Compensated { sum, lost }.value();
        self.count = settle(self.count, lost.count);
        self.sum = settle(self.sum, lost.sum);
        self.zero_count = settle(self.zero_count, lost.zero_count);
        self.positive = join(&self.positive, &lost.positive, settle);
        self.negative = join(&self.negative, &lost.negative, settle);
        self
    }

    /// Whether any part of it has become infinite.
    pub fn overflows(&self) -> bool {
        self.count.is_infinite()
            || self.sum.is_infinite()
            || self.zero_count.is_infinite()
            || self
                .positive
                .iter()
                .chain(&self.negative)
                .any(|(_, count)| count.is_infinite())
    }

    /// Multiplies every count and the sum. A negative factor makes a gauge.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        self.count *= factor;
        self.sum *= factor;
        self.zero_count *= factor;
        for side in [&mut self.positive, &mut self.negative] {
            for (_, count) in side.iter_mut() {
                *count *= factor;
            }
            side.retain(|(_, count)| *count != 0.0);
        }
        if factor < 0.0 {
            self.hint = ResetHint::Gauge;
        }
        self
    }

    /// Divides every count and the sum. Divided by zero, no bucket is left.
    #[must_use]
    pub fn divided(mut self, divisor: f64) -> Self {
        self.count /= divisor;
        self.sum /= divisor;
        self.zero_count /= divisor;
        for side in [&mut self.positive, &mut self.negative] {
            if divisor == 0.0 {
                side.clear();
            }
            for (_, count) in side.iter_mut() {
                *count /= divisor;
            }
            side.retain(|(_, count)| *count != 0.0);
        }
        if divisor < 0.0 {
            self.hint = ResetHint::Gauge;
        }
        self
    }

    /// Whether the counter was reset between `previous` and this: anything fell, or the layout became finer.
    pub fn resets_after(&self, previous: &Self) -> bool {
        match self.hint {
            ResetHint::Reset => return true,
            ResetHint::NotReset => return false,
            ResetHint::Unknown | ResetHint::Gauge => {}
        }
        if self.count < previous.count || self.is_custom() != previous.is_custom() {
            return true;
        }
        if self.is_custom() {
            let mut own = self.clone();
            let (previous, _) = own.reconcile_bounds(previous);
            return falls(&previous.positive, &own.positive);
        }
        if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        let mut previous = previous.clone();
        if previous.zero_threshold < self.zero_threshold {
            previous.widen_zero(self.zero_threshold);
            if previous.zero_threshold != self.zero_threshold {
                return true;
            }
        }
        let previous = previous.at_schema(self.schema);
        self.zero_count < previous.zero_count
            || falls(&previous.positive, &self.positive)
            || falls(&previous.negative, &self.negative)
    }

    /// An empty histogram of the same layout.
    #[must_use]
    pub fn emptied(&self) -> Self {
        Self {
            schema: self.schema,
            bounds: self.bounds.clone(),
            zero_threshold: if self.schema == CUSTOM {
                0.0
            } else {
                self.zero_threshold
            },
            ..Self::default()
        }
    }
}

/// Whether any bucket holds less than before.
fn falls(before: &Buckets, now: &Buckets) -> bool {
    let mut fell = false;
    join(before, now, |before, now| {
        fell |= now < before;
        0.0
    });
    fell
}

fn add_buckets(sums: &Buckets, lost: &Buckets, values: &Buckets) -> (Buckets, Buckets) {
    let mut indexes: Vec<i32> = [sums, lost, values]
        .into_iter()
        .flatten()
        .map(|(index, _)| *index)
        .collect();
    indexes.sort_unstable();
    indexes.dedup();
    let find = |list: &Buckets, index: i32| {
        list.binary_search_by_key(&index, |(index, _)| *index)
            .map_or(0.0, |place| list[place].1)
    };
    let (mut new_sums, mut new_lost) = (Vec::new(), Vec::new());
    for index in indexes {
        let mut running = Compensated {
            sum: find(sums, index),
            lost: find(lost, index),
        };
        running.add(find(values, index));
        if running.sum != 0.0 {
            new_sums.push((index, running.sum));
        }
        if running.lost != 0.0 {
            new_lost.push((index, running.lost));
        }
    }
    (new_sums, new_lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(schema: i32, positive: &[(i32, f64)]) -> FloatHistogram {
        FloatHistogram {
            schema,
            count: positive.iter().map(|(_, count)| count).sum(),
            positive: positive.to_vec(),
            ..FloatHistogram::default()
        }
    }

    #[test]
    fn a_sum_has_the_coarser_schema() {
        let mut sum = histogram(1, &[(1, 1.0), (2, 2.0), (3, 4.0)]);
        sum.add(&histogram(0, &[(1, 10.0)])).unwrap();
        assert_eq!((sum.schema, sum.positive), (0, vec![(1, 13.0), (2, 4.0)]));
    }

    #[test]
    fn a_wider_zero_bucket_takes_what_it_covers() {
        let mut wide = histogram(0, &[(1, 1.0), (3, 4.0)]);
        wide.widen_zero(1.5);
        assert_eq!((wide.zero_threshold, wide.zero_count), (2.0, 1.0));
        assert_eq!(wide.positive, vec![(3, 4.0)]);
    }

    #[test]
    fn custom_bounds_meet_in_what_both_have() {
        let custom = |bounds: &[f64], positive: &[(i32, f64)]| FloatHistogram {
            bounds: bounds.into(),
            ..histogram(CUSTOM, positive)
        };
        let mut left = custom(&[1.0, 10.0], &[(0, 1.0)]);
        let noticed = left.subtract(&custom(&[1.0], &[(0, 2.0)])).unwrap();
        assert!(noticed.bounds_reconciled);
        assert_eq!(
            (&*left.bounds, left.positive.clone()),
            (&[1.0][..], vec![(0, -1.0)])
        );
        assert_eq!(left.add(&histogram(0, &[])), Err(Incompatible));
    }

    #[test]
    fn a_reset_is_a_fall_or_a_finer_layout() {
        let before = histogram(0, &[(1, 1.0), (2, 2.0)]);
        assert!(!before.resets_after(&before));
        assert!(histogram(0, &[(1, 0.5), (2, 9.0)]).resets_after(&before));
        assert!(histogram(0, &[(2, 9.0)]).resets_after(&before));
        assert!(histogram(1, &[(1, 9.0), (4, 9.0)]).resets_after(&before));
        assert!(!histogram(-1, &[(1, 9.0)]).resets_after(&before));
        let hinted = FloatHistogram {
            hint: ResetHint::NotReset,
            ..histogram(0, &[])
        };
        assert!(!hinted.resets_after(&before));
    }

    #[test]
    fn small_values_survive_beside_large_ones() {
        let mut sum = Compensated::default();
        for value in [1.0, 1e100, 1.0, -1e100] {
            sum.add(value);
        }
        assert_eq!(sum.value(), 2.0);
    }
}
