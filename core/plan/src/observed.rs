//! Everything a decision may rest on.

use crate::run::Runs;
use crate::serving::Serving;
use mainstay_atoms::{Digest, Fact, Generation, InstanceId, Moment, ServiceName};
use mainstay_spec::Service;
use mainstay_workload::{Attempts, Instance};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The world as it is seen, and what the ledger says was done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Every instance of this environment that left a trace.
    pub instances: Vec<Instance>,
    /// The gateway.
    pub gateway: Fact<GatewaySeen>,
    /// Ports in the instances' range on which somebody listens.
    pub ports_taken: BTreeSet<u16>,
    /// What was last published.
    pub serving: Serving,
    /// How often instances ended by themselves.
    pub attempts: BTreeMap<InstanceId, Attempts>,
    /// The last generation that was used.
    pub generation: Generation,
    /// What each store was last brought to: the digest of its order.
    pub stores: BTreeMap<ServiceName, Digest>,
    /// What is known of each job's runs.
    pub jobs: BTreeMap<ServiceName, Runs>,
    /// How many instances of each service that is scaled were decided last.
    pub counts: BTreeMap<ServiceName, u32>,
}

impl Observed {
    /// A machine on which nothing was ever done.
    pub fn nothing() -> Self {
        Self {
            instances: vec![],
            gateway: Fact::Known {
                value: GatewaySeen::default(),
                at: Moment(0),
            },
            ports_taken: BTreeSet::new(),
            serving: Serving::default(),
            attempts: BTreeMap::new(),
            generation: Generation(0),
            stores: BTreeMap::new(),
            jobs: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    /// How many instances a service wants.
    pub fn count(&self, name: &ServiceName, service: &Service) -> u32 {
        service.count(self.counts.get(name).copied())
    }

    /// This run of an instance, if it left a trace.
    pub fn run(&self, id: &InstanceId, generation: Generation) -> Option<&Instance> {
        self.instances
            .iter()
            .find(|instance| instance.id == *id && instance.generation == generation)
    }
}

/// The gateway's own account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewaySeen {
    /// The table that every worker serves from.
    pub generation: Generation,
    /// The number of the pauses that it knows.
    #[serde(default)]
    pub pauses: u64,
    /// What is under way at each run of an instance; runs with nothing under way may be left out.
    pub load: BTreeMap<InstanceId, BTreeMap<Generation, Load>>,
}

impl GatewaySeen {
    /// What is under way at this run.
    pub fn load(&self, id: &InstanceId, generation: Generation) -> Load {
        self.load
            .get(id)
            .and_then(|runs| runs.get(&generation))
            .copied()
            .unwrap_or_default()
    }
}

/// What is under way at one run of an instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Requests.
    pub in_flight: u64,
    /// WebSockets and event streams.
    pub streams: u64,
}
