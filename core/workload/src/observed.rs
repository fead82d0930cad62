//! What is seen of an instance.

use mainstay_atoms::{Digest, Generation, InstanceId, Moment, Role, Stop};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;

/// One instance as the machine shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Which place it fills.
    pub id: InstanceId,
    /// Which run.
    pub generation: Generation,
    /// What it was started from.
    pub contents: Digest,
    /// Where it listens, if it serves.
    pub address: Option<SocketAddr>,
    /// When this run was started.
    pub started: Moment,
    /// Whether its process runs.
    pub running: Running,
    /// Whether it may take traffic.
    pub readiness: Readiness,
    /// Whether its liveness probe passes; true without one.
    pub live: bool,
    /// How it is to be stopped, as said when it was started.
    pub stop: Stop,
    /// What it is one of.
    #[serde(default)]
    pub role: Role,
}

/// Whether a process runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Running {
    /// Its process lives.
    Yes {
        /// The main process.
        pid: u32,
    },
    /// It ended.
    Ended {
        /// How.
        exit: Exit,
        /// When.
        at: Moment,
    },
}

/// How a process ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit status, when it ended by itself.
    pub code: Option<i32>,
    /// Signal number, when one ended it.
    pub signal: Option<i32>,
    /// The kernel ended it because its memory limit was reached.
    pub out_of_memory: bool,
    /// We had asked it to stop.
    pub asked: bool,
    /// Nobody saw it end: its shim was killed or the machine went down with it.
    #[serde(default)]
    pub lost: bool,
}

impl Exit {
    /// It ended by itself and said that all went well.
    pub fn succeeded(&self) -> bool {
        self.code == Some(0) && !self.asked && !self.lost
    }

    /// It was called off before anything was executed.
    pub fn never_began(&self) -> bool {
        self.asked && !self.lost && self.code.is_none() && self.signal.is_none()
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.out_of_memory, self.code, self.signal) {
            (true, ..) => out.write_str("out of memory"),
            _ if self.lost => out.write_str("cut off"),
            (_, Some(code), _) => write!(out, "exit {code}"),
            (_, None, Some(signal)) => write!(out, "signal {signal}"),
            (_, None, None) => out.write_str("ended for an unknown reason"),
        }
    }
}

/// Whether an instance may take traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// Its probe passes, or it needs none and runs.
    Ready {
        /// Since when.
        since: Moment,
    },
    /// Its probe does not pass.
    NotReady {
        /// The last answer, in words: `503 from GET /ready, 14 times in a row`.
        seen: String,
    },
}

impl Instance {
    /// Its process lives.
    pub fn runs(&self) -> bool {
        matches!(self.running, Running::Yes { .. })
    }

    /// Its process lives and its probe passes.
    pub fn ready_since(&self) -> Option<Moment> {
        match (&self.running, &self.readiness) {
            (Running::Yes { .. }, Readiness::Ready { since }) => Some(*since),
            _ => None,
        }
    }
}
