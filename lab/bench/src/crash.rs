//! Kills at random points under load: what is lost, what is doubled, what is left over, and how long until
//! everything is back.
//!
//! A platform like `examples/shop` takes orders (rows in PostgreSQL) at an open rate, a worker does them
//! from Redis, a job is run and a release made now and then. One kill -9 after the other takes the control
//! plane, the gateway, a shim, a workload, a store's server, or everything; whoever an operator would have
//! to start is started by `up`. After each kill everything has to come back by itself, what was not killed
//! has to be the same process as before, and nothing may run that nobody answers for.

mod orders;
mod report;
mod seen;

pub use report::{Class, Report, Times};

use crate::platform::Platform;
use anyhow::{Context as _, Result, bail};
use mainstay_e2e::Process;
use orders::Orders;
use report::Tally;
use rustix::process::Signal;
use seen::{Known, Seen};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Kills, one after the other.
    pub kills: u32,
    /// What is killed when follows from it; when exactly a kill meets the platform does not.
    pub seed: u64,
    /// Orders a second.
    pub rate: f64,
}

/// What a kill meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Victim {
    /// `mainstay serve`.
    ControlPlane,
    /// `mainstay gateway`.
    Gateway,
    /// A `mainstay shim`, of a service, a store or a run.
    Shim,
    /// A process of a service.
    Workload,
    /// The server of `db`.
    Postgres,
    /// The server of `cache`.
    Redis,
    /// All of them at once.
    Everything,
}

/// Out of 100 kills.
const WEIGHTS: [(Victim, u32); 7] = [
    (Victim::ControlPlane, 22),
    (Victim::Gateway, 18),
    (Victim::Shim, 18),
    (Victim::Workload, 15),
    (Victim::Postgres, 11),
    (Victim::Redis, 11),
    (Victim::Everything, 5),
];

/// So many kills, then `down`, whose end has to leave nothing, and `up`: it also begins the count of ends
/// anew, by which restarts wait longer and longer.
const ROUND: u32 = 12;

/// How long anything may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(10);

const SHOP: &str = r#"services:
  web:
    run: [./bin/sample]
    port: 3000
    needs: [db, cache]
    replicas: 2
    ready: { path: /ready }
    health: { path: /healthz }
    env: { GREETING: hello, QUIET: "1" }
    deploy: { before: [migrate] }
  worker:
    run: [./bin/sample, worker]
    needs: [db, cache]
    ready: { exec: [sh, -c, 'test -n "$(find "$HOME/alive" -mmin -1)"'] }
    stop: { grace: 10s }
jobs:
  migrate:
    run: [./bin/sample, migrate]
    needs: [db]
  tally:
    run: [./bin/tally]
    artifact: [bin/tally]
    needs: [runs]
    schedule: "* * * * *"
stores:
  db: { postgres: 15, memory: 128Mi }
  cache: { redis: 7, memory: 64Mi, persist: true }
  runs: volume
domains:
  localhost: { to: web }
"#;

/// Each run writes its number as it begins.
const TALLY: &str = "#!/bin/sh\necho \"$MAINSTAY_INSTANCE\" >> \"$RUNS_DIR/runs\"\nsleep 0.2\n";

/// Runs the measurement.
pub fn measure(plan: Plan) -> Result<Report> {
    let platform = Platform::of(SHOP)?;
    let tally = platform.folder().join("bin/tally");
    fs::write(&tally, TALLY)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&tally, mode)?;
    platform.must(&["up"])?;
    let orders = Orders::start(platform.address.port(), plan.rate);
    let mut course = Course {
        tally: Tally::begin(plan)?,
        random: fastrand::Rng::with_seed(plan.seed),
        platform: &platform,
        orders: &orders,
        ends: BTreeMap::new(),
        asked: 0,
        deploy: None,
        deploys: 0,
        database: String::new(),
    };
    let mut left = plan.kills;
    while left > 0 {
        for _ in 0..left.min(ROUND) {
            course.one()?;
            left -= 1;
        }
        course.settle()?;
        course.round_ends(left > 0)?;
        course.tally.say(&orders);
    }
    let report = course.tally.report(&orders)?;
    drop(orders);
    Ok(report)
}

