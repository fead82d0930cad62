//! Numbers as people read them.

use mainstay_metrics::histogram;

/// A float in the fewest digits that read back, as `%v` of the field's tools prints it.
pub(crate) fn general(value: f64) -> String {
    histogram::general(value)
}

/// A float in so many significant digits, without zeros at the end: `%.4g`.
pub(crate) fn significant(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return general(value);
    }
    let precision = digits.max(1);
    let scientific = format!("{value:.*e}", precision - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let limit = i32::try_from(precision).unwrap_or(i32::MAX);
    if value != 0.0 && (exponent < -4 || exponent >= limit) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    let decimals = usize::try_from(limit - 1 - exponent).unwrap_or(0);
    trimmed(&format!("{value:.decimals$}")).to_owned()
}

/// A decimal without zeros at its end.
fn trimmed(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

/// With metric prefixes: `1.235M`, `20m`.
pub fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return significant(value, 4);
    }
    if value.abs() >= 1.0 {
        return scaled(value, 1000.0, &LARGE, "");
    }
    small(value, "")
}

/// With binary prefixes: `2ki`.
pub(crate) fn humanize_binary(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return significant(value, 4);
    }
    scaled(value, 1024.0, &LARGE, "i")
}

fn scaled(value: f64, factor: f64, prefixes: &[&str], after: &str) -> String {
    let (mut value, mut prefix) = (value, String::new());
    for one in prefixes {
        if value.abs() < factor {
            break;
        }
        prefix = format!("{one}{after}");
        value /= factor;
    }
    format!("{}{prefix}", significant(value, 4))
}

fn small(value: f64, unit: &str) -> String {
    let (mut value, mut prefix) = (value, "");
    for one in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = one;
        value *= 1000.0;
    }
    format!("{}{prefix}{unit}", significant(value, 4))
}

/// Seconds as days, hours, minutes and seconds: `1h 1m 1s`, `1.5ms`.
pub fn humanize_duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return significant(seconds, 4);
    }
    if seconds == 0.0 {
        return format!("{}s", significant(seconds, 4));
    }
    if seconds.abs() < 1.0 {
        return small(seconds, "s");
    }
    let (sign, seconds) = if seconds < 0.0 {
        ("-", -seconds)
    } else {
        ("", seconds)
    };
    let whole = seconds as i64;
    let (days, hours) = (whole / 86_400, whole / 3600 % 24);
    let (minutes, rest) = (whole / 60 % 60, whole % 60);
    if days > 0 {
        format!("{sign}{days}d {hours}h {minutes}m {rest}s")
    } else if hours > 0 {
        format!("{sign}{hours}h {minutes}m {rest}s")
    } else if minutes > 0 {
        format!("{sign}{minutes}m {rest}s")
    } else {
        format!("{sign}{}s", significant(seconds, 4))
    }
}

/// A share as percent: `12.5%`.
pub fn humanize_percentage(share: f64) -> String {
    format!("{}%", significant(share * 100.0, 4))
}

/// Seconds since 1970 as the field prints a time; a number where that is none.
pub(crate) fn humanize_timestamp(seconds: f64) -> String {
    let nanoseconds = seconds * 1e9;
    if !seconds.is_finite() || nanoseconds.abs() >= 9.2e18 {
        return significant(seconds, 4);
    }
    match jiff::Timestamp::from_nanosecond(nanoseconds as i128) {
        Ok(at) => {
            let text = at.to_string();
            let (day, time) = text.split_once('T').unwrap_or((&text, ""));
            format!("{day} {} +0000 UTC", time.trim_end_matches('Z'))
        }
        Err(_) => significant(seconds, 4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (1_234_567.0, "1.235M"),
            (0.0, "0"),
            (1.0, "1"),
            (999.9, "999.9"),
            (1000.0, "1k"),
            (0.02, "20m"),
            (-0.02, "-20m"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(humanize(value), text);
        }
        for (value, text) in [
            (0.0, "0s"),
            (1.0, "1s"),
            (61.0, "1m 1s"),
            (86_400.0, "1d 0h 0m 0s"),
            (-3661.0, "-1h 1m 1s"),
            (0.1, "100ms"),
            (12.3456, "12.35s"),
        ] {
            assert_eq!(humanize_duration(value), text);
        }
        for (value, text) in [
            (1e6, "1e+06"),
            (12_345.0, "1.234e+04"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
        ] {
            assert_eq!(significant(value, 4), text);
        }
        assert_eq!(humanize_binary(1_048_576.0 * 1.5), "1.5Mi");
        assert_eq!(humanize_percentage(0.123_456), "12.35%");
        assert_eq!(
            humanize_timestamp(1_435_065_584.128),
            "2015-06-23 13:19:44.128 +0000 UTC"
        );
    }
}
