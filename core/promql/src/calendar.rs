//! Parts of a date in UTC, and dates as text.

/// Functions that read a date.
pub(crate) const FUNCTIONS: [&str; 8] = [
    "minute",
    "hour",
    "day_of_week",
    "day_of_month",
    "day_of_year",
    "days_in_month",
    "month",
    "year",
];

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Date {
    year: i64,
    month: i64,
    day: i64,
}

const SECONDS_A_DAY: i64 = 86_400;

/// Days since 1970 of a date. Years begin in March, so that a leap day is the last (Hinnant, "chrono-compatible
/// low-level date algorithms").
fn days(date: Date) -> i64 {
    let year = if date.month <= 2 {
        date.year - 1
    } else {
        date.year
    };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let month = (date.month + 9) % 12;
    let of_year = (153 * month + 2) / 5 + date.day - 1;
    let day = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    era * 146_097 + day - 719_468
}

/// The date of a day since 1970.
fn date(days: i64) -> Date {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    Date {
        year: year + era * 400 + i64::from(month <= 2),
        month,
        day,
    }
}

/// A part of the date that a number of seconds since 1970 stands for; NaN for NaN.
pub(crate) fn part(name: &str, seconds: f64) -> f64 {
    if seconds.is_nan() {
        return f64::NAN;
    }
    // Far outside any calendar, yet within the arithmetic.
    let seconds = seconds.clamp(-1e17, 1e17) as i64;
    let day = seconds.div_euclid(SECONDS_A_DAY);
    let within = seconds.rem_euclid(SECONDS_A_DAY);
    let today = date(day);
    let first = Date { day: 1, ..today };
    let value = match name {
        "minute" => within / 60 % 60,
        "hour" => within / 3600,
        // 1970-01-01 was a Thursday.
        "day_of_week" => (day + 4).rem_euclid(7),
        "day_of_month" => today.day,
        "day_of_year" => day - days(Date { month: 1, ..first }) + 1,
        "days_in_month" => {
            let next = if today.month == 12 {
                Date {
                    year: today.year + 1,
                    month: 1,
                    day: 1,
                }
            } else {
                Date {
                    month: today.month + 1,
                    ..first
                }
            };
            days(next) - days(first)
        }
        "month" => today.month,
        _ => today.year,
    };
    value as f64
}

/// `2006-01-02T15:04:05Z` of milliseconds since 1970.
pub(crate) fn rfc3339(milliseconds: i64) -> String {
    let seconds = milliseconds.div_euclid(1000);
    let Date { year, month, day } = date(seconds.div_euclid(SECONDS_A_DAY));
    let within = seconds.rem_euclid(SECONDS_A_DAY);
    let (hour, minute, second) = (within / 3600, within / 60 % 60, within % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_read_back() {
        for (day, year, month, of_month) in [
            (0, 1970, 1, 1),
            (11_016, 2000, 2, 29),
            (-1, 1969, 12, 31),
            (19_782, 2024, 2, 29),
        ] {
            let found = date(day);
            assert_eq!(
                (found.year, found.month, found.day),
                (year, month, of_month)
            );
            assert_eq!(days(found), day);
        }
        assert_eq!(rfc3339(1_709_164_799_000), "2024-02-28T23:59:59Z");
        assert_eq!(part("days_in_month", 1_709_164_799.0), 29.0);
        assert_eq!(part("day_of_year", 1_709_164_799.0), 59.0);
        assert_eq!(part("day_of_week", 0.0), 4.0);
    }
}
