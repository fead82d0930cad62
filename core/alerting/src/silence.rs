//! Silences: matchers and a span of civil time in which alerts are not told.

use mainstay_metrics::{Labels, Matcher, all_match};
use std::collections::BTreeMap;

/// How long an ended silence is kept for people to see, in milliseconds.
pub(crate) const ENDED_KEPT_MS: i64 = 5 * 86_400_000;
/// Most silences that are kept.
pub(crate) const SILENCES_MAX: usize = 10_000;

/// One silence.
#[derive(Debug, Clone)]
pub struct Silence {
    /// What it is known by.
    pub id: String,
    /// Alerts that all of these match.
    pub matchers: Vec<Matcher>,
    /// From when, in civil milliseconds.
    pub starts_ms: i64,
    /// Until when, excluded.
    pub ends_ms: i64,
    /// Who made it.
    pub by: String,
    /// Why.
    pub comment: String,
}

/// Where a silence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has not begun.
    Pending,
    /// It holds.
    Active,
    /// It has ended, and is kept for a while.
    Ended,
}

/// Why a silence is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SilenceFault {
    /// It would silence everything.
    #[error("a silence needs a matcher that does not match an empty value")]
    MatchesAll,
    /// It ends before it begins, or has ended already.
    #[error("a silence must end after it begins, and in the future")]
    Over,
    /// Nobody knows it.
    #[error("silence `{id}` is not known")]
    Unknown {
        /// The name that was asked for.
        id: String,
    },
    /// There are too many.
    #[error("there are {SILENCES_MAX} silences already; let some end")]
    Full,
}

impl Silence {
    /// Where it stands at a point in civil time.
    pub fn standing(&self, wall_ms: i64) -> Standing {
        if wall_ms < self.starts_ms {
            Standing::Pending
        } else if wall_ms < self.ends_ms {
            Standing::Active
        } else {
            Standing::Ended
        }
    }
}

/// All silences.
#[derive(Debug, Clone, Default)]
pub struct Silences {
    all: BTreeMap<String, Silence>,
}

impl Silences {
    /// Adds a silence, or replaces the one of the same name.
    pub fn set(&mut self, silence: Silence, wall_ms: i64) -> Result<(), SilenceFault> {
        if silence.matchers.iter().all(Matcher::matches_empty) {
            return Err(SilenceFault::MatchesAll);
        }
        if silence.ends_ms <= silence.starts_ms || silence.ends_ms <= wall_ms {
            return Err(SilenceFault::Over);
        }
        if self.all.len() >= SILENCES_MAX && !self.all.contains_key(&silence.id) {
            return Err(SilenceFault::Full);
        }
        self.all.insert(silence.id.clone(), silence);
        Ok(())
    }

    /// Ends a silence now; it stays to be seen.
    pub fn end(&mut self, id: &str, wall_ms: i64) -> Result<(), SilenceFault> {
        let silence = self
            .all
            .get_mut(id)
            .ok_or_else(|| SilenceFault::Unknown { id: id.into() })?;
        silence.ends_ms = silence.ends_ms.min(wall_ms);
        Ok(())
    }

    /// The silence that keeps an alert from being told.
    pub fn of(&self, labels: &Labels, wall_ms: i64) -> Option<&Silence> {
        let mut active = self
            .all
            .values()
            .filter(|silence| silence.standing(wall_ms) == Standing::Active);
        active.find(|silence| all_match(&silence.matchers, labels))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Silence> {
        self.all.values()
    }

    /// Puts back what was written down, without asking whether it is over.
    pub(crate) fn restore(&mut self, silence: Silence) {
        self.all.insert(silence.id.clone(), silence);
    }

    /// Forgets what ended long ago.
    pub fn forget(&mut self, wall_ms: i64) {
        self.all
            .retain(|_, silence| silence.ends_ms.saturating_add(ENDED_KEPT_MS) > wall_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::matchers;

    fn silence(id: &str, text: &str, starts_ms: i64, ends_ms: i64) -> Silence {
        Silence {
            id: id.into(),
            matchers: matchers(text).unwrap(),
            starts_ms,
            ends_ms,
            by: "ada".into(),
            comment: "maintenance".into(),
        }
    }

    #[test]
    fn a_silence_holds_from_its_start_to_its_end() {
        let mut silences = Silences::default();
        silences.set(silence("1", "a=b", 10, 20), 0).unwrap();
        let labels = Labels::new([("a", "b")]);
        for (at, silent) in [(9, false), (10, true), (19, true), (20, false)] {
            assert_eq!(silences.of(&labels, at).is_some(), silent, "{at}");
        }
        assert!(silences.of(&Labels::new([("a", "c")]), 10).is_none());
        silences.end("1", 15).unwrap();
        assert!(silences.of(&labels, 15).is_none());
        silences.forget(15 + ENDED_KEPT_MS - 1);
        assert_eq!(silences.iter().count(), 1);
        silences.forget(15 + ENDED_KEPT_MS);
        assert_eq!(silences.iter().count(), 0);
    }

    #[test]
    fn what_would_silence_everything_is_refused() {
        let mut silences = Silences::default();
        assert_eq!(
            silences.set(silence("1", "a=~\".*\"", 0, 9), 0),
            Err(SilenceFault::MatchesAll)
        );
        assert_eq!(
            silences.set(silence("1", "", 0, 9), 0),
            Err(SilenceFault::MatchesAll)
        );
        assert_eq!(
            silences.set(silence("1", "a=b", 0, 9), 9),
            Err(SilenceFault::Over)
        );
        assert_eq!(
            silences.set(silence("1", "a=b", 9, 9), 0),
            Err(SilenceFault::Over)
        );
        assert!(silences.end("x", 0).is_err());
    }
}
