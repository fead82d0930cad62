//! The world as the machine gives it.

mod aside;

use crate::beside::Beside;
use crate::blob::Blobs;
use crate::failpoint::{Failpoints, Point};
use crate::gateway::Keeper;
use crate::herald::Herald;
use crate::provider::Providers;
use crate::signals::SignalsKeeper;
use crate::state::State;
use crate::status_page::Publisher;
use crate::{answer, clock, port};
use mainstay_atoms::{Digest, Generation, InstanceId, Launch, Moment, ServiceName, Told, Wall};
use mainstay_execute::{EffectFault, Entry, Evidence, Order, RecordFault, Seen, Used, World};
use mainstay_faults::chain;
use mainstay_ledger::Kind;
use mainstay_ledger_io::{Draft, Ledger};
use mainstay_plan::{PORTS, Serving, Step};
use mainstay_process_io::{
    Ended, InstanceFact, InstanceState, Listener, LogSource, ProbeFact, Prober, Runtime, Smoked,
    Smoker, StartFault, StopFault, Watched,
};
use mainstay_rollout::{Board, Metric, Reading};
use mainstay_routing::Table;
use mainstay_spec::Waiting;
use mainstay_store_io::{FileSecrets, Secrets, Stores};
use mainstay_workload::{Exit, Instance, Readiness, Running};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

type Run = (InstanceId, Generation);

/// Releases whose artifacts stay, so that each of them can come back without a build.
const KEPT_RELEASES: usize = 50;

/// Within this a shim finds that its folder was replaced; it looks every second.
const KNOWN: Duration = Duration::from_millis(2500);

/// Log lines shown of an instance that failed.
const LINES: usize = 30;

/// Processes, gateway, ledger and clock of this machine.
pub struct RealWorld {
    runtime: Runtime,
    prober: Prober,
    smoker: Smoker,
    artifacts: mainstay_process_io::Artifacts,
    /// The gateway, kept alive.
    pub gateway: Keeper,
    /// The signals process, kept alive where the file asks for metrics.
    pub signals: SignalsKeeper,
    herald: Herald,
    page: Publisher,
    providers: Providers,
    queues: Beside<(ServiceName, ServiceName, Waiting), Result<u64, String>>,
    state: State,
    pub(crate) stores: Stores,
    pub(crate) secrets: Arc<dyn Secrets>,
    ledger: Ledger,
    failpoints: Failpoints,
    blobs: Blobs,
    /// When each end was first seen.
    ended: BTreeMap<Run, Moment>,
    /// Since when each run is ready.
    ready: BTreeMap<Run, Moment>,
    /// What was seen last, for those who ask between two ticks.
    facts: Vec<Arc<InstanceFact>>,
    /// Why that is not what is there now, if so.
    blind: Option<String>,
    watched: Vec<Watched>,
    /// What the gateway was told before this control plane began.
    before: Serving,
    /// The listener of a run was found to be its own, or not.
    owned: BTreeMap<Run, Result<(), String>>,
}

impl RealWorld {
    pub(crate) fn new(
        state: &State,
        binary: &Path,
        ledger: Ledger,
        before: Serving,
    ) -> std::io::Result<Self> {
        let runtime = Runtime::new(state.dir(), binary);
        await_known(&runtime, &before);
        let secrets: Arc<dyn Secrets> = Arc::new(FileSecrets::new(&state.secrets()));
        Ok(Self {
            stores: Stores::start(&state.stores(), Arc::clone(&secrets)),
            secrets,
            runtime,
            prober: Prober::new(state.dir(), binary)?,
            smoker: Smoker::default(),
            artifacts: mainstay_process_io::Artifacts::new(state.dir()),
            gateway: Keeper::start(binary, state),
            signals: SignalsKeeper::start(binary, state),
            herald: Herald::new(state),
            page: Publisher::start(state),
            providers: Providers::new(&state.signals_socket()),
            queues: Beside::new(),
            state: state.clone(),
            ledger,
            failpoints: Failpoints::new(state.dir()),
            blobs: Blobs::new(state.plans()),
            ended: BTreeMap::new(),
            ready: BTreeMap::new(),
            facts: Vec::new(),
            blind: None,
            watched: Vec::new(),
            before,
            owned: BTreeMap::new(),
        })
    }

