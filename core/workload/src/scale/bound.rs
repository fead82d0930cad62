//! What bounds the count: the file, the calendar, a person.

use mainstay_atoms::{Actor, Schedule, Wall};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Least and most instances; at least one, and the least no more than the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(u32, u32)", into = "(u32, u32)")]
pub struct Bounds {
    least: u32,
    most: u32,
}

/// Why two numbers are no bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BoundsFault {
    /// The least is 0: nothing would be measured, and nothing would bring it back.
    #[error("the least is 0; at least one instance is measured")]
    Zero,
    /// The least is over the most.
    #[error("the least, {least}, is over the most, {most}")]
    Crossed {
        /// The least.
        least: u32,
        /// The most.
        most: u32,
    },
}

impl Bounds {
    /// From the least to the most.
    pub fn new(least: u32, most: u32) -> Result<Self, BoundsFault> {
        match (least, least <= most) {
            (0, _) => Err(BoundsFault::Zero),
            (_, true) => Ok(Self { least, most }),
            (_, false) => Err(BoundsFault::Crossed { least, most }),
        }
    }

    /// The least.
    pub fn least(self) -> u32 {
        self.least
    }

    /// The most.
    pub fn most(self) -> u32 {
        self.most
    }
}

impl From<Bounds> for (u32, u32) {
    fn from(bounds: Bounds) -> Self {
        (bounds.least, bounds.most)
    }
}

impl TryFrom<(u32, u32)> for Bounds {
    type Error = BoundsFault;
    fn try_from((least, most): (u32, u32)) -> Result<Self, BoundsFault> {
        Self::new(least, most)
    }
}

/// A minimum by the calendar: `at: "0 8 * * 1-5", for: 10h, min: 4`. It never raises the most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// When it begins, in its zone.
    pub begins: Schedule,
    /// How long it holds.
    pub lasts: Duration,
    /// Least instances meanwhile.
    pub least: u32,
}

impl Floor {
    /// It holds now.
    pub fn holds(&self, now: Wall) -> bool {
        let lasts = u64::try_from(self.lasts.as_millis()).unwrap_or(u64::MAX);
        let begun = self.begins.last(now);
        begun.is_some_and(|begun| now.0.saturating_sub(begun.0) < lasts)
    }
}

/// What a person set by hand for a time: `mainstay scale web 4`. The bounds of the file hold still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// How many.
    pub instances: u32,
    /// The first moment at which it holds no longer.
    pub until: Wall,
    /// Who set it.
    pub by: Actor,
}
