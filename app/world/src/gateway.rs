//! Keeping the gateway alive, and speaking to it.

use crate::state::State;
use crate::succession::{Others, Succession, is_ours, is_own_program};
use mainstay_atoms::{Fact, InstanceId, Moment};
use mainstay_execute::EffectFault;
use mainstay_gateway_io::{
    Client, ClientFault, Listeners, Refusal, ReleaseLatency, Stage, Status, others,
};
use mainstay_plan::{GatewaySeen, Load};
use mainstay_rollout::{Board, Class, Origin, Tally};
use mainstay_routing::Table;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a started gateway waits for the sockets of the one before it.
pub(crate) const ADOPTION: Duration = Duration::from_secs(1);

/// How often the gateway's process is looked at.
const WATCH: Duration = Duration::from_millis(50);

/// How long a gateway whose folder was replaced may take to be found again.
const PRESENT: Duration = Duration::from_secs(2);

/// How long a gateway may take from its start to its first answer.
pub(crate) const START: Duration = Duration::from_secs(5);

/// The gateway of one environment: started when there is none, and started again when it ends, with
/// the listening sockets of the one before it, so that connections wait instead of being refused.
pub struct Keeper {
    socket: PathBuf,
    client: Option<Client>,
    /// Which gateway the client asks, by the count of those that took over.
    asked: u64,
    others: Others,
    shared: Arc<Shared>,
    watcher: Option<JoinHandle<()>>,
}

struct Shared {
    binary: PathBuf,
    state: State,
    listeners: Mutex<Listeners>,
    stop: AtomicBool,
    pid: Mutex<Option<u32>>,
    /// Held while one gateway takes over from another: nothing is published meanwhile.
    turn: Mutex<()>,
    /// How many took over so far.
    taken: AtomicU64,
    /// Why the last attempt to replace the gateway failed.
    trouble: Mutex<Option<String>>,
}

impl Keeper {
    /// Starts to keep a gateway; one that runs already is taken over as it is.
    pub fn start(binary: &Path, state: &State) -> Self {
        let shared = Arc::new(Shared {
            binary: binary.to_owned(),
            state: state.clone(),
            listeners: Mutex::default(),
            stop: AtomicBool::new(false),
            pid: Mutex::default(),
            turn: Mutex::default(),
            taken: AtomicU64::new(0),
            trouble: Mutex::default(),
        });
        let watched = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("gateway-keeper".into())
            .spawn(move || {
                Watch {
                    shared: watched,
                    child: None,
                    leaving: Vec::new(),
                    client: None,
                    again: None,
                }
                .run();
            })
            .ok();
        Self {
            socket: state.gateway_socket(),
            client: None,
            asked: 0,
            others: Others::new(&state.gateway_socket()),
            shared,
            watcher: thread,
        }
    }

    /// The gateway's process, once it was seen.
    pub fn pid(&self) -> Option<u32> {
        *lock(&self.shared.pid)
    }

    /// Whether the gateway is of the program that this control plane is.
    pub fn is_current(&self) -> bool {
        self.pid().is_some_and(|pid| is_ours(pid) == Some(true))
    }

    /// Gateways that retired and still carry something, and how many streams.
    pub fn retired(&mut self) -> (usize, u64) {
        let found = self.others.look().unwrap_or_default();
        let instances = found.iter().flat_map(|status| &status.instances);
        (found.len(), instances.map(|one| one.streams).sum())
    }