    /// What a step says.
    fn effect(&mut self, order: &Order<'_>) -> Result<(), EffectFault> {
        match order.step {
            Step::Start { launch } => self.start(launch, order),
            Step::Publish(_) => match &order.table {
                Some(table) => self.gateway.publish(table),
                None => Err(EffectFault::Never("a publication without its table".into())),
            },
            Step::Stop {
                instance,
                generation,
                stop,
            } => {
                let stopped = self.runtime.stop(instance, *generation, stop, order.epoch);
                stopped.map_err(|fault| match &fault {
                    StopFault::Stale { .. } => EffectFault::Fenced(fault.to_string()),
                    StopFault::Unknown { .. } | StopFault::Signal { .. } => {
                        EffectFault::Never(fault.to_string())
                    }
                    StopFault::Silent { .. } => EffectFault::Later(chain(&fault)),
                })
            }
            Step::Clear { instance, .. } => self
                .runtime
                .forget(instance)
                .map_err(|fault| EffectFault::Later(chain(&fault))),
            Step::Prepare { order } => self.prepare(order),
            Step::Provision { order } => self.provision(order),
            Step::Smoke {
                instance,
                generation,
                address,
                tests,
            } => match self.smoker.ask((instance, *generation), *address, tests) {
                Ok(Smoked::Passed) => Ok(()),
                Ok(Smoked::Asking) => Err(EffectFault::Later("its answers are waited for".into())),
                Ok(Smoked::Failed(why)) => Err(EffectFault::Never(why)),
                Err(fault) => Err(EffectFault::Later(fault.to_string())),
            },
            Step::AwaitReady { .. }
            | Step::AwaitRun { .. }
            | Step::AwaitAcknowledged { .. }
            | Step::AwaitDrained { .. }
            | Step::AwaitStopped { .. }
            | Step::Serve { .. } => Ok(()),
        }
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    fn watch(&mut self) {
        let running: Vec<&Launch> = self
            .facts
            .iter()
            .filter(|fact| matches!(fact.state, InstanceState::Running))
            .map(|fact| &fact.launch)
            .collect();
        self.watch_stores(&running);
        let watched: Vec<Watched> = self
            .facts
            .iter()
            .filter(|fact| matches!(fact.state, InstanceState::Running))
            .map(|fact| self.watched_of(&fact.launch))
            .collect();
        if watched != self.watched {
            self.prober.set(watched.clone());
            self.watched = watched;
        }
    }

    fn watched_of(&self, launch: &Launch) -> Watched {
        Watched {
            id: launch.instance.clone(),
            generation: launch.generation,
            address: launch.address,
            ready: launch.ready.clone(),
            serves: self.before.serves(&launch.instance, launch.generation),
            health: launch.health.clone(),
        }
    }

    fn instance(
        &mut self,
        fact: &InstanceFact,
        probes: &BTreeMap<InstanceId, ProbeFact>,
    ) -> Instance {
        let now = clock::moment();
        let run = (fact.id.clone(), fact.generation);
        let started = fact.start_ticks.map_or(now, clock::of_ticks);
        let running = match &fact.state {
            InstanceState::Starting => Running::Yes {
                pid: fact.shim_pid.unwrap_or(0),
            },
            InstanceState::Running => Running::Yes {
                pid: fact.pid.unwrap_or(0),
            },
            InstanceState::Exited(exit) => Running::Ended {
                exit: Exit {
                    code: exit.code,
                    signal: exit.signal,
                    out_of_memory: exit.oom,
                    asked: exit.ended == Ended::Stopped,
                    lost: false,
                },
                at: *self
                    .ended
                    .entry(run.clone())
                    .or_insert_with(|| ended(fact, exit, started).min(now)),
            },
            InstanceState::Lost { .. } => Running::Ended {
                exit: Exit {
                    signal: Some(9),
                    lost: true,
                    ..Exit::default()
                },
                at: *self.ended.entry(run.clone()).or_insert(now),
            },
        };
        let probe = probes
            .get(&fact.id)
            .filter(|probe| probe.generation == fact.generation);
        let readiness = self.readiness(&run, fact, probe, started);
        Instance {
            id: fact.id.clone(),
            generation: fact.generation,
            contents: fact.contents,
            address: fact.address,
            started,
            running,
            readiness,
            live: probe.is_none_or(|probe| probe.live),
            stop: fact.launch.stop.clone(),
            role: fact.launch.role(),
        }
    }

    fn readiness(
        &mut self,
        run: &Run,
        fact: &InstanceFact,
        probe: Option<&ProbeFact>,
        started: Moment,
    ) -> Readiness {
        let not_ready = |seen: String| Readiness::NotReady { seen };
        if !matches!(fact.state, InstanceState::Running) {
            return not_ready("its process does not run".into());
        }
        if fact.launch.server.is_some() {
            if let Some(seen) = self.store_silence(&fact.launch) {
                self.ready.remove(run);
                return not_ready(seen);
            }
        } else if fact.launch.ready.is_none() {
            return Readiness::Ready { since: started };
        } else {
            let Some(probe) = probe else {
                return not_ready("not probed yet".into());
            };
            if !probe.ready {
                self.ready.remove(run);
                return not_ready(answer::line(probe));
            }
        }
        if let Err(seen) = self.owns_its_address(run, fact) {
            return not_ready(seen);
        }
        let now = clock::moment();
        Readiness::Ready {
            since: *self.ready.entry(run.clone()).or_insert(now),
        }
    }

    /// Before it takes traffic the listener is proven to belong to the instance.
    fn owns_its_address(&mut self, run: &Run, fact: &InstanceFact) -> Result<(), String> {
        if let Some(Ok(())) = self.owned.get(run) {
            return Ok(());
        }
        let Some(address) = fact.address else {
            return Ok(());
        };
        let found = match self.runtime.listener(address, &run.0) {
            Listener::Instance { .. } => Ok(()),
            Listener::Nobody => Err(format!("nobody listens on {address}")),
            Listener::Stranger { pid, program } => {
                let pid = pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
                Err(format!(
                    "{address} is taken by a stranger, `{program}`{pid}"
                ))
            }
        };
        self.owned.insert(run.clone(), found.clone());
        found
    }

    fn start(&self, launch: &Launch, order: &Order<'_>) -> Result<(), EffectFault> {
        if launch.server.is_none() && !self.artifacts.holds(launch.artifact) {
            let message = format!(
                "its artifact {} is not in the store",
                launch.artifact.short()
            );
            return Err(EffectFault::Never(message));
        }
        let here = self.here(launch)?;
        self.runtime
            .start_here(launch, order.epoch, &here)
            .map_err(|fault| match &fault {
                StartFault::Stale { .. } => EffectFault::Fenced(fault.to_string()),
                StartFault::Running { .. } => EffectFault::Later(fault.to_string()),
                fault if fault.may_pass() => EffectFault::Later(chain(fault)),
                _ => EffectFault::Never(chain(&fault)),
            })
    }
}

impl World for RealWorld {
    fn now(&self) -> (Moment, Wall) {
        (clock::moment(), clock::wall())
    }

