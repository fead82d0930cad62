//! Which side of a [`Split`] answers a request.
//!
//! Requests get places between 0 and 1 that fill it evenly: each lies the golden section further than the one
//! before, around the circle (Weyl's sequence; of all steps this one keeps any number of places apart best,
//! Knuth, "The Art of Computer Programming" 3, §6.4). Of 10,000 requests the share that a side gets is off by
//! some hundredths of a point, where drawn places would be off by half a point.

use crate::{Side, Split};

/// The golden section of 2⁶⁴, odd.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The place after this one; any number is a good beginning.
pub fn next_place(place: u64) -> u64 {
    place.wrapping_add(STEP)
}

impl Split {
    /// The side of a place, 0 to 2⁶⁴: the canary's is at the beginning, so that none who has come to it leaves it
    /// while its share grows.
    pub fn at(&self, place: u64) -> Side {
        let at = u64::try_from((u128::from(place) * 10_000) >> 64).unwrap_or(u64::MAX);
        if at < self.canary.0 {
            Side::Canary
        } else if at < self.canary.0.saturating_add(self.baseline.0) {
            Side::Baseline
        } else {
            Side::Stable
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_atoms::{ReleaseNumber, Share};
    use proptest::prelude::*;

    fn split(canary: u64, baseline: u64) -> Split {
        Split {
            release: ReleaseNumber(2),
            canary: Share(canary),
            baseline: Share(baseline),
            fresh_above: 2,
            sticky: false,
            chosen: vec![],
            mirror: Share::default(),
        }
    }

    proptest! {
        #[test]
        fn shares_are_kept_within_half_a_point_by_any_number_of_workers(
            canary in 0_u64..=10_000,
            beginnings in prop::collection::vec(any::<u64>(), 1..8),
        ) {
            let split = split(canary, (10_000 - canary) / 2);
            let each = 10_000 / beginnings.len();
            let (mut first, mut second) = (0_u32, 0_u32);
            for beginning in &beginnings {
                let mut place = *beginning;
                for _ in 0..each {
                    place = next_place(place);
                    match split.at(place) {
                        Side::Canary => first += 1,
                        Side::Baseline => second += 1,
                        Side::Stable => {}
                    }
                }
            }
            let all = u32::try_from(each * beginnings.len()).unwrap();
            let share = |count: u32| f64::from(count) / f64::from(all) * 100.0;
            let wanted = |share: Share| f64::from(u32::try_from(share.0).unwrap()) / 100.0;
            prop_assert!((share(first) - wanted(split.canary)).abs() <= 0.5);
            prop_assert!((share(second) - wanted(split.baseline)).abs() <= 0.5);
        }

        #[test]
        fn nobody_leaves_a_canary_that_grows(place in any::<u64>(), canary in 0_u64..10_000) {
            let grown = (canary + 1..=10_000).step_by(997);
            if split(canary, 0).at(place) == Side::Canary {
                for canary in grown {
                    prop_assert_eq!(split(canary, 0).at(place), Side::Canary);
                }
            }
        }

        #[test]
        fn nothing_and_everything_are_exact(place in any::<u64>()) {
            prop_assert_ne!(split(0, 0).at(place), Side::Canary);
            prop_assert_eq!(split(10_000, 0).at(place), Side::Canary);
        }
    }
}
