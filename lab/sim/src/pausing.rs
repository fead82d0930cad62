//! Lives in which people pause routes and resume them.

use crate::Schedule;
use fastrand::Rng;
use mainstay_atoms::{Actor, RouteName};
use std::time::Duration;

/// Every seventh life has such people; those of seeds that are kept for what they found have none.
pub(crate) fn is_paused(seed: u64) -> bool {
    seed % 7 == 6
}

fn route() -> RouteName {
    RouteName::new("localhost/").expect("a valid name")
}

impl Schedule {
    /// Somebody pauses or resumes the route.
    pub(crate) fn pause_by_hand(&mut self, rng: &mut Rng) {
        let by = Actor("tester".into());
        let route = route();
        let lasts = Duration::from_millis(rng.u64(1_000..60_000));
        let resumes = rng.u32(0..3) == 0;
        let Some((engine, world)) = self.engine() else {
            return;
        };
        // A refusal is an answer like any other.
        let _refusal = if resumes {
            engine.resume_route(&route, &by, world)
        } else {
            let wish = (lasts, "by hand".to_owned());
            engine.pause_route(&route, wish, &by, world).map(drop)
        };
    }

    /// Somebody resumes it, if it is paused: a clock that was set back has made hours of a minute.
    pub(crate) fn resume_by_hand(&mut self) {
        let by = Actor("tester".into());
        if let Some((engine, world)) = self.engine() {
            // Most of the time there is nothing to resume.
            let _refusal = engine.resume_route(&route(), &by, world);
        }
    }
}
