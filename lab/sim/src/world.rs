//! The world itself: time, processes, a gateway, a disk, and what was promised about them.

use crate::kill::{Kill, KillPoint, kind};
use crate::stage;
use fastrand::Rng;
use mainstay_atoms::{Digest, Epoch, Generation, InstanceId, Moment, Role, ServiceName, Wall};
use mainstay_execute::{EffectFault, Entry, Order};
use mainstay_plan::{Event, History, Step};
use mainstay_rollout::Board;
use mainstay_routing::Table;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

mod alarm;
mod beside;
mod disaster;
mod load;
mod outside;
mod pause;
mod process;
mod promise;
mod traffic;

pub use disaster::{Faults, Victim};
use process::Process;
use promise::Promised;

type Run = (InstanceId, Generation);

/// Everything outside the engine.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one fault that tests set by itself"
)]
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
    /// Who is killed there.
    pub victim: Victim,
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
    /// How far the civil clock was set forward, in milliseconds; negative when it was set back.
    pub civil_ahead: i64,
    /// Stores whose server ends soon after its start.
    pub refusing: BTreeSet<ServiceName>,
    /// Every server takes so many milliseconds from its start until it is ready.
    pub slow: Option<u64>,
    /// No store can write: its server ends, and nothing of it can be prepared.
    pub data_full: bool,
    /// Jobs whose runs never end by themselves.
    pub hanging: BTreeSet<ServiceName>,
    /// Jobs whose runs fail.
    pub failing: BTreeSet<ServiceName>,
    /// Contents whose instances answer half of their requests with a 500.
    pub worse: BTreeSet<Digest>,
    /// What the gateway counted since it started.
    board: Board,
    /// Requests that were due and did not come yet, in thousandths.
    due_requests: u64,
    /// The next run of a job fails.
    pub fails_once: bool,
    /// No requests come, and what is applied is not kept (benchmarks only).
    pub quiet: bool,
    promised: Promised,
    loads: load::Loads,
    counted: load::Counted,
    alarms: alarm::Alarms,
    pausing: pause::Pausing,
    /// The highest generation under which anything was started.
    highest: Generation,
    /// Promises that were broken, with what broke them.
    pub broken: Vec<String>,
    /// Effects in the order in which they were ordered.
    pub applied: Vec<Step>,
    last_begun: Option<Step>,
    /// The same of runs of jobs, which go on beside a plan.
    jobs_begun: VecDeque<Step>,
    /// Stores whose data was prepared.
    prepared: BTreeSet<ServiceName>,
    /// Runs of jobs that began, and the times of schedules that had theirs.
    began: BTreeSet<InstanceId>,
    due: BTreeSet<(ServiceName, Wall, u32)>,
    /// Events that this world forgets to write (mutants only).
    pub forgets: Option<fn(&Event) -> bool>,
    /// How this world writes events down wrongly (mutants only).
    pub miswrites: Option<fn(&mut Event)>,
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
            victim: Victim::ControlPlane,
            bad: BTreeSet::new(),
            crashing: BTreeSet::new(),
            flapping: BTreeSet::new(),
            immortal: BTreeSet::new(),
            disk_full: false,
            civil_ahead: 0,
            refusing: BTreeSet::new(),
            slow: None,
            data_full: false,
            hanging: BTreeSet::new(),
            failing: BTreeSet::new(),
            worse: BTreeSet::new(),
            board: Board::default(),
            due_requests: 0,
            fails_once: false,
            quiet: false,
            promised: Promised::default(),
            loads: load::Loads::default(),
            counted: load::Counted::default(),
            alarms: alarm::Alarms::default(),
            pausing: pause::Pausing::default(),
            highest: Generation(0),
            broken: Vec::new(),
            applied: Vec::new(),
            last_begun: None,
            jobs_begun: VecDeque::new(),
            prepared: BTreeSet::new(),
            began: BTreeSet::new(),
            due: BTreeSet::new(),
            forgets: None,
            miswrites: None,
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

    /// Runs of jobs whose process lives.
    pub fn job_processes(&self) -> BTreeSet<Run> {
        let mut alive = self.alive();
        alive.retain(|run, _| self.processes[run].launch.role() == Role::Job);
        alive.into_keys().collect()
    }

    /// What the gateway serves from.
    pub fn table(&self) -> Option<&Table> {
        self.table.as_ref()
    }

    /// Lets time pass, requests come and go, and faults happen.
    pub fn pass(&mut self, milliseconds: u64) {
        self.now = Moment(self.now.0 + milliseconds);
        self.disasters();
        self.install();
        self.processes_live();
        if !self.quiet {
            self.requests();
            self.pauses_hold(milliseconds);
            self.answers(milliseconds);
            self.loaded(milliseconds);
        }
    }

    fn chance(&mut self, thousandth: u32) -> bool {
        thousandth > 0 && self.rng.u32(0..1000) < thousandth
    }

    fn breaks(&mut self, promise: &str) {
        self.broken.push(format!("at {} ms: {promise}", self.now.0));
    }

    fn kill_here(&mut self, step: &Step, kill: Kill) -> bool {
        let asked = self.kill_at
            == Some(KillPoint {
                step: kind(step),
                kill,
            });
        if asked {
            self.kill_at = None;
            self.strike(step);
        }
        if self.chance(self.faults.kill) {
            self.killed = true;
        }
        self.killed
    }

    fn effect(&mut self, order: &Order<'_>) -> Result<(), EffectFault> {
        if !self.quiet {
            self.applied.push(order.step.clone());
        }
        let begun = self.last_begun.as_ref() == Some(order.step);
        if !begun && !self.jobs_begun.contains(order.step) {
            self.breaks(&format!(
                "`{}` is done without being recorded first",
                order.step
            ));
        }
        match order.step {
            Step::Start { launch } if launch.job.is_some() && self.chance(self.faults.later) => {
                Err(EffectFault::Later("no process can be made".into()))
            }
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
            Step::Smoke { .. } if self.chance(self.faults.later) => {
                Err(EffectFault::Later("its answers are waited for".into()))
            }
            Step::Prepare { order } => self.prepare(order),
            Step::Provision { order } => self.provision(order),
            Step::Serve { release } => {
                if let Some(id) = self.never_ready() {
                    self.breaks(&format!("{release} serves before {id} was ever ready"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// An instance that is due now and was never ready.
    fn never_ready(&self) -> Option<InstanceId> {
        let (_, record) = self.promised.serving.as_ref()?;
        let ready = self.processes.iter();
        let ready = ready.filter(|(_, one)| one.ready_at <= self.now);
        let ready: BTreeSet<InstanceId> = ready
            .map(|((id, _), _)| stage::numbered(id.clone(), record))
            .collect();
        stage::due(record, self.counts())
            .into_iter()
            .find(|id| !ready.contains(id))
    }
}
