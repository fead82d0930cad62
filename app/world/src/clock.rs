//! The two clocks.

use mainstay_atoms::{Moment, Wall};
use rustix::time::{ClockId, clock_gettime};
use std::time::SystemTime;

/// Milliseconds since the machine started, suspended time included; no civil jump moves it.
pub(crate) fn moment() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Moment(seconds * 1000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000)
}

/// Milliseconds since 1970. By the C library, so that a test can move it for one process.
pub(crate) fn wall() -> Wall {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let milliseconds = since.unwrap_or_default().as_millis();
    Wall(u64::try_from(milliseconds).unwrap_or(u64::MAX))
}

/// The moment of a count of clock ticks since the machine started (`/proc/PID/stat`).
pub(crate) fn of_ticks(ticks: u64) -> Moment {
    Moment(ticks.saturating_mul(1000) / procfs::ticks_per_second().max(1))
}