/// The kills and what they met.
struct Course<'a> {
    tally: Tally,
    random: fastrand::Rng,
    platform: &'a Platform,
    orders: &'a Orders,
    /// How often each instance ended since the last `up`: a second end in a row waits.
    ends: BTreeMap<String, u32>,
    /// Runs of `tally` that may have been asked for.
    asked: u64,
    deploy: Option<JoinHandle<()>>,
    deploys: u32,
    database: String,
}

impl Course<'_> {
    /// One kill, and everything that has to hold after it.
    fn one(&mut self) -> Result<()> {
        self.begin_something();
        let pause = self.random.u64(0..300);
        std::thread::sleep(Duration::from_millis(pause));
        let before = self.until("a status", |course| Seen::of(course.platform))?;
        let entries = self.entries()?;
        let all = seen::processes(self.platform);
        let victim = self.victim();
        let (named, gone) = self.choose(victim, &before, &all)?;
        let class = self.class(victim, &named, &before);
        // The workload of a shim that is killed has to go with it.
        let mut dying = gone.clone();
        dying.extend(named.iter().map(|one| one.process.clone()));
        let began = Instant::now();
        for process in &gone {
            process.signal(Signal::KILL);
        }
        if victim == Victim::Everything {
            // Whoever was begun meanwhile goes too.
            self.until("the end of everything", |course| {
                let rest = seen::processes(course.platform);
                for process in &rest {
                    process.signal(Signal::KILL);
                }
                rest.is_empty().then_some(())
            })?;
        }
        if matches!(victim, Victim::ControlPlane | Victim::Everything) {
            self.must_up()?;
        }
        let what = format!("everything back after {victim:?} {named:?}");
        let after = self.until(&what, |course| course.back(&dying))?;
        self.tally.took(victim, class, began.elapsed());
        self.survivors(victim, &before, &dying, &after);
        let now = self.entries()?;
        if now < entries {
            self.tally.lost_entries += entries - now;
            let text = format!("the ledger had {entries} entries and has {now}");
            self.tally.broken(&text);
        }
        self.no_orphans()
    }

    /// A release or a run, now and then.
    fn begin_something(&mut self) {
        if self.deploy.as_ref().is_some_and(JoinHandle::is_finished) {
            // It is a release that may have been cut off; what became of it shows in what serves.
            drop(self.deploy.take().map(JoinHandle::join));
        }
        match self.random.u32(0..12) {
            0 if self.deploy.is_none() => {
                self.deploys += 1;
                let set = format!("services.web.env.GREETING=\"hello {}\"", self.deploys);
                let command = self.platform.command(&["deploy", "--set", &set]);
                self.deploy = Some(std::thread::spawn(move || quietly(command)));
            }
            1..=4 => {
                self.asked += 1;
                let command = self.platform.command(&["jobs", "run", "tally", "--detach"]);
                std::thread::spawn(move || quietly(command));
            }
            _ => {}
        }
    }

    fn victim(&mut self) -> Victim {
        let mut at = self.random.u32(0..100);
        for (victim, weight) in WEIGHTS {
            match at.checked_sub(weight) {
                Some(rest) => at = rest,
                None => return victim,
            }
        }
        Victim::ControlPlane
    }

    /// The instances that a kill ends, and the processes that it goes to or takes along.
    fn choose(
        &mut self,
        victim: Victim,
        before: &Seen,
        all: &[Process],
    ) -> Result<(Vec<Known>, Vec<Process>)> {
        let services: Vec<&Known> = before.known.iter().filter(|one| !one.store).collect();
        let store = |name: &str| before.known.iter().find(|one| one.name == name);
        let role = |word| seen::role(self.platform, all, word);
        let one = |known: Option<&Known>| {
            let known = known.context("an instance to kill")?.clone();
            let process = known.process.clone();
            Ok((vec![known], vec![process]))
        };
        Ok(match victim {
            Victim::ControlPlane => (vec![], vec![role("serve").context("a control plane")?]),
            Victim::Gateway => (vec![], role("gateway").into_iter().collect()),
            Victim::Postgres => return one(store("db")),
            Victim::Redis => return one(store("cache")),
            Victim::Workload => {
                let at = self.random.usize(0..services.len().max(1));
                return one(services.get(at).copied());
            }
            Victim::Shim => {
                let shims = all.iter().filter(|one| seen::is_shim(self.platform, one));
                let shims: Vec<&Process> = shims.collect();
                let at = self.random.usize(0..shims.len().max(1));
                let shim = *shims.get(at).context("a shim to kill")?;
                let child = |known: &&Known| seen::parent(&known.process) == Some(shim.pid);
                let known: Vec<Known> = before.known.iter().filter(child).cloned().collect();
                (known, vec![shim.clone()])
            }
            Victim::Everything => (before.known.clone(), all.to_vec()),
        })
    }

    /// What the way back takes besides Mainstay's own part.
    fn class(&mut self, victim: Victim, named: &[Known], before: &Seen) -> Class {
        let mut waits = false;
        for one in named {
            let ends = self.ends.entry(one.name.clone()).or_default();
            *ends += 1;
            waits |= *ends > 1;
        }
        let store = named.iter().any(|one| one.store) || victim == Victim::Everything;
        let moving = self.deploy.is_some() || before.status["phase"] == "moving";
        match (waits, moving, store) {
            (true, ..) => Class::BackOff,
            (_, true, _) => Class::Release,
            (_, _, true) => Class::Store,
            _ => Class::Plain,
        }
    }

    /// Whether everything is back: steady, without those that were killed, and an order is taken.
    fn back(&self, gone: &[Process]) -> Option<Seen> {
        if gone.iter().any(Process::runs) {
            return None;
        }
        let seen = Seen::of(self.platform).filter(Seen::is_steady)?;
        let all = seen::processes(self.platform);
        let there = |word| seen::role(self.platform, &all, word).is_some();
        let whole = there("serve") && there("gateway") && seen.is_without(gone);
        (whole && self.orders.probe()).then_some(seen)
    }

    /// What was not killed is what it was: pid and start time.
    fn survivors(&mut self, victim: Victim, before: &Seen, gone: &[Process], after: &Seen) {
        if victim == Victim::Everything {
            return;
        }
        let moving = self.deploy.is_some()
            || [before, after]
                .iter()
                .any(|seen| seen.status["phase"] == "moving");
        if moving {
            return;
        }
        let own = |known: &&Known| !gone.contains(&known.process);
        let lost = before.known.iter().filter(own);
        let lost: Vec<&Known> = lost.filter(|one| !one.process.runs()).collect();
        if !lost.is_empty() {
            self.tally.broken(&format!(
                "{victim:?}: it did not survive, and was not killed: {lost:?}"
            ));
        }
    }

    fn no_orphans(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let found = match Seen::of(self.platform) {
                Some(seen) => seen::orphans(self.platform, &seen),
                None => Vec::new(),
            };
            if found.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                self.tally.orphans += u64::try_from(found.len())?;
                self.tally.broken(&format!("nobody answers for {found:?}"));
                return Ok(());
            }
            std::thread::sleep(LOOK * 5);
        }
    }

    fn entries(&mut self) -> Result<u64> {
        self.until("a verified ledger", |course| {
            let output = course.platform.run(&["ledger", "verify", "--json"]).ok()?;
            let said: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
            said["entries"].as_u64().filter(|_| said["ok"] == true)
        })
    }

    /// `up`, which has to work.
    fn must_up(&mut self) -> Result<()> {
        let output = self.platform.run(&["up"])?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        self.tally.broken(&format!("`up` failed: {said}"));
        self.platform.must(&["up"]).map(drop)
    }

    /// What was begun has ended.
    fn settle(&mut self) -> Result<()> {
        self.until("the last release", |course| {
            let deploy = course.deploy.as_ref();
            deploy.is_none_or(JoinHandle::is_finished).then_some(())
        })?;
        self.deploy = None;
        self.until("a steady end of a round", |course| course.back(&[]))?;
        Ok(())
    }

    /// Rows and runs are counted, `down` leaves nothing, `up` brings it back.
    fn round_ends(&mut self, again: bool) -> Result<()> {
        self.rows()?;
        self.runs()?;
        self.platform.must(&["down"])?;
        let found = self.until("the end of everything by `down`", |course| {
            let rest = seen::processes(course.platform);
            rest.is_empty().then_some(())
        });
        if found.is_err() {
            let rest = seen::processes(self.platform);
            self.tally.orphans += u64::try_from(rest.len())?;
            self.tally.broken(&format!("`down` left {rest:?}"));
        }
        if again {
            self.ends.clear();
            self.must_up()?;
        }
        Ok(())
    }

    /// Every acknowledged order is a row, and no order is two.
    fn rows(&mut self) -> Result<()> {
        let acknowledged = self.orders.acknowledged();
        if self.database.is_empty() {
            self.database = self.database_url()?;
        }
        let output = Command::new("psql")
            .arg(&self.database)
            .args(["-XAtc", "SELECT item FROM orders"])
            .output()
            .context("`psql` of the package postgresql-client")?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        let numbers = text.lines().filter_map(|line| line.strip_prefix('k'));
        let numbers: Vec<u64> = numbers.filter_map(|text| text.parse().ok()).collect();
        let held: BTreeSet<u64> = numbers.iter().copied().collect();
        let lost: Vec<&u64> = acknowledged.difference(&held).collect();
        self.tally.rows = held.len();
        self.tally.lost_rows = lost.len();
        self.tally.doubled_rows = numbers.len() - held.len();
        if !lost.is_empty() {
            self.tally
                .broken(&format!("acknowledged and lost: {lost:?}"));
        }
        Ok(())
    }

    /// As a program of the platform is told it.
    fn database_url(&self) -> Result<String> {
        let seen = Seen::of(self.platform).context("a status")?;
        let web = seen.known.iter().find(|one| one.name.starts_with("web."));
        let pid = web.context("an instance of web")?.process.pid;
        let environ = fs::read_to_string(format!("/proc/{pid}/environ"))?;
        let found = environ
            .split('\0')
            .find_map(|pair| pair.strip_prefix("DATABASE_URL="));
        Ok(found.context("DATABASE_URL")?.to_owned())
    }

    /// No run wrote twice, each that the ledger says went well wrote, and none was begun that nobody asked for.
    fn runs(&mut self) -> Result<()> {
        let path = self
            .platform
            .folder()
            .join(".mainstay/default/stores/runs/data/runs");
        let text = fs::read_to_string(path).unwrap_or_default();
        let mut lines: Vec<&str> = text.lines().collect();
        self.tally.runs = lines.len();
        lines.sort_unstable();
        let doubled = lines.windows(2).filter(|pair| pair[0] == pair[1]).count();
        self.tally.doubled_runs = doubled;
        if doubled > 0 {
            self.tally.broken("a run wrote its number twice");
        }
        let shown = self.platform.json(&["jobs", "show", "tally", "--json"])?;
        let mut due = BTreeSet::new();
        let mut asked = 0;
        for run in shown["runs"].as_array().into_iter().flatten() {
            let name = run["run"].as_str().unwrap_or_default();
            if run["state"] == "ok" && lines.binary_search(&name).is_err() {
                self.tally
                    .broken(&format!("{name} went well and wrote nothing"));
            }
            asked += u64::from(run["cause"] == "asked");
            if let Some(time) = run["due_ms"].as_u64().filter(|time| !due.insert(*time)) {
                self.tally.doubled_runs += 1;
                self.tally.broken(&format!("two runs for {time}"));
            }
        }
        if asked > self.asked {
            self.tally.doubled_runs += usize::try_from(asked - self.asked)?;
            let text = format!("{asked} runs were asked for {} times", self.asked);
            self.tally.broken(&text);
        }
        Ok(())
    }

    /// Waits for a condition; what the platform says of itself when it does not come.
    fn until<T>(&mut self, what: &str, mut seen: impl FnMut(&Self) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = seen(self) {
                return Ok(found);
            }
            if Instant::now() > deadline {
                let said = |words: &[&str]| {
                    let output = self.platform.run(words).ok();
                    let output = output.map(|output| [output.stdout, output.stderr].concat());
                    String::from_utf8_lossy(&output.unwrap_or_default()).into_owned()
                };
                let (status, why) = (said(&["status"]), said(&["why"]));
                let log = self
                    .platform
                    .folder()
                    .join(".mainstay/default/logs/control-plane.log");
                let log = fs::read_to_string(log).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(20).collect();
                bail!("{what}: not within {PATIENCE:?}\n{status}\n{why}\n{tail:#?}");
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// Runs a command that may be cut off.
fn quietly(mut command: Command) {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    drop(command.stderr(Stdio::null()).status());
}
