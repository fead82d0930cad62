//! A thousand lives of rules and router on a virtual clock: restarts at any point, flapping conditions, failing
//! channels, queries that fail, clocks that jump. No notice is lost, told twice, or falsely says that an alert ended.
#![expect(
    clippy::print_stderr,
    reason = "what a thousand lives held is worth a line"
)]

use fastrand::Rng;
use mainstay_alerting::{
    At, CHANNEL_FAILING, Clocks, Element, Group, Notification, Outcome, Outside, Query, Reason,
    Router, Routing, State, Store, Table, Timeline, read_alertmanager, read_rules,
};
use mainstay_metrics::{Labels, Value};
use std::collections::{BTreeMap, BTreeSet};

const RULES: &str = "
groups:
- name: g
  interval: 15s
  rules:
  - {alert: Now, expr: now, labels: {severity: critical}}
  - {alert: Later, expr: later, for: 1m, labels: {severity: warning}}
  - {alert: Kept, expr: kept, keep_firing_for: 1m, labels: {severity: warning}}
";

const ROUTING: &str = "
route:
  receiver: mail
  group_by: [alertname]
  group_wait: 10s
  group_interval: 1m
  repeat_interval: 2h
  routes:
  - {matchers: [severity=critical], receiver: pager, group_by: ['...']}
receivers:
- {name: mail, webhook_configs: [{url: 'http://mail/'}]}
- {name: pager, webhook_configs: [{url: 'http://pager/'}]}
";

const GROUP_INTERVAL_MS: i64 = 60_000;
const REPEAT_MS: i64 = 2 * 3_600_000;
/// Longest time for which a channel or the store is away in a life.
const OUTAGE_MS: i64 = 150_000;
/// How long a life goes on, and how long it is quiet at the end.
const LIFE_MS: i64 = 45 * 60_000;
const QUIET_MS: i64 = 20 * 60_000;

/// What is true: which elements each query yields.
#[derive(Default)]
struct Truth {
    now: BTreeSet<(usize, usize)>,
    away_until: i64,
    at_ms: i64,
}

const QUERIES: [&str; 3] = ["now", "later", "kept"];
const ALERTS: [&str; 3] = ["Now", "Later", "Kept"];

/// An alert's name and element.
fn element(labels: &Labels) -> String {
    format!("{}/{}", labels.get("alertname"), labels.get("instance"))
}

impl Store for Truth {
    fn query(&mut self, query: &Query, _: i64) -> Result<Vec<Element>, String> {
        if self.at_ms < self.away_until {
            return Err("the store is away".into());
        }
        let rule = QUERIES
            .iter()
            .position(|name| *name == &*query.text)
            .unwrap();
        let here = self.now.iter().filter(|(one, _)| *one == rule);
        let element = |(_, place): &(usize, usize)| Element {
            labels: Labels::new([("instance", place.to_string())]),
            value: Value::Float(1.0),
        };
        Ok(here.map(element).collect())
    }

    fn write(&mut self, _: i64, _: &[(Labels, Value)]) {}
}

/// One receiver: what it believes, and what it was told last of each group.
#[derive(Default)]
struct Receiver {
    seen: BTreeSet<u64>,
    believes: BTreeMap<String, BTreeSet<Labels>>,
    /// What was told last of a group: which alerts, since when, until when; and when it was told.
    last: BTreeMap<String, (Vec<Episode>, i64)>,
    away_until: i64,
}

/// An alert, since when, and until when.
type Episode = (Labels, At, Option<At>);

/// What the process knows, as it was last written down.
#[derive(Clone)]
struct Disk {
    group: Group,
    router: Router,
    at: At,
    clocks: Clocks,
}

struct Life {
    seed: u64,
    rng: Rng,
    routing: Routing,
    truth: Truth,
    receivers: BTreeMap<String, Receiver>,
    /// True time, in milliseconds since the life began.
    now_ms: i64,
    wall_offset_ms: i64,
    boot: (u64, i64),
    timeline: Timeline,
    group: Group,
    router: Router,
    disk: Disk,
    next_eval_ms: i64,
    /// Since when each alert has been firing without a break, in true time.
    firing_since: BTreeMap<Labels, i64>,
    /// Alerts and until when they have been told since they last began.
    told: BTreeSet<Labels>,
    /// Alerts whose element a query that worked has not found since they were last told to fire.
    absent: BTreeSet<String>,
    /// When the process last wrote down what it knows, in true time.
    written_ms: i64,
    /// Whether the machine ended right after its clock had jumped forward.
    misled: bool,
    counts: Counts,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    messages: usize,
    restarts: usize,
    jumps: usize,
    flaps: usize,
    /// Repetitions that came early because nothing knew how late it was.
    misled: usize,
}

