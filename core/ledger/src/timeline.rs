//! Which life of a log: a resumed ledger begins a new one, so that nothing once signed is contradicted.

use std::fmt;

/// A log's timeline, from 1. The first has the log's bare name as its origin; each later one adds
/// `/timeline-N`, which makes it a log of its own to everybody who checks signatures
/// (<https://c2sp.org/tlog-checkpoint>: one origin, one log).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Timeline(pub u32);

const MARK: &str = "/timeline-";

impl Timeline {
    /// The one that every log begins with.
    pub const FIRST: Self = Self(1);

    /// The one that follows a resume.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The origin of the log with this bare name.
    pub(crate) fn origin(self, base: &str) -> String {
        if self == Self::FIRST {
            base.to_owned()
        } else {
            format!("{base}{MARK}{}", self.0)
        }
    }

    /// Bare name and timeline of an origin; whatever else it looks like, it is a bare name.
    pub(crate) fn split(origin: &str) -> (&str, Self) {
        let parts = origin.rsplit_once(MARK);
        let later = parts.and_then(|(base, number)| {
            let timeline = Self(number.parse().ok()?);
            let whole = timeline > Self::FIRST && timeline.origin(base) == origin;
            whole.then_some((base, timeline))
        });
        later.unwrap_or((origin, Self::FIRST))
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_split_as_they_were_made() {
        for number in [1, 2, 77] {
            let origin = Timeline(number).origin("log/a");
            assert_eq!(Timeline::split(&origin), ("log/a", Timeline(number)));
        }
        for odd in ["log/timeline-1", "log/timeline-02", "log/timeline-", "log"] {
            assert_eq!(Timeline::split(odd), (odd, Timeline::FIRST));
        }
    }
}
