//! Which side of a [`Split`] answers a request.
//!
//! Requests get places between 0 and 1 that fill it evenly: each lies the golden section further than the one
//! before, around the circle (Weyl's sequence; of all steps this one keeps any number of places apart best,
//! Knuth, "The Art of Computer Programming" 3, §6.4). Of 10,000 requests the share that a side gets is off by
//! some hundredths of a point, where drawn places would be off by half a point.

use crate::{Chosen, Side, Split};
use mainstay_atoms::Share;

/// The golden section of 2⁶⁴, odd.
pub(crate) const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The place after this one; any number is a good beginning.
pub fn next_place(place: u64) -> u64 {
    place.wrapping_add(STEP)
}

/// Which of the 10,000 parts of a circle a place on it lies in, 0 to 2⁶⁴.
fn part(place: u64) -> u64 {
    u64::try_from((u128::from(place) * 10_000) >> 64).unwrap_or(u64::MAX)
}

/// Whether a place lies within the first `share` of the circle.
pub fn is_within(share: Share, place: u64) -> bool {
    part(place) < share.0
}

impl Split {
    /// The side of a place, 0 to 2⁶⁴: the canary's is at the beginning, so that none who has come to it leaves it
    /// while its share grows.
    pub fn at(&self, place: u64) -> Side {
        let at = part(place);
        if at < self.canary.0 {
            Side::Canary
        } else if at < self.canary.0.saturating_add(self.baseline.0) {
            Side::Baseline
        } else {
            Side::Stable
        }
    }

    /// Whether a request is one for the canary, whatever its share is. `has_field` and `has_cookie` say whether
    /// the request has a field or cookie of that name with exactly that value.
    pub fn chooses(
        &self,
        has_field: impl Fn(&str, &str) -> bool,
        has_cookie: impl Fn(&str, &str) -> bool,
    ) -> bool {
        self.chosen.iter().any(|chosen| match chosen {
            Chosen::Header { name, value } => has_field(name, value),
            Chosen::Cookie { name, value } => has_cookie(name, value),
        })
    }
}

impl Side {
    /// Who answers a request of this side: it, and when nobody of it can, those who serve before those who are
    /// on trial.
    pub fn order(self) -> [Self; 3] {
        match self {
            Self::Stable => [Self::Stable, Self::Baseline, Self::Canary],
            Self::Baseline => [Self::Baseline, Self::Stable, Self::Canary],
            Self::Canary => [Self::Canary, Self::Stable, Self::Baseline],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Place;
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

    #[test]
    fn a_chosen_request_has_a_field_or_a_cookie() {
        let mut split = split(0, 0);
        let text = |text: &str| text.to_owned();
        split.chosen = vec![
            Chosen::Header {
                name: text("x-beta"),
                value: text("1"),
            },
            Chosen::Cookie {
                name: text("beta"),
                value: text("yes"),
            },
        ];
        let is = |wanted: (&'static str, &'static str)| {
            move |name: &str, value: &str| (name, value) == wanted
        };
        let none = ("", "");
        assert!(split.chooses(is(("x-beta", "1")), is(none)));
        assert!(split.chooses(is(none), is(("beta", "yes"))));
        for (field, cookie) in [
            (none, none),
            (("x-beta", "2"), ("beta", "no")),
            (("beta", "yes"), ("x-beta", "1")),
        ] {
            assert!(!split.chooses(is(field), is(cookie)));
        }
    }

    #[test]
    fn everybody_answers_in_the_end_and_the_own_side_first() {
        for side in [Side::Stable, Side::Baseline, Side::Canary] {
            let order = side.order();
            assert_eq!(order[0], side);
            for other in [Side::Stable, Side::Baseline, Side::Canary] {
                assert!(order.contains(&other));
            }
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
        fn a_share_of_copies_is_kept_too(share in 0_u64..=10_000, beginning in any::<u64>()) {
            let mut place = beginning;
            let mut within = 0_u32;
            for _ in 0..10_000 {
                place = next_place(place);
                within += u32::from(is_within(Share(share), place));
            }
            let wanted = u32::try_from(share).unwrap();
            prop_assert!(within.abs_diff(wanted) <= 10, "{} of {}", within, wanted);
        }

        /// A client's place says its side as exactly as a request's: of all 65,536 places a side gets its share,
        /// to one place at each of its ends, and fresh places fill it within half a point.
        #[test]
        fn clients_who_stay_are_shared_out_as_requests_are(
            canary in 0_u64..=10_000,
            release in any::<u64>(),
            beginning in any::<u64>(),
        ) {
            let mut split = split(canary, (10_000 - canary) / 2);
            split.release = ReleaseNumber(release);
            let side = |place: Place| split.at(place.position(split.release));
            let all = (0..=u16::MAX).filter(|place| side(Place(*place)) == Side::Canary).count();
            let exact = usize::try_from(canary * 65_536 / 10_000).unwrap();
            prop_assert!(all.abs_diff(exact) <= 1, "{} of {}", all, exact);
            let (mut position, mut fresh) = (beginning, 0_u64);
            for _ in 0..10_000 {
                position = next_place(position);
                fresh += u64::from(side(Place::at(position, split.release)) == Side::Canary);
            }
            prop_assert!(fresh.abs_diff(canary) <= 50, "{} of {}", fresh, canary);
        }

        #[test]
        fn nobody_who_stays_leaves_a_canary_that_grows(
            place in any::<u16>(),
            release in any::<u64>(),
            steps in prop::collection::btree_set(0_u64..=10_000, 1..8),
        ) {
            let mut on = false;
            for canary in steps {
                let mut split = split(canary, (10_000 - canary) / 3);
                split.release = ReleaseNumber(release);
                let now = split.at(Place(place).position(split.release)) == Side::Canary;
                prop_assert!(now || !on, "left at {}", canary);
                on = now;
            }
        }

        #[test]
        fn shares_out_of_bounds_break_nothing(
            canary in any::<u64>(),
            baseline in any::<u64>(),
            place in any::<u64>(),
        ) {
            let side = split(canary, baseline).at(place);
            prop_assert!(canary > 0 || side != Side::Canary);
        }

        #[test]
        fn nothing_and_everything_are_exact(place in any::<u64>()) {
            prop_assert_ne!(split(0, 0).at(place), Side::Canary);
            prop_assert_eq!(split(10_000, 0).at(place), Side::Canary);
        }
    }
}
