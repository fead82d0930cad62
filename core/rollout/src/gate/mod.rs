//! Gates: whether people, the calendar and a checklist let a release begin.
//!
//! [`approvals`] counts distinct people who agreed to exactly this plan, [`calendar`] knows windows and
//! freezes in civil time, [`checklist`] what is ticked. Each answers open, or shut with what is missing.

mod approval;
mod calendar;
mod checklist;

pub use approval::{Approval, Approvals, Rejected, approvals};
pub use calendar::{Calendar, Freeze, Opening, Window, calendar};
pub use checklist::{Item, Tick, checklist};

use mainstay_atoms::{Wall, span};
use std::time::Duration;

/// What a gate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// Go on.
    Open,
    /// Not yet.
    Shut(Vec<Missing>),
}

impl Gate {
    fn of(missing: Vec<Missing>) -> Self {
        if missing.is_empty() {
            Self::Open
        } else {
            Self::Shut(missing)
        }
    }

    /// Several gates are one: open when all are.
    pub fn all(gates: impl IntoIterator<Item = Self>) -> Self {
        let missing = gates.into_iter().flat_map(|gate| match gate {
            Self::Open => Vec::new(),
            Self::Shut(missing) => missing,
        });
        Self::of(missing.collect())
    }
}

/// What a gate waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// People's agreement.
    Approvals {
        /// How many count.
        have: u32,
        /// How many are needed.
        need: u32,
        /// Those that do not count, and why.
        rejected: Vec<(String, Rejected)>,
        /// When the first of those that count expires.
        expires: Option<Wall>,
    },
    /// A window.
    Window {
        /// When the next one opens; none: never.
        opens: Option<Wall>,
    },
    /// The end of a freeze.
    Freeze {
        /// Its reason.
        reason: String,
        /// When it ends.
        until: Wall,
    },
    /// A tick.
    Tick {
        /// The item.
        item: String,
    },
    /// A check that failed.
    Failed {
        /// The item.
        item: String,
        /// What it said.
        said: String,
    },
}

impl Missing {
    /// What is missing, for whoever waits.
    pub fn tell(&self, now: Wall) -> String {
        match self {
            Self::Approvals {
                have,
                need,
                rejected,
                expires,
            } => {
                let lapses = expires.filter(|_| *have > 0);
                let lapses =
                    lapses.map(|at| format!(", the first holds for {} more", until(at, now)));
                let rejected = rejected.iter();
                let rejected =
                    rejected.map(|(by, why)| format!("; that of {by} does not count: {by} {why}"));
                let rest: String = lapses.into_iter().chain(rejected).collect();
                format!("{have} of {need} approvals{rest}")
            }
            Self::Window { opens: Some(at) } => {
                format!("the next window, in {}", until(*at, now))
            }
            Self::Window { opens: None } => "a window, and none ever opens".into(),
            Self::Freeze { reason, until: end } => {
                format!("the end of the freeze `{reason}`, in {}", until(*end, now))
            }
            Self::Tick { item } => format!("`{item}` on the checklist"),
            Self::Failed { item, said } => {
                format!("`{item}` on the checklist, which failed: {said}")
            }
        }
    }
}

/// From now to then, in whole seconds.
fn until(at: Wall, now: Wall) -> String {
    let left = Duration::from_millis(at.0.saturating_sub(now.0));
    span::format(Duration::from_secs(left.as_secs().max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told() {
        let now = Wall(1_000_000);
        let in_an_hour = Wall(now.0 + 3_600_000);
        let approvals = Missing::Approvals {
            have: 1,
            need: 2,
            rejected: vec![("ann".into(), Rejected::Author)],
            expires: Some(in_an_hour),
        };
        for (missing, told) in [
            (
                approvals,
                "1 of 2 approvals, the first holds for 1h more; that of ann does not count: ann is the author",
            ),
            (
                Missing::Window {
                    opens: Some(in_an_hour),
                },
                "the next window, in 1h",
            ),
            (
                Missing::Freeze {
                    reason: "sale".into(),
                    until: in_an_hour,
                },
                "the end of the freeze `sale`, in 1h",
            ),
        ] {
            assert_eq!(missing.tell(now), told);
        }
    }
}
