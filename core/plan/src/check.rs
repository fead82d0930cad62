//! The second mind: it walks a plan step by step through a small model of the world and names every
//! invariant that a step would break. It shares no function with the deciders, so one mistake does
//! not hide another.

use crate::step::{Plan, Publish, Purpose, Step};
use crate::{Observed, Pause, ReleaseRecord, Routes, Serving};
use mainstay_atoms::{Digest, Generation, InstanceId, Role, RouteName, ServiceName};
use mainstay_spec::Amount;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;

/// An invariant that a plan would break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The invariant, a stable word.
    pub rule: &'static str,
    /// Index of the step that breaks it; none for the plan as a whole.
    pub step: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Note {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Some(step) => write!(out, "{}: step {}: {}", self.rule, step + 1, self.message),
            None => write!(out, "{}: {}", self.rule, self.message),
        }
    }
}

mod paused;
mod store;
mod trial;

use trial::{over, shared};

type Run = (InstanceId, Generation);

/// What the model knows of one run.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one fact of the model"
)]
struct Known {
    alive: bool,
    ready: bool,
    address: Option<SocketAddr>,
    /// It took traffic at some time, so it has to be drained before it is stopped.
    served: bool,
    drained: bool,
    asked: bool,
    role: Role,
    contents: Option<Digest>,
}

struct Model<'a> {
    plan: &'a Plan,
    record: Option<&'a ReleaseRecord>,
    stable: Option<&'a ReleaseRecord>,
    counts: &'a BTreeMap<ServiceName, u32>,
    runs: BTreeMap<Run, Known>,
    table: BTreeMap<ServiceName, BTreeSet<Run>>,
    /// What was published last, and what is paused of it.
    routes: &'a Routes,
    paused: &'a BTreeMap<RouteName, Pause>,
    acknowledged: bool,
    generation: Generation,
    last_publish: Generation,
    floors: BTreeMap<ServiceName, usize>,
    /// The same for services without a port: fewest that are ready.
    quiet_floors: BTreeMap<ServiceName, usize>,
    ceilings: BTreeMap<ServiceName, usize>,
    served: bool,
    /// Services whose requests are shared among the sides of a trial.
    shared: BTreeSet<ServiceName>,
    /// Stores that this plan has prepared.
    prepared: BTreeSet<ServiceName>,
    /// Stores that this plan provisions further on.
    closed: BTreeSet<ServiceName>,
    /// Jobs before this release that have succeeded.
    succeeded: BTreeSet<ServiceName>,
    at: Option<usize>,
    notes: Vec<Note>,
}

/// Every invariant that the plan would break if it were executed on what is observed; none for a
/// sound plan. `record` is the release that the plan is for, `stable` the one that serves.
pub fn check(
    plan: &Plan,
    record: Option<&ReleaseRecord>,
    stable: Option<&ReleaseRecord>,
    observed: &Observed,
) -> Vec<Note> {
    let mut model = Model::new(plan, (record, stable), observed);
    if plan.parent.generation != observed.generation {
        model.note(
            "parent",
            format!("it was made from generation {}", plan.parent.generation),
        );
    }
    for (index, step) in plan.steps.iter().enumerate() {
        model.at = Some(index);
        model.walk(step);
    }
    model.at = None;
    model.end();
    model.notes
}

impl<'a> Model<'a> {
    fn new(
        plan: &'a Plan,
        (record, stable): (Option<&'a ReleaseRecord>, Option<&'a ReleaseRecord>),
        observed: &'a Observed,
    ) -> Self {
        let mut table: BTreeMap<ServiceName, BTreeSet<Run>> = BTreeMap::new();
        for (service, pool) in &observed.serving.pools {
            let runs = pool
                .backends
                .iter()
                .map(|one| (one.instance.clone(), one.generation));
            table.insert(service.clone(), runs.collect());
        }
        let mut runs = BTreeMap::new();
        for one in &observed.instances {
            let run = (one.id.clone(), one.generation);
            let served = table
                .get(&one.id.service)
                .is_some_and(|pool| pool.contains(&run));
            let known = Known {
                alive: one.runs(),
                ready: one.live && one.ready_since().is_some(),
                address: one.address,
                served,
                role: one.role,
                contents: Some(one.contents),
                ..Known::default()
            };
            runs.insert(run, known);
        }
        let mut model = Self {
            plan,
            record,
            stable,
            counts: &observed.counts,
            runs,
            table,
            routes: &observed.serving.routes,
            paused: &observed.serving.paused.held,
            acknowledged: follows(observed),
            generation: plan.parent.generation,
            last_publish: Generation(0),
            floors: BTreeMap::new(),
            quiet_floors: BTreeMap::new(),
            ceilings: BTreeMap::new(),
            served: false,
            shared: shared(&observed.serving),
            prepared: BTreeSet::new(),
            closed: store::provisioned(plan),
            succeeded: store::succeeded(plan, observed),
            at: None,
            notes: Vec::new(),
        };
        model.bounds(&observed.serving);
        model
    }