fn group() -> Group {
    Group::new(read_rules("rules", RULES).unwrap().remove(0))
}

impl Life {
    fn new(seed: u64) -> Self {
        let routing = read_alertmanager("routing", ROUTING).unwrap().routing;
        let clocks = Clocks {
            wall_ms: 1_800_000_000_000,
            monotonic_ms: 0,
            boot: "0".into(),
        };
        let timeline = Timeline::begin(&clocks, None);
        let router = Router::new(routing.clone());
        let at = At::both(clocks.wall_ms);
        let disk = Disk {
            group: group(),
            router: router.clone(),
            at,
            clocks,
        };
        Self {
            seed,
            rng: Rng::with_seed(seed),
            routing,
            truth: Truth::default(),
            receivers: ["mail", "pager"]
                .map(|name| (name.to_owned(), Receiver::default()))
                .into(),
            now_ms: 0,
            wall_offset_ms: 1_800_000_000_000,
            boot: (0, 0),
            timeline,
            group: group(),
            router,
            disk,
            next_eval_ms: 0,
            firing_since: BTreeMap::new(),
            told: BTreeSet::new(),
            absent: BTreeSet::new(),
            written_ms: 0,
            misled: false,
            counts: Counts::default(),
        }
    }

    fn clocks(&self) -> Clocks {
        Clocks {
            wall_ms: self.now_ms + self.wall_offset_ms,
            monotonic_ms: u64::try_from(self.now_ms - self.boot.1).unwrap(),
            boot: self.boot.0.to_string(),
        }
    }

    fn at(&mut self) -> At {
        let clocks = self.clocks();
        self.timeline.at(clocks.wall_ms, clocks.monotonic_ms)
    }

    fn chance(&mut self, one_in: u32) -> bool {
        self.rng.u32(..one_in) == 0
    }

    fn fail(&self, why: &str) -> ! {
        panic!("seed {} at {} s: {why}", self.seed, self.now_ms / 1000)
    }

    fn live(mut self) -> Counts {
        while self.now_ms < LIFE_MS {
            let quiet = self.now_ms > LIFE_MS - QUIET_MS;
            if !quiet {
                self.disturb();
            }
            if self.work(quiet).is_none() {
                self.restart();
            }
            self.now_ms += 1000;
            self.truth.at_ms = self.now_ms;
        }
        self.settle();
        self.counts
    }

    /// Something may happen to the world.
    fn disturb(&mut self) {
        if self.chance(20) {
            let element = (self.rng.usize(..3), self.rng.usize(..3));
            if !self.truth.now.remove(&element) {
                self.truth.now.insert(element);
            }
            self.counts.flaps += 1;
        }
        if self.chance(300) {
            self.truth.away_until = self.now_ms + self.rng.i64(0..OUTAGE_MS);
        }
        if self.chance(200) {
            let until = self.now_ms + self.rng.i64(0..OUTAGE_MS);
            let name = if self.rng.bool() { "mail" } else { "pager" };
            self.receivers.get_mut(name).unwrap().away_until = until;
        }
        if self.chance(400) {
            self.wall_offset_ms += self.rng.i64(-6 * 3_600_000..6 * 3_600_000);
            self.counts.jumps += 1;
        }
        if self.chance(300) {
            self.restart();
        }
    }

    /// The process dies, perhaps with the machine, and comes back with what it had written down.
    fn restart(&mut self) {
        self.counts.restarts += 1;
        self.now_ms += self.rng.i64(0..60) * 1000;
        if self.chance(4) {
            self.boot = (self.boot.0 + 1, self.now_ms);
            // The civil clock jumped after the last thing was written down, and then the machine ended: nothing on
            // it knows how much of that was a jump. What was told long ago by that clock may be told again.
            let by_clock = self.now_ms + self.wall_offset_ms - self.disk.at.wall_ms;
            self.misled |= by_clock > self.now_ms - self.written_ms + 1000;
        } else if self.chance(3) {
            self.wall_offset_ms += self.rng.i64(-3_600_000..3_600_000);
        }
        let disk = self.disk.clone();
        let table = Table::from_json(&Table::of([&disk.group], disk.at).to_json()).unwrap();
        let mut groups = vec![group()];
        if table.restore(&mut groups) > 0 {
            self.fail("alerts were not restored");
        }
        self.group = groups.remove(0);
        let written = disk.router.to_json(disk.at);
        self.router = Router::from_json(&written, self.routing.clone()).unwrap().0;
        self.timeline = Timeline::begin(&self.clocks(), Some((disk.at, &disk.clocks)));
        self.next_eval_ms = self.now_ms;
    }

