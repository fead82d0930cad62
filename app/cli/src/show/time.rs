//! Times for people: relative within a week, then exact.

use jiff::{Timestamp, tz::TimeZone};
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn timestamp(milliseconds: u64) -> Timestamp {
    let milliseconds = i64::try_from(milliseconds).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// `4 s ago`, `12 min ago`, `3 h ago`, `2 d ago`, else the date.
pub(crate) fn relative(milliseconds: u64) -> String {
    let seconds = now().saturating_sub(milliseconds) / 1000;
    match seconds {
        0..7 => "just now".into(),
        7..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        172_800..604_800 => format!("{} d ago", seconds / 86_400),
        _ => timestamp(milliseconds)
            .to_zoned(TimeZone::system())
            .strftime("%Y-%m-%d %H:%M")
            .to_string(),
    }
}

/// How far something is ahead: `in 4 s`, `in 3 h`.
pub(crate) fn ahead(milliseconds: u64) -> String {
    let seconds = milliseconds.saturating_sub(now()) / 1000;
    match seconds {
        0..120 => format!("in {seconds} s"),
        120..7200 => format!("in {} min", seconds / 60),
        7200..172_800 => format!("in {} h", seconds / 3600),
        _ => format!("in {} d", seconds / 86_400),
    }
}

/// A moment in a zone, to the minute: `2026-03-02 09:00 Europe/Berlin`.
pub(crate) fn at(milliseconds: i64, zone: &str) -> String {
    let at = Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH);
    let known = jiff::tz::TimeZoneDatabase::bundled().get(zone);
    let at = at.to_zoned(known.unwrap_or(TimeZone::UTC));
    format!("{} {zone}", at.strftime("%Y-%m-%d %H:%M"))
}

/// How long something has lasted: `4 s`, `3 d`.
pub(crate) fn lasted(milliseconds: u64) -> String {
    let text = relative(milliseconds);
    match text.as_str() {
        "just now" => "a moment".into(),
        _ => text.trim_end_matches(" ago").to_owned(),
    }
}

/// The time of day of a moment in seconds since 1970, to the minute.
pub(crate) fn of_day(seconds: f64) -> String {
    let duration = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(0);
    timestamp(milliseconds)
        .to_zoned(TimeZone::system())
        .strftime("%H:%M")
        .to_string()
}

/// The time of day, to the millisecond.
pub(crate) fn clock(milliseconds: u64) -> String {
    timestamp(milliseconds)
        .to_zoned(TimeZone::system())
        .strftime("%H:%M:%S%.3f")
        .to_string()
}

/// A span in seconds as people say it: `1.3 s`, `41 s`, `5 min`.
pub(crate) fn span(milliseconds: u64) -> String {
    match milliseconds {
        0..10_000 => format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100),
        10_000..120_000 => format!("{} s", milliseconds / 1000),
        _ => format!("{} min", milliseconds / 60_000),
    }
}
