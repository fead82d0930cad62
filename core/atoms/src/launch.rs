//! Everything needed to start one process, with no choice left open.

use crate::{Bytes, Digest, Generation, InstanceId, Millicores, Probe, Range};
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
}