    /// How many instances the file and what was decided since ask for.
    fn wanted(&self, name: &ServiceName, service: &mainstay_spec::Service) -> u32 {
        service.count(self.counts.get(name).copied())
    }

    /// Fewest in the table and most alive, per service of the release.
    fn bounds(&mut self, serving: &Serving) {
        let Some(record) = self.record else { return };
        for (name, service) in &record.contents.platform.services {
            let wanted = self.wanted(name, service) as usize;
            let part = |amount: Amount, up: bool| match amount {
                Amount::Count(count) => count as usize,
                Amount::Share(share) => {
                    let exact = usize::try_from(share.0).unwrap_or(10_000) * wanted;
                    exact / 10_000 + usize::from(up && !exact.is_multiple_of(10_000))
                }
            };
            let over = over(serving, name, record.since.get(name));
            let ready = self.table.get(name).map_or(0, |pool| {
                pool.iter()
                    .filter(|run| self.runs.get(*run).is_some_and(|one| one.ready))
                    .filter(|(id, _)| Some(id.release) != over)
                    .count()
            });
            let alive = self.alive(name);
            let (mut surge, missing) = (
                part(service.deploy.surge, true),
                part(service.deploy.unavailable, false),
            );
            if surge + missing == 0 {
                surge = 1;
            }
            let due = self
                .beside(name)
                .map_or(wanted, |beside| wanted.min(beside));
            let floor = if service.recreate {
                0
            } else {
                due.saturating_sub(missing)
            };
            self.floors.insert(name.clone(), floor.min(ready));
            if service.port.is_none() {
                let floor = floor.min(self.quiet_ready(name));
                self.quiet_floors.insert(name.clone(), floor);
            }
            // The way back may double what runs.
            let most = match self.plan.purpose {
                Purpose::Rollback | Purpose::Return => alive + wanted,
                _ => (wanted + surge).max(alive),
            };
            self.ceilings.insert(name.clone(), most);
        }
    }

    fn alive(&self, service: &ServiceName) -> usize {
        self.runs
            .iter()
            .filter(|((id, _), one)| id.service == *service && one.alive)
            .count()
    }

    /// Ready runs of a service without a port that nobody asked to stop.
    fn quiet_ready(&self, service: &ServiceName) -> usize {
        let works = |one: &Known| one.alive && one.ready && !one.asked && one.address.is_none();
        self.runs
            .iter()
            .filter(|((id, _), one)| id.service == *service && works(one))
            .count()
    }

    fn note(&mut self, rule: &'static str, message: String) {
        self.notes.push(Note {
            rule,
            step: self.at,
            message,
        });
    }

    fn rises(&mut self, generation: Generation) {
        if generation <= self.generation {
            let message = format!(
                "generation {generation} does not rise above {}",
                self.generation
            );
            self.note("generation", message);
        }
        self.generation = self.generation.max(generation);
    }

