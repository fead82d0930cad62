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

/// What share of the requests of a service must go well, as the file says it; judged where it is shipped from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slo {
    /// The share that is not answered with 5xx: `99.9% over 30d`.
    pub availability: Option<String>,
    /// The share that takes less than so long: `95% < 300ms`.
    pub latency: Option<String>,
}

/// Metrics and rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signals {
    /// Whether metrics are collected although no service tells any.
    pub enabled: bool,
    /// How long samples are kept.
    pub keep: Duration,
    /// Most bytes of samples on disk.
    pub disk: Bytes,
    /// Port on loopback under which other tools ask.
    pub port: Option<u16>,
    /// Files of rules in the form of Prometheus.
    pub rules: Vec<Attached>,
    /// Configurations of Alertmanager; at most one.
    pub alertmanager: Vec<Attached>,
    /// Channels, routes and what is set for ready rules, as the file says it; judged where it is shipped from.
    pub alerts: Option<serde_json::Value>,
    /// What is asked from outside, by name, as the file says it; judged where it is shipped from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<serde_json::Value>,
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
            enabled: false,
            keep: Duration::from_hours(15 * 24),
            disk: Bytes(2 << 30),
            port: None,
            rules: vec![],
            alertmanager: vec![],
            alerts: None,
            checks: None,
        }
    }
}

impl Signals {
    /// The file says nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
