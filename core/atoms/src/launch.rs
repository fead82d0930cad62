//! Everything needed to start one process, with no choice left open.

use crate::{Bytes, Digest, Generation, InstanceId, Millicores, Probe, Range, ServiceName, Wall};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// What an instance may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Processor: the request is its weight under contention, the limit a hard ceiling.
    pub cpu: Option<Range<Millicores>>,
    /// Memory: the limit is hard; above it the kernel kills, and the exit says so.
    pub memory: Option<Range<Bytes>>,
    /// Most processes and threads.
    pub processes: Option<u32>,
    /// Most open files of one process.
    pub files: Option<u32>,
}

/// How an instance is taken out of service and stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The signal that asks it to stop, as its name without `SIG`: `TERM`.
    pub signal: String,
    /// From that signal to `KILL` for the whole group.
    pub grace: Duration,
    /// Longest wait for requests in flight before the signal.
    pub drain: Duration,
    /// Longest life of a WebSocket or event stream once draining began.
    pub streams: Duration,
}

impl Default for Stop {
    /// TERM, 10 s of grace, 30 s to finish requests, 10 s for streams.
    fn default() -> Self {
        Self {
            signal: "TERM".into(),
            grace: Duration::from_secs(10),
            drain: Duration::from_secs(30),
            streams: Duration::from_secs(10),
        }
    }
}

/// One process to run. `contents` identifies everything that the file decides; the generation, the
/// address and the `MAINSTAY_*` variables belong to this run alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Which place it fills.
    pub instance: InstanceId,
    /// Fence: a shim refuses orders of an earlier one.
    pub generation: Generation,
    /// Digest of what the file decides about the service.
    pub contents: Digest,
    /// The stored artifact that is its working folder.
    pub artifact: Digest,
    /// Program and arguments; a relative program is looked up in the artifact.
    pub run: Vec<String>,
    /// The whole environment, injected values included; secrets only as references.
    pub env: BTreeMap<String, String>,
    /// Where it is told to listen (`PORT`), if it serves.
    pub address: Option<SocketAddr>,
    /// Ceilings.
    pub size: Size,
    /// When it takes traffic; without one it is ready while it runs.
    pub ready: Option<Probe>,
    /// When it is restarted.
    pub health: Option<Probe>,
    /// How it stops.
    pub stop: Stop,
    /// What it is told of stores: references that are resolved when it is started, so that no
    /// password and no path of this machine stands in a plan.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub told: BTreeMap<String, Told>,
    /// The server of a store: the program is the machine's own, and `run` is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Server>,
    /// One run of a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobRun>,
}

impl Launch {
    /// What the instance is one of.
    pub fn role(&self) -> Role {
        match (&self.server, &self.job) {
            (Some(_), _) => Role::Store,
            (None, Some(_)) => Role::Job,
            (None, None) => Role::Service,
        }
    }
}

/// What an instance is one of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A service.
    #[default]
    Service,
    /// The server of a store.
    Store,
    /// One run of a job.
    Job,
}

/// One variable that a store tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The store.
    pub store: ServiceName,
    /// What kind of store it is, as the file calls it: `postgres`.
    pub kind: String,
    /// What the store calls the variable: `PGHOST`.
    pub variable: String,
    /// Who uses it: its login.
    pub login: ServiceName,
    /// Where its server listens, if it has one here.
    pub address: Option<SocketAddr>,
    /// The secret that holds the address of one that somebody else runs.
    pub external: Option<String>,
}

/// The server of a store, run from the machine's own package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Server {
    /// PostgreSQL of this major version.
    Postgres(u16),
    /// Redis of this major version, or Valkey.
    Redis(u16),
}

/// One run of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRun {
    /// Why it runs.
    pub cause: Cause,
    /// The time of the schedule that it is for.
    pub due: Option<Wall>,
    /// Which try it is, from 1.
    pub attempt: u32,
    /// Tries after a failure that are left.
    pub retries: u32,
    /// Longest run; then it is stopped and counts as failed.
    pub timeout: Duration,
    /// Cut off by a crash, it is run again.
    pub at_least_once: bool,
    /// What it does cannot be undone.
    pub one_way: bool,
}

/// Why a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its schedule.
    Schedule,
    /// Somebody asked.
    Asked,
    /// A release, before it replaces instances.
    Before,
    /// A release, once its instances serve.
    After,
}
