//! How many instances of a service run where that is left to what is measured.

use crate::Service;
use mainstay_atoms::{Schedule, ServiceName, Share};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Most instances, as the file has it.
const MOST: u32 = 1000;

/// Bounds, targets and times of a service that is scaled. At least one target is set; the least is at
/// least 1 and no more than the most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// Least instances.
    pub min: u32,
    /// Most instances.
    pub max: u32,
    /// Share of its limit of cores that an instance is to use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Share>,
    /// Share of its limit of memory that an instance is to use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Share>,
    /// Requests that an instance is to answer, in thousandths of one a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// The latency below which 95 of 100 requests are to stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95: Option<Duration>,
    /// What waits for the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queue>,
    /// From one look to the next.
    pub every: Duration,
    /// A shrink goes no lower than the highest recommendation of this long.
    pub settle: Duration,
    /// An instance that became ready less than this ago is not measured.
    pub warm_up: Duration,
    /// Minimums by the calendar.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<Floor>,
}

/// What waits for a service in a store that it needs, and how much of it one instance is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// A Redis for a key, a PostgreSQL for a query.
    pub store: ServiceName,
    /// What is counted.
    pub waiting: Waiting,
    /// How much of it one instance is to have; at least 1.
    pub per: u64,
}

/// What is counted of a queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    /// The elements of a list, stream, set or sorted set of Redis.
    Key(String),
    /// The one number that a query of PostgreSQL answers with.
    Query(String),
}

/// A minimum by the calendar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// When it begins, in its zone.
    pub begins: Schedule,
    /// How long it holds.
    pub lasts: Duration,
    /// Least instances meanwhile; no more than the most.
    pub min: u32,
}

impl Scale {
    /// `--horizontal-pod-autoscaler-sync-period` of Kubernetes' controller.
    pub const EVERY: Duration = Duration::from_secs(15);
    /// `--horizontal-pod-autoscaler-downscale-stabilization`.
    pub const SETTLE: Duration = Duration::from_mins(5);
    /// `--horizontal-pod-autoscaler-initial-readiness-delay`.
    pub const WARM_UP: Duration = Duration::from_secs(30);

    /// What no file says of it, to be read after "is scaled"; nothing when one could.
    pub(crate) fn unsound(&self, service: &Service) -> Option<String> {
        let Self { min, max, .. } = self;
        let size = &service.size;
        let asks = self.requests.is_some() || self.p95.is_some();
        let within = |time: Duration, least, most| time < least || time > most;
        let (second, hour) = (Duration::from_secs(1), Duration::from_hours(1));
        let floors = |wrong: fn(&Floor, u32) -> bool| self.at.iter().any(|one| wrong(one, *max));
        let faults = [
            (
                *min == 0 || max < min || *max > MOST,
                format!("from {min} to {max}; 1 to {MOST} are allowed, the least first"),
            ),
            (
                !asks && self.cpu.is_none() && self.memory.is_none() && self.queue.is_none(),
                "by no target".into(),
            ),
            (
                self.cpu.is_some() && size.cpu.is_none(),
                "by a share of a limit of cores that it does not have".into(),
            ),
            (
                self.memory.is_some() && size.memory.is_none(),
                "by a share of a limit of memory that it does not have".into(),
            ),
            (
                asks && service.port.is_none(),
                "by requests, and has no port".into(),
            ),
            (
                self.queue
                    .as_ref()
                    .is_some_and(|queue| !service.needs.contains(&queue.store)),
                "by a queue in a store that it does not need".into(),
            ),
            (
                [self.cpu, self.memory].contains(&Some(Share(0)))
                    || self.requests == Some(0)
                    || self.p95 == Some(Duration::ZERO)
                    || self.queue.as_ref().is_some_and(|queue| queue.per == 0),
                "by a target of 0".into(),
            ),
            (
                within(self.every, second, Duration::from_mins(5))
                    || within(self.settle, second, hour)
                    || self.warm_up > hour,
                "at times that no file says".into(),
            ),
            (
                floors(|floor, max| floor.min == 0 || floor.min > max),
                "with a scheduled minimum out of its bounds".into(),
            ),
        ];
        let mut faults = faults.into_iter();
        faults.find_map(|(wrong, why)| wrong.then_some(why))
    }

    /// A count within the bounds.
    pub fn within(&self, count: u32) -> u32 {
        // Bounds of a record that somebody altered may cross; `clamp` would panic.
        count.max(self.min).min(self.max)
    }
}
