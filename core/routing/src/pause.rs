//! Routes that the gateway answers itself for a time.

use mainstay_atoms::{RouteName, Wall};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Which routes are paused, and until when. An end stands in the table, so nobody has to take it out in time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pauses {
    /// Counts what was said of pauses so far: tells tables apart that differ in nothing else.
    pub number: u64,
    /// The first moment at which a route is paused no longer; it may be over.
    pub until: BTreeMap<RouteName, Wall>,
}

impl Pauses {
    /// Whether nothing was ever said of pauses.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// How long a route stays paused; none: it is not.
    pub fn left(&self, route: &str, now: Wall) -> Option<Duration> {
        left(*self.until.get(route)?, now)
    }
}

/// What is left until an end; none: it is over.
pub fn left(until: Wall, now: Wall) -> Option<Duration> {
    let left = until.0.saturating_sub(now.0);
    (left > 0).then(|| Duration::from_millis(left))
}

/// After how many seconds it is worth to ask again: at least one.
pub fn retry_after(left: Duration) -> u64 {
    (left.as_secs() + u64::from(left.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_at_its_moment_and_says_whole_seconds() {
        let route = RouteName::new("shop.example/api").unwrap();
        let pauses = Pauses {
            number: 1,
            until: BTreeMap::from([(route, Wall(10_000))]),
        };
        let left = |now| pauses.left("shop.example/api", Wall(now));
        assert_eq!(left(9_999).map(retry_after), Some(1));
        assert_eq!(left(8_000).map(retry_after), Some(2));
        assert_eq!(left(7_999).map(retry_after), Some(3));
        assert_eq!(left(10_000), None);
        assert_eq!(left(11_000), None);
        assert_eq!(pauses.left("shop.example/", Wall(0)), None, "another route");
        assert_eq!(retry_after(Duration::ZERO), 1);
    }
}
