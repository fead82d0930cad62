//! What is said on the control socket: one JSON value a line, an answer for each request, in order.

use mainstay_atoms::{Epoch, Generation, HostName, InstanceId};
use mainstay_routing::{Listener, Table, histogram};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "request")]
pub enum Request {
    /// Serve from this table.
    Publish {
        /// Whole.
        table: Table,
    },
    /// How it stands.
    Status,
    /// Metrics as text.
    Metrics,
    /// Latencies by instance and release.
    Latencies,
    /// Duplicates of the listening sockets of one address, sent beside the answer (`SCM_RIGHTS`).
    Handover {
        /// Which.
        address: SocketAddr,
    },
    /// Listening sockets of one address, sent beside the request; only before [`Request::Begin`].
    Adopt {
        /// Which.
        address: SocketAddr,
    },
    /// Nothing more will be handed over: bind the rest and serve.
    Begin,
    /// Take the place of the gateway that is there: it retires.
    Promote,
    /// Answer this status page from now on, as it is; without one, none.
    Show {
        /// The page.
        page: Option<Page>,
    },
}

/// A status page in each form in which it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The host that answers it; none: every host.
    pub host: Option<HostName>,
    /// Its path, whole and normalised.
    pub path: String,
    /// For people.
    pub html: String,
    /// For machines.
    pub json: String,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Response {
    /// Every worker serves from the table.
    Acknowledged(Acknowledged),
    /// Nothing was changed.
    Refused {
        /// Why.
        reason: Refusal,
    },
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::Metrics`].
    Metrics {
        /// Prometheus text exposition 0.0.4.
        text: String,
    },
    /// To [`Request::Latencies`].
    Latencies {
        /// One for each instance in the table or draining, and for the past of each service.
        releases: Vec<ReleaseLatency>,
    },
    /// To [`Request::Handover`]: this many sockets lie beside it.
    Sockets {
        /// How many.
        count: usize,
    },
    /// To [`Request::Adopt`], [`Request::Begin`], [`Request::Promote`] and [`Request::Show`].
    Done,
}

/// Every worker serves from this table, and no request picks by an earlier one any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// The table's epoch.
    pub epoch: Epoch,
    /// The table's generation.
    pub generation: Generation,
    /// Whether it also lies on disk, for a start without a control plane; if not, `status` says why.
    pub kept: bool,
}

/// Why a request changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Refusal {
    /// A later table is held, or another one of the same number.
    #[error("the table is older than the one held, epoch {epoch} generation {generation}")]
    Stale {
        /// The epoch held.
        epoch: Epoch,
        /// The generation held.
        generation: Generation,
    },
    /// Another program listens there.
    #[error("{address} is taken by {}", who(.program.as_deref(), *.pid))]
    PortTaken {
        /// Where.
        address: SocketAddr,
        /// Its process, where it can be seen.
        pid: Option<i32>,
        /// Its program, where it can be seen.
        program: Option<String>,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {message}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        message: String,
    },
    /// The request cannot be understood, or comes at the wrong time.
    #[error("{message}")]
    Invalid {
        /// Why.
        message: String,
    },
}

fn who(program: Option<&str>, pid: Option<i32>) -> String {
    match (program, pid) {
        (Some(program), Some(pid)) => format!("`{program}` (pid {pid})"),
        (None, Some(pid)) => format!("pid {pid}"),
        _ => "another program".into(),
    }
}

/// How a gateway stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// When it started: milliseconds since 1970.
    pub started_ms: u64,
    /// The table it serves from, if it has one.
    pub serving: Option<Serving>,
    /// How many workers serve.
    pub workers: usize,
    /// Client connections now.
    pub connections: u64,
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// Everyone in the table, and everyone who left it with requests or streams under way.
    pub instances: Vec<InstanceStatus>,
    /// What is wrong now, in words: a listener that cannot be bound again, a table that cannot be kept.
    pub faults: Vec<String>,
    /// Where it stands in its life; a version before stages were known says nothing.
    #[serde(default)]
    pub stage: Option<Stage>,
}

/// The life of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Serves beside the one that is in place, whose sockets it adopted.
    Beside,
    /// The one that is in place.
    Present,
    /// Takes no more connections: finishes what is under way, lets streams go on, and ends.
    Retired,
}

impl Status {
    /// An instance of this id and generation; absent means that nothing is under way there.
    pub fn instance(&self, id: &InstanceId, generation: Generation) -> Option<&InstanceStatus> {
        self.instances
            .iter()
            .find(|one| one.instance == *id && one.generation == generation)
    }
}

/// Which table is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its generation.
    pub generation: Generation,
    /// The number of its pauses.
    #[serde(default)]
    pub pauses: u64,
}

/// What goes on at one instance, all workers together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// Which.
    pub instance: InstanceId,
    /// Which run of it.
    pub generation: Generation,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether the table has it; if not, it is draining.
    pub current: bool,
    /// Requests and copies under way, streams apart.
    pub in_flight: u64,
    /// `WebSocket`s and event streams.
    pub streams: u64,
    /// Requests of clients sent to it so far.
    pub requests: u64,
    /// Attempts that failed so far, copies among them: no connection, no answer, or a 5xx; and while it and all others
    /// of its side of a trial were set aside, and it had failed again since, requests of that side that went to the
    /// others.
    pub failures: u64,
}

/// Latencies of the requests of one kind, in buckets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Counts by bucket of [`mainstay_routing::histogram`].
    pub counts: Vec<u64>,
    /// All latencies together, in microseconds.
    pub sum_us: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            counts: vec![0; histogram::COUNT],
            sum_us: 0,
        }
    }
}

impl Latency {
    /// The latency below which `share` (0 to 1) of the requests stayed, within 5 %; `None` without any.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        histogram::quantile(&self.counts, share)
    }
}

/// The latencies of one instance, or of what is left of those that are gone (`past`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseLatency {
    /// The service.
    pub service: String,
    /// The release, `v42`.
    pub release: String,
    /// The instance, `web.v42.1`.
    pub instance: String,
    /// Its latencies over all routes, those of copies among them: a verdict sees both.
    pub latency: Latency,
    /// Its answers: status and count, in order. A copy that it did not answer counts as 502, one that it did not
    /// answer in time as 504, as a client would have been told.
    pub codes: Vec<(u16, u64)>,
    /// How many of them were copies, whose answers reached nobody.
    #[serde(default)]
    pub copies: u64,
}
