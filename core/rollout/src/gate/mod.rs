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

use mainstay_atoms::Wall;

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
