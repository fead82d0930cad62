//! What happened lately, for those who watch.

use mainstay_atoms::Wall;
use mainstay_plan::Event;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How many happenings are kept for watchers; older ones are in the ledger.
const KEPT: usize = 4096;

/// An event with its place in the order of this control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// Rises by one.
    pub number: u64,
    /// When.
    pub at: Wall,
    /// What.
    pub event: Event,
}

/// The last happenings, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    next: u64,
    kept: VecDeque<Happening>,
}

impl Progress {
    pub(crate) fn push(&mut self, event: Event, at: Wall) {
        self.next += 1;
        self.kept.push_back(Happening {
            number: self.next,
            at,
            event,
        });
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }

    /// Number of the newest happening.
    pub fn newest(&self) -> u64 {
        self.next
    }

    /// Everything after `number` that is still kept.
    pub fn after(&self, number: u64) -> impl Iterator<Item = &Happening> {
        self.kept
            .iter()
            .filter(move |happening| happening.number > number)
    }
}
