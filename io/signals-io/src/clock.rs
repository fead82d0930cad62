//! Clocks: civil time for samples, monotonic time for waits, and whether the first can be believed.

use mainstay_alerting::Clocks;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub(crate) fn wall_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    }
}

/// Milliseconds on a clock that only goes forward, also in sleep, and begins anew with the machine.
pub(crate) fn monotonic_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec.unsigned_abs() * 1000 + now.tv_nsec.unsigned_abs() / 1_000_000
}

/// What the clocks show, and which start of the machine this is.
pub(crate) fn clocks() -> Clocks {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    Clocks {
        wall_ms: wall_ms(),
        monotonic_ms: monotonic_ms(),
        boot: boot.unwrap_or_default().trim().to_owned(),
    }
}

/// A difference between both clocks that is a jump, in milliseconds.
const JUMP_MS: i64 = 3_600_000;

/// How long the civil clock must go steadily before things are removed by it.
const TRUST_AFTER: Duration = Duration::from_hours(1);

/// Watches the civil clock for jumps.
#[derive(Debug)]
pub(crate) struct Trust {
    since: Instant,
    last: (Instant, i64),
}

impl Trust {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            since: now,
            last: (now, wall_ms()),
        }
    }

    /// Whether it went steadily for long.
    pub(crate) fn look(&mut self, now: Instant, wall_ms: i64) -> bool {
        let (before, before_ms) = self.last;
        let passed = i64::try_from(now.duration_since(before).as_millis()).unwrap_or(i64::MAX);
        let moved = wall_ms.saturating_sub(before_ms).saturating_sub(passed);
        self.last = (now, wall_ms);
        if moved.abs() > JUMP_MS {
            self.since = now;
        }
        now.duration_since(self.since) >= TRUST_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_takes_the_trust_away() {
        let mut trust = Trust::new();
        let (begin, wall) = trust.last;
        let hours = |count: u64| Duration::from_hours(count);
        let at = |count: i64| wall + count * 3_600_000;
        assert!(!trust.look(begin, wall));
        assert!(trust.look(begin + hours(2), at(2)));
        assert!(!trust.look(begin + hours(3), at(3000)));
        assert!(trust.look(begin + hours(5), at(3002)));
    }
}