    fn walk(&mut self, step: &'a Step) {
        match step {
            Step::Start { launch } => self.start(launch),
            Step::AwaitReady {
                instance,
                generation,
                ..
            } => match self.runs.get_mut(&(instance.clone(), *generation)) {
                Some(one) if one.alive => one.ready = true,
                _ => self.note("known", format!("{instance} is awaited and does not run")),
            },
            Step::Smoke {
                instance,
                generation,
                ..
            } => match self.runs.get(&(instance.clone(), *generation)) {
                Some(one) if one.alive && one.ready => {}
                _ => self.note("smoke", format!("{instance} is asked before it is ready")),
            },
            Step::Publish(publish) => self.publish(publish),
            Step::AwaitAcknowledged { generation, .. } => {
                if *generation != self.last_publish {
                    self.note(
                        "acknowledged",
                        format!("table {generation} is not the last published"),
                    );
                }
                self.acknowledged = true;
            }
            Step::AwaitDrained {
                instance,
                generation,
                ..
            } => self.drained(instance, *generation),
            Step::Stop {
                instance,
                generation,
                ..
            } => self.stop(instance, *generation),
            Step::AwaitStopped {
                instance,
                generation,
                ..
            } => match self.runs.get_mut(&(instance.clone(), *generation)) {
                Some(one) if one.asked => one.alive = false,
                _ => self.note(
                    "stopped",
                    format!("{instance} is awaited and was not asked to stop"),
                ),
            },
            Step::Clear {
                instance,
                generation,
            } => {
                let run = (instance.clone(), *generation);
                match self.runs.get(&run) {
                    Some(one) if !one.alive => drop(self.runs.remove(&run)),
                    _ => self.note("clear", format!("{instance} is cleared while it may run")),
                }
            }
            Step::Prepare { order } => drop(self.prepared.insert(order.store.clone())),
            Step::Provision { order } => self.provision(&order.store),
            Step::AwaitRun {
                instance, succeeds, ..
            } => {
                if *succeeds {
                    self.succeeded.insert(instance.service.clone());
                }
                // Its end is recorded; what is left of it is another's to clear.
                for ((id, _), one) in &mut self.runs {
                    one.alive &= id != instance;
                }
            }
            Step::Serve { release } => self.serve(*release),
        }
    }

    fn start(&mut self, launch: &mainstay_atoms::Launch) {
        // A run of a job has an id of its own, so its generation fences nobody.
        if launch.job.is_none() {
            self.rises(launch.generation);
        }
        let id = &launch.instance;
        if self
            .runs
            .iter()
            .any(|((other, _), one)| other == id && one.alive)
        {
            self.note(
                "one_run",
                format!("{id} starts while an earlier run of it lives"),
            );
        }
        let clash = self
            .runs
            .iter()
            .find(|(_, one)| one.alive && one.address.is_some() && one.address == launch.address);
        if let Some(((other, _), _)) = clash {
            let message = format!("{id} starts on the address of {other}");
            self.note("address", message);
        }
        if launch.server.is_some() {
            self.server(launch);
        }
        self.alone(launch);
        self.told(launch);
        self.comes_after(launch);
        let known = Known {
            alive: true,
            address: launch.address,
            role: launch.role(),
            contents: Some(launch.contents),
            ..Known::default()
        };
        self.runs.insert((id.clone(), launch.generation), known);
        let most = self.ceilings.get(&id.service).copied();
        let (most, found) = match self.tried(&id.service) {
            // The side that serves is as large as its own release says, so only the new one is counted.
            Some((wanted, release)) => {
                let ours = |((other, _), one): &(&Run, &Known)| {
                    other.service == id.service && other.release == release && one.alive
                };
                (Some(wanted), self.runs.iter().filter(ours).count())
            }
            None => (most, self.alive(&id.service)),
        };
        if most.is_some_and(|most| found > most) {
            let message = format!("{} has more instances than its rules allow", id.service);
            self.note("surge", message);
        }
    }

    fn publish(&mut self, publish: &'a Publish) {
        self.rises(publish.generation);
        self.last_publish = publish.generation;
        self.acknowledged = false;
        for (service, pool) in &publish.pools {
            let mut runs = BTreeSet::new();
            for backend in pool.iter().flat_map(|pool| &pool.backends) {
                let run = (backend.instance.clone(), backend.generation);
                self.admit(&run, backend.address);
                runs.insert(run);
            }
            if let Some((pool, split)) = pool
                .as_ref()
                .and_then(|pool| Some((pool, pool.split.as_ref()?)))
            {
                self.split(service, pool, split);
            }
            if pool.as_ref().is_some_and(|pool| pool.split.is_some()) {
                self.shared.insert(service.clone());
            } else {
                self.shared.remove(service);
            }
            match pool {
                Some(_) => self.table.insert(service.clone(), runs),
                None => self.table.remove(service),
            };
        }
        for (service, floor) in self.floors.clone() {
            let served = self.table.get(&service).map_or(0, BTreeSet::len);
            if served < floor {
                self.note(
                    "floor",
                    format!("{service} is left with {served} ready, {floor} are due"),
                );
            }
        }
        self.routes = publish.routes.as_ref().unwrap_or(self.routes);
        let routed = publish
            .routes
            .iter()
            .flat_map(|routes| routes.domains.values())
            .flatten();
        let lost: Vec<ServiceName> = routed
            .map(|route| route.service.clone())
            .filter(|service| !self.table.contains_key(service))
            .collect();
        for service in lost {
            self.note(
                "routes",
                format!("a route leads to {service}, which has no pool"),
            );
        }
    }

