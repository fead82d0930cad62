//! Durations as people write them: `250ms`, `30s`, `5m`, `1h30m`, `2d`.

use std::fmt::Write as _;
use std::time::Duration;

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a duration such as `250ms`, `30s`, `5m` or `1h30m`")]
pub struct SpanFault {
    /// What was found.
    pub found: String,
}

/// Units from the largest, in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Longest duration a file may ask for: ten years in milliseconds.
const LIMIT_MS: u64 = 3650 * 86_400_000;

/// Reads a duration; units come once each, largest first.
pub fn parse(text: &str) -> Result<Duration, SpanFault> {
    let fault = || SpanFault {
        found: text.chars().take(80).collect(),
    };
    let mut rest = text;
    let mut total: u64 = 0;
    let mut allowed = 0;
    while !rest.is_empty() || allowed == 0 {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(fault)?;
        let number: u64 = rest[..digits].parse().map_err(|_| fault())?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let place = UNITS
            .iter()
            .position(|&(name, _)| name == &rest[..letters])
            .ok_or_else(fault)?;
        if place < allowed {
            return Err(fault());
        }
        allowed = place + 1;
        rest = &rest[letters..];
        total = number
            .checked_mul(UNITS[place].1)
            .and_then(|part| total.checked_add(part))
            .filter(|&sum| sum <= LIMIT_MS)
            .ok_or_else(fault)?;
    }
    Ok(Duration::from_millis(total))
}

/// Writes a duration exactly, in the form that [`parse`] reads.
pub fn format(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (name, factor) in UNITS {
        if rest >= factor {
            write!(text, "{}{name}", rest / factor).expect("a String takes everything");
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
        for text in ["250ms", "30s", "5m", "1h30m", "2d", "0s", "1m500ms"] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
        for bad in [
            "", "5", "s", "5x", "1s1m", "1m1m", "-1s", "1.5s", "99999d", "5 m",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
