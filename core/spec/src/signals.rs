//! What the file says about metrics, rules and alerts.

use mainstay_atoms::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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
    /// Most bytes of memory of the process that collects them.
    #[serde(default = "memory", skip_serializing_if = "is_memory")]
    pub memory: Bytes,
    /// Where samples are sent to as well, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub remotes: BTreeMap<String, Remote>,
    /// What elsewhere tells metrics, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<String, Target>,
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

/// Ten times what 50,000 series need.
fn memory() -> Bytes {
    Bytes(1 << 30)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde asks for"
)]
fn is_memory(bytes: &Bytes) -> bool {
    *bytes == memory()
}

/// Where samples are sent to as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// Where it takes them: scheme, host and path.
    pub url: String,
    /// How they are written.
    #[serde(default)]
    pub protocol: Protocol,
    /// The secret with the token that `Authorization: Bearer` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Something elsewhere whose metrics are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Where it tells them: scheme, host and path.
    pub url: String,
    /// From one reading to the next.
    pub every: Duration,
    /// Certificates in PEM that alone are trusted for it; where there are none, those of the system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ca: Vec<Attached>,
}

/// How samples are written outward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Remote-write 1.0 of Prometheus.
    #[default]
    RemoteWrite,
    /// Remote-write 2.0 of Prometheus.
    #[serde(rename = "remote_write_2")]
    RemoteWrite2,
    /// Metrics of `OpenTelemetry` over HTTP.
    Otlp,
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
            memory: memory(),
            remotes: BTreeMap::new(),
            targets: BTreeMap::new(),
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
