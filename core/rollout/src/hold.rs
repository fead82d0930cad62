//! How long something held, counted only in time that was looked at.

use mainstay_atoms::Moment;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest time between two looks that counts. The engine looks every second or oftener; a longer gap
/// is a clock that jumped, a machine that slept, or a control plane that was away, and of what nobody
/// looked at nobody knows.
pub const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// Time that was looked at. A clock that jumps forward adds at most [`LONGEST_LOOK`], one that jumps back
/// adds nothing; after either it goes on. So a hold is never shorter than it says, and longer only by the
/// time in which nobody looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// So long.
    pub time: Duration,
    last: Moment,
}

impl Held {
    /// Begins now.
    pub fn new(now: Moment) -> Self {
        Self {
            time: Duration::ZERO,
            last: now,
        }
    }

    /// Looks again; the time since the last look counts when `counts`.
    pub fn look(&mut self, now: Moment, counts: bool) {
        if counts {
            self.time += now.since(self.last).min(LONGEST_LOOK);
        }
        self.last = now;
    }

    /// What is left of a time.
    pub fn left(&self, of: Duration) -> Duration {
        of.saturating_sub(self.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_jump_during_a_hold_neither_ends_nor_restarts_it() {
        let mut held = Held::new(Moment(1_000_000));
        for second in 1..=60 {
            held.look(Moment(1_000_000 + second * 1000), true);
        }
        assert_eq!(held.time, Duration::from_secs(60));
        held.look(Moment(900_000_000), true);
        assert_eq!(held.time, Duration::from_secs(65));
        held.look(Moment(5000), true);
        assert_eq!(held.time, Duration::from_secs(65));
        held.look(Moment(6000), true);
        assert_eq!(held.time, Duration::from_secs(66));
        held.look(Moment(7000), false);
        assert_eq!(held.left(Duration::from_secs(70)), Duration::from_secs(4));
    }
}
