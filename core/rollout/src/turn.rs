//! Turns of a rolling update.

/// The rules, already counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Instances wanted at the end.
    pub wanted: u32,
    /// Instances that may run above `wanted`.
    pub surge: u32,
    /// Instances that may be missing below `wanted`.
    pub unavailable: u32,
}

/// What there is before the first turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Wanted ones that run, ready or about to be.
    pub kept: u32,
    /// Old ones that are not ready: they go first, and nobody misses them.
    pub old_unready: u32,
    /// Old ones that are ready.
    pub old_ready: u32,
}

/// One turn: so many old ones leave, then so many new ones start and become ready. In a turn that
/// both starts and takes away, the new ones are ready before the old ones leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// New ones to start and to wait for.
    pub start: u32,
    /// Old ones that leave afterwards, unready ones first.
    pub leave: u32,
}

/// Turns that never run more than `wanted + surge` instances nor keep fewer than
/// `wanted - unavailable` ready (or as many as were ready before, if fewer). Where the rules would
/// allow no turn at all, they allow one more instance: an update never hangs on its rules.
pub fn rolling(rules: Rules, counts: Counts) -> Vec<Turn> {
    let mut turns = Vec::new();
    let mut new = counts.kept.min(rules.wanted);
    let (mut unready, mut ready) = (counts.old_unready, counts.old_ready);
    let floor = rules.wanted.saturating_sub(rules.unavailable);
    // Unready old instances serve nobody; they make room before anything starts.
    if unready > 0 && new < rules.wanted {
        turns.push(Turn {
            start: 0,
            leave: unready,
        });
        unready = 0;
    }
    while new < rules.wanted || unready + ready > 0 {
        let room = (rules.wanted + rules.surge).saturating_sub(new + unready + ready);
        let start = room.min(rules.wanted - new);
        let spare = (new + start + ready).saturating_sub(floor);
        let leave = unready + spare.min(ready);
        let turn = if start + leave == 0 {
            Turn { start: 1, leave: 0 }
        } else {
            Turn { start, leave }
        };
        turns.push(turn);
        new += turn.start;
        ready -= turn.leave.saturating_sub(unready);
        unready -= turn.leave.min(unready);
    }
    turns
}

/// One turn that starts everything, waits, and lets all old ones leave together: the way back is
/// fast because nothing is done one after the other.
pub fn all_at_once(wanted: u32, counts: Counts) -> Vec<Turn> {
    let turn = Turn {
        start: wanted.saturating_sub(counts.kept),
        leave: counts.old_ready + counts.old_unready,
    };
    if turn.start + turn.leave == 0 {
        Vec::new()
    } else {
        vec![turn]
    }
}

/// Turns for what cannot run beside itself: all old ones leave, then all new ones start.
pub fn recreate(wanted: u32, counts: Counts) -> Vec<Turn> {
    let leave = counts.old_ready + counts.old_unready;
    let start = wanted.saturating_sub(counts.kept);
    let turns = [Turn { start: 0, leave }, Turn { start, leave: 0 }];
    let turns = turns.into_iter().filter(|turn| turn.start + turn.leave > 0);
    turns.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn turns(wanted: u32, surge: u32, unavailable: u32, old_ready: u32) -> Vec<(u32, u32)> {
        let rules = Rules {
            wanted,
            surge,
            unavailable,
        };
        rolling(
            rules,
            Counts {
                kept: 0,
                old_unready: 0,
                old_ready,
            },
        )
        .iter()
        .map(|turn| (turn.start, turn.leave))
        .collect()
    }

    #[test]
    fn one_more_then_one_less() {
        assert_eq!(turns(3, 1, 0, 3), [(1, 1), (1, 1), (1, 1)]);
    }

    #[test]
    fn without_surge_the_old_one_leaves_first() {
        assert_eq!(turns(2, 0, 1, 2), [(0, 1), (1, 1), (1, 0)]);
    }

    #[test]
    fn a_first_release_starts_everything_at_once() {
        assert_eq!(turns(3, 1, 0, 0), [(3, 0)]);
    }

    #[test]
    fn recreated_ones_never_meet() {
        let counts = |old_ready| Counts {
            kept: 0,
            old_unready: 1,
            old_ready,
        };
        let turns = recreate(3, counts(2));
        let turns: Vec<_> = turns.iter().map(|turn| (turn.start, turn.leave)).collect();
        assert_eq!(turns, [(0, 3), (3, 0)]);
        assert_eq!(recreate(0, Counts::default()), []);
    }

    proptest! {
        #[test]
        fn never_too_many_and_never_too_few(
            wanted in 0u32..12, surge in 0u32..5, unavailable in 0u32..5,
            kept in 0u32..12, old_unready in 0u32..6, old_ready in 0u32..12,
        ) {
            prop_assume!(surge + unavailable > 0);
            let rules = Rules { wanted, surge, unavailable };
            let kept = kept.min(wanted);
            let counts = Counts { kept, old_unready, old_ready };
            let most = (wanted + surge).max(kept + old_unready + old_ready);
            let least = wanted.saturating_sub(unavailable).min(kept + old_ready);
            let (mut new, mut unready, mut ready) = (kept, old_unready, old_ready);
            let turns = rolling(rules, counts);
            prop_assert!(turns.len() <= 64);
            for turn in turns {
                new += turn.start;
                prop_assert!(new + unready + ready <= most, "too many");
                let gone = turn.leave.min(unready);
                unready -= gone;
                ready -= turn.leave - gone;
                prop_assert!(new + ready >= least, "too few");
            }
            prop_assert_eq!((new, unready + ready), (wanted, 0));
        }
    }
}
