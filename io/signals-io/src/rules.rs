//! Rules: groups at their times, what they record, their alerts, and who is told.

mod duty;

use crate::clock;
use crate::config::{Config, File, Limits, Part};
use crate::errand::{Deliver, Errand, Report};
use crate::query;
use crate::store::{Live, MOVED, Store, View};
pub(crate) use duty::{Duty, Taken, Tries};
use mainstay_alerting::ready::{Need, Parts, Presets, ready};
use mainstay_alerting::slo::{ObjectiveFault, SloFile, rules_of};
use mainstay_alerting::{
    At, Beat, Channel, Clocks, Element, FileFault, Group, Heartbeat, Notice, Outcome, Outside,
    Query, Router, Routing, RuleGroup, Silence, Store as RuleStore, Table, Timeline, ask,
    read_alertmanager, read_rules,
};
use mainstay_metrics::{Labels, TargetId, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What the rules' thread is told.
pub(crate) enum Order {
    /// Another configuration.
    Config(Box<Rules>),
    /// What came of a message.
    Done(u64, Outcome),
    /// A silence begins or changes.
    Silence(Silence),
    /// A silence ends.
    EndSilence(String),
    /// What came of a heartbeat.
    Beaten(Outcome),
    /// Somebody takes alerts of a name: who, and how many those were.
    Acknowledge(String, String, Answer<usize>),
    /// Who is on duty.
    OnCall(Answer<Vec<Duty>>),
    /// Somebody stands in: the rotation, who, and for how many milliseconds.
    StandIn(Option<String>, String, i64, Answer<Duty>),
    /// A channel is tried out.
    TryOut(String, Answer<Vec<Tries>>),
    /// The process ends.
    Stop,
}

/// Where an answer goes; whoever asked may be gone. What is refused is said in words.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, String>>;

/// What a configuration says of rules, read and checked.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    groups: Vec<Group>,
    routing: Routing,
    /// Everything that can be told something, by name.
    targets: BTreeMap<String, Vec<Channel>>,
    heartbeat: Option<Beat>,
    allow: Vec<IpAddr>,
    outside: Outside,
    limits: Limits,
}

impl Rules {
    /// Reads the rules and the routing of a configuration.
    pub(crate) fn read(config: &Config) -> Result<Self, Vec<FileFault>> {
        let mut groups = Vec::new();
        let mut faults = Vec::new();
        for File { name, text } in &config.rules {
            match read_rules(name, text) {
                Ok(read) => groups.extend(read.into_iter().map(Group::new)),
                Err(more) => faults.extend(more),
            }
        }
        let routing = match &config.routing {
            None => nobody(),
            Some(File { name, text }) => match read_alertmanager(name, text) {
                Ok(imported) => imported.routing,
                Err(more) => {
                    faults.extend(more);
                    nobody()
                }
            },
        };
        let mut presets = Presets::new();
        let mut routing = routing;
        let receivers = routing.receivers.iter();
        let targets = receivers.map(|(name, one)| (name.clone(), one.channels.clone()));
        let mut targets: BTreeMap<String, Vec<Channel>> = targets.collect();
        let (mut heartbeat, mut allow) = (None, Vec::new());
        if let Some(file) = &config.alerts {
            match file.compile() {
                Ok(alerts) => {
                    presets = alerts.presets;
                    (heartbeat, allow) = (alerts.heartbeat, alerts.allow);
                    if config.routing.is_none() {
                        (routing, targets) = (alerts.routing, alerts.targets);
                    }
                }
                Err(more) => faults.extend(more.iter().map(|fault| of_file("alerts", fault))),
            }
        }
        match objectives(config) {
            Ok(read) => groups.extend(read.into_iter().map(Group::new)),
            Err(fault) => faults.push(of_file("slo", &fault)),
        }
        match ready(&parts(config), &presets) {
            Ok(read) => groups.extend(read.into_iter().map(Group::new)),
            Err(more) => faults.extend(more.iter().map(|fault| of_file("alerts.preset", fault))),
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            groups,
            routing,
            targets,
            heartbeat,
            allow,
            outside: Outside {
                labels: Labels::new(&config.external_labels),
                url: config.external_url.clone(),
                ..Outside::default()
            },
            limits: config.limits,
        })
    }
}

/// The rules of the objectives of services.
fn objectives(config: &Config) -> Result<Vec<RuleGroup>, ObjectiveFault> {
    let read = config.objectives.iter().map(SloFile::read);
    let read: Result<Vec<_>, _> = read.collect();
    let read = read.map_err(|(_, fault)| fault)?;
    rules_of(&read.concat(), &config.latency_edges)
}

