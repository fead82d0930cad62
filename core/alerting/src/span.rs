//! Durations as Prometheus writes them: `1h30m`, `90d`, `1y`, a bare `0`; in milliseconds.

use std::fmt::Write as _;

/// Units from the largest, in milliseconds; a year has 365 days.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Longest duration: what 63 bits of nanoseconds hold, as in the field's files.
const LIMIT_MS: i64 = i64::MAX / 1_000_000;

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a duration such as `30s`, `5m` or `1h30m`")]
pub struct SpanFault {
    /// What was found, cut at 80 characters.
    pub found: String,
}

/// Reads a duration; units come once each, largest first.
pub fn parse(text: &str) -> Result<i64, SpanFault> {
    let fault = || SpanFault {
        found: text.chars().take(80).collect(),
    };
    if text == "0" {
        return Ok(0);
    }
    let (mut rest, mut total, mut allowed) = (text, 0_i64, 0);
    while !rest.is_empty() || allowed == 0 {
        let digits = rest.find(|one: char| !one.is_ascii_digit());
        let digits = digits.filter(|digits| *digits > 0).ok_or_else(fault)?;
        let number: i64 = rest[..digits].parse().map_err(|_| fault())?;
        rest = &rest[digits..];
        let letters = rest.find(|one: char| one.is_ascii_digit());
        let (unit, after) = rest.split_at(letters.unwrap_or(rest.len()));
        let place = UNITS.iter().position(|(name, _)| *name == unit);
        let place = place.filter(|place| *place >= allowed).ok_or_else(fault)?;
        let sum = number
            .checked_mul(UNITS[place].1)
            .and_then(|part| total.checked_add(part));
        total = sum.filter(|sum| *sum <= LIMIT_MS).ok_or_else(fault)?;
        (allowed, rest) = (place + 1, after);
    }
    Ok(total)
}

/// Writes a duration exactly, in the form that [`parse`] reads.
pub fn format(milliseconds: i64) -> String {
    let mut rest = milliseconds.max(0);
    if rest == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (name, factor) in UNITS {
        // Weeks and years only where they are whole, as the field writes them.
        let whole = !matches!(name, "y" | "w") || rest % factor == 0;
        if whole && rest >= factor {
            write!(text, "{}{name}", rest / factor).unwrap_or_default();
            rest %= factor;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_back() {
        for text in [
            "250ms", "30s", "5m", "1h30m", "2d", "1w", "1y", "8d", "1m500ms",
        ] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
        assert_eq!(parse("0"), Ok(0));
        assert_eq!(parse("106700d"), Ok(106_700 * 86_400_000));
        for bad in [
            "", "5", "s", "5x", "1s1m", "1m1m", "-1s", "1.5s", "300y", "5 m",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
