//! The signals process: kept alive, told what to collect, and how its messages reach people.

use crate::state::State;
use crate::succession::{is_ours, is_own_program};
use mainstay_alerting::{Release, Surroundings};
use mainstay_signals_io::{Client, Config, Settings, SignalsFault};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the process is looked at.
const WATCH: Duration = Duration::from_millis(500);

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long what fires is known.
const FRESH: Duration = Duration::from_secs(3);

/// Releases that messages may name.
const RELEASES: usize = 20;

/// What messages know of the platform, kept beside the process's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// The platform and environment.
    pub place: String,
    /// Releases that served, the newest first.
    pub releases: Vec<KnownRelease>,
}

/// One release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownRelease {
    /// `v42`.
    pub name: String,
    /// The services that it changed.
    pub services: Vec<String>,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// The signals process of one environment: started when there is none, started again when it ends.
pub struct SignalsKeeper {
    shared: Arc<Shared>,
    watcher: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Wanted {
    config: Option<Config>,
    known: Known,
    /// Whether something is done about alerts.
    acts: bool,
    stop: bool,
}

struct Shared {
    binary: PathBuf,
    state: State,
    wanted: Mutex<Wanted>,
    /// Why the last order was refused, in words.
    trouble: Mutex<Option<String>>,
    /// Which alerts fired, and when that was asked.
    firing: Mutex<Option<(Instant, BTreeSet<String>)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SignalsKeeper {
    /// Begins to keep it; it starts with the first configuration.
    pub(crate) fn start(binary: &Path, state: &State) -> Self {
        let shared = Arc::new(Shared {
            binary: binary.to_owned(),
            state: state.clone(),
            wanted: Mutex::default(),
            trouble: Mutex::default(),
            firing: Mutex::default(),
        });
        let watched = Arc::clone(&shared);
        let watcher = std::thread::Builder::new()
            .name("signals-keeper".into())
            .spawn(move || Watch::new(watched).run());
        Self {
            shared,
            watcher: watcher.ok(),
        }
    }

    /// What it is to do from now on; none: there is nothing to collect. Which alerts fire is asked where something
    /// is done about them.
    pub(crate) fn follow(&self, config: Option<Config>, mut known: Known, acts: bool) {
        known.releases.truncate(RELEASES);
        let mut wanted = lock(&self.shared.wanted);
        wanted.config = config;
        wanted.known = known;
        wanted.acts = acts;
    }

    /// Names of alerts that something may be done about now; none: nobody knows.
    pub(crate) fn firing(&self) -> Option<BTreeSet<String>> {
        let firing = lock(&self.shared.firing);
        let (at, names) = firing.as_ref()?;
        (at.elapsed() <= FRESH).then(|| names.clone())
    }

    /// What is wrong with it now, in words.
    pub fn fault(&self) -> Option<String> {
        lock(&self.shared.trouble).clone()
    }

    /// No longer keeps it; it goes on by itself.
    pub fn let_go(&mut self) {
        lock(&self.shared.wanted).stop = true;
        if let Some(watcher) = self.watcher.take() {
            // A watcher that panicked keeps nothing either.
            drop(watcher.join());
        }
    }

    /// Ends it.
    pub fn end(&mut self) {
        self.let_go();
        if let Some(pid) = pid_of(&self.shared.state) {
            crate::gateway::terminate(pid);
        }
    }
}

/// The process that this state's folder names, if it is one of ours.
fn pid_of(state: &State) -> Option<u32> {
    let wanted = state.words(&["signals", "serve"]);
    let processes = procfs::process::all_processes().into_iter().flatten();
    let found = processes.flatten().find(|process| {
        let words = process.cmdline().unwrap_or_default();
        let words = words.iter().skip(1).take(wanted.len());
        words.map(std::ffi::OsStr::new).eq(&wanted)
    });
    found.and_then(|process| u32::try_from(process.pid).ok())
}

struct Watch {
    shared: Arc<Shared>,
    client: Client,
    child: Option<Child>,
    given: Option<Config>,
    /// Whether the one in place was found to run our program.
    is_ours: bool,
    known: Option<Known>,
}

impl Watch {
    fn new(shared: Arc<Shared>) -> Self {
        let client = Client::new(&shared.state.signals_socket(), PATIENCE);
        Self {
            shared,
            client,
            child: None,
            given: None,
            is_ours: false,
            known: None,
        }
    }

