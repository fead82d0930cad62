//! Points in time: civil time for people and samples, steady time for waits.
//!
//! A civil clock jumps; what waits for minutes must not. [`Timeline`] makes a steady time of both clocks of a
//! machine, which goes on where it was after a restart and never goes backwards.

/// One point in time on both clocks, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct At {
    /// Since 1970-01-01 UTC, as the machine's clock says.
    pub wall_ms: i64,
    /// On the [`Timeline`]: near civil time, but without its jumps.
    pub steady_ms: i64,
}

impl At {
    /// A point of a world whose clock does not jump, such as a test's.
    pub fn both(milliseconds: i64) -> Self {
        Self {
            wall_ms: milliseconds,
            steady_ms: milliseconds,
        }
    }

    /// Milliseconds since an earlier point, on the steady clock.
    pub fn since(self, earlier: Self) -> i64 {
        self.steady_ms.saturating_sub(earlier.steady_ms)
    }

    /// So many milliseconds later (or earlier) on both clocks.
    #[must_use]
    pub fn plus(self, milliseconds: i64) -> Self {
        Self {
            wall_ms: self.wall_ms.saturating_add(milliseconds),
            steady_ms: self.steady_ms.saturating_add(milliseconds),
        }
    }
}

/// What the clocks of a machine show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clocks {
    /// The civil clock, in milliseconds since 1970.
    pub wall_ms: i64,
    /// A clock that only goes forward, also in sleep, and begins anew with the machine (`CLOCK_BOOTTIME`).
    pub monotonic_ms: u64,
    /// What tells this start of the machine from others (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
}

/// Makes steady time of a civil and a monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    anchor_steady_ms: i64,
    anchor_monotonic_ms: u64,
    last: At,
}

impl Timeline {
    /// Begins; `last` is the last point known from before a restart, with what the clocks showed then. As long as
    /// the machine did not start again, what its monotonic clock says has passed counts; else what the civil
    /// clock says, unless it has gone backwards.
    pub fn begin(now: &Clocks, last: Option<(At, &Clocks)>) -> Self {
        let steady = last.map_or(now.wall_ms, |(at, clocks)| {
            let same_start = clocks.boot == now.boot && clocks.monotonic_ms <= now.monotonic_ms;
            let passed = if same_start {
                i64::try_from(now.monotonic_ms - clocks.monotonic_ms).unwrap_or(i64::MAX)
            } else {
                now.wall_ms.saturating_sub(at.wall_ms).max(0)
            };
            at.steady_ms.saturating_add(passed)
        });
        Self {
            anchor_steady_ms: steady,
            anchor_monotonic_ms: now.monotonic_ms,
            last: At {
                wall_ms: now.wall_ms,
                steady_ms: steady,
            },
        }
    }

    /// The point that both clocks show; later than or equal to every one before it.
    pub fn at(&mut self, wall_ms: i64, monotonic_ms: u64) -> At {
        let passed = monotonic_ms.saturating_sub(self.anchor_monotonic_ms);
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        let steady = self.anchor_steady_ms.saturating_add(passed);
        self.last = At {
            wall_ms,
            steady_ms: steady.max(self.last.steady_ms),
        };
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clocks(wall_ms: i64, monotonic_ms: u64, boot: &str) -> Clocks {
        Clocks {
            wall_ms,
            monotonic_ms,
            boot: boot.into(),
        }
    }

    #[test]
    fn jumps_of_the_civil_clock_do_not_count() {
        let mut line = Timeline::begin(&clocks(1_000_000, 500, "a"), None);
        assert_eq!(line.at(1_001_000, 1500), At::both(1_001_000));
        let forward = line.at(9_000_000, 2500);
        assert_eq!(forward.steady_ms, 1_002_000);
        let back = line.at(10, 3500);
        assert_eq!((back.wall_ms, back.steady_ms), (10, 1_003_000));
        let before = clocks(10, 3500, "a");
        // The process starts again: the monotonic clock goes on, and the civil one jumped meanwhile.
        let mut line = Timeline::begin(&clocks(70_000_000, 4500, "a"), Some((back, &before)));
        assert_eq!(line.at(70_000_000, 4500).steady_ms, 1_004_000);
        // The machine starts again: the monotonic clock begins anew.
        let mut line = Timeline::begin(&clocks(60_010, 0, "b"), Some((back, &before)));
        assert_eq!(line.at(60_010, 0).steady_ms, 1_063_000);
        let mut line = Timeline::begin(&clocks(5, 9000, "b"), Some((back, &before)));
        assert_eq!(line.at(5, 9000).steady_ms, 1_003_000);
    }
}