    fn observe(&mut self) -> Seen {
        match self.runtime.observe() {
            Ok(facts) => {
                let same = |(a, b): (&Arc<_>, &Arc<_>)| Arc::ptr_eq(a, b);
                let changed =
                    facts.len() != self.facts.len() || !facts.iter().zip(&self.facts).all(same);
                (self.facts, self.blind) = (facts, None);
                if changed {
                    self.watch();
                }
            }
            // What was seen last still holds, as far as anybody knows.
            Err(fault) => self.blind = Some(chain(&fault)),
        }
        let probes = self.prober.facts();
        let facts = self.facts.clone();
        let instances = facts
            .iter()
            .map(|fact| self.instance(fact, &probes))
            .collect();
        let known = |run: &Run| {
            facts
                .iter()
                .any(|fact| fact.id == run.0 && fact.generation == run.1)
        };
        self.ended.retain(|run, _| known(run));
        self.ready.retain(|run, _| known(run));
        self.owned.retain(|run, _| known(run));
        Seen {
            instances,
            gateway: self.gateway.seen(clock::moment()),
        }
    }

    fn board(&mut self) -> Option<Board> {
        self.gateway.board()
    }

    fn used(&mut self, instances: &[InstanceId]) -> BTreeMap<InstanceId, Used> {
        let used = self.runtime.used(instances).into_iter();
        used.map(|(id, used)| {
            let (cpu, memory) = (used.cpu, used.memory);
            (id, Used { cpu, memory })
        })
        .collect()
    }

    fn provided(&mut self, metric: &Metric) -> Option<Reading> {
        self.providers.ask(metric)
    }

    fn waiting(&mut self, told: &Told, what: &Waiting) -> Option<Result<u64, String>> {
        let question = (told.login.clone(), told.store.clone(), what.clone());
        let answer = self
            .queues
            .ask(&question, || self.stores.waiting(told, what))?;
        Some(answer.and_then(|answer| answer))
    }

    fn firing(&mut self) -> Option<BTreeSet<String>> {
        self.signals.firing()
    }

    fn ports_taken(&mut self) -> BTreeSet<u16> {
        port::listening(&PORTS)
    }

    fn keeps(&self, store: &ServiceName) -> bool {
        self.keeps_store(store)
    }

    fn apply(&mut self, order: &Order<'_>) -> Result<(), EffectFault> {
        self.failpoints.pass(order.step, Point::BeforeEffect);
        let applied = self.effect(order);
        if applied.is_ok() {
            self.failpoints.pass(order.step, Point::BeforeOutcome);
        }
        applied
    }

