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

/// Makes steady time of a civil and a monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeline {
    anchor_steady_ms: i64,
    anchor_monotonic_ms: u64,
    last: At,
}

impl Timeline {
    /// Begins; `last` is the last point known from before a restart. What the civil clock says has passed since
    /// then counts, unless it has gone backwards.
    pub fn begin(wall_ms: i64, monotonic_ms: u64, last: Option<At>) -> Self {
        let steady = last.map_or(wall_ms, |last| {
            let passed = wall_ms.saturating_sub(last.wall_ms).max(0);
            last.steady_ms.saturating_add(passed)
        });
        Self {
            anchor_steady_ms: steady,
            anchor_monotonic_ms: monotonic_ms,
            last: At {
                wall_ms,
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

    /// How far the civil clock has moved against the steady one since the beginning, in milliseconds.
    pub fn drift_ms(&self) -> i64 {
        self.last.wall_ms.saturating_sub(self.last.steady_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_of_the_civil_clock_do_not_count() {
        let mut line = Timeline::begin(1_000_000, 500, None);
        assert_eq!(line.at(1_001_000, 1500), At::both(1_001_000));
        let forward = line.at(9_000_000, 2500);
        assert_eq!(forward.steady_ms, 1_002_000);
        let back = line.at(10, 3500);
        assert_eq!((back.wall_ms, back.steady_ms), (10, 1_003_000));
        // A restart: the monotonic clock begins anew.
        let mut line = Timeline::begin(60_010, 0, Some(back));
        assert_eq!(line.at(60_010, 0).steady_ms, 1_063_000);
        let mut line = Timeline::begin(5, 0, Some(back));
        assert_eq!(line.at(5, 0).steady_ms, 1_003_000);
    }
}
