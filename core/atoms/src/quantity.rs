//! Sizes and shares with their units.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not {expected}")]
pub struct QuantityFault {
    /// What was found.
    pub found: String,
    /// What was expected, with an example.
    pub expected: &'static str,
}

fn fault(found: &str, expected: &'static str) -> QuantityFault {
    QuantityFault {
        found: found.chars().take(80).collect(),
        expected,
    }
}

/// Splits `12.5Mi` into thousandths of the number (12 500) and its unit (`Mi`).
fn thousandths(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || part.len() > 3 || part.contains('.') || number.ends_with('.') {
        return None;
    }
    let part: u64 = format!("{part:0<3}").parse().ok()?;
    let whole: u64 = whole.parse().ok()?;
    Some((whole.checked_mul(1000)?.checked_add(part)?, unit))
}

/// A number of bytes; `256Mi`, `1.5Gi`, `500M`, `1000` as Kubernetes users write them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

const BYTE_UNITS: [(&str, u64); 9] = [
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("T", 1_000_000_000_000),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("k", 1_000),
    ("", 1),
];

impl std::str::FromStr for Bytes {
    type Err = QuantityFault;
    fn from_str(text: &str) -> Result<Self, QuantityFault> {
        const EXPECTED: &str = "a size such as `256Mi`, `1.5Gi` or `500M`";
        let (number, unit) = thousandths(text).ok_or_else(|| fault(text, EXPECTED))?;
        let (_, factor) = BYTE_UNITS
            .into_iter()
            .find(|&(name, _)| name == unit)
            .ok_or_else(|| fault(text, EXPECTED))?;
        let bytes = u128::from(number) * u128::from(factor) / 1000;
        u64::try_from(bytes)
            .map(Self)
            .map_err(|_| fault(text, EXPECTED))
    }
}

impl fmt::Display for Bytes {
    /// Exact in the largest binary unit that divides it: `256Mi`, `1000`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, factor) = BYTE_UNITS[..4]
            .iter()
            .copied()
            .find(|&(_, factor)| self.0 >= factor && self.0.is_multiple_of(factor))
            .unwrap_or(("", 1));
        out.pad(&format!("{}{name}", self.0 / factor))
    }
}

/// Thousandths of one processor core; `500m` or `0.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millicores(pub u64);

impl std::str::FromStr for Millicores {
    type Err = QuantityFault;
    fn from_str(text: &str) -> Result<Self, QuantityFault> {
        const EXPECTED: &str = "processor cores such as `0.5`, `2` or `500m`";
        match thousandths(text) {
            Some((number, "")) => Ok(Self(number)),
            Some((number, "m")) if number.is_multiple_of(1000) => Ok(Self(number / 1000)),
            _ => Err(fault(text, EXPECTED)),
        }
    }
}

impl fmt::Display for Millicores {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&format!("{}m", self.0))
    }
}

/// A share in hundredths of a per cent; `25%`, `0.5%`.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Share(pub u64);

impl Share {
    /// This share of a count, rounded up (a surge).
    pub fn of_rounded_up(self, count: u32) -> u32 {
        u32::try_from((u64::from(count) * self.0).div_ceil(10_000)).unwrap_or(u32::MAX)
    }

    /// This share of a count, rounded down (what may be missing).
    pub fn of_rounded_down(self, count: u32) -> u32 {
        u32::try_from(u64::from(count) * self.0 / 10_000).unwrap_or(u32::MAX)
    }
}

impl std::str::FromStr for Share {
    type Err = QuantityFault;
    fn from_str(text: &str) -> Result<Self, QuantityFault> {
        const EXPECTED: &str = "a share such as `25%`";
        match thousandths(text) {
            Some((number, "%")) if number <= 100_000 && number.is_multiple_of(10) => {
                Ok(Self(number / 10))
            }
            _ => Err(fault(text, EXPECTED)),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 100, self.0 % 100);
        if part == 0 {
            out.pad(&format!("{whole}%"))
        } else {
            out.pad(format!("{whole}.{part:02}").trim_end_matches('0'))
                .and_then(|()| out.write_str("%"))
        }
    }
}

/// A request and a limit: `100m..500m`; a single value means both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range<T> {
    /// What is set aside.
    pub request: T,
    /// The ceiling.
    pub limit: T,
}

impl<T: Copy> Range<T> {
    /// One value for both ends.
    pub fn exactly(value: T) -> Self {
        Self {
            request: value,
            limit: value,
        }
    }
}

impl<T: std::str::FromStr<Err = QuantityFault> + Copy + PartialOrd> std::str::FromStr for Range<T> {
    type Err = QuantityFault;
    fn from_str(text: &str) -> Result<Self, QuantityFault> {
        let Some((request, limit)) = text.split_once("..") else {
            return Ok(Self::exactly(text.parse()?));
        };
        let (request, limit): (T, T) = (request.parse()?, limit.parse()?);
        if request > limit {
            return Err(fault(
                text,
                "a request below its limit, such as `256Mi..512Mi`",
            ));
        }
        Ok(Self { request, limit })
    }
}

impl<T: fmt::Display + PartialEq> fmt::Display for Range<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.request == self.limit {
            write!(out, "{}", self.limit)
        } else {
            write!(out, "{}..{}", self.request, self.limit)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_know_their_units() {
        for (text, bytes) in [
            ("1000", 1000),
            ("256Mi", 268_435_456),
            ("1.5Gi", 1_610_612_736),
            ("2k", 2000),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        assert_eq!(Bytes(268_435_456).to_string(), "256Mi");
        assert_eq!(Bytes(1000).to_string(), "1000");
        for bad in [
            "",
            "Mi",
            "1.Mi",
            "1mi",
            "-1",
            "1 Mi",
            "99999999999Ti",
            "1.2345Gi",
        ] {
            assert!(bad.parse::<Bytes>().is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_round_as_kubernetes_does() {
        let quarter: Share = "25%".parse().unwrap();
        assert_eq!(
            (quarter.of_rounded_up(3), quarter.of_rounded_down(3)),
            (1, 0)
        );
        assert_eq!(quarter.of_rounded_up(5), 2);
        assert!("101%".parse::<Share>().is_err());
        assert_eq!("0.5%".parse::<Share>().unwrap().to_string(), "0.5%");
    }

    #[test]
    fn ranges_are_ordered() {
        let cores: Range<Millicores> = "100m..0.5".parse().unwrap();
        assert_eq!(
            (cores.request, cores.limit),
            (Millicores(100), Millicores(500))
        );
        assert!("2..1".parse::<Range<Millicores>>().is_err());
    }
}
