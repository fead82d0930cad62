//! What was asked for lately, so that the count neither flaps nor leaps.

use super::ScaleWhy;
use mainstay_atoms::Moment;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A shrink goes no lower than the highest recommendation of this long, where the file says nothing
/// (`--horizontal-pod-autoscaler-downscale-stabilization` of Kubernetes).
pub const SHRINK_WINDOW: Duration = Duration::from_secs(300);

/// Within this long the count at most doubles, or grows by four where that is more.
pub const GROWTH_PERIOD: Duration = Duration::from_secs(15);

/// The last recommendations and growths. It serialises; a lost one begins with the present count, so a
/// control plane that restarts shrinks nothing for as long as the window is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Recommendations that none after them reached, oldest and highest first.
    asked: Vec<(Moment, u32)>,
    /// Instances added.
    grown: Vec<(Moment, u32)>,
}

impl Window {
    /// Forgets what is too old. Entries of a clock that began anew count as of now.
    pub(super) fn look(&mut self, current: u32, settle: Duration, now: Moment) {
        for (at, _) in self.asked.iter_mut().chain(&mut self.grown) {
            *at = (*at).min(now);
        }
        self.asked.retain(|(at, _)| now.since(*at) < settle);
        self.grown.retain(|(at, _)| now.since(*at) < GROWTH_PERIOD);
        if self.asked.is_empty() {
            self.asked.push((now, current));
        }
    }

    /// What may be done of what is asked for.
    pub(super) fn settle(
        &mut self,
        current: u32,
        (asked, why): (u32, ScaleWhy),
        settle: Duration,
        now: Moment,
    ) -> (u32, ScaleWhy) {
        while self.asked.last().is_some_and(|(_, last)| *last <= asked) {
            self.asked.pop();
        }
        self.asked.push((now, asked));
        if asked < current {
            let highest = self.asked.first().map_or(asked, |(_, highest)| *highest);
            let kept = highest.min(current);
            return if kept > asked {
                (kept, ScaleWhy::Window { asked, settle })
            } else {
                (asked, why)
            };
        }
        let limit = self.limit(current);
        if asked > limit {
            return (limit.max(current), ScaleWhy::Rate { asked });
        }
        (asked, why)
    }

    /// How far the count may have grown by now: from what it was a quarter of a minute ago.
    fn limit(&self, current: u32) -> u32 {
        let added = self
            .grown
            .iter()
            .fold(0_u32, |sum, (_, count)| sum.saturating_add(*count));
        let before = current.saturating_sub(added);
        before.saturating_mul(2).max(before.saturating_add(4))
    }

    /// Notes a growth.
    pub(super) fn grew(&mut self, current: u32, wanted: u32, now: Moment) {
        if wanted > current {
            self.grown.push((now, wanted - current));
        }
    }
}