fn of_file(file: &str, fault: &impl std::fmt::Display) -> FileFault {
    FileFault::of(file, fault.to_string())
}

/// What the rules that come with Mainstay may watch.
fn parts(config: &Config) -> Parts {
    let need = |part: &Part| match part {
        Part::Host => Need::Host,
        Part::Gateway => Need::Gateway,
        Part::Service => Need::Service,
        Part::Postgres => Need::Postgres,
        Part::Redis => Need::Redis,
        Part::Job => Need::Job,
        Part::Check => Need::Check,
        Part::Certificate => Need::Certificate,
        Part::Metrics => Need::Metrics,
    };
    Parts(config.parts.iter().map(need).collect())
}

/// A routing in which nobody is told.
fn nobody() -> Routing {
    Routing {
        route: mainstay_alerting::Route::root(""),
        receivers: std::collections::BTreeMap::new(),
        inhibitions: Vec::new(),
        intervals: std::collections::BTreeMap::new(),
        fallback: None,
        rotations: std::collections::BTreeMap::new(),
        escalations: std::collections::BTreeMap::new(),
    }
}

/// What is known of rules and alerts, for whoever asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    pub(crate) groups: Arc<Vec<Group>>,
    pub(crate) silences: Vec<Silence>,
    /// Alerts of the process about itself.
    pub(crate) own: Vec<Notice>,
    /// What somebody has taken.
    pub(crate) taken: Vec<Taken>,
    /// When this was so, on the rules' clock and on the machine's.
    pub(crate) at: At,
    pub(crate) monotonic_ms: u64,
    pub(crate) failing: usize,
    pub(crate) evaluations: u64,
    pub(crate) failures: u64,
    pub(crate) notifications: u64,
}

/// The handle of the thread.
#[derive(Debug)]
pub(crate) struct Runner {
    pub(crate) orders: Sender<Order>,
    pub(crate) shown: Arc<Mutex<Shown>>,
}

impl Runner {
    /// Starts the thread.
    pub(crate) fn start(
        folder: &Path,
        store: Store,
        rules: Rules,
        deliver: Deliver,
    ) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (orders, receiver) = channel();
        let shown = Arc::new(Mutex::new(Shown::default()));
        let report = Report(orders.clone());
        let mut loop_of = Loop::new(folder, store, rules, shown.clone());
        // What fired before a restart is part of the first answer.
        let now = loop_of.now();
        loop_of.show(now);
        let thread = std::thread::Builder::new()
            .name("rules".into())
            .spawn(move || loop_of.run(&receiver, deliver, &report))?;
        Ok((Self { orders, shown }, thread))
    }

    pub(crate) fn shown(&self) -> Shown {
        self.shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The thread's state.
struct Loop {
    table_path: PathBuf,
    router_path: PathBuf,
    clocks_path: PathBuf,
    boot: String,
    timeline: Timeline,
    groups: Vec<(Group, i64)>,
    router: Router,
    targets: BTreeMap<String, Vec<Channel>>,
    heartbeat: Heartbeat,
    allow: Vec<IpAddr>,
    outside: Outside,
    data: Data,
    shown: Arc<Mutex<Shown>>,
    counts: (u64, u64, u64),
}

/// What the clocks showed when everything was written down.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    wall_ms: i64,
    steady_ms: i64,
    monotonic_ms: u64,
    boot: String,
}

impl Kept {
    fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    fn at(&self) -> At {
        At {
            wall_ms: self.wall_ms,
            steady_ms: self.steady_ms,
        }
    }

    fn clocks(&self) -> Clocks {
        Clocks {
            wall_ms: self.wall_ms,
            monotonic_ms: self.monotonic_ms,
            boot: self.boot.clone(),
        }
    }
}

/// Where rules read and write.
struct Data {
    store: Store,
    limits: Limits,
}

/// Whose series the results of rules are.
const OWNER: &str = "rules";

/// Longest wait of the loop.
const WAIT: Duration = Duration::from_secs(1);

impl RuleStore for Data {
    fn query(&mut self, query: &Query, at_ms: i64) -> Result<Vec<Element>, String> {
        let deadline = Instant::now() + Duration::from_millis(self.limits.query_timeout_ms);
        let settings = query::settings(&self.limits);
        let expired = || Instant::now() >= deadline;
        let mut outcome = Err(MOVED.to_owned());
        for _ in 0..3 {
            let view: View = self.store.view();
            outcome = ask(&view, query, at_ms, &settings, &expired);
            // What could not be read must not end an alert.
            if let Some(remark) = view.remarks().first() {
                return Err(remark.clone());
            }
            match &outcome {
                Err(why) if why.contains(MOVED) => {}
                _ => break,
            }
        }
        outcome
    }

