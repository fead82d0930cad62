//! How an instance is asked whether it lives and whether it is ready.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a probe does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// GET of this path on the instance's address; 200–399 passes, as Kubernetes has it.
    Http(String),
    /// A connection to the instance's address.
    Tcp,
    /// A command in the instance's folder with its environment; exit 0 passes.
    Exec(Vec<String>),
}

/// A check and its rhythm; the words are those of Kubernetes' probes in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What is done.
    pub check: Check,
    /// From one probe to the next (`periodSeconds`).
    pub every: Duration,
    /// How long an answer may take (`timeoutSeconds`).
    pub timeout: Duration,
    /// For liveness: no failure counts so soon after the start (`initialDelaySeconds`). For
    /// readiness: the time a new instance has to become ready.
    pub after: Duration,
    /// Failures in a row that count as failed (`failureThreshold`).
    pub fail: u32,
    /// Successes in a row that count as passed (`successThreshold`).
    pub pass: u32,
}

impl Probe {
    /// Readiness as decided when the file says only how: every second, 5 s to answer, 30 s to become
    /// ready, three failures take traffic away, one success gives it.
    pub fn readiness(check: Check) -> Self {
        Self {
            check,
            every: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
            after: Duration::from_secs(30),
            fail: 3,
            pass: 1,
        }
    }

    /// Liveness as decided when the file says only how: every 10 s, 5 s to answer, no failure counts
    /// in the first 30 s, three failures restart.
    pub fn liveness(check: Check) -> Self {
        Self {
            check,
            every: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            after: Duration::from_secs(30),
            fail: 3,
            pass: 1,
        }
    }
}
