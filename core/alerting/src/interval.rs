//! Time intervals in which routes are muted or active, in civil time of a zone.

use crate::file::TimesFile;
use crate::reader::{Reader, Value};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// A span of time that comes again: every part that is given must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeInterval {
    /// Minutes of the day, the end excluded.
    pub times: Vec<(u16, u16)>,
    /// Days of the week from Sunday (0), the end included.
    pub weekdays: Vec<(i16, i16)>,
    /// Days of the month from 1; negative ones count from its end.
    pub days_of_month: Vec<(i16, i16)>,
    /// Months from 1.
    pub months: Vec<(i16, i16)>,
    /// Years.
    pub years: Vec<(i16, i16)>,
    /// The zone; UTC where none is named.
    pub zone: TimeZone,
}

impl TimeInterval {
    /// Whether a point in time lies inside.
    pub fn contains(&self, wall_ms: i64) -> bool {
        let Ok(at) = Timestamp::from_millisecond(wall_ms) else {
            return false;
        };
        let civil = at.to_zoned(self.zone.clone()).datetime();
        let minute = i32::from(civil.hour()) * 60 + i32::from(civil.minute());
        let within = |ranges: &[(i16, i16)], value: i16| {
            ranges.is_empty()
                || ranges
                    .iter()
                    .any(|(from, to)| (*from..=*to).contains(&value))
        };
        let times = &self.times;
        (times.is_empty()
            || times
                .iter()
                .any(|(from, to)| (i32::from(*from)..i32::from(*to)).contains(&minute)))
            && within(
                &self.weekdays,
                i16::from(civil.weekday().to_sunday_zero_offset()),
            )
            && within(&self.months, i16::from(civil.month()))
            && within(&self.years, civil.year())
            && self.holds_day(civil.date())
    }

    fn holds_day(&self, date: Date) -> bool {
        let last = i16::from(date.days_in_month());
        let day = i16::from(date.day());
        let from_end = |day: i16| if day < 0 { last + 1 + day } else { day };
        self.days_of_month.is_empty()
            || self.days_of_month.iter().any(|(from, to)| {
                let (from, to) = (from_end(*from), from_end(*to));
                // A span that begins after the month's end holds no day of it.
                from <= last && (from.max(1)..=to.min(last)).contains(&day)
            })
    }
}

const WEEKDAYS: [&str; 7] = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Reads the list of intervals under one name.
pub(crate) fn read(reader: &mut Reader, value: &Value<'_>) -> Vec<TimeInterval> {
    let items = reader.list(value);
    items.iter().map(|item| one(reader, item)).collect()
}

fn one(reader: &mut Reader, value: &Value<'_>) -> TimeInterval {
    let known = [
        "times",
        "weekdays",
        "days_of_month",
        "months",
        "years",
        "location",
    ];
    let fields = reader.map(value, &known);
    let times = fields
        .get("times")
        .map(|value| reader.list(&value))
        .unwrap_or_default();
    let times = times
        .iter()
        .filter_map(|value| time(reader, value))
        .collect();
    let mut ranges = |key: &str, names: &'static [&'static str], low: i16, high: i16| {
        let values = fields
            .get(key)
            .map(|value| reader.list(&value))
            .unwrap_or_default();
        let first = i16::from(key == "months");
        let parse = |text: &str| number(text, names, first);
        values
            .iter()
            .filter_map(|value| range(reader, value, &parse, low, high))
            .collect()
    };
    TimeInterval {
        times,
        weekdays: ranges("weekdays", &WEEKDAYS, 0, 6),
        days_of_month: ranges("days_of_month", &[], -31, 31),
        months: ranges("months", &MONTHS, 1, 12),
        years: ranges("years", &[], 0, 9999),
        zone: zone(reader, fields.get("location").as_ref()),
    }
}

fn zone(reader: &mut Reader, value: Option<&Value<'_>>) -> TimeZone {
    let Some(value) = value else {
        return TimeZone::UTC;
    };
    let name = reader.text(value);
    let Ok(zone) = TimeZoneDatabase::bundled().get(&name) else {
        let message = format!("time zone `{name}` is not known");
        let hint = "write it as `Europe/Berlin`";
        reader.hinted(value.place(), &value.path, message, hint);
        return TimeZone::UTC;
    };
    zone
}

fn time(reader: &mut Reader, value: &Value<'_>) -> Option<(u16, u16)> {
    let fields = reader.map(value, &["start_time", "end_time"]);
    let mut minute = |key: &str| {
        let text = reader.text_of(&fields, key);
        let found = clock(&text);
        if found.is_none() {
            let message = format!("`{key}` is `{text}`, expected a time from `00:00` to `24:00`");
            reader.fault(value.place(), &value.path, message);
        }
        found
    };
    let (start, end) = (minute("start_time")?, minute("end_time")?);
    if start >= end {
        let message = "`start_time` must be before `end_time`";
        reader.hinted(
            value.place(),
            &value.path,
            message,
            "a night takes two intervals, before and after midnight",
        );
        return None;
    }
    Some((start, end))
}

/// Minutes of `HH:MM`.
pub(crate) fn clock(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (minutes < 60 && hours * 60 + minutes <= 24 * 60).then_some(hours * 60 + minutes)
}

fn number(text: &str, names: &[&str], first: i16) -> Option<i16> {
    let text = text.trim().to_lowercase();
    let named = names.iter().position(|name| *name == text);
    let named = named.and_then(|place| i16::try_from(place).ok());
    named
        .map(|place| place + first)
        .or_else(|| text.parse().ok())
}

