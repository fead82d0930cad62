//! Power of two choices: of two instances drawn at random the less busy one answers
//! (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001).

/// Picks one of `count` candidates. `load` gives the requests in flight of a candidate, or `None` for
/// one that must not be picked; `draws` are two random numbers. Nobody eligible → `None`.
pub fn pick(count: usize, draws: (u64, u64), load: impl Fn(usize) -> Option<u64>) -> Option<usize> {
    let eligible = (0..count).filter(|at| load(*at).is_some()).count();
    if eligible == 0 {
        return None;
    }
    let nth = |wanted: usize| (0..count).filter(|at| load(*at).is_some()).nth(wanted);
    let first = remainder(draws.0, eligible);
    let one = nth(first)?;
    if eligible == 1 {
        return Some(one);
    }
    let step = 1 + remainder(draws.1, eligible - 1);
    let other = nth((first + step) % eligible)?;
    Some(if load(other)? < load(one)? {
        other
    } else {
        one
    })
}

fn remainder(draw: u64, count: usize) -> usize {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    usize::try_from(draw % count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_less_busy_of_two_answers() {
        let loads = [Some(5), Some(1)];
        for draws in [(0, 0), (1, 0), (7, 3)] {
            assert_eq!(pick(2, draws, |at| loads[at]), Some(1));
        }
    }

    proptest! {
        #[test]
        fn only_the_eligible_are_picked_and_never_the_busiest_of_several(
            loads in prop::collection::vec(prop::option::of(0_u64..9), 0..8),
            draws in any::<(u64, u64)>(),
        ) {
            let picked = pick(loads.len(), draws, |at| loads[at]);
            prop_assert_eq!(picked.is_some(), loads.iter().any(Option::is_some));
            if let Some(at) = picked {
                let load = loads[at];
                prop_assert!(load.is_some());
                let eligible: Vec<u64> = loads.iter().copied().flatten().collect();
                let below = eligible.iter().filter(|other| Some(**other) > load).count();
                prop_assert!(eligible.len() == 1 || below > 0 || eligible.iter().filter(|other| Some(**other) == load).count() > 1);
            }
        }
    }
}
