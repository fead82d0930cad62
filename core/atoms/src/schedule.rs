//! When something recurs: a cron expression in a time zone.

use crate::Wall;
use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};

/// Five fields of cron, or `@daily` and its like, read in the civil time of a zone of the IANA
/// database. The database is the one compiled in, so that equal files mean equal times everywhere.
///
/// When clocks are put back a wildcard hour runs again and a fixed time runs once; when they are put
/// forward a fixed time in the gap runs right after it (as Vixie cron does).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// `0 6 * * mon-fri`, `@daily`.
    pub cron: String,
    /// `Europe/Berlin`, `UTC`.
    pub zone: String,
}

/// Why a text is not a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleFault {
    /// The expression does not read.
    #[error("{0}")]
    Cron(String),
    /// There is no such day: `0 0 30 2 *`.
    #[error("it never comes: there is no such day")]
    Never,
    /// The zone is not in the database.
    #[error("the time zone is unknown")]
    Zone,
}

impl Schedule {
    /// A schedule that reads and comes.
    pub fn new(cron: &str, zone: &str) -> Result<Self, ScheduleFault> {
        let schedule = Self {
            cron: cron.trim().to_owned(),
            zone: zone.to_owned(),
        };
        let (cron, zone) = schedule.parts()?;
        let start = Timestamp::UNIX_EPOCH.to_zoned(zone);
        match cron.find_next_occurrence(&start, true) {
            Ok(_) => Ok(schedule),
            Err(_) => Err(ScheduleFault::Never),
        }
    }

    fn parts(&self) -> Result<(Cron, TimeZone), ScheduleFault> {
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser
            .parse(&self.cron)
            .map_err(|fault| ScheduleFault::Cron(said(&fault)))?;
        Ok((cron, zone(&self.zone).ok_or(ScheduleFault::Zone)?))
    }

    /// The first time after `after`; none when the schedule does not read or time has an end.
    pub fn next(&self, after: Wall) -> Option<Wall> {
        let next = self.after(after)?;
        let ms = next.timestamp().as_millisecond();
        u64::try_from(ms).ok().map(Wall)
    }

    /// The last time at or before `until`: what a schedule is behind with, however long it slept.
    pub fn last(&self, until: Wall) -> Option<Wall> {
        let (cron, zone) = self.parts().ok()?;
        let until = Timestamp::from_millisecond(i64::try_from(until.0).ok()?).ok()?;
        let last = cron
            .find_previous_occurrence(&until.to_zoned(zone), true)
            .ok()?;
        u64::try_from(last.timestamp().as_millisecond())
            .ok()
            .map(Wall)
    }

    fn after(&self, after: Wall) -> Option<Zoned> {
        let (cron, zone) = self.parts().ok()?;
        let after = Timestamp::from_millisecond(i64::try_from(after.0).ok()?).ok()?;
        cron.find_next_occurrence(&after.to_zoned(zone), false).ok()
    }
}

/// A day or a minute of a zone's civil time as a moment: `2026-12-24` (its first moment) or `2026-12-24 18:00`.
/// One that clocks skip is the first that they show after it, one that they show twice the earlier.
pub fn civil(text: &str, zone_name: &str) -> Option<Wall> {
    let text = text.trim();
    let at = match text.len() {
        10 => text.parse::<jiff::civil::Date>().ok()?.at(0, 0, 0, 0),
        16 => text.parse::<jiff::civil::DateTime>().ok()?,
        _ => return None,
    };
    let zoned = at.to_zoned(zone(zone_name)?).ok()?;
    u64::try_from(zoned.timestamp().as_millisecond())
        .ok()
        .map(Wall)
}

/// The library's message as ours read: one sentence, lower case, no final stop.
fn said(fault: &CronError) -> String {
    match fault {
        CronError::InvalidPattern(why) if why.contains("fields") => {
            "there are not five fields".into()
        }
        CronError::InvalidPattern(why)
        | CronError::IllegalCharacters(why)
        | CronError::ComponentError(why) => why.trim_end_matches('.').to_lowercase(),
        CronError::EmptyPattern => "there are not five fields".into(),
        other => other.to_string().trim_end_matches('.').to_lowercase(),
    }
}

