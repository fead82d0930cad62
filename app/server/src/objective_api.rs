//! What the API answers about objectives.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One objective of a service, of `Status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectiveStatus {
    /// The service.
    pub service: String,
    /// `availability` or `latency`.
    pub kind: String,
    /// As the file says it: `99.9% over 30d`.
    pub objective: String,
    /// The share that is to go well, of 1.
    pub target: f64,
    /// Over how long, in milliseconds.
    pub window_ms: u64,
    /// The share that went well within the window, of 1; null while that is not known.
    pub attained: Option<f64>,
    /// The share of the error budget that is left: 1 is all of it, below 0 more is gone than there was.
    pub budget_left: Option<f64>,
    /// How fast it goes, by window.
    pub burns: Vec<BurnStatus>,
    /// Why nothing is known, in words.
    pub why: Option<String>,
}

/// How fast an error budget goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BurnStatus {
    /// Within so many milliseconds.
    pub window_ms: u64,
    /// 1 is as fast as it may go; null while that is not known.
    pub rate: Option<f64>,
    /// Above this an alert fires.
    pub limit: f64,
}