    fn write_down(&mut self) {
        let at = self.at();
        self.written_ms = self.now_ms;
        self.disk = Disk {
            group: self.group.clone(),
            router: self.router.clone(),
            at,
            clocks: self.clocks(),
        };
    }

    /// One turn of the process; `None` where it dies in the middle.
    fn work(&mut self, quiet: bool) -> Option<()> {
        let at = self.at();
        let evaluates = self.now_ms >= self.next_eval_ms;
        if evaluates {
            self.next_eval_ms = self.now_ms + self.group.interval_ms;
            self.look();
            let evaluated = self
                .group
                .evaluate(at, &Outside::default(), &mut self.truth);
            self.router.ingest(evaluated.notices, at);
        }
        let messages = self.router.due(at);
        if !evaluates && messages.is_empty() {
            return Some(());
        }
        self.dies(quiet, 200)?;
        self.write_down();
        if evaluates {
            self.observe();
        }
        for message in messages {
            self.dies(quiet, 60)?;
            let outcome = self.receive(&message, quiet);
            self.dies(quiet, 60)?;
            let at = self.at();
            self.router.done(message.id, &outcome, at);
        }
        self.dies(quiet, 200)?;
        self.write_down();
        Some(())
    }

    /// What a query that works does not find, seen without the help of what is tested.
    fn look(&mut self) {
        if self.truth.at_ms < self.truth.away_until {
            return;
        }
        let all = (0..3).flat_map(|rule| (0..3).map(move |place| (rule, place)));
        let absent = all.filter(|element| !self.truth.now.contains(element));
        self.absent
            .extend(absent.map(|(rule, place)| format!("{}/{place}", ALERTS[rule])));
    }

    fn dies(&mut self, quiet: bool, one_in: u32) -> Option<()> {
        (quiet || !self.chance(one_in)).then_some(())
    }

    fn firing(&self) -> BTreeSet<Labels> {
        let alerts = self
            .group
            .rules
            .iter()
            .flat_map(|rule| rule.alerts.values());
        alerts
            .filter(|alert| alert.state == State::Firing)
            .map(|alert| alert.labels.clone())
            .collect()
    }

    /// What fires for long must have been told.
    fn observe(&mut self) {
        let firing = self.firing();
        self.firing_since
            .retain(|labels, _| firing.contains(labels));
        self.told.retain(|labels| firing.contains(labels));
        for labels in &firing {
            self.firing_since
                .entry(labels.clone())
                .or_insert(self.now_ms);
        }
        let believed: BTreeSet<&Labels> = self
            .receivers
            .values()
            .flat_map(|one| one.believes.values().flatten())
            .collect();
        self.told.extend(
            firing
                .iter()
                .filter(|labels| believed.contains(labels))
                .cloned(),
        );
        // Outage, the longest back-off, and two looks at the group, with restarts in between.
        let patience = 4 * OUTAGE_MS + 60_000 + 4 * GROUP_INTERVAL_MS;
        let lost = self.firing_since.iter().find(|(labels, since)| {
            self.now_ms - **since > patience && !self.told.contains(*labels)
        });
        if let Some((labels, _)) = lost {
            self.fail(&format!("lost: {labels} was not told"));
        }
    }

    /// A message reaches its receiver, or not, and the answer comes back, or not.
    fn receive(&mut self, message: &Notification, quiet: bool) -> Outcome {
        let away = self.receivers[&message.receiver].away_until > self.now_ms && !quiet;
        let failed = |maybe_accepted| Outcome::Failed {
            why: "it failed".into(),
            maybe_accepted,
            wait_ms: None,
        };
        if away {
            if self.chance(10) {
                return Outcome::Refused {
                    why: "it refused".into(),
                };
            }
            return failed(false);
        }
        if !quiet && self.chance(25) {
            return failed(true);
        }
        self.accept(message);
        if !quiet && self.chance(25) {
            failed(true)
        } else {
            Outcome::Accepted
        }
    }

