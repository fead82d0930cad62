//! What the file says about metrics, rules and alerts.

use mainstay_atoms::Bytes;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where an instance tells its metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metrics {
    /// Path of the GET.
    pub path: String,
    /// From one reading to the next.
    pub every: Duration,
}

/// Metrics and rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signals {
    /// Whether metrics are collected at all.
    pub enabled: bool,
    /// How long samples are kept.
    pub keep: Duration,
    /// Most bytes of samples on disk.
    pub disk: Bytes,
    /// Files of rules in the form of Prometheus.
    pub rules: Vec<Attached>,
    /// Configurations of Alertmanager; at most one.
    pub alertmanager: Vec<Attached>,
    /// Channels, routes and what is set for ready rules, as the file says it; judged where it is shipped from.
    pub alerts: Option<serde_json::Value>,
}

/// A file that is shipped with the platform as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// Its path below the platform file's folder.
    pub path: String,
    /// Its text; empty until it was read.
    pub text: String,
}

impl Default for Signals {
    fn default() -> Self {
        Self {
            enabled: true,
            keep: Duration::from_hours(15 * 24),
            disk: Bytes(2 << 30),
            rules: vec![],
            alertmanager: vec![],
            alerts: None,
        }
    }
}

impl Signals {
    /// The file says nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
