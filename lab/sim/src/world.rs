//! The world itself: time, processes, a gateway, a disk, and what was promised about them.

use crate::kill::{Kill, KillPoint, kind};
use crate::stage;
use fastrand::Rng;
use mainstay_atoms::{
    Digest, Epoch, Generation, InstanceId, Launch, Moment, Role, ServiceName, Stop, Wall,
};
use mainstay_execute::{EffectFault, Entry, Order};
use mainstay_plan::{Event, History, Publish, ReleaseRecord, Serving, Step};
use mainstay_routing::Table;
use mainstay_spec::Amount;
use mainstay_workload::Exit;
use std::collections::{BTreeMap, BTreeSet};

mod beside;
mod outside;

type Run = (InstanceId, Generation);

/// How often things go wrong, each as a chance in a thousand per look or effect.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// A running process ends by itself.
    pub crash: u32,
    /// A started process never becomes ready.
    pub unready: u32,
    /// A process ignores the request to stop until it is killed.
    pub stubborn: u32,
    /// The gateway is away for a while.
    pub gateway: u32,
    /// Nothing can be recorded.
    pub disk: u32,
    /// The control plane is killed.
    pub kill: u32,
}

struct Process {
    launch: Launch,
    started: Moment,
    ready_at: Moment,
    ended: Option<(Exit, Moment)>,
    kill_at: Option<Moment>,
    in_flight: u64,
    left_table: Option<Moment>,
    stop: Stop,
    /// A run of a job ends by itself then, and so.
    ends_at: Option<(Moment, i32)>,
}

/// Everything outside the engine.
pub struct World {
    rng: Rng,
    now: Moment,
    /// Chances of faults.
    pub faults: Faults,
    processes: BTreeMap<Run, Process>,
    /// What the gateway serves from; kept on its disk.
    table: Option<Table>,
    /// A table it was given and serves from a little later.
    pending: Option<(Table, Moment)>,
    gateway_back: Option<Moment>,
    entries: Vec<Entry>,
    blobs: BTreeMap<Digest, Vec<u8>>,
    epoch: Epoch,
    /// The control plane was killed; its engine must not be ticked again.
    pub killed: bool,
    /// Kill exactly here, once.
    pub kill_at: Option<KillPoint>,
    /// Contents whose instances never become ready.
    pub bad: BTreeSet<Digest>,
    /// Contents whose instances end by themselves soon after they start.
    pub crashing: BTreeSet<Digest>,
    /// Contents whose readiness probe fails every other second.
    pub flapping: BTreeSet<Digest>,
    /// Instances that not even force ends.
    pub immortal: BTreeSet<InstanceId>,
    /// Nothing can be recorded.
    pub disk_full: bool,
    /// How far the civil clock was set forward, in milliseconds.
    pub civil_ahead: u64,
    /// The releases of which one serves and the other is on its way, with the floors they set.
    serving: Option<ReleaseRecord>,
    moving: Option<ReleaseRecord>,
    down: bool,
    /// The last table that was ordered, delivered or not.
    ordered: Serving,
    /// The highest generation under which anything was started.
    highest: Generation,
    /// Promises that were broken, with what broke them.
    pub broken: Vec<String>,
    /// Effects in the order in which they were ordered.
    pub applied: Vec<Step>,
    last_begun: Option<Step>,
    /// The same of runs of jobs, which go on beside a plan.
    job_begun: Option<Step>,
    /// Stores whose data was prepared.
    prepared: BTreeSet<ServiceName>,
    /// Runs of jobs that began, and the times of schedules that had theirs.
    began: BTreeSet<InstanceId>,
    due: BTreeSet<(ServiceName, Wall, u32)>,
    /// Events that this world forgets to write (mutants only).
    pub forgets: Option<fn(&Event) -> bool>,
}