/// A zone of the database that is compiled in.
fn zone(name: &str) -> Option<TimeZone> {
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    TimeZoneDatabase::bundled().get(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(text: &str) -> Wall {
        let at: Timestamp = text.parse().unwrap();
        Wall(u64::try_from(at.as_millisecond()).unwrap())
    }

    fn times(cron: &str, zone: &str, from: &str, count: usize) -> Vec<Wall> {
        let schedule = Schedule::new(cron, zone).unwrap();
        let first = schedule.next(wall(from));
        std::iter::successors(first, |at| schedule.next(*at))
            .take(count)
            .collect()
    }

    #[test]
    fn five_fields_names_and_nicknames() {
        let from = "2026-11-26T05:59:59Z"; // a Thursday
        assert_eq!(
            times("0 6 * * *", "UTC", from, 2),
            [wall("2026-11-26T06:00:00Z"), wall("2026-11-27T06:00:00Z")]
        );
        assert_eq!(
            times("0 6 * * MON", "UTC", from, 1),
            [wall("2026-11-30T06:00:00Z")]
        );
        assert_eq!(
            times("@daily", "UTC", from, 1),
            [wall("2026-11-27T00:00:00Z")]
        );
        assert_eq!(
            times("*/20 * * * *", "UTC", from, 1),
            [wall("2026-11-26T06:00:00Z")]
        );
        // Either day counts when both are given (POSIX crontab).
        assert_eq!(
            times("0 0 1 * fri", "UTC", from, 2),
            [wall("2026-11-27T00:00:00Z"), wall("2026-12-01T00:00:00Z")]
        );
    }

    #[test]
    fn a_zone_moves_with_its_summer() {
        assert_eq!(
            times("0 6 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            [wall("2026-10-25T05:00:00Z"), wall("2026-10-26T05:00:00Z")]
        );
        // 02:30 does not exist on 29 March 2026, and exists twice on 25 October.
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
            [wall("2026-03-29T01:00:00Z"), wall("2026-03-30T00:30:00Z")]
        );
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            [wall("2026-10-25T00:30:00Z"), wall("2026-10-26T01:30:00Z")]
        );
    }

    #[test]
    fn a_civil_day_begins_in_its_zone() {
        let berlin = "Europe/Berlin";
        assert_eq!(
            civil("2026-12-24", berlin),
            Some(wall("2026-12-23T23:00:00Z"))
        );
        assert_eq!(
            civil("2026-12-24 18:00", "UTC"),
            Some(wall("2026-12-24T18:00:00Z"))
        );
        assert_eq!(
            civil("2026-03-29 02:30", berlin),
            Some(wall("2026-03-29T01:30:00Z"))
        );
        for wrong in [
            "",
            "2026-12",
            "2026-02-30",
            "24.12.2026",
            "2026-12-24 25:00",
            "2026-12-24T18:00:00Z",
        ] {
            assert_eq!(civil(wrong, berlin), None, "{wrong}");
        }
        assert_eq!(civil("2026-12-24", "Europe/Nowhere"), None);
    }

    #[test]
    fn the_last_time_is_found_from_any_distance() {
        let schedule = Schedule::new("0 6 * * *", "Europe/Berlin").unwrap();
        let last = |text: &str| schedule.last(wall(text)).unwrap();
        assert_eq!(
            last("2026-11-26T05:00:00.500Z"),
            wall("2026-11-26T05:00:00Z")
        );
        assert_eq!(last("2026-11-26T05:00:00Z"), wall("2026-11-26T05:00:00Z"));
        assert_eq!(last("2026-11-26T04:59:59Z"), wall("2026-11-25T05:00:00Z"));
    }

    #[test]
    fn what_is_no_schedule_says_why() {
        for (cron, zone) in [
            ("", "UTC"),
            ("* * * *", "UTC"),
            ("61 * * * *", "UTC"),
            ("0 0 0 * * *", "UTC"),
            ("@sometimes", "UTC"),
            ("* * * * * * *", "UTC"),
        ] {
            let fault = Schedule::new(cron, zone).unwrap_err();
            assert!(matches!(fault, ScheduleFault::Cron(_)), "{cron}: {fault}");
        }
        assert_eq!(
            Schedule::new("0 0 30 2 *", "UTC"),
            Err(ScheduleFault::Never)
        );
        assert_eq!(
            Schedule::new("@daily", "Europe/Atlantis"),
            Err(ScheduleFault::Zone)
        );
    }
}