    fn accept(&mut self, message: &Notification) {
        let firing_now = self.firing();
        let labels = |fires: bool| -> BTreeSet<Labels> {
            let told = message.alerts.iter().filter(|told| told.is_firing == fires);
            told.map(|told| told.notice.labels.clone()).collect()
        };
        let (firing, resolved) = (labels(true), labels(false));
        if let Some(wrong) = resolved.iter().find(|labels| firing_now.contains(labels)) {
            self.fail(&format!("falsely resolved: {wrong} fires"));
        }
        let is_ours = |labels: &&Labels| labels.get("alertname") != CHANNEL_FAILING;
        let present = resolved
            .iter()
            .filter(is_ours)
            .find(|labels| !self.absent.contains(&element(labels)));
        if let Some(wrong) = present {
            self.fail(&format!(
                "falsely resolved: {wrong} was found whenever it was looked for"
            ));
        }
        let now = self.now_ms;
        let receiver = self.receivers.get_mut(&message.receiver).unwrap();
        if !receiver.seen.insert(message.id) {
            return;
        }
        self.counts.messages += 1;
        for labels in &firing {
            self.absent.remove(&element(labels));
        }
        if message.alerts.is_empty() {
            self.fail("an empty message");
        }
        let receiver = self.receivers.get_mut(&message.receiver).unwrap();
        let last = receiver.last.get(&message.group_key);
        let content = message.alerts.iter().map(|told| &told.notice);
        let content = content.map(|one| (one.labels.clone(), one.starts_at, one.ended_at));
        let content: Vec<_> = content.collect();
        let is_same = last.is_some_and(|last| last.0 == content);
        let is_early = last.is_some_and(|last| now - last.1 < REPEAT_MS);
        let is_internal = message.group_labels.get("alertname") == CHANNEL_FAILING;
        if is_same && is_early && message.reason != Reason::Repeated && !is_internal {
            self.fail(&format!(
                "told twice: {} {}",
                message.reason.name(),
                message.group_key
            ));
        }
        if message.reason == Reason::Repeated && is_early && self.misled {
            self.counts.misled += 1;
        } else if message.reason == Reason::Repeated && is_early {
            self.fail("repeated too early");
        }
        let believes = receiver
            .believes
            .entry(message.group_key.clone())
            .or_default();
        believes.retain(|labels| !resolved.contains(labels));
        believes.extend(firing.iter().cloned());
        receiver
            .last
            .insert(message.group_key.clone(), (content, now));
    }

    /// After a quiet time everybody believes what is true.
    fn settle(&mut self) {
        let firing = self.firing();
        let believed: BTreeSet<Labels> = self
            .receivers
            .values()
            .flat_map(|one| one.believes.values().flatten())
            .filter(|labels| labels.get("alertname") != CHANNEL_FAILING)
            .cloned()
            .collect();
        if believed != firing {
            let lost: Vec<_> = firing
                .difference(&believed)
                .map(ToString::to_string)
                .collect();
            let stale: Vec<_> = believed
                .difference(&firing)
                .map(ToString::to_string)
                .collect();
            self.fail(&format!(
                "lost at the end: {lost:?}; never ended: {stale:?}"
            ));
        }
    }
}

#[test]
fn what_breaks_is_accepted_within_an_interval_the_wait_of_its_group_and_a_second() {
    let mut longest = 0;
    for seed in 0..300 {
        let mut life = Life::new(seed);
        let begin = 60_000 + life.rng.i64(0..60) * 1000;
        while life.receivers["pager"].believes.is_empty() {
            if life.now_ms == begin {
                life.truth.now.insert((0, 0));
            }
            let undisturbed = life.work(true);
            assert!(
                undisturbed.is_some() && life.now_ms < 300_000,
                "seed {seed}"
            );
            life.now_ms += 1000;
            life.truth.at_ms = life.now_ms;
        }
        longest = longest.max(life.now_ms - 1000 - begin);
    }
    // The pager's group waits for ten seconds, and rules run every fifteen.
    assert!(longest <= 15_000 + 10_000 + 1000, "{longest} ms");
    eprintln!("longest way from breach to accepted: {longest} ms");
}

#[test]
fn a_thousand_lives_lose_repeat_and_falsely_end_nothing() {
    let mut sum = Counts::default();
    for seed in 0..1000 {
        let counts = Life::new(seed).live();
        sum.messages += counts.messages;
        sum.restarts += counts.restarts;
        sum.jumps += counts.jumps;
        sum.flaps += counts.flaps;
        sum.misled += counts.misled;
    }
    eprintln!("{sum:?}");
    assert!(
        sum.restarts > 5000 && sum.jumps > 2000 && sum.flaps > 50_000 && sum.messages > 20_000,
        "{sum:?}"
    );
}
