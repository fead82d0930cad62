//! A plan in the making: the steps so far, and what the world will be after them.

use crate::address::instance_address;
use crate::launch::{service_launch, store_launch};
use crate::serving::Routes;
use crate::step::{Publish, Step};
use crate::{Limits, Observed, ReleaseRecord, Serving};
use mainstay_atoms::{Generation, InstanceId, ReleaseNumber, Role, ServiceName};
use mainstay_routing::{Backend, Pool};
use mainstay_spec::Service;
use mainstay_workload::Instance;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// Without a readiness probe an instance counts as ready once it has run so long.
const UNPROBED: Duration = Duration::from_secs(1);

/// Added to an instance's own grace before a stop counts as failed.
const REAP: Duration = Duration::from_secs(10);

pub(crate) struct Draft<'a> {
    observed: &'a Observed,
    limits: &'a Limits,
    generation: Generation,
    taken: BTreeSet<u16>,
    pub(crate) serving: Serving,
    pub(crate) steps: Vec<Step>,
    /// Drains and stops that come after the release serves.
    tail: Vec<Step>,
    /// Runs that took traffic on a trial that is over without success.
    pub(crate) tried: BTreeSet<(InstanceId, Generation)>,
    /// New instances have to pass the smoke tests of their service.
    pub(crate) smoke: bool,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(observed: &'a Observed, limits: &'a Limits) -> Self {
        let gateway = observed
            .gateway
            .known()
            .map_or(Generation(0), |seen| seen.generation);
        let own = observed
            .instances
            .iter()
            .filter_map(|instance| instance.address);
        Self {
            observed,
            limits,
            generation: observed
                .generation
                .max(observed.serving.generation)
                .max(gateway),
            taken: own
                .map(|at| at.port())
                .chain(observed.ports_taken.iter().copied())
                .collect(),
            serving: observed.serving.clone(),
            steps: Vec::new(),
            tail: Vec::new(),
            tried: BTreeSet::new(),
            smoke: false,
        }
    }

    fn next(&mut self) -> Generation {
        self.generation = self.generation.next();
        self.generation
    }

    /// Starts a new run of `id` and returns the backend it will be; none when no port is left or the
    /// contents do not know the service.
    pub(crate) fn start(&mut self, record: &ReleaseRecord, id: &InstanceId) -> Option<Started> {
        let service = record.contents.platform.services.get(&id.service)?;
        let address = match service.port {
            Some(_) => Some(instance_address(
                &record.contents.platform,
                id,
                &mut self.taken,
            )?),
            None => None,
        };
        let generation = self.next();
        let launch = service_launch(record, id, generation, address)?;
        self.steps.push(Step::Start {
            launch: Box::new(launch),
        });
        let backend = address.map(|address| backend(id, generation, address));
        Some(Started {
            id: id.clone(),
            generation,
            backend,
        })
    }

    /// Starts the server of a store.
    pub(crate) fn start_store(
        &mut self,
        record: &ReleaseRecord,
        name: &ServiceName,
        since: ReleaseNumber,
    ) -> Option<(InstanceId, Generation)> {
        let id = InstanceId {
            service: name.clone(),
            release: since,
            ordinal: 1,
        };
        let generation = self.next();
        let launch = store_launch(record, &id, generation)?;
        self.steps.push(Step::Start {
            launch: Box::new(launch),
        });
        Some((id, generation))
    }

    /// Waits until a store accepts writes.
    pub(crate) fn await_store(&mut self, id: &InstanceId, generation: Generation) {
        self.steps.push(Step::AwaitReady {
            instance: id.clone(),
            generation,
            stays: Duration::ZERO,
            within: crate::store::READY,
        });
    }

    /// Waits until a run is ready, as long as the service's rules allow.
    pub(crate) fn await_ready(
        &mut self,
        service: &Service,
        id: &InstanceId,
        generation: Generation,
    ) {
        let rules = &service.deploy;
        let (stays, within) = if let Some(probe) = &service.ready {
            (rules.min_ready, probe.after + rules.min_ready)
        } else {
            let stays = rules.min_ready.max(UNPROBED);
            (stays, stays + REAP)
        };
        let within = within.min(rules.deadline.max(stays));
        self.steps.push(Step::AwaitReady {
            instance: id.clone(),
            generation,
            stays,
            within,
        });
        let address = self.address(id, generation);
        if let (true, false, Some(address)) = (self.smoke, service.smoke.is_empty(), address) {
            self.steps.push(Step::Smoke {
                instance: id.clone(),
                generation,
                address,
                tests: service.smoke.clone(),
            });
        }
    }

    /// Where a run listens that is seen or that the plan starts.
    fn address(&self, id: &InstanceId, generation: Generation) -> Option<SocketAddr> {
        let seen = self.observed.run(id, generation);
        let started = || {
            self.steps.iter().rev().find_map(|step| match step {
                Step::Start { launch }
                    if launch.instance == *id && launch.generation == generation =>
                {
                    launch.address
                }
                _ => None,
            })
        };
        seen.and_then(|one| one.address).or_else(started)
    }

    /// Publishes these pools and routes, if they differ from what was published last, and waits for
    /// the acknowledgement.
    pub(crate) fn publish(
        &mut self,
        pools: BTreeMap<ServiceName, Option<Pool>>,
        routes: Option<Routes>,
    ) {
        let pools: BTreeMap<_, _> = pools
            .into_iter()
            .filter(|(name, pool)| self.serving.pools.get(name) != pool.as_ref())
            .collect();
        let routes = routes.filter(|routes| *routes != self.serving.routes);
        if !pools.is_empty() || routes.is_some() {
            self.announce(pools, routes);
        }
    }

    /// Publishes without asking whether anything differs.
    pub(crate) fn announce(
        &mut self,
        pools: BTreeMap<ServiceName, Option<Pool>>,
        routes: Option<Routes>,
    ) {
        let publish = Publish {
            generation: self.next(),
            pools,
            routes,
        };
        self.serving.apply(&publish);
        let generation = publish.generation;
        self.steps.push(Step::Publish(publish));
        self.steps.push(Step::AwaitAcknowledged {
            generation,
            within: self.limits.acknowledge,
        });
    }

    /// Drains and stops runs that left the table: now, or after the release serves.
    pub(crate) fn retire(&mut self, leaving: &[Instance], after: bool) {
        let mut steps = Vec::new();
        for instance in leaving {
            if instance.address.is_some() && instance.role == Role::Service {
                steps.push(Step::AwaitDrained {
                    instance: instance.id.clone(),
                    generation: instance.generation,
                    within: instance.stop.drain.max(instance.stop.streams),
                });
            }
            steps.push(Step::Stop {
                instance: instance.id.clone(),
                generation: instance.generation,
                stop: instance.stop.clone(),
            });
        }
        for instance in leaving {
            steps.push(Step::AwaitStopped {
                instance: instance.id.clone(),
                generation: instance.generation,
                within: instance.stop.grace + REAP,
            });
        }
        if after {
            self.tail.extend(steps);
        } else {
            self.steps.extend(steps);
        }
    }

    /// Removes the traces of runs that ended or will have.
    pub(crate) fn clear(&mut self, instances: &[Instance]) {
        self.tail
            .extend(instances.iter().map(|instance| Step::Clear {
                instance: instance.id.clone(),
                generation: instance.generation,
            }));
    }

    /// Whether the run takes traffic in what was observed, and not only on a trial that is over.
    pub(crate) fn in_table(&self, instance: &Instance) -> bool {
        let served = &self.observed.serving;
        let tried = (instance.id.clone(), instance.generation);
        served.serves(&instance.id, instance.generation) && !self.tried.contains(&tried)
    }

    pub(crate) fn finish(mut self) -> Vec<Step> {
        self.steps.append(&mut self.tail);
        self.steps
    }
}

/// A run that a plan starts.
pub(crate) struct Started {
    pub(crate) id: InstanceId,
    pub(crate) generation: Generation,
    /// What it is to the gateway, if it serves.
    pub(crate) backend: Option<Backend>,
}

/// The backend of a run.
pub(crate) fn backend(
    id: &InstanceId,
    generation: Generation,
    address: std::net::SocketAddr,
) -> Backend {
    Backend {
        instance: id.clone(),
        generation,
        release: id.release,
        address,
    }
}