    fn pause(&mut self, table: &Table) -> Result<(), EffectFault> {
        self.failpoints.pass_word("pause", Point::BeforeEffect);
        let told = self.gateway.publish(table);
        if told.is_ok() {
            self.failpoints.pass_word("pause", Point::BeforeOutcome);
        }
        told
    }

    fn record(&mut self, entries: Vec<Entry>) -> Result<(), RecordFault> {
        let events = self.failpoints.before(&entries);
        let size = self.ledger.size();
        let draft = |(place, entry): (usize, Entry)| {
            let (code, name) = entry.event.kind();
            let payload = entry.event.to_bytes();
            let place = u64::try_from(place).unwrap_or(u64::MAX);
            let identity = Digest::of_parts(&[&(size + place).to_be_bytes(), &payload]).0;
            let mut key = [0; 16];
            key.copy_from_slice(&identity[..16]);
            Ok(Draft {
                kind: Kind::new(code, name).map_err(|fault| RecordFault(fault.to_string()))?,
                actor: entry.by,
                epoch: entry.epoch,
                generation: entry.event.generation(),
                key,
                payload,
                at: entry.at,
            })
        };
        let drafts = entries
            .into_iter()
            .enumerate()
            .map(draft)
            .collect::<Result<Vec<_>, _>>()?;
        self.ledger
            .append_all(drafts)
            .map_err(|fault| RecordFault(chain(&fault)))?;
        self.failpoints.after(events);
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<Digest, RecordFault> {
        self.blobs.keep(bytes)
    }

    fn fetch(&mut self, digest: Digest) -> Result<Vec<u8>, RecordFault> {
        self.blobs.fetch(digest)
    }

    fn evidence(&mut self, instance: &InstanceId) -> Evidence {
        let fact = self.facts.iter().find(|fact| fact.id == *instance);
        let source = LogSource::Instance(instance.clone());
        let lines = self
            .runtime
            .logs(&source, LINES)
            .map(|(lines, _)| lines)
            .unwrap_or_default();
        let probe = self.prober.facts().remove(instance);
        Evidence {
            probe: probe
                .map(|probe| answer::evidence(&probe))
                .unwrap_or_default(),
            process: fact.map(|fact| ran(fact)),
            ended: fact.is_some_and(|fact| {
                matches!(
                    fact.state,
                    InstanceState::Exited(_) | InstanceState::Lost { .. }
                )
            }),
            log: lines
                .iter()
                .map(|line| String::from_utf8_lossy(&line.line).into_owned())
                .collect(),
        }
    }
}

/// Waits for instances that take traffic and left no trace: the state folder was replaced or emptied under
/// them, and their shims put the traces back.
fn await_known(runtime: &Runtime, serving: &Serving) {
    let deadline = Instant::now() + KNOWN;
    let known = |facts: &[Arc<InstanceFact>]| {
        let backends = serving.pools.values().flat_map(|pool| &pool.backends);
        backends.into_iter().all(|backend| {
            let same = |fact: &InstanceFact| fact.id == backend.instance;
            facts
                .iter()
                .any(|fact| same(fact) && fact.generation == backend.generation)
        })
    };
    while Instant::now() < deadline && !runtime.observe().is_ok_and(|facts| known(&facts)) {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn ran(fact: &InstanceFact) -> String {
    match &fact.state {
        InstanceState::Starting => "started, its program is not executed yet".into(),
        InstanceState::Running => format!("runs as pid {}", fact.pid.unwrap_or(0)),
        InstanceState::Exited(exit) => {
            let ended = Exit {
                code: exit.code,
                signal: exit.signal,
                out_of_memory: exit.oom,
                asked: exit.ended == Ended::Stopped,
                lost: false,
            };
            let after = fact
                .started
                .map_or(0, |started| exit.at.0.saturating_sub(started.0));
            match (&exit.fault, exit.ended) {
                (Some(fault), _) => fault.clone(),
                (None, Ended::Stopped) => format!("ran until we stopped it; {ended}"),
                (None, _) => format!(
                    "ended by itself after {}.{:01} s; {ended}",
                    after / 1000,
                    after % 1000 / 100
                ),
            }
        }
        InstanceState::Lost { reason } => reason.clone(),
    }
}

/// When a run ended, which may be long before it is seen: by its own length, which the shim measured by the
/// civil clock. One that makes no sense is as if it ended now.
fn ended(fact: &InstanceFact, exit: &mainstay_process_io::Exit, started: Moment) -> Moment {
    let began = fact.started.unwrap_or(exit.at);
    match exit.at.0.checked_sub(began.0) {
        Some(ran) => started.after(Duration::from_millis(ran)),
        None => Moment(u64::MAX),
    }
}