    fn client(&mut self) -> Result<&mut Client, ClientFault> {
        let taken = self.shared.taken.load(Ordering::Acquire);
        if std::mem::replace(&mut self.asked, taken) != taken {
            self.client = None;
        }
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::connect(&self.socket)?,
        };
        Ok(self.client.insert(client))
    }

    /// Asks over one connection; a broken one is dropped, and the next question connects again.
    fn ask<T>(
        &mut self,
        question: impl FnOnce(&mut Client) -> Result<T, ClientFault>,
    ) -> Result<T, ClientFault> {
        let answer = self.client().and_then(question);
        if !matches!(answer, Ok(_) | Err(ClientFault::Refused(_))) {
            self.client = None;
        }
        answer
    }

    /// Publishes a table and takes duplicates of the listening sockets. Gateways that retired pick by it
    /// too.
    pub(crate) fn publish(&mut self, table: &Table) -> Result<(), EffectFault> {
        let shared = Arc::clone(&self.shared);
        let Ok(_turn) = shared.turn.try_lock() else {
            let message = "a gateway is about to take over from another";
            return Err(EffectFault::Later(message.into()));
        };
        match self.ask(|client| client.publish(table)) {
            Ok(_) => {
                if let Ok(listeners) = self.ask(Client::listeners) {
                    *lock(&shared.listeners) = listeners;
                }
                self.others.publish(table);
                Ok(())
            }
            Err(ClientFault::Refused(refusal)) => Err(match &refusal {
                Refusal::Stale { epoch, .. } if *epoch > table.epoch => {
                    EffectFault::Fenced(refusal.to_string())
                }
                Refusal::PortTaken { .. } | Refusal::Bind { .. } => {
                    EffectFault::Never(refusal.to_string())
                }
                _ => EffectFault::Later(refusal.to_string()),
            }),
            Err(fault) => Err(EffectFault::Later(fault.to_string())),
        }
    }

    /// The gateway's own account, for the engine.
    pub(crate) fn seen(&mut self, now: Moment) -> Fact<GatewaySeen> {
        match self.ask(Client::status) {
            Ok(status) => match self.others.look() {
                Ok(others) => Fact::Known {
                    value: account(&status, &others),
                    at: now,
                },
                Err(reason) => Fact::Missing { reason },
            },
            Err(fault) => Fact::Missing {
                reason: fault.to_string(),
            },
        }
    }

    /// Requests sent to instances and attempts that failed, so far.
    pub fn traffic(&mut self) -> (u64, u64) {
        let status = self.ask(Client::status).ok();
        let instances = status.iter().flat_map(|status| &status.instances);
        instances.fold((0, 0), |(requests, failures), one| {
            (requests + one.requests, failures + one.failures)
        })
    }

    /// What it counted since it started, by instance.
    pub(crate) fn board(&mut self) -> Option<Board> {
        let answers = self.ask(Client::latencies).ok()?;
        let status = self.ask(Client::status).ok()?;
        let mut board = Board::default();
        for one in answers {
            let Ok(instance) = one.instance.parse::<InstanceId>() else {
                // What is left of those who are gone.
                continue;
            };
            let tally = tally(&one, &status);
            let route = String::new();
            board.tallies.insert(Origin { route, instance }, tally);
        }
        Some(board)
    }

    /// Metrics in Prometheus' text exposition.
    pub fn metrics(&mut self) -> Result<String, String> {
        self.ask(Client::metrics).map_err(|fault| fault.to_string())
    }

    /// What is wrong with the gateway now, in words.
    pub fn faults(&mut self) -> Vec<String> {
        let mut faults = match self.ask(Client::status) {
            Ok(status) => status.faults,
            Err(fault) => vec![fault.to_string()],
        };
        faults.extend(lock(&self.shared.trouble).clone());
        faults
    }

    /// No longer keeps the gateway; it goes on by itself.
    pub fn let_go(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            // A watcher that panicked keeps nothing either.
            drop(watcher.join());
        }
    }

    /// Ends the gateway: it finishes what is in flight, to its deadline.
    pub fn end(&mut self) {
        self.let_go();
        let present = self.ask(Client::status).ok().map(|status| status.pid);
        let retired = others(&self.socket).into_iter().map(|(pid, _)| pid);
        let all: Vec<u32> = present.into_iter().chain(retired).collect();
        for pid in &all {
            terminate(*pid);
        }
        let deadline = Instant::now() + Duration::from_secs(40);
        let answers =
            |pid: &u32| Client::connect(&self.shared.state.gateway_socket_of(*pid)).is_ok();
        while Instant::now() < deadline
            && (Client::connect(&self.socket).is_ok() || all.iter().any(answers))
        {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The requests of one instance. Attempts that got no answer are errors of it too, though another instance
/// may have answered the client.
fn tally(one: &ReleaseLatency, status: &Status) -> Tally {
    let mut tally = Tally::default();
    let mut unanswered = {
        let runs = status.instances.iter();
        let runs = runs.filter(|run| run.instance.to_string() == one.instance);
        runs.map(|run| run.failures).sum::<u64>()
    };
    for (code, count) in &one.codes {
        let class = Class::of_status(*code);
        if class == Class::ServerError {
            unanswered = unanswered.saturating_sub(*count);
        }
        *tally.classes.entry(class).or_default() += count;
    }
    if unanswered > 0 {
        tally.classes.insert(Class::Broken, unanswered);
    }
    for (bucket, count) in one.latency.counts.iter().enumerate() {
        tally.latencies.add_bucket(bucket, *count);
    }
    tally
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells a process to end; one that ended meanwhile is what is wanted.
pub(crate) fn terminate(pid: u32) {
    let pid = i32::try_from(pid).ok();
    let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) else {
        return;
    };
    let flags = rustix::process::PidfdFlags::empty();
    if let Ok(handle) = rustix::process::pidfd_open(pid, flags) {
        let _ended = rustix::process::pidfd_send_signal(&handle, rustix::process::Signal::TERM);
    }
}

/// Whether a gateway of this state runs, by what it was started with.
fn runs(state: &State) -> bool {
    let wanted = state.words(&["gateway"]);
    let leaving = others(&state.gateway_socket());
    let processes = procfs::process::all_processes().into_iter().flatten();
    processes.flatten().any(|process| {
        let words = process.cmdline().unwrap_or_default();
        let words = words.iter().skip(1).take(wanted.len());
        let leaves = |(pid, _): &(u32, PathBuf)| i32::try_from(*pid) == Ok(process.pid);
        words.map(std::ffi::OsStr::new).eq(&wanted) && !leaving.iter().any(leaves)
    })
}

/// Whether a gateway of this state that runs answers: where the folder of its socket was replaced, it is
/// about to put the socket back, and its table with it. Another one beside it would find its ports taken.
pub(crate) fn comes_back(state: &State, given_up: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + PRESENT;
    let answers = || {
        let client = Client::connect(&state.gateway_socket());
        client.and_then(|mut client| client.status()).is_ok()
    };
    while runs(state) {
        if answers() {
            return true;
        }
        if Instant::now() > deadline || given_up() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// What all gateways of the environment have under way; the table that even the last of them serves.
fn account(status: &Status, others: &[Status]) -> GatewaySeen {
    let mut seen = GatewaySeen::default();
    if let Some(serving) = status.serving {
        seen.generation = serving.generation;
        // Those that retire are told too, and nobody waits for them: they may be of a program that knows no pauses.
        seen.pauses = serving.pauses;
    }
    let behind = others.iter().filter_map(|other| other.serving);
    if let Some(last) = behind.map(|serving| serving.generation).min() {
        seen.generation = seen.generation.min(last);
    }
    let all = std::iter::once(status).chain(others);
    for one in all.flat_map(|status| &status.instances) {
        let runs = seen.load.entry(one.instance.clone()).or_default();
        let load = runs.entry(one.generation).or_insert(Load {
            in_flight: 0,
            streams: 0,
        });
        load.in_flight += one.in_flight;
        load.streams += one.streams;
    }
    seen
}

/// The thread that looks whether the gateway lives.
struct Watch {
    shared: Arc<Shared>,
    child: Option<Child>,
    /// Gateways that this process started and that retire, or failed to take over.
    leaving: Vec<Child>,
    client: Option<Client>,
    /// When a replacement that failed is tried again, and how long after the next failure.
    again: Option<(Instant, Duration)>,
}

impl Watch {
    fn run(mut self) {
        let mut pause = WATCH;
        while !self.shared.stop.load(Ordering::Relaxed) {
            if self.alive() || self.revive() {
                pause = WATCH;
            } else {
                pause = (pause * 2).min(Duration::from_secs(2));
            }
            std::thread::sleep(pause);
        }
    }

    fn alive(&mut self) -> bool {
        self.leaving
            .retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        if let Some(child) = &mut self.child
            && matches!(child.try_wait(), Ok(Some(_)))
        {
            self.child = None;
        }
        let client = match self.client.take() {
            Some(client) => Some(client),
            None => Client::connect(&self.shared.state.gateway_socket()).ok(),
        };
        let Some(mut client) = client else {
            return false;
        };
        match client.status() {
            Ok(status) => {
                self.saw(status.pid, &mut client);
                self.client = Some(client);
                self.renew(&status);
                true
            }
            Err(_) => false,
        }
    }

    fn saw(&self, pid: u32, client: &mut Client) {
        let mut known = lock(&self.shared.pid);
        if *known == Some(pid) {
            return;
        }
        *known = Some(pid);
        if let Ok(listeners) = client.listeners() {
            *lock(&self.shared.listeners) = listeners;
        }
    }

    /// Starts a gateway and hands it the sockets of the one before it.
    fn revive(&mut self) -> bool {
        if self.child.is_some() {
            return false;
        }
        let state = &self.shared.state;
        if comes_back(state, || self.shared.stop.load(Ordering::Relaxed)) {
            return true;
        }
        let Some(child) = spawn(&self.shared.binary, state, &[]) else {
            return false;
        };
        self.child = Some(child);
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if let Ok(mut client) = Client::connect(&state.gateway_socket()) {
                let listeners = lock(&self.shared.listeners);
                return client.adopt(&listeners).is_ok();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// Replaces a gateway of another program by one of ours, without a gap; what fails is tried again.
    fn renew(&mut self, status: &Status) {
        let knows = status.stage == Some(Stage::Present) && status.serving.is_some();
        let early = self.again.is_some_and(|(at, _)| Instant::now() < at);
        if !knows || early || is_ours(status.pid) != Some(false) {
            return;
        }
        // A file that was replaced under us would start yet another program.
        if is_own_program(&self.shared.binary) != Some(true) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let turn = lock(&shared.turn);
        let succession = Succession {
            binary: &shared.binary,
            state: &shared.state,
        };
        let trouble = match succession.run() {
            Ok((child, listeners)) => {
                *lock(&shared.listeners) = listeners;
                *lock(&shared.pid) = Some(child.id());
                shared.taken.fetch_add(1, Ordering::Release);
                self.leaving.extend(self.child.replace(child));
                self.client = None;
                self.again = None;
                None
            }
            Err((reason, child)) => {
                self.leaving.extend(child);
                let pause = self.again.map_or(WATCH, |(_, pause)| pause) * 2;
                let pause = pause.clamp(Duration::from_secs(1), Duration::from_mins(1));
                self.again = Some((Instant::now() + pause, pause));
                Some(format!("the gateway cannot be replaced: {reason}"))
            }
        };
        *lock(&shared.trouble) = trouble;
        drop(turn);
    }
}

/// Starts a gateway of the state.
pub(crate) fn spawn(binary: &Path, state: &State, more: &[&str]) -> Option<Child> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(state.gateway_log());
    let mut command = state.command(binary, &["gateway"]);
    command
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command.stderr(log.map_or(Stdio::null(), Stdio::from));
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_atoms::{Epoch, Generation};
    use mainstay_gateway_io::{InstanceStatus, Serving};

    fn status(generation: u64, in_flight: u64, streams: u64) -> Status {
        let one = InstanceStatus {
            instance: "web.v1.1".parse().unwrap(),
            generation: Generation(7),
            address: ([127, 0, 0, 1], 1).into(),
            current: true,
            in_flight,
            streams,
            requests: 0,
            failures: 0,
        };
        Status {
            pid: 1,
            started_ms: 0,
            serving: Some(Serving {
                epoch: Epoch(1),
                generation: Generation(generation),
                pauses: 0,
            }),
            workers: 1,
            connections: 0,
            listeners: vec![],
            instances: vec![one],
            faults: vec![],
            stage: Some(Stage::Present),
        }
    }

    #[test]
    fn what_retired_gateways_carry_counts_until_they_are_gone() {
        let seen = account(&status(9, 1, 0), &[status(8, 2, 3), status(9, 0, 1)]);
        assert_eq!(seen.generation, Generation(8), "the last who picks by it");
        let load = &seen.load[&"web.v1.1".parse().unwrap()][&Generation(7)];
        assert_eq!((load.in_flight, load.streams), (3, 4));
        let alone = account(&status(9, 1, 0), &[]);
        assert_eq!(alone.generation, Generation(9));
    }
}
