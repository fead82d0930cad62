//! Keeping the gateway alive, and speaking to it.

use crate::state::State;
use mainstay_atoms::{Fact, Moment};
use mainstay_execute::EffectFault;
use mainstay_gateway_io::{Client, ClientFault, Listeners, Refusal, Status};
use mainstay_plan::{GatewaySeen, Load};
use mainstay_routing::Table;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
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
const START: Duration = Duration::from_secs(5);

/// The gateway of one environment: started when there is none, and started again when it ends, with
/// the listening sockets of the one before it, so that connections wait instead of being refused.
pub struct Keeper {
    socket: PathBuf,
    client: Option<Client>,
    shared: Arc<Shared>,
    watcher: Option<JoinHandle<()>>,
}

struct Shared {
    binary: PathBuf,
    state: State,
    listeners: Mutex<Listeners>,
    stop: AtomicBool,
    pid: Mutex<Option<u32>>,
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
        });
        let watched = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("gateway-keeper".into())
            .spawn(move || {
                Watch {
                    shared: watched,
                    child: None,
                    client: None,
                }
                .run();
            })
            .ok();
        Self {
            socket: state.gateway_socket(),
            client: None,
            shared,
            watcher: thread,
        }
    }

    /// The gateway's process, once it was seen.
    pub fn pid(&self) -> Option<u32> {
        *self
            .shared
            .pid
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&mut self) -> Result<&mut Client, ClientFault> {
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

    /// Publishes a table and takes duplicates of the listening sockets.
    pub(crate) fn publish(&mut self, table: &Table) -> Result<(), EffectFault> {
        match self.ask(|client| client.publish(table)) {
            Ok(_) => {
                if let Ok(listeners) = self.ask(Client::listeners) {
                    *self
                        .shared
                        .listeners
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner) = listeners;
                }
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
            Ok(status) => Fact::Known {
                value: account(&status),
                at: now,
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

    /// Metrics in Prometheus' text exposition.
    pub fn metrics(&mut self) -> Result<String, String> {
        self.ask(Client::metrics).map_err(|fault| fault.to_string())
    }

    /// What is wrong with the gateway now, in words.
    pub fn faults(&mut self) -> Vec<String> {
        match self.ask(Client::status) {
            Ok(status) => status.faults,
            Err(fault) => vec![fault.to_string()],
        }
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
        let Some(pid) = self.ask(Client::status).ok().map(|status| status.pid) else {
            return;
        };
        let Some(pid) = i32::try_from(pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        else {
            return;
        };
        let Ok(handle) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
        else {
            return;
        };
        // One that ended meanwhile is what is wanted.
        let _ended = rustix::process::pidfd_send_signal(&handle, rustix::process::Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(40);
        while Instant::now() < deadline && Client::connect(&self.socket).is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Whether a gateway of this state runs, by what it was started with.
fn runs(state: &State) -> bool {
    let (Some(parent), Some(name)) = (state.dir().parent(), state.dir().file_name()) else {
        return false;
    };
    let wanted = [
        "gateway".as_ref(),
        "--state".as_ref(),
        parent.as_os_str(),
        "--environment".as_ref(),
        name,
    ];
    let processes = procfs::process::all_processes().into_iter().flatten();
    processes.flatten().any(|process| {
        let words = process.cmdline().unwrap_or_default();
        words.iter().skip(1).map(std::ffi::OsStr::new).eq(wanted)
    })
}

fn account(status: &Status) -> GatewaySeen {
    let mut seen = GatewaySeen::default();
    if let Some(serving) = status.serving {
        seen.generation = serving.generation;
    }
    for one in &status.instances {
        let load = Load {
            in_flight: one.in_flight,
            streams: one.streams,
        };
        seen.load
            .entry(one.instance.clone())
            .or_default()
            .insert(one.generation, load);
    }
    seen
}

/// The thread that looks whether the gateway lives.
struct Watch {
    shared: Arc<Shared>,
    child: Option<Child>,
    client: Option<Client>,
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
                true
            }
            Err(_) => false,
        }
    }

    fn saw(&self, pid: u32, client: &mut Client) {
        let mut known = self
            .shared
            .pid
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *known == Some(pid) {
            return;
        }
        *known = Some(pid);
        if let Ok(listeners) = client.listeners() {
            *self
                .shared
                .listeners
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = listeners;
        }
    }

    /// A gateway that runs and does not answer: the folder of its socket was replaced, and it is about to
    /// put the socket back. Another one beside it would find its ports taken.
    fn comes_back(&self) -> bool {
        let deadline = Instant::now() + PRESENT;
        while runs(&self.shared.state) {
            if Client::connect(&self.shared.state.gateway_socket()).is_ok() {
                return true;
            }
            if Instant::now() > deadline || self.shared.stop.load(Ordering::Relaxed) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Starts a gateway and hands it the sockets of the one before it.
    fn revive(&mut self) -> bool {
        if self.child.is_some() {
            return false;
        }
        if self.comes_back() {
            return true;
        }
        let state = &self.shared.state;
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(state.gateway_log());
        let (Some(parent), Some(name)) = (state.dir().parent(), state.dir().file_name()) else {
            return false;
        };
        let mut command = Command::new(&self.shared.binary);
        command
            .arg("gateway")
            .arg("--state")
            .arg(parent)
            .arg("--environment")
            .arg(name);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(log.map_or(Stdio::null(), Stdio::from));
        {
            use std::os::unix::process::CommandExt as _;
            command.process_group(0);
        }
        let Ok(child) = command.spawn() else {
            return false;
        };
        self.child = Some(child);
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if let Ok(mut client) = Client::connect(&state.gateway_socket()) {
                let listeners = self
                    .shared
                    .listeners
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                return client.adopt(&listeners).is_ok();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}
