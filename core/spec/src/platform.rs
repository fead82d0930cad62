//! What a checked file says about one environment: every default filled in, every name resolved.

use crate::gate::Gates;
use crate::job::Job;
use crate::scale::Scale;
use crate::signals::{Metrics, Signals, Slo};
use crate::status_page::StatusPage;
use crate::store::Store;
use mainstay_atoms::{
    Chosen, EnvironmentName, HostName, PlatformName, Probe, ServiceName, Share, Size, Smoke, Stop,
};
use mainstay_rollout::{Baseline, Condition, Stages};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// One environment of a platform. Two equal platforms mean the same thing, whatever file they were
/// written in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// The file's `name`.
    pub name: PlatformName,
    /// Which of its environments.
    pub environment: EnvironmentName,
    /// Ports of the gateway.
    pub gateway: GatewayPorts,
    /// By name. Services, jobs and stores share one name space.
    pub services: BTreeMap<ServiceName, Service>,
    /// Commands that run to their end.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub jobs: BTreeMap<ServiceName, Job>,
    /// Where data is kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stores: BTreeMap<ServiceName, Store>,
    /// Routes by host: path prefix → service.
    pub domains: BTreeMap<HostName, BTreeMap<String, ServiceName>>,
    /// What lets a release begin.
    #[serde(default, skip_serializing_if = "Gates::is_empty")]
    pub gates: Gates,
    /// Metrics and rules.
    #[serde(default, skip_serializing_if = "Signals::is_default")]
    pub signals: Signals,
    /// The signed page on which it says how it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_page: Option<StatusPage>,
}

/// Where the gateway listens for requests from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayPorts {
    /// Plain HTTP, on every address when a domain other than `localhost` is declared, else on loopback.
    pub http: u16,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Command that is run first, in the file's folder; not part of what is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Vec<String>>,
    /// Program and arguments.
    pub run: Vec<String>,
    /// What is copied into the store, relative to the file's folder: the program's file unless said.
    pub artifact: Vec<String>,
    /// The port under which other services reach it; without one it takes no requests.
    pub port: Option<u16>,
    /// Services it calls and stores it uses: starts after them and is told their addresses.
    pub needs: Vec<ServiceName>,
    /// What it is told of stores, under names of its own: variable → store and the store's variable.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inject: BTreeMap<String, Injection>,
    /// Liveness.
    pub health: Option<Probe>,
    /// Readiness; a service with a port and no `ready` is asked by a TCP connection.
    pub ready: Option<Probe>,
    /// Where each instance tells its metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
    /// What share of its requests must go well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slo: Option<Slo>,
    /// How many instances; with [`Service::scale`] its least.
    pub replicas: u32,
    /// How many by what is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// Ceilings of one instance.
    pub size: Size,
    /// Plain environment.
    pub env: BTreeMap<String, String>,
    /// How an instance stops.
    pub stop: Stop,
    /// How a release replaces its instances.
    pub deploy: Rolling,
    /// How a release earns its traffic first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// A release takes all of the traffic at once, looked at before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreen>,
    /// It cannot run beside another release of itself: all old instances leave before a new one starts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recreate: bool,
    /// Requests that new instances must answer as said before they take traffic, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub smoke: BTreeMap<String, Smoke>,
    /// Jobs that a release runs before it replaces the first instance, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<ServiceName>,
    /// Jobs that a release runs once its instances serve, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<ServiceName>,
}

impl Service {
    /// How many instances are wanted: `replicas`, or, where that is left to what is measured, what was
    /// decided last, within the bounds. Nothing decided yet: the least.
    pub fn count(&self, decided: Option<u32>) -> u32 {
        match &self.scale {
            Some(scale) => scale.within(decided.unwrap_or(scale.min)),
            None => self.replicas,
        }
    }
}

/// One variable of one store: `db.DATABASE_URL`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Injection {
    /// The store.
    pub store: ServiceName,
    /// What the store calls it: one of [`Store::variables`].
    pub variable: String,
}

/// A rolling update's rules (Kubernetes' `maxSurge`, `maxUnavailable`, `minReadySeconds`,
/// `progressDeadlineSeconds`). Surge and unavailable are never both zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rolling {
    /// Instances above the wanted count; a share rounds up.
    pub surge: Amount,
    /// Instances that may be missing; a share rounds down.
    pub unavailable: Amount,
    /// How long an instance must stay ready before it counts.
    pub min_ready: Duration,
    /// Longest time without progress.
    pub deadline: Duration,
}

/// How a release earns its traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// Shares of the traffic and how long each is held.
    pub steps: Stages,
    /// The release goes back when one of these holds; at least one.
    pub abort_if: Vec<Condition>,
    /// What it is compared with.
    pub baseline: Baseline,
    /// Time between two measurements.
    pub every: Duration,
    /// Fewest requests that say anything.
    pub least: u64,
    /// How much longer than its hold a step waits for a verdict.
    pub patience: Duration,
    /// How long it is watched with all of the traffic.
    pub bake: Duration,
    /// A client stays on the side that answered it first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sticky: bool,
    /// Requests that go to the release whatever its share is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chosen: Vec<Chosen>,
    /// Of the requests that change nothing and that the release before answers, the share that the release
    /// answers too, for nobody.
    #[serde(default)]
    pub mirror: Share,
}

/// A release that takes all of the traffic at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueGreen {
    /// The host whose requests the release answers before it has the traffic.
    pub preview: Option<HostName>,
    /// A person gives it the traffic.
    pub manual: bool,
    /// How long it is judged on its preview first; zero: not at all.
    pub before: Duration,
    /// How long it is judged with the traffic; zero: not at all.
    pub after: Duration,
    /// It goes back when one of these holds; none compares.
    pub abort_if: Vec<Condition>,
    /// Time between two measurements.
    pub every: Duration,
    /// Fewest requests that say anything.
    pub least: u64,
    /// How much longer than its time a verdict is waited for.
    pub patience: Duration,
    /// How long the release before is kept running after the verdict.
    pub warm: Duration,
}

/// A count, or a share of the wanted count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// So many instances.
    Count(u32),
    /// This share of `replicas`.
    Share(Share),
}

impl Default for Rolling {
    /// 25 %, 0, 0 s, 5 min.
    fn default() -> Self {
        Self {
            surge: Amount::Share(Share(2500)),
            unavailable: Amount::Count(0),
            min_ready: Duration::ZERO,
            deadline: Duration::from_mins(5),
        }
    }
}