    fn write(&mut self, at_ms: i64, samples: &[(Labels, Value)]) {
        let mut live = self.store.live();
        if live.ready().is_err() {
            return;
        }
        let target: TargetId = live.target(OWNER, OWNER);
        for (labels, value) in samples {
            write_one(&mut live, target, labels, at_ms, value);
        }
        let groups = live.head.all_groups(target);
        // What cannot be written is refused aloud by the store from then on.
        drop(live.page_if_due(&groups, at_ms));
        drop(live.commit());
    }
}

fn write_one(live: &mut Live, target: TargetId, labels: &Labels, at_ms: i64, value: &Value) {
    // A series beyond the limit is counted, and its owner's limit is alerted on.
    if let Ok(seat) = live.seat(target, labels, true) {
        live.sample(seat, at_ms, value.clone());
    }
}

impl Loop {
    fn new(folder: &Path, store: Store, rules: Rules, shown: Arc<Mutex<Shown>>) -> Self {
        let table_path = folder.join("alerts.json");
        let router_path = folder.join("router.json");
        let clocks_path = folder.join("clocks.json");
        let mut groups = rules.groups;
        let table = std::fs::read_to_string(&table_path).ok();
        let table = table.and_then(|text| Table::from_json(&text).ok());
        let known = std::fs::read_to_string(&router_path).ok();
        let known = known.and_then(|text| Router::from_json(&text, rules.routing.clone()).ok());
        if let Some(table) = &table {
            table.restore(&mut groups);
        }
        let last = table
            .as_ref()
            .map(Table::at)
            .max(known.as_ref().map(|known| known.1));
        let router = known.map_or_else(|| Router::new(rules.routing), |known| known.0);
        let clocks = clock::clocks();
        let kept = Kept::read(&clocks_path).map(|kept| (kept.at(), kept.clocks()));
        // Without a start of the machine to compare, the civil clock says what has passed.
        let last = kept.or_else(|| {
            let at = last?;
            let clocks = Clocks {
                wall_ms: at.wall_ms,
                monotonic_ms: 0,
                boot: String::new(),
            };
            Some((at, clocks))
        });
        let last = last.as_ref().map(|(at, clocks)| (*at, clocks));
        let mut timeline = Timeline::begin(&clocks, last);
        let now = timeline.at(clocks.wall_ms, clocks.monotonic_ms);
        Self {
            table_path,
            router_path,
            clocks_path,
            boot: clocks.boot,
            timeline,
            groups: timed(groups, now),
            router,
            targets: rules.targets,
            heartbeat: Heartbeat::new(rules.heartbeat, now),
            allow: rules.allow,
            outside: rules.outside,
            data: Data {
                store,
                limits: rules.limits,
            },
            shown,
            counts: (0, 0, 0),
        }
    }

    fn now(&mut self) -> At {
        self.timeline.at(clock::wall_ms(), clock::monotonic_ms())
    }