    fn admit(&mut self, run: &Run, address: SocketAddr) {
        match self.runs.get_mut(run) {
            Some(one) if one.alive && one.ready => {
                one.served = true;
                one.drained = false;
                if one.address != Some(address) {
                    self.note(
                        "address",
                        format!("{} is published at another address", run.0),
                    );
                }
            }
            _ => self.note(
                "ready",
                format!("{} is published and not known to be ready", run.0),
            ),
        }
    }

    fn in_table(&self, run: &Run) -> bool {
        self.table
            .get(&run.0.service)
            .is_some_and(|pool| pool.contains(run))
    }

    fn drained(&mut self, instance: &InstanceId, generation: Generation) {
        let run = (instance.clone(), generation);
        if self.in_table(&run) {
            self.note(
                "drain",
                format!("{instance} is drained while it takes traffic"),
            );
        }
        if !self.acknowledged {
            self.note(
                "acknowledged",
                format!("{instance} is drained before the table is served"),
            );
        }
        if let Some(one) = self.runs.get_mut(&run) {
            one.drained = true;
        }
    }

    fn stop(&mut self, instance: &InstanceId, generation: Generation) {
        let run = (instance.clone(), generation);
        if self.in_table(&run) {
            self.note(
                "stop",
                format!("{instance} is stopped while it takes traffic"),
            );
        }
        let known = self.runs.get(&run).cloned().unwrap_or_default();
        if known.role == Role::Store {
            self.store_stops(instance, known.contents.filter(|_| known.ready));
        }
        let addressed = known.address.is_some() && known.role == Role::Service;
        if addressed && !self.acknowledged {
            self.note(
                "acknowledged",
                format!("{instance} is stopped before the table is served"),
            );
        }
        match self.runs.get_mut(&run) {
            Some(one) => {
                one.asked = true;
                if one.served && !one.drained {
                    self.note(
                        "drain",
                        format!("{instance} is stopped before it is drained"),
                    );
                }
            }
            None => self.note("known", format!("{instance} is stopped and not known")),
        }
        let service = &instance.service;
        let left = self.quiet_ready(service);
        if self
            .quiet_floors
            .get(service)
            .is_some_and(|due| left < *due)
        {
            let message = format!("{service} is left with {left} ready");
            self.note("floor", message);
        }
    }

    fn serve(&mut self, release: mainstay_atoms::ReleaseNumber) {
        for service in self.shared.clone() {
            let message = format!("{service} is still on trial when its release is to serve");
            self.note("shares", message);
        }
        let moves = matches!(
            self.plan.purpose,
            Purpose::Deploy | Purpose::Rollback | Purpose::Return
        );
        if self.served || !moves || self.plan.release != Some(release) {
            self.note("serve", format!("{release} is not what this plan is for"));
        }
        self.served = true;
        self.keeps_pauses(release);
        let Some(record) = self.record else { return };
        for (name, service) in &record.contents.platform.services {
            let since = record.since.get(name).copied().unwrap_or(release);
            let due = |ordinal| InstanceId {
                service: name.clone(),
                release: since,
                ordinal,
            };
            for id in (1..=self.wanted(name, service)).map(due) {
                let run = self
                    .runs
                    .iter()
                    .find(|((other, _), one)| *other == id && one.alive);
                let fine = run.is_some_and(|(run, one)| {
                    one.ready && (service.port.is_none() || self.in_table(run))
                });
                if !fine {
                    self.note("serve", format!("{release} serves without {id}"));
                }
            }
        }
    }

    fn end(&mut self) {
        let ships = matches!(self.plan.purpose, Purpose::Deploy | Purpose::Rollback);
        if ships && !self.served {
            self.note("serve", "the release never comes to serve".into());
        }
        if self.last_publish.0 > 0 && !self.acknowledged {
            self.note("acknowledged", "the last table is not awaited".into());
        }
        let asked: Vec<InstanceId> = self
            .runs
            .iter()
            .filter(|(_, one)| one.asked && one.alive)
            .map(|((id, _), _)| id.clone())
            .collect();
        for id in asked {
            self.note("stopped", format!("{id} is asked to stop and not awaited"));
        }
    }
}

/// The gateway serves from what was published last.
fn follows(observed: &Observed) -> bool {
    let last = observed.serving.generation;
    match &observed.gateway {
        mainstay_atoms::Fact::Known { value, .. } => value.generation == last,
        mainstay_atoms::Fact::Missing { .. } => last.0 == 0,
    }
}
