//! Maintenance windows and freezes, in civil time with time zones.

use super::{Gate, Missing};
use mainstay_atoms::{Schedule, Wall};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A window that recurs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// When it opens, in its zone.
    pub opens: Schedule,
    /// How long it stays open; real time, also on the day on which clocks change.
    pub lasts: Duration,
}

/// A time in which nothing is released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// Its first moment.
    pub from: Wall,
    /// The first moment after it.
    pub until: Wall,
    /// Why, in words.
    pub reason: String,
}

/// Windows and freezes. Without windows it is always open; a freeze beats a window.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calendar {
    /// Open in any of them.
    pub windows: Vec<Window>,
    /// Shut in any of them.
    pub freezes: Vec<Freeze>,
}

impl Calendar {
    /// It is always open.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty() && self.freezes.is_empty()
    }
}

/// What is asked of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Whether a release may begin.
    Begin,
    /// Whether one that began may go on. A window that closes ends no rollout, because half of a rollout
    /// is worse than one that overruns; a freeze stops it where it is.
    GoOn,
}

/// Whether the calendar allows it now.
pub fn calendar(calendar: &Calendar, what: Opening, now: Wall) -> Gate {
    let mut missing: Vec<Missing> = calendar
        .freezes
        .iter()
        .filter(|freeze| freeze.from <= now && now < freeze.until)
        .map(|freeze| Missing::Freeze {
            reason: freeze.reason.clone(),
            until: freeze.until,
        })
        .collect();
    let windows = &calendar.windows;
    let open = windows.is_empty() || windows.iter().any(|window| is_open(window, now));
    if what == Opening::Begin && !open {
        let opens = windows.iter().filter_map(|window| window.opens.next(now));
        missing.push(Missing::Window { opens: opens.min() });
    }
    Gate::of(missing)
}

fn is_open(window: &Window, now: Wall) -> bool {
    let lasts = u64::try_from(window.lasts.as_millis()).unwrap_or(u64::MAX);
    let opened = window.opens.last(now);
    opened.is_some_and(|opened| now.0 - opened.0.min(now.0) < lasts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    /// Thursday, 26 November 2026, 00:00 UTC.
    const THURSDAY: u64 = 1_795_651_200_000;

    fn office() -> Calendar {
        let opens = Schedule::new("0 9 * * mon-thu", "Europe/Berlin").unwrap();
        Calendar {
            windows: vec![Window {
                opens,
                lasts: Duration::from_secs(7 * 3600),
            }],
            freezes: vec![Freeze {
                from: Wall(THURSDAY + 12 * HOUR),
                until: Wall(THURSDAY + 13 * HOUR),
                reason: "sale".into(),
            }],
        }
    }

    fn begin(hours: u64) -> Gate {
        calendar(&office(), Opening::Begin, Wall(THURSDAY + hours * HOUR))
    }

    #[test]
    fn windows_are_in_their_own_zone() {
        assert_eq!(begin(8), Gate::Open);
        assert_eq!(
            begin(7),
            Gate::Shut(vec![Missing::Window {
                opens: Some(Wall(THURSDAY + 8 * HOUR))
            }])
        );
        // After Thursday's comes Monday's.
        assert_eq!(
            begin(15),
            Gate::Shut(vec![Missing::Window {
                opens: Some(Wall(THURSDAY + (4 * 24 + 8) * HOUR))
            }])
        );
    }

    #[test]
    fn a_freeze_beats_a_window() {
        assert!(matches!(&begin(12), Gate::Shut(missing)
            if matches!(&missing[..], [Missing::Freeze { until, .. }] if until.0 == THURSDAY + 13 * HOUR)));
        assert_eq!(begin(13), Gate::Open);
    }

    #[test]
    fn a_window_closing_during_a_rollout_does_not_stop_it() {
        let at = |hours| calendar(&office(), Opening::GoOn, Wall(THURSDAY + hours * HOUR));
        assert_eq!(at(16), Gate::Open);
        assert_ne!(at(12), Gate::Open);
    }

    #[test]
    fn without_windows_it_is_open() {
        assert_eq!(
            calendar(&Calendar::default(), Opening::Begin, Wall(0)),
            Gate::Open
        );
    }
}
