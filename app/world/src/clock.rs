//! The two clocks.

use mainstay_atoms::{Moment, Wall};
use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the machine started, suspended time included; no civil jump moves it.
pub(crate) fn moment() -> Moment {
    Moment(milliseconds(ClockId::Boottime))
}

/// Milliseconds since 1970.
pub(crate) fn wall() -> Wall {
    Wall(milliseconds(ClockId::Realtime))
}

/// The moment of a count of clock ticks since the machine started (`/proc/PID/stat`).
pub(crate) fn of_ticks(ticks: u64) -> Moment {
    Moment(ticks.saturating_mul(1000) / procfs::ticks_per_second().max(1))
}

fn milliseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}
