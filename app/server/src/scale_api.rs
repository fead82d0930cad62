//! What the API takes and answers about counts that are left to what is measured.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One service of `GET /v1/scale`: how many of it run, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScaleRow {
    /// Which.
    pub service: String,
    /// How many instances are wanted.
    pub count: u32,
    /// The least now: the file's, or a scheduled minimum.
    pub min: u32,
    /// The most.
    pub max: u32,
    /// A scheduled minimum holds now.
    pub scheduled: bool,
    /// Why the count is what it is, in words; null before the first look.
    pub why: Option<String>,
    /// When it was looked at last, in milliseconds since 1970.
    pub looked_ms: Option<u64>,
    /// What was measured then, a figure a target.
    pub figures: Vec<ScaleFigure>,
    /// How the count last changed.
    pub changed: Option<ScaleChange>,
    /// What somebody set, while it holds.
    pub hand: Option<ScaleHand>,
    /// Why the count stands now whatever is measured, in words.
    pub stands: Option<String>,
}

/// What one target is and what was measured for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScaleFigure {
    /// `cpu`, `memory`, `requests`, `p95` or `queue`.
    pub metric: String,
    /// The mean of the instances that count: `62%`, `12.5/s`, `120ms`; of a queue all that waits; null when it is not known.
    pub measured: Option<String>,
    /// What one instance is to have.
    pub target: String,
}

/// A change of a count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScaleChange {
    /// How many before; null: it was the first.
    pub from: Option<u32>,
    /// How many from then on.
    pub to: u32,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Why, in words.
    pub why: String,
}

/// A count that somebody set for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScaleHand {
    /// How many.
    pub instances: u32,
    /// When it holds no longer, in milliseconds since 1970.
    pub until_ms: u64,
    /// Who set it.
    pub by: String,
}

/// Body of `POST /v1/scale/{service}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaleAsked {
    /// How many instances run; within the bounds of the file.
    #[schemars(range(min = 1, max = 1000))]
    pub instances: u32,
    /// For how long, in milliseconds: a second to thirty days.
    #[schemars(range(min = 1000, max = 2_592_000_000_u64))]
    pub for_ms: u64,
}
