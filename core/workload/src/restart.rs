//! When an ended instance is started again.

use mainstay_atoms::{InstanceId, Moment};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// First and longest wait before a restart.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// An instance that ran so long starts counting anew.
pub const STEADY: Duration = Duration::from_secs(600);

/// How often an instance ended by itself, in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// Ends in a row without [`STEADY`] time between them.
    pub ends: u32,
    /// Seen in a crash loop: ended three times in a row or more.
    pub looping: bool,
}

impl Attempts {
    /// One more end, after the instance ran for `ran`.
    #[must_use]
    pub fn ended(self, ran: Duration) -> Self {
        let ends = if ran >= STEADY {
            1
        } else {
            self.ends.saturating_add(1)
        };
        Self {
            ends,
            looping: ends >= 3,
        }
    }
}

/// The moment at which an instance that ended at `at` may start again: the first time at once, then
/// after 1 s doubling to 60 s, each shortened by up to a quarter so that instances spread.
pub fn restart_at(id: &InstanceId, attempts: Attempts, at: Moment) -> Moment {
    if attempts.ends <= 1 {
        return at;
    }
    let doublings = (attempts.ends - 2).min(6);
    let wait = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    let spread = mainstay_atoms::Digest::of(format!("{id}/{}", attempts.ends).as_bytes()).0[0];
    at.after(wait.saturating_sub(wait * u32::from(spread) / 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_no_further() {
        let id: InstanceId = "web.v1.1".parse().unwrap();
        let mut attempts = Attempts::default();
        let mut last = Duration::ZERO;
        for round in 0..20 {
            attempts = attempts.ended(Duration::ZERO);
            let wait = restart_at(&id, attempts, Moment(0)).since(Moment(0));
            assert!(
                wait <= LONGEST && (wait > last / 2 || round == 0),
                "{round}: {wait:?}"
            );
            last = wait;
        }
        assert!(last >= Duration::from_secs(45));
        assert_eq!(attempts.ended(STEADY).ends, 1);
    }
}