impl World {
    /// An empty machine.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            now: Moment(1_000_000),
            faults: Faults::default(),
            processes: BTreeMap::new(),
            table: None,
            pending: None,
            gateway_back: None,
            entries: Vec::new(),
            blobs: BTreeMap::new(),
            epoch: Epoch(0),
            killed: false,
            kill_at: None,
            bad: BTreeSet::new(),
            crashing: BTreeSet::new(),
            flapping: BTreeSet::new(),
            immortal: BTreeSet::new(),
            disk_full: false,
            civil_ahead: 0,
            serving: None,
            moving: None,
            down: false,
            ordered: Serving::default(),
            highest: Generation(0),
            broken: Vec::new(),
            applied: Vec::new(),
            last_begun: None,
            job_begun: None,
            prepared: BTreeSet::new(),
            began: BTreeSet::new(),
            due: BTreeSet::new(),
            forgets: None,
        }
    }

    /// The replay of everything recorded.
    pub fn history(&self) -> History {
        let mut history = History::default();
        for entry in &self.entries {
            history.apply(&entry.event, entry.epoch, &entry.by, entry.at);
        }
        history
    }

    /// Every entry recorded.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Runs whose process lives, with their start.
    pub fn alive(&self) -> BTreeMap<Run, Moment> {
        let alive = self.processes.iter().filter(|(_, one)| one.ended.is_none());
        alive.map(|(run, one)| (run.clone(), one.started)).collect()
    }

    /// Runs of services and stores, which are kept running.
    pub fn kept_running(&self) -> BTreeMap<Run, Moment> {
        let mut alive = self.alive();
        alive.retain(|run, _| self.processes[run].launch.role() != Role::Job);
        alive
    }

    /// What the gateway serves from.
    pub fn table(&self) -> Option<&Table> {
        self.table.as_ref()
    }

    /// Ends all faults: what hangs comes to life, and nothing new goes wrong.
    pub fn recover(&mut self) {
        self.faults = Faults::default();
        self.bad.clear();
        self.crashing.clear();
        self.flapping.clear();
        self.immortal.clear();
        self.disk_full = false;
        for process in self.processes.values_mut() {
            process.ready_at = process.ready_at.min(Moment(self.now.0 + 100));
        }
    }

    /// The gateway does not answer for so many milliseconds.
    pub fn gateway_away(&mut self, milliseconds: u64) {
        self.gateway_back = Some(Moment(self.now.0 + milliseconds));
    }

    /// Ends one living process of this service by itself; false when there is none.
    pub fn crash(&mut self, service: &str) -> bool {
        let now = self.now;
        let mut processes = self.processes.iter_mut();
        let found =
            processes.find(|((id, _), one)| id.service.as_str() == service && one.ended.is_none());
        let exit = Exit {
            code: Some(1),
            ..Exit::default()
        };
        found
            .map(|(_, one)| one.ended = Some((exit, now)))
            .is_some()
    }

    /// Lets time pass, requests come and go, and faults happen.
    pub fn pass(&mut self, milliseconds: u64) {
        self.now = Moment(self.now.0 + milliseconds);
        if self.chance(self.faults.gateway) {
            self.gateway_back = Some(Moment(self.now.0 + self.rng.u64(10..3000)));
        }
        if self.gateway_back.is_some_and(|at| at <= self.now) {
            self.gateway_back = None;
        }
        self.install();
        self.processes_live();
        self.requests();
    }

    fn chance(&mut self, thousandth: u32) -> bool {
        thousandth > 0 && self.rng.u32(0..1000) < thousandth
    }

    fn install(&mut self) {
        let due = self.pending.as_ref().is_some_and(|(_, at)| *at <= self.now);
        if self.gateway_back.is_none() && due {
            let table = self.pending.take().map(|(table, _)| table);
            self.table = table;
            let inside = self.in_table();
            for (run, process) in &mut self.processes {
                if inside.contains(run) {
                    process.left_table = None;
                } else if process.left_table.is_none() {
                    process.left_table = Some(self.now);
                }
            }
        }
    }

    fn in_table(&self) -> BTreeSet<Run> {
        let pools = self.table.iter().flat_map(|table| table.services.values());
        pools
            .flat_map(|pool| &pool.backends)
            .map(|one| (one.instance.clone(), one.generation))
            .collect()
    }

    fn processes_live(&mut self) {
        let now = self.now;
        let runs: Vec<Run> = self.processes.keys().cloned().collect();
        for run in runs {
            let mut crashes = self.chance(self.faults.crash);
            let immortal = self.immortal.contains(&run.0);
            let Some(process) = self.processes.get_mut(&run) else {
                continue;
            };
            if process.ended.is_some() {
                continue;
            }
            crashes |= self.crashing.contains(&process.launch.contents)
                && now.since(process.started).as_millis() > 50;
            let (ends, code) = match process.ends_at {
                Some((at, code)) => (at <= now, code),
                None => (false, 0),
            };
            if ends {
                let exit = Exit {
                    code: Some(code),
                    asked: process.kill_at.is_some(),
                    ..Exit::default()
                };
                process.ended = Some((exit, now));
            } else if process.kill_at.is_some_and(|at| at <= now) && !immortal {
                let exit = Exit {
                    code: Some(0),
                    asked: true,
                    ..Exit::default()
                };
                process.ended = Some((exit, now));
            } else if crashes {
                let exit = Exit {
                    code: Some(1),
                    asked: process.kill_at.is_some(),
                    ..Exit::default()
                };
                process.ended = Some((exit, now));
                process.in_flight = 0;
            }
        }
    }

    /// Requests start at runs in the table and finish a little later, sometimes much later.
    fn requests(&mut self) {
        if self.gateway_back.is_some() {
            return;
        }
        let inside = self.in_table();
        for (run, process) in &mut self.processes {
            if process.in_flight > 0 && self.rng.u32(0..4) == 0 {
                process.in_flight -= 1;
            }
            if inside.contains(run) && process.ended.is_none() && self.rng.u32(0..3) == 0 {
                process.in_flight += 1;
            }
        }
    }

    fn breaks(&mut self, promise: &str) {
        self.broken.push(format!("at {} ms: {promise}", self.now.0));
    }

    fn start(&mut self, launch: &Launch) {
        let run = (launch.instance.clone(), launch.generation);
        if self.processes.contains_key(&run) {
            return;
        }
        let newer = self
            .processes
            .iter()
            .any(|((id, generation), _)| *id == launch.instance && *generation > launch.generation);
        let taken = self.processes.values().any(|one| {
            one.ended.is_none()
                && one.launch.address.is_some()
                && one.launch.address == launch.address
        });
        let alive = self
            .processes
            .iter()
            .any(|((id, _), one)| *id == launch.instance && one.ended.is_none());
        if newer {
            self.breaks(&format!(
                "{} starts with an old generation",
                launch.instance
            ));
        }
        if taken || alive {
            self.breaks(&format!("{} starts over a living process", launch.instance));
        }
        if launch.role() == Role::Job {
            self.start_run(launch);
        } else if launch.generation <= self.highest {
            let generation = launch.generation;
            self.breaks(&format!("generation {generation} is used a second time"));
        }
        if launch.role() != Role::Job {
            self.highest = self.highest.max(launch.generation);
        }
        if launch.role() == Role::Store {
            self.start_server(launch);
        }
        // A restart takes the place of the run that ended.
        self.processes.retain(|(id, _), _| *id != launch.instance);
        let silent = self.bad.contains(&launch.contents) || self.chance(self.faults.unready);
        let boot = if silent {
            u64::MAX / 2
        } else {
            self.rng.u64(5..400)
        };
        let process = Process {
            launch: launch.clone(),
            started: self.now,
            ready_at: Moment(self.now.0 + boot),
            ended: None,
            kill_at: None,
            in_flight: 0,
            left_table: Some(self.now),
            stop: launch.stop.clone(),
            ends_at: (launch.role() == Role::Job).then(|| self.run_ends()),
        };
        self.processes.insert(run, process);
    }

    fn stop(&mut self, run: &Run, stop: &Stop) {
        let inside = self.in_table().contains(run);
        let stubborn = self.chance(self.faults.stubborn);
        let now = self.now;
        let quick = self.rng.u64(1..200);
        let Some(process) = self.processes.get_mut(run) else {
            return;
        };
        if process.ended.is_some() || process.kill_at.is_some() {
            return;
        }
        let grace = u64::try_from(stop.grace.as_millis()).unwrap_or(u64::MAX);
        process.kill_at = Some(Moment(now.0 + if stubborn { grace } else { quick }));
        let late = process
            .left_table
            .is_some_and(|at| now.since(at) >= process.stop.drain.max(process.stop.streams));
        let lost = process.in_flight;
        if inside {
            self.breaks(&format!(
                "{} is stopped while the gateway sends it requests",
                run.0
            ));
        } else if lost > 0 && !late {
            self.breaks(&format!(
                "{} is stopped with {lost} requests in flight",
                run.0
            ));
        }
    }

    fn publish(&mut self, table: &Table) -> Result<(), EffectFault> {
        if self.gateway_back.is_some() {
            return Err(EffectFault::Later("the gateway does not answer".into()));
        }
        let held = self
            .pending
            .as_ref()
            .map(|(table, _)| table)
            .or(self.table.as_ref());
        if let Some(held) = held {
            let (new, old) = (
                (table.epoch, table.generation),
                (held.epoch, held.generation),
            );
            if new < old {
                self.breaks(&format!(
                    "table {} is older than {}",
                    table.generation, held.generation
                ));
                return Err(EffectFault::Fenced("a newer table".into()));
            }
            if table.generation == held.generation
                && (&table.services, &table.domains) != (&held.services, &held.domains)
            {
                self.breaks(&format!("table {} has two meanings", table.generation));
            }
        }
        self.highest = self.highest.max(table.generation);
        let unready: Vec<String> = table
            .services
            .values()
            .flat_map(|pool| &pool.backends)
            .filter(|one| {
                let process = self.processes.get(&(one.instance.clone(), one.generation));
                process.is_none_or(|one| one.ready_at > self.now)
            })
            .map(|one| one.instance.to_string())
            .collect();
        if !unready.is_empty() {
            self.breaks(&format!(
                "{} take traffic before they are ready",
                unready.join(" ")
            ));
        }
        let delay = self.rng.u64(0..50);
        self.pending = Some((table.clone(), Moment(self.now.0 + delay)));
        Ok(())
    }

    /// Never fewer that take traffic than the rules of every release concerned allow, unless fewer
    /// of the last table that was ordered are ready.
    fn holds_floors(&mut self, publish: &Publish) {
        let before = self.ordered.clone();
        self.ordered.apply(publish);
        for (name, pool) in &before.pools {
            let ready = pool.backends.iter().filter(|one| {
                let process = self.processes.get(&(one.instance.clone(), one.generation));
                process.is_some_and(|one| one.ended.is_none() && self.ready_since(one).is_some())
            });
            let due = self.floor(name).min(ready.count());
            let pool = self.ordered.pools.get(name);
            let after = pool.map_or(0, |pool| pool.backends.len());
            if after < due {
                self.breaks(&format!(
                    "{name} is left with {after} that take traffic, {due} are due"
                ));
            }
        }
    }

    fn floor(&self, name: &ServiceName) -> usize {
        let floor = |record: &ReleaseRecord| {
            let service = record.contents.platform.services.get(name);
            service.map_or(0, |service| {
                let missing = match service.deploy.unavailable {
                    Amount::Count(count) => count,
                    Amount::Share(share) => share.of_rounded_down(service.replicas),
                };
                service.replicas.saturating_sub(missing) as usize
            })
        };
        let records = self.serving.iter().chain(&self.moving);
        let floor = records.map(floor).min().unwrap_or(0);
        if self.down { 0 } else { floor }
    }

    /// What was promised to the outside follows from what was asked.
    fn learn(&mut self, event: &Event) {
        match event {
            Event::ReleaseMade { record, .. } => {
                let bytes = self.blobs.get(record);
                self.moving = bytes.and_then(|bytes| serde_json::from_slice(bytes).ok());
            }
            Event::ReleaseEnded { .. } => self.moving = None,
            Event::StepBegun {
                step: Step::Serve { .. },
                ..
            } => self.serving = self.moving.take().or(self.serving.take()),
            Event::StepBegun {
                step: Step::Publish(publish),
                ..
            } => self.holds_floors(publish),
            Event::DownAsked => self.down = true,
            Event::UpAsked => self.down = false,
            _ => {}
        }
    }

    fn ready_since(&self, process: &Process) -> Option<Moment> {
        let flaps = self.flapping.contains(&process.launch.contents);
        let since = if flaps {
            Moment(self.now.0 / 1000 * 1000)
        } else {
            process.ready_at
        };
        let up = !flaps || (self.now.0 / 1000).is_multiple_of(2);
        (up && process.ready_at <= self.now).then_some(since.max(process.ready_at))
    }

    fn kill_here(&mut self, step: &Step, kill: Kill) -> bool {
        let asked = self.kill_at
            == Some(KillPoint {
                step: kind(step),
                kill,
            });
        if asked {
            self.kill_at = None;
        }
        let killed = asked || self.chance(self.faults.kill);
        self.killed |= killed;
        killed
    }

    fn effect(&mut self, order: &Order<'_>) -> Result<(), EffectFault> {
        self.applied.push(order.step.clone());
        let begun = [self.last_begun.as_ref(), self.job_begun.as_ref()];
        if !begun.contains(&Some(order.step)) {
            self.breaks(&format!(
                "`{}` is done without being recorded first",
                order.step
            ));
        }
        match order.step {
            Step::Start { launch } => {
                self.start(launch);
                Ok(())
            }
            Step::Publish(_) => match &order.table {
                Some(table) => self.publish(table),
                None => Err(EffectFault::Never("no table".into())),
            },
            Step::Stop {
                instance,
                generation,
                stop,
            } => {
                self.stop(&(instance.clone(), *generation), stop);
                Ok(())
            }
            Step::Clear {
                instance,
                generation,
            } => {
                let run = (instance.clone(), *generation);
                if self
                    .processes
                    .get(&run)
                    .is_some_and(|one| one.ended.is_none())
                {
                    self.breaks(&format!("{instance} is cleared while it runs"));
                }
                self.processes.remove(&run);
                Ok(())
            }
            Step::Prepare { order } => {
                self.prepared.insert(order.store.clone());
                Ok(())
            }
            Step::Provision { order } => self.provision(&order.store),
            Step::Serve { release } => {
                let unready = self.serving.iter().flat_map(stage::due).find(|id| {
                    let mut runs = self.processes.iter().filter(|((other, _), _)| other == id);
                    !runs.any(|(_, one)| one.ready_at <= self.now)
                });
                if let Some(id) = unready {
                    self.breaks(&format!("{release} serves before {id} was ever ready"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