    fn run(mut self, orders: &Receiver<Order>, mut deliver: Deliver, report: &Report) {
        let now = self.now();
        deliver(Errand::Allow(self.allow.clone()), report);
        self.beaten(None, now);
        loop {
            let now = self.now();
            let changed = self.evaluate(now);
            let due = self.router.due(now);
            self.counts.2 += due.len() as u64;
            // Written down before it is sent: after a kill it is the same message, and not another one.
            if changed || !due.is_empty() {
                self.keep(now);
                self.show(now);
            }
            for notification in due {
                deliver(Errand::Message(Box::new(notification)), report);
            }
            self.beat(now, &mut deliver, report);
            match orders.recv_timeout(self.wait(now)) {
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(order) => self.take(order, &mut deliver, report),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        let now = self.now();
        self.keep(now);
    }

    fn wait(&self, now: At) -> Duration {
        let groups = self.groups.iter().map(|(_, next)| *next);
        let next = groups.chain(self.router.next_at());
        let next = next.chain(self.heartbeat.next_at()).min();
        let wait = next.map_or(WAIT, |next| {
            Duration::from_millis((next - now.steady_ms).max(0).unsigned_abs())
        });
        wait.min(WAIT)
    }

    /// Runs the groups whose time has come.
    fn evaluate(&mut self, now: At) -> bool {
        let mut notices: Vec<Notice> = Vec::new();
        let mut any = false;
        for (group, next) in &mut self.groups {
            if *next > now.steady_ms {
                continue;
            }
            any = true;
            // Runs that were missed are not made up for.
            *next = group.next_after(now.steady_ms);
            let evaluated = group.evaluate(now, &self.outside, &mut self.data);
            self.counts.0 += group.rules.len() as u64;
            self.counts.1 += evaluated.failures.len() as u64;
            notices.extend(evaluated.notices);
        }
        if !notices.is_empty() {
            self.router.ingest(notices, now);
        }
        any
    }

    fn take(&mut self, order: Order, deliver: &mut Deliver, report: &Report) {
        let now = self.now();
        // What is answered is written down first. Whoever asked may be gone.
        let mut answer: Option<Box<dyn FnOnce()>> = None;
        match order {
            Order::Config(rules) => {
                self.reload(*rules, now);
                deliver(Errand::Allow(self.allow.clone()), report);
                self.beaten(None, now);
            }
            Order::Beaten(outcome) => self.beaten(Some(&outcome), now),
            Order::Acknowledge(alert, by, asked) => {
                let taken = self.acknowledge(&alert, &by, now);
                answer = Some(Box::new(|| drop(asked.send(taken))));
            }
            Order::OnCall(asked) => drop(asked.send(Ok(self.duties(now)))),
            Order::StandIn(rotation, person, for_ms, asked) => {
                let duty = self.stand_in(rotation.as_deref(), person, for_ms, now);
                answer = Some(Box::new(|| drop(asked.send(duty))));
            }
            Order::TryOut(name, asked) => {
                drop(asked.send(self.try_out(&name, now, deliver, report)));
            }
            Order::Done(id, outcome) => self.router.done(id, &outcome, now),
            // The one who asked has checked it; what is wrong all the same changes nothing.
            Order::Silence(silence) => drop(self.router.silences.set(silence, now.wall_ms)),
            Order::EndSilence(id) => drop(self.router.silences.end(&id, now.wall_ms)),
            Order::Stop => {}
        }
        self.keep(now);
        self.show(now);
        if let Some(answer) = answer {
            answer();
        }
    }

    /// Takes another configuration; what is known of rules that stay goes on.
    fn reload(&mut self, rules: Rules, now: At) {
        let mut before: Vec<Group> = self.groups.drain(..).map(|(group, _)| group).collect();
        self.outside = rules.outside;
        (self.targets, self.allow) = (rules.targets, rules.allow);
        self.heartbeat.change(rules.heartbeat, now);
        self.data.limits = rules.limits;
        let mut notices = Vec::new();
        let mut groups = rules.groups;
        for group in &mut groups {
            let same = |old: &Group| old.file == group.file && old.name == group.name;
            if let Some(place) = before.iter().position(same) {
                let old = before.remove(place);
                notices.extend(group.take_over(old, now, &self.outside, &mut self.data));
            }
        }
        for old in before {
            notices.extend(old.end(now, &self.outside, &mut self.data));
        }
        self.groups = timed(groups, now);
        self.router.reroute(rules.routing, now);
        self.router.ingest(notices, now);
    }

    /// Writes everything down, so that a restart goes on exactly here.
    fn keep(&self, now: At) {
        let table = Table::of(self.groups.iter().map(|(group, _)| group), now).to_json();
        let router = self.router.to_json(now);
        let kept = Kept {
            wall_ms: now.wall_ms,
            steady_ms: now.steady_ms,
            monotonic_ms: clock::monotonic_ms(),
            boot: self.boot.clone(),
        };
        let clocks = serde_json::to_vec(&kept).unwrap_or_default();
        // What cannot be written now is written after the next evaluation.
        drop(crate::place::replace(&self.clocks_path, &clocks));
        drop(crate::place::replace(&self.table_path, table.as_bytes()));
        drop(crate::place::replace(&self.router_path, router.as_bytes()));
    }

    fn show(&self, now: At) {
        let groups = self.groups.iter().map(|(group, _)| group.clone());
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Shown {
            groups: Arc::new(groups.collect()),
            silences: self.router.silences.iter().cloned().collect(),
            own: self.own_alerts(),
            taken: self.taken(),
            at: now,
            monotonic_ms: clock::monotonic_ms(),
            failing: self.router.failing().count(),
            evaluations: self.counts.0,
            failures: self.counts.1,
            notifications: self.counts.2,
        };
    }
}

/// Groups with the times of their next runs.
fn timed(groups: Vec<Group>, now: At) -> Vec<(Group, i64)> {
    let timed = groups.into_iter().map(|group| {
        let next = group.next_after(now.steady_ms);
        (group, next)
    });
    timed.collect()
}