    fn run(mut self) {
        loop {
            let (config, known, acts) = {
                let wanted = lock(&self.shared.wanted);
                if wanted.stop {
                    return;
                }
                (wanted.config.clone(), wanted.known.clone(), wanted.acts)
            };
            let looked = config.map(|config| self.look(config, known));
            let obeys = matches!(looked, Some(Ok(true)));
            *lock(&self.shared.firing) = self.firing(obeys && acts);
            *lock(&self.shared.trouble) = looked.and_then(Result::err);
            std::thread::sleep(WATCH);
        }
    }

    /// What fires by the rules that are wanted; none: nobody knows.
    fn firing(&self, asks: bool) -> Option<(Instant, BTreeSet<String>)> {
        let at = Instant::now();
        let names = asks.then(|| self.client.firing().ok()).flatten()?;
        Some((at, names))
    }

    /// Sees that it runs and does what is wanted; whether it had been doing so already.
    fn look(&mut self, mut config: Config, known: Known) -> Result<bool, String> {
        if self.known.as_ref() != Some(&known) {
            self.tell(&known)?;
            self.known = Some(known);
        }
        let Ok(now) = self.client.config() else {
            (self.given, self.is_ours) = (None, false);
            return self.spawn().map(|()| false);
        };
        if !self.is_ours {
            self.renew()?;
        }
        let mut same = now.clone();
        same.generation = config.generation;
        if same == config {
            return Ok(true);
        }
        if self.given.as_ref() == Some(&config) {
            return Ok(false);
        }
        let wanted = config.clone();
        config.generation = now.generation + 1;
        let done = self
            .client
            .configure(&config)
            .map_err(|fault| fault.to_string());
        // What is refused is refused again: it is told, and tried when something else is wanted.
        self.given = Some(wanted);
        done.map(|()| false)
    }

    /// Ends one that runs another program than ours, as after an upgrade: it may not know what it is told. It keeps
    /// what it knows, and the next look starts ours.
    fn renew(&mut self) -> Result<(), String> {
        let pid = pid_of(&self.shared.state);
        let others = pid.filter(|pid| is_ours(*pid) == Some(false));
        // A file that was replaced under us would start yet another program.
        match others.filter(|_| is_own_program(&self.shared.binary) == Some(true)) {
            None => {
                self.is_ours = true;
                Ok(())
            }
            Some(pid) => {
                crate::gateway::terminate(pid);
                Err("signals of another program give way".into())
            }
        }
    }

    fn spawn(&mut self) -> Result<(), String> {
        let ended = |child: &mut Child| !matches!(child.try_wait(), Ok(None));
        if !self.child.as_mut().is_none_or(ended) || pid_of(&self.shared.state).is_some() {
            return Err("signals does not answer yet".into());
        }
        let state = &self.shared.state;
        let log = std::fs::File::options()
            .append(true)
            .create(true)
            .open(state.signals_log())
            .map_err(|fault| format!("the log of signals cannot be opened: {fault}"))?;
        let child = state
            .command(&self.shared.binary, &["signals", "serve"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .spawn();
        self.child = Some(child.map_err(|fault| format!("signals cannot be started: {fault}"))?);
        Err("signals starts".into())
    }

    fn tell(&self, known: &Known) -> Result<(), String> {
        let folder = self.shared.state.signals();
        let text = serde_json::to_vec(known).map_err(|fault| fault.to_string())?;
        let written = std::fs::create_dir_all(&folder)
            .and_then(|()| crate::durable::write(&folder.join(KNOWN), &text, 0o600));
        written.map_err(|fault| format!("`{}` cannot be written: {fault}", folder.display()))
    }
}

const KNOWN: &str = "known.json";

/// The signals process's `main`, until it is told to stop.
pub fn signals(state: &State) -> Result<(), SignalsFault> {
    let settings = Settings {
        folder: state.signals(),
        socket: state.signals_socket(),
    };
    let deliver = crate::notify::start(state);
    let deliver = deliver.map_err(|source| SignalsFault::Start { source })?;
    mainstay_signals_io::run(&settings, deliver)
}

/// What messages know of the platform now.
pub(crate) fn surroundings(state: &State) -> Surroundings {
    let bytes = std::fs::read(state.signals().join(KNOWN)).unwrap_or_default();
    let known: Known = serde_json::from_slice(&bytes).unwrap_or_default();
    let release = |one: KnownRelease| Release {
        name: one.name,
        services: one.services,
        at_ms: i64::try_from(one.at_ms).unwrap_or(i64::MAX),
    };
    Surroundings {
        url: String::new(),
        place: known.place,
        releases: known.releases.into_iter().map(release).collect(),
    }
}
