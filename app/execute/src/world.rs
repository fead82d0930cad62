//! The outside, as the engine sees it. The real one and the simulated one implement this trait.

use mainstay_atoms::{
    Actor, Bytes, Digest, Epoch, Fact, InstanceId, Moment, ServiceName, Told, Wall,
};
use mainstay_plan::{Event, GatewaySeen, Step};
use mainstay_rollout::{Board, Metric, Reading};
use mainstay_routing::Table;
use mainstay_spec::Waiting;
use mainstay_workload::Instance;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Effects and facts. No method blocks for longer than one system call or one local request.
pub trait World {
    /// The monotonic and the civil clock.
    fn now(&self) -> (Moment, Wall);

    /// What is seen now.
    fn observe(&mut self) -> Seen;

    /// Ports in the instances' range on which somebody listens.
    fn ports_taken(&mut self) -> BTreeSet<u16>;

    /// What the gateway counted since it started, by instance; none while it does not answer.
    fn board(&mut self) -> Option<Board> {
        None
    }

    /// What these instances use of the machine; those of which it cannot be said are left out.
    fn used(&mut self, _instances: &[InstanceId]) -> BTreeMap<InstanceId, Used> {
        BTreeMap::new()
    }

    /// What a query or an address says. The first call asks, later ones give the answer once it is there, and
    /// one after that asks again.
    fn provided(&mut self, _metric: &Metric) -> Option<Reading> {
        Some(Reading::Nothing)
    }

    /// How much waits in a queue, asked as the one that is told so of the store; an error says why nobody knows.
    /// The first call asks, later ones give the answer once it is there, and one after that asks again.
    fn waiting(&mut self, _told: &Told, _what: &Waiting) -> Option<Result<u64, String>> {
        Some(Err("nobody can be asked".into()))
    }

    /// Names of alerts that fire by an evaluation that worked, and that nobody silences; none while nobody knows.
    fn firing(&mut self) -> Option<BTreeSet<String>> {
        None
    }

    /// Whether what was made of a store is still there: data that somebody deleted is made again.
    fn keeps(&self, _store: &ServiceName) -> bool {
        true
    }

    /// Does what a step says. Doing it twice is doing it once; an order of an earlier epoch or
    /// generation than one already obeyed is refused.
    fn apply(&mut self, order: &Order<'_>) -> Result<(), EffectFault>;

    /// Hands the gateway its own table with other pauses. Doing it twice is doing it once; one of an earlier epoch, or
    /// with pauses of a lower number, is refused.
    fn pause(&mut self, table: &Table) -> Result<(), EffectFault>;

    /// Makes entries durable, all or none, in this order.
    fn record(&mut self, entries: Vec<Entry>) -> Result<(), RecordFault>;

    /// Keeps bytes under their digest, durably.
    fn keep(&mut self, bytes: &[u8]) -> Result<Digest, RecordFault>;

    /// Bytes that were kept.
    fn fetch(&mut self, digest: Digest) -> Result<Vec<u8>, RecordFault>;

    /// What there is to show about an instance that failed.
    fn evidence(&mut self, instance: &InstanceId) -> Evidence;
}

/// One look at the outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Every instance that left a trace.
    pub instances: Vec<Instance>,
    /// The gateway.
    pub gateway: Fact<GatewaySeen>,
}

/// What one instance uses, with everything that it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// Processor time since it began.
    pub cpu: Duration,
    /// Memory now.
    pub memory: Bytes,
}

/// A step with what it needs to be carried out and fenced.
#[derive(Debug)]
pub struct Order<'a> {
    /// Which control plane orders it.
    pub epoch: Epoch,
    /// The step.
    pub step: &'a Step,
    /// For [`Step::Publish`]: the whole table after it.
    pub table: Option<Table>,
}

/// An entry to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What happened.
    pub event: Event,
    /// Which control plane says so.
    pub epoch: Epoch,
    /// Who acted.
    pub by: Actor,
    /// When.
    pub at: Wall,
}

/// Why an effect did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EffectFault {
    /// It may work later: a gateway that is away, a disk that is full.
    #[error("{0}")]
    Later(String),
    /// It will not work: a program that cannot be executed.
    #[error("{0}")]
    Never(String),
    /// A later control plane has taken over.
    #[error("a later control plane has taken over: {0}")]
    Fenced(String),
}

/// Why something could not be made durable or read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RecordFault(pub String);

/// What there is to show about an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The probe's request and last answer: `GET 127.0.0.1:21043/ready, 27 times; the last answer …`.
    pub probe: Vec<String>,
    /// How the process ran and ended.
    pub process: Option<String>,
    /// It has ended; until then the line above still changes.
    #[serde(default)]
    pub ended: bool,
    /// Its last log lines, oldest first; at most 30.
    pub log: Vec<String>,
}
