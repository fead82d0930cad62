//! What the API answers about releases on trial.

use crate::shape;
use mainstay_atoms::{ReleaseNumber, ServiceName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One service on trial, of `Status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrialStatus {
    /// Which.
    #[schemars(with = "String")]
    pub service: ServiceName,
    /// The release on trial.
    #[schemars(with = "shape::Release")]
    pub release: ReleaseNumber,
    /// The release that serves.
    #[schemars(with = "Option<shape::Release>")]
    pub stable: Option<ReleaseNumber>,
    /// Where it stands, in words.
    pub stands: String,
    /// Shares of the traffic, in hundredths of a percent.
    pub canary: u64,
    /// Of fresh instances of the release that serves.
    pub baseline: u64,
    /// Which step, from 1.
    pub step: Option<usize>,
    /// Of how many; the last one is all of the traffic.
    pub steps: Option<usize>,
    /// How long the step was held, in milliseconds.
    pub held_ms: Option<u64>,
    /// How long it is to be held at least.
    pub hold_ms: Option<u64>,
    /// What it is judged by.
    pub metrics: Vec<TrialMetric>,
}

/// One condition of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrialMetric {
    /// `error_rate > 1%`.
    pub condition: String,
    /// `successful`, `inconclusive`, `error` or `failed`.
    pub grade: String,
    /// The last figures, in words.
    pub seen: String,
    /// The last values in the base unit of the metric (shares of 1, seconds), oldest first.
    pub points: Vec<f64>,
}