fn range(
    reader: &mut Reader,
    value: &Value<'_>,
    parse: &dyn Fn(&str) -> Option<i16>,
    low: i16,
    high: i16,
) -> Option<(i16, i16)> {
    let text = reader.text(value);
    let found = range_of(&text, parse, low, high);
    if found.is_none() {
        reader.fault(value.place(), &value.path, not_a_range(&text, low, high));
    }
    found
}

fn range_of(
    text: &str,
    parse: &dyn Fn(&str) -> Option<i16>,
    low: i16,
    high: i16,
) -> Option<(i16, i16)> {
    let (from, to) = text.split_once(':').unwrap_or((text, text));
    let (from, to) = parse(from).zip(parse(to))?;
    let inside = |day: i16| (low..=high).contains(&day) && (low >= 0 || day != 0);
    // From the start of a month to its end is fine whatever their numbers are.
    let forward = from <= to || (from > 0) != (to > 0) && from > 0;
    (inside(from) && inside(to) && forward).then_some((from, to))
}

/// The interval of the short form; what is wrong with it is added to the faults.
pub(crate) fn of_texts(file: &TimesFile, faults: &mut Vec<String>) -> TimeInterval {
    let mut times = Vec::new();
    for text in &file.hours {
        let parts = text
            .split_once('-')
            .and_then(|(from, to)| Some((clock(from.trim())?, clock(to.trim())?)));
        match parts.filter(|(from, to)| from < to) {
            Some(part) => times.push(part),
            None => faults.push(format!(
                "`{text}` is not a time of the day such as `09:00-17:00`"
            )),
        }
    }
    let mut ranges = |texts: &[String], names: &[&str], first: i16, low: i16, high: i16| {
        let mut found = Vec::new();
        for text in texts {
            match range_of(text, &|text| number(text, names, first), low, high) {
                Some(range) => found.push(range),
                None => faults.push(not_a_range(text, low, high)),
            }
        }
        found
    };
    let weekdays = ranges(&file.weekdays, &WEEKDAYS, 0, 0, 6);
    let days_of_month = ranges(&file.days, &[], 0, -31, 31);
    let months = ranges(&file.months, &MONTHS, 1, 1, 12);
    let zone = file.zone.as_ref().map_or(Ok(TimeZone::UTC), |name| {
        TimeZoneDatabase::bundled().get(name)
    });
    TimeInterval {
        times,
        weekdays,
        days_of_month,
        months,
        years: Vec::new(),
        zone: zone.unwrap_or_else(|_| {
            let name = file.zone.as_deref().unwrap_or_default();
            faults.push(format!(
                "time zone `{name}` is not known; write it as `Europe/Berlin`"
            ));
            TimeZone::UTC
        }),
    }
}

fn not_a_range(text: &str, low: i16, high: i16) -> String {
    format!(
        "`{text}` is not a range from {low} to {high}, such as `{}`",
        example(high)
    )
}

fn example(high: i16) -> &'static str {
    match high {
        6 => "monday:friday",
        12 => "january:march",
        31 => "1:7` or `-3:-1",
        _ => "2026:2027",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::parse;

    fn read_text(text: &str) -> Result<Vec<TimeInterval>, Vec<crate::FileFault>> {
        let node = parse("f", text).unwrap().unwrap();
        let mut reader = Reader::new("f");
        let value = Value {
            node: &node,
            path: String::new(),
        };
        let found = read(&mut reader, &value);
        reader.end(found)
    }

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn every_part_must_hold_in_its_zone() {
        let work = "[{times: [{start_time: '09:00', end_time: '17:00'}], weekdays: ['monday:friday'], location: Europe/Berlin}]";
        let work = &read_text(work).unwrap()[0];
        // 2026-11-26 is a Thursday; Berlin is an hour ahead in winter and two in summer.
        for (time, inside) in [
            ("2026-11-26T08:00:00Z", true),
            ("2026-11-26T07:59:00Z", false),
            ("2026-11-26T15:59:00Z", true),
            ("2026-11-26T16:00:00Z", false),
            ("2026-07-02T07:00:00Z", true),
            ("2026-11-28T10:00:00Z", false),
        ] {
            assert_eq!(work.contains(at(time)), inside, "{time}");
        }
    }

    #[test]
    fn days_count_from_both_ends_of_a_month() {
        let ends = &read_text("[{days_of_month: ['1', '-2:-1'], months: ['january:march', '12']}]")
            .unwrap()[0];
        for (time, inside) in [
            ("2026-01-01T00:00:00Z", true),
            ("2026-02-27T00:00:00Z", true),
            ("2026-02-26T23:00:00Z", false),
            ("2028-02-28T00:00:00Z", true),
            ("2026-04-01T00:00:00Z", false),
            ("2026-12-31T12:00:00Z", true),
        ] {
            assert_eq!(ends.contains(at(time)), inside, "{time}");
        }
        let late = &read_text("[{days_of_month: ['31'], years: ['2026:2027']}]").unwrap()[0];
        assert!(
            !late.contains(at("2026-02-28T00:00:00Z")) && late.contains(at("2026-01-31T00:00:00Z"))
        );
    }

    #[test]
    fn what_is_no_interval_is_refused() {
        for text in [
            "[{times: [{start_time: '17:00', end_time: '09:00'}]}]",
            "[{times: [{start_time: '9:00', end_time: '10:00'}]}]",
            "[{times: [{start_time: '09:00', end_time: '24:01'}]}]",
            "[{weekdays: ['friday:monday']}]",
            "[{weekdays: ['freitag']}]",
            "[{days_of_month: ['0']}]",
            "[{days_of_month: ['-1:-5']}]",
            "[{months: ['13']}]",
            "[{location: Nowhere/There}]",
            "[{hours: []}]",
        ] {
            assert!(read_text(text).is_err(), "{text}");
        }
        assert!(read_text("[{}]").unwrap()[0].contains(0));
    }
}
