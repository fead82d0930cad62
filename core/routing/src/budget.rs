//! How many attempts may be made again: a share of the traffic, so that retries never multiply an outage.

use mainstay_atoms::Moment;
use std::time::Duration;

/// Retries within a window of 10 s: one in five of the requests of that window, and always three.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    since: Moment,
    requests: u64,
    retries: u64,
}

const WINDOW: Duration = Duration::from_secs(10);
const FLOOR: u64 = 3;
const SHARE: u64 = 5;

impl Budget {
    /// A request came in.
    pub fn request(&mut self, now: Moment) {
        self.roll(now);
        self.requests = self.requests.saturating_add(1);
    }

    /// Takes one retry, if one is left.
    pub fn take(&mut self, now: Moment) -> bool {
        self.roll(now);
        let left = self.retries < FLOOR.max(self.requests / SHARE);
        self.retries += u64::from(left);
        left
    }

    fn roll(&mut self, now: Moment) {
        if now.since(self.since) >= WINDOW {
            *self = Self {
                since: now,
                ..Self::default()
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_at_least_and_a_fifth_of_the_traffic() {
        let mut budget = Budget::default();
        assert_eq!((0..9).filter(|_| budget.take(Moment(0))).count(), 3);
        for _ in 0..100 {
            budget.request(Moment(1));
        }
        assert_eq!((0..99).filter(|_| budget.take(Moment(2))).count(), 17);
        assert!(budget.take(Moment(10_001)));
    }
}
