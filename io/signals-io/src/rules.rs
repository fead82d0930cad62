//! Rules: groups at their times, what they record, their alerts, and who is told.

use crate::clock;
use crate::config::{Config, File, Limits, Part};
use crate::query;
use crate::store::{Live, MOVED, Store, View};
use mainstay_alerting::ready::{Need, Parts, Presets, ready};
use mainstay_alerting::{
    At, Clocks, Element, FileFault, Group, Notice, Notification, Outcome, Outside, Query, Router,
    Routing, Silence, Store as RuleStore, Table, Timeline, ask, read_alertmanager, read_rules,
};
use mainstay_metrics::{Labels, TargetId, Value};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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
    /// The process ends.
    Stop,
}

/// Tells what came of a message.
#[derive(Debug, Clone)]
pub struct Report(Sender<Order>);

impl Report {
    /// Says what came of a message; one whose process ends is forgotten, and made again at the next start.
    pub fn done(&self, id: u64, outcome: Outcome) {
        drop(self.0.send(Order::Done(id, outcome)));
    }
}

/// Takes messages to channels. It must not wait: what came of a message is told to the report.
pub type Deliver = Box<dyn FnMut(Notification, &Report) + Send>;

/// What a configuration says of rules, read and checked.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    groups: Vec<Group>,
    routing: Routing,
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
        if let Some(file) = &config.alerts {
            match file.compile() {
                Ok(alerts) => {
                    presets = alerts.presets;
                    if config.routing.is_none() {
                        routing = alerts.routing;
                    }
                }
                Err(more) => faults.extend(more.iter().map(|fault| of_file("alerts", fault))),
            }
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
            outside: Outside {
                labels: Labels::new(&config.external_labels),
                url: config.external_url.clone(),
                ..Outside::default()
            },
            limits: config.limits,
        })
    }
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
        let loop_of = Loop::new(folder, store, rules, shown.clone());
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
        self.show();
        loop {
            let now = self.now();
            let mut changed = self.evaluate(now);
            for notification in self.router.due(now) {
                changed = true;
                self.counts.2 += 1;
                deliver(notification, report);
            }
            if changed {
                self.keep(now);
                self.show();
            }
            match orders.recv_timeout(self.wait(now)) {
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(order) => self.take(order),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        let now = self.now();
        self.keep(now);
    }

    fn wait(&self, now: At) -> Duration {
        let groups = self.groups.iter().map(|(_, next)| *next);
        let next = groups.chain(self.router.next_at()).min();
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

    fn take(&mut self, order: Order) {
        let now = self.now();
        match order {
            Order::Config(rules) => self.reload(*rules, now),
            Order::Done(id, outcome) => self.router.done(id, &outcome, now),
            // The one who asked has checked it; what is wrong all the same changes nothing.
            Order::Silence(silence) => drop(self.router.silences.set(silence, now.wall_ms)),
            Order::EndSilence(id) => drop(self.router.silences.end(&id, now.wall_ms)),
            Order::Stop => {}
        }
        self.keep(now);
        self.show();
    }

    /// Takes another configuration; what is known of rules that stay goes on.
    fn reload(&mut self, rules: Rules, now: At) {
        let mut before: Vec<Group> = self.groups.drain(..).map(|(group, _)| group).collect();
        self.outside = rules.outside;
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

    fn show(&self) {
        let groups = self.groups.iter().map(|(group, _)| group.clone());
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Shown {
            groups: Arc::new(groups.collect()),
            silences: self.router.silences.iter().cloned().collect(),
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
