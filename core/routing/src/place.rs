//! The place that a client keeps among all clients of a service while releases come and go.
//!
//! A client's cookie holds its place. Where that lies on the circle of one trial follows from the number of the
//! release on trial: each release orders all places anew, one to one, so whoever met the last canary first is no
//! more likely to meet the next one first than anybody else. Within one trial nothing moves: the place, the
//! release and the shares say the side, and they say the same in every worker, before and after a restart.

use mainstay_atoms::ReleaseNumber;
use std::fmt;

/// The place of one client, of 65,536.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub u16);

/// Four rounds of a keyed function make a Feistel network as good as a drawn permutation (Luby and Rackoff, "How to
/// Construct Pseudorandom Permutations from Pseudorandom Functions", 1988).
const ROUNDS: u64 = 4;

impl Place {
    /// The place whose [position](Place::position) on the circle of `release` is the one of these 2⁶⁴ that `position`
    /// lies at, to 1 of 65,536: fresh clients get places that fill the circle as evenly as their positions do.
    pub fn at(position: u64, release: ReleaseNumber) -> Self {
        let [mut left, mut right, ..] = position.to_be_bytes();
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ mixed(left, round, release), left);
        }
        Self(u16::from_be_bytes([left, right]))
    }

    /// Where on the circle of `release` this place lies, 0 to 2⁶⁴; see [`crate::Split::at`].
    pub fn position(self, release: ReleaseNumber) -> u64 {
        let [mut left, mut right] = self.0.to_be_bytes();
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ mixed(right, round, release));
        }
        u64::from(u16::from_be_bytes([left, right])) << 48
    }

    /// Reads what [`fmt::Display`] writes, and nothing else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digit = |byte: &u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let [a, b, c, d] = text else {
            return None;
        };
        let all = [digit(a)?, digit(b)?, digit(c)?, digit(d)?];
        Some(Self(
            all.into_iter()
                .fold(0, |place, digit| place << 4 | u16::from(digit)),
        ))
    }
}

/// Four hexadecimal digits in lower case.
impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04x}", self.0)
    }
}

/// The function of one round: the finaliser of `SplitMix64` (Steele, Lea and Flood, "Fast Splittable Pseudorandom
/// Number Generators", 2014), of which a byte is taken.
fn mixed(half: u8, round: u64, release: ReleaseNumber) -> u8 {
    let key = release.0.wrapping_mul(ROUNDS).wrapping_add(round) << 8;
    let mut number = (key ^ u64::from(half)).wrapping_mul(crate::share::STEP);
    number = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ number >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    let [.., last] = (number ^ number >> 31).to_be_bytes();
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_release_orders_all_places_one_to_one() {
        for release in [0, 1, 2, 41, u64::MAX] {
            let release = ReleaseNumber(release);
            let mut taken = vec![false; 65_536];
            for place in 0..=u16::MAX {
                let position = Place(place).position(release);
                let at = usize::try_from(position >> 48).unwrap();
                assert!(
                    !std::mem::replace(&mut taken[at], true),
                    "{place} {release}"
                );
                assert_eq!(Place::at(position, release), Place(place));
            }
        }
    }

    /// Of the clients on one canary of a tenth, a tenth is on any other one: the same is said of all releases up to
    /// 200 beside the first, within what chance explains (five times its deviation, 0.117 points).
    #[test]
    fn the_first_of_one_release_are_no_more_often_the_first_of_another() {
        let first = |release| {
            let on = |place: &u16| Place(*place).position(ReleaseNumber(release)) < u64::MAX / 10;
            (0..=u16::MAX)
                .filter(on)
                .collect::<std::collections::HashSet<_>>()
        };
        let here = first(1);
        for release in 2..200 {
            let there = first(release);
            let both = u32::try_from(here.intersection(&there).count()).unwrap();
            let share = f64::from(both) / f64::from(u32::try_from(here.len()).unwrap());
            assert!(
                (share - 0.1).abs() < 0.02,
                "{share} of v1 are on v{release} too"
            );
        }
    }

    #[test]
    fn neighbours_part() {
        let near = |place: u16| {
            let (one, next) = (Place(place), Place(place + 1));
            let release = ReleaseNumber(7);
            one.position(release).abs_diff(next.position(release)) < u64::MAX / 100
        };
        let count = (0..u16::MAX).filter(|place| near(*place)).count();
        assert!(count < 2000, "{count} of 65,535 pairs stay together");
    }

    #[test]
    fn only_four_small_digits_are_a_place() {
        assert_eq!(Place::parse(b"00ff"), Some(Place(255)));
        for text in [
            "", "0", "00fff", "00FF", "+0ff", " 0ff", "0x1f", "00fg", "é0f",
        ] {
            assert_eq!(Place::parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn places_and_positions_undo_each_other(
            place in any::<u16>(),
            position in any::<u64>(),
            release in any::<u64>(),
        ) {
            let release = ReleaseNumber(release);
            let place = Place(place);
            prop_assert_eq!(Place::at(place.position(release), release), place);
            prop_assert_eq!(Place::at(position, release).position(release), position >> 48 << 48);
            prop_assert_eq!(Place::parse(place.to_string().as_bytes()), Some(place));
        }

        #[test]
        fn no_text_breaks_the_reader(text in prop::collection::vec(any::<u8>(), 0..8)) {
            if let Some(place) = Place::parse(&text) {
                prop_assert_eq!(place.to_string().into_bytes(), text);
            }
        }
    }
}
