//! The process: its threads and tasks, its configuration, its beginning and end.

use crate::api::{Api, Tokens};
use crate::check::Verdict;
use crate::clock::{self, Trust};
use crate::config::{Check, Collector, Config, Remote, Target};
use crate::errand::Deliver;
use crate::forward::{Forward, Now, Pace, Progress, late_path};
use crate::memory;
use crate::metadata::Metadata;
use crate::place;
use crate::query::Pool;
use crate::rules::{Order, Rules, Runner};
use crate::scrape::{Ground, Scrape, Standing};
use crate::store::{Store, StoreFault};
use mainstay_metrics::Labels;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// Where a process keeps its things.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of its state; made when it is not there.
    pub folder: PathBuf,
    /// Its socket; the folder around it exists.
    pub socket: PathBuf,
}

/// Why a process cannot run.
#[derive(Debug, thiserror::Error)]
pub enum SignalsFault {
    /// The store cannot be opened or kept.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The socket cannot be made.
    #[error("the socket `{socket}` cannot be opened", socket = socket.display())]
    Socket {
        /// Which one.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The configuration on disk cannot be read.
    #[error("the configuration `{path}` cannot be read: {why}", path = path.display())]
    Config {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Threads or signals are not to be had.
    #[error("the threads of signals cannot be started")]
    Start {
        /// What the system said.
        source: io::Error,
    },
}

/// Why a configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigFault {
    #[error("generation {offered} is not newer than {known}, which is in place")]
    Stale { offered: u64, known: u64 },
    #[error("{0}")]
    Rules(String),
    #[error("target `{key}` comes twice")]
    Twice { key: String },
    #[error("the configuration cannot be kept: {0}")]
    Keep(#[from] io::Error),
}

/// Threads for what may block: files of the kernel, look-ups of names. What comes beyond waits.
const BLOCKING_THREADS: usize = 64;

/// A task that collects.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) target: Target,
    pub(crate) standing: Arc<Mutex<Standing>>,
    stop: watch::Sender<bool>,
    handle: JoinHandle<()>,
}

/// What is measured here.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Work {
    Collect(Collector),
    Check(Check),
    Forward(Remote, BTreeMap<String, String>),
}

/// A task that measures here.
#[derive(Debug)]
struct Other {
    work: Work,
    progress: Arc<Mutex<Progress>>,
    verdict: Arc<Mutex<Verdict>>,
    stop: watch::Sender<bool>,
    handle: JoinHandle<()>,
}

/// Tasks that end; whoever follows them waits until they have marked their series as ended.
type Leaving = Arc<tokio::sync::Mutex<Vec<JoinHandle<()>>>>;

/// Everything that tasks and requests share.
#[derive(Debug)]
pub(crate) struct Process {
    folder: PathBuf,
    config_path: PathBuf,
    pub(crate) store: Store,
    pub(crate) metadata: Arc<Metadata>,
    pub(crate) pool: Pool,
    /// Room for those who take everything away.
    pub(crate) exports: Arc<Semaphore>,
    pub(crate) rules: Runner,
    pub(crate) tokens: Mutex<Tokens>,
    /// How often a token was missing or wrong.
    pub(crate) refused: AtomicU64,
    config: Mutex<Arc<Config>>,
    pub(crate) tasks: Mutex<Vec<Task>>,
    others: Mutex<Vec<Other>>,
    listen: watch::Sender<Option<std::net::SocketAddr>>,
    ended: Mutex<Option<StoreFault>>,
}

/// Runs the process until SIGTERM or SIGINT. It starts from the last configuration that it was given, or from
/// none. `deliver` takes messages to their channels.
pub fn run(settings: &Settings, deliver: Deliver) -> Result<(), SignalsFault> {
    let config_path = settings.folder.join("config.json");
    std::fs::create_dir_all(&settings.folder).map_err(|source| SignalsFault::Start { source })?;
    let config = read_config(&config_path)?;
    memory::bound(config.memory_bytes);
    let store = Store::open(&settings.folder.join("metrics"), config.bounds())?;
    let rules = Rules::read(&config).map_err(|faults| SignalsFault::Config {
        path: config_path.clone(),
        why: said(&faults),
    })?;
    let start = |source| SignalsFault::Start { source };
    let (runner, rules_thread) =
        Runner::start(&settings.folder, store.clone(), rules, deliver).map_err(start)?;
    let listener = place::listen(&settings.socket).map_err(|source| SignalsFault::Socket {
        socket: settings.socket.clone(),
        source,
    })?;
    let (listen, listening) = watch::channel(config.listen);
    let process = Arc::new(Process {
        folder: settings.folder.clone(),
        config_path,
        store: store.clone(),
        metadata: Arc::default(),
        pool: Pool::start().map_err(start)?,
        exports: Arc::new(Semaphore::new(crate::api::EXPORTS)),
        rules: runner,
        tokens: Mutex::default(),
        refused: AtomicU64::new(0),
        config: Mutex::new(Arc::new(config)),
        tasks: Mutex::default(),
        others: Mutex::default(),
        listen,
        ended: Mutex::default(),
    });
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(start)?;
    let (broken, mut breaks) = tokio::sync::mpsc::channel(1);
    let keeper = keep(process.clone(), stop.clone(), broken).map_err(start)?;
    let outcome: Result<(), SignalsFault> = runtime.block_on(async {
        let mut term = signal(SignalKind::terminate()).map_err(start)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(start)?;
        process.begin();
        let listener = tokio::net::UnixListener::from_std(listener).map_err(start)?;
        let api = Api {
            process: process.clone(),
        };
        tokio::select! {
            () = api.serve(listener, listening) => {}
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
            _ = breaks.recv() => {}
        }
        Ok(())
    });
    stop.store(true, Ordering::Relaxed);
    // The thread is there until it is told.
    drop(process.rules.orders.send(Order::Stop));
    drop(rules_thread.join());
    keeper.thread().unpark();
    drop(keeper.join());
    // A file system that hangs must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    store.sync();
    outcome?;
    match process
        .ended
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
    {
        Some(fault) => Err(fault.into()),
        None => Ok(()),
    }
}

fn read_config(path: &Path) -> Result<Config, SignalsFault> {
    let fault = |why: String| SignalsFault::Config {
        path: path.to_owned(),
        why,
    };
    match std::fs::read(path) {
        Err(found) if found.kind() == io::ErrorKind::NotFound => Ok(Config::default()),
        Err(found) => Err(fault(found.to_string())),
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|found| fault(found.to_string())),
    }
}

fn said(faults: &[mainstay_alerting::FileFault]) -> String {
    let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// The thread that keeps the store.
fn keep(
    process: Arc<Process>,
    stop: Arc<AtomicBool>,
    broken: tokio::sync::mpsc::Sender<()>,
) -> io::Result<std::thread::JoinHandle<()>> {
    let work = move || {
        let mut trust = Trust::new();
        while !stop.load(Ordering::Relaxed) {
            std::thread::park_timeout(Duration::from_secs(1));
            let now_ms = clock::wall_ms();
            let trusted = trust.look(Instant::now(), now_ms);
            if let Err(fault) = process.store.keep(now_ms, trusted) {
                // What is on the disk is whole; a start from there is better than going on in doubt.
                *process.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
                broken.try_send(()).ok();
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("keeper".into())
        .spawn(work)
}

impl Process {
    /// The configuration that is in place.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.config
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn begin(&self) {
        let config = self.config();
        self.reconcile(&config);
    }

    /// Takes a configuration whole, or says why not and changes nothing.
    pub(crate) fn configure(&self, config: Config) -> Result<(), ConfigFault> {
        let known = self.config().generation;
        if config.generation <= known {
            return Err(ConfigFault::Stale {
                offered: config.generation,
                known,
            });
        }
        let mut keys = std::collections::BTreeSet::new();
        for target in &config.targets {
            let key = format!("{} {}", target.job, target.url());
            if !keys.insert(key.clone()) {
                return Err(ConfigFault::Twice { key });
            }
        }
        let rules = Rules::read(&config).map_err(|faults| ConfigFault::Rules(said(&faults)))?;
        place::replace(
            &self.config_path,
            &serde_json::to_vec(&config).map_err(io::Error::from)?,
        )?;
        memory::bound(config.memory_bytes);
        self.reconcile(&config);
        {
            let mut live = self.store.live();
            live.bounds = config.bounds();
            live.head
                .limit(config.limits.series_max, config.limits.service_series_max);
        }
        // The thread is there as long as the process.
        drop(self.rules.orders.send(Order::Config(Box::new(rules))));
        self.listen.send_replace(config.listen);
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        Ok(())
    }

    /// Starts what is wanted and stops what is not; targets that stay as they are go on undisturbed.
    fn reconcile(&self, config: &Config) {
        let ground = Ground {
            store: self.store.clone(),
            metadata: self.metadata.clone(),
            limits: config.limits,
        };
        let limits_changed = config.limits != self.config().limits;
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut leaving = Vec::new();
        tasks.retain_mut(|task| {
            let stays = !limits_changed && config.targets.contains(&task.target);
            if !stays {
                task.stop.send_replace(true);
                leaving.push(std::mem::replace(&mut task.handle, tokio::spawn(async {})));
            }
            stays
        });
        let leaving: Leaving = Arc::new(tokio::sync::Mutex::new(leaving));
        for target in &config.targets {
            if tasks.iter().any(|task| task.target == *target) {
                continue;
            }
            let (stop, stopping) = watch::channel(false);
            let standing = Arc::new(Mutex::new(Standing::default()));
            let scrape = Scrape {
                target: target.clone(),
                ground: ground.clone(),
                standing: standing.clone(),
            };
            let leaving = leaving.clone();
            let handle = tokio::spawn(async move {
                // Whoever goes has marked its series as ended before another may take them over.
                for one in leaving.lock().await.drain(..) {
                    drop(one.await);
                }
                scrape.run(stopping).await;
            });
            tasks.push(Task {
                target: target.clone(),
                standing,
                stop,
                handle,
            });
        }
        drop(tasks);
        self.collect(config, &ground, limits_changed);
    }

    /// Starts and stops collectors and checks; those that stay as they are go on undisturbed.
    fn collect(&self, config: &Config, ground: &Ground, limits_changed: bool) {
        let collectors = config.collectors.iter().cloned().map(Work::Collect);
        let checks = config.checks.iter().cloned().map(Work::Check);
        let remotes = config.remotes.iter().cloned();
        let remotes = remotes.map(|one| Work::Forward(one, config.external_labels.clone()));
        let wanted: Vec<Work> = collectors.chain(checks).chain(remotes).collect();
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let mut leaving = Vec::new();
        others.retain_mut(|other| {
            let stays = !limits_changed && wanted.contains(&other.work);
            if !stays {
                other.stop.send_replace(true);
                leaving.push(std::mem::replace(&mut other.handle, tokio::spawn(async {})));
            }
            stays
        });
        let remotes = config.remotes.iter();
        let marks = remotes.map(|remote| late_path(&self.folder, &remote.name));
        self.store.retain_marks(&marks.collect::<Vec<PathBuf>>());
        let leaving: Leaving = Arc::new(tokio::sync::Mutex::new(leaving));
        for work in wanted {
            if others.iter().any(|other| other.work == work) {
                continue;
            }
            let (stop, stopping) = watch::channel(false);
            let (doing, ground, leaving) = (work.clone(), ground.clone(), leaving.clone());
            let progress = Arc::new(Mutex::new(Progress::default()));
            let (known, folder) = (progress.clone(), self.folder.clone());
            let verdict = Arc::<Mutex<Verdict>>::default();
            let judged = verdict.clone();
            let forward = |remote: Remote, external: &BTreeMap<String, String>| Forward {
                remote,
                external: Labels::new(external),
                store: ground.store.clone(),
                metadata: ground.metadata.clone(),
                folder,
                progress: known,
                now: Now::Wall,
                pace: Pace::default(),
            };
            let forward = match &work {
                Work::Forward(remote, external) => Some(forward(remote.clone(), external)),
                _ => None,
            };
            // Before anything comes that could come late.
            drop(forward.as_ref().map(Forward::mark));
            let handle = tokio::spawn(async move {
                for one in leaving.lock().await.drain(..) {
                    drop(one.await);
                }
                match doing {
                    Work::Collect(one) => crate::collect::run(one, ground, stopping).await,
                    Work::Check(one) => {
                        crate::check::run(one, ground, judged, stopping).await;
                    }
                    Work::Forward(..) => {
                        if let Some(forward) = forward {
                            forward.run(stopping).await;
                        }
                    }
                }
            });
            others.push(Other {
                work,
                progress,
                verdict,
                stop,
                handle,
            });
        }
    }

    /// How far what goes outward has come, by remote.
    pub(crate) fn progress(&self) -> Vec<(String, Progress)> {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let remotes = others.iter().filter_map(|other| match &other.work {
            Work::Forward(remote, _) => {
                let progress = other
                    .progress
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                Some((remote.name.clone(), progress.clone()))
            }
            _ => None,
        });
        remotes.collect()
    }

    /// Checks and what came of them the last time.
    pub(crate) fn verdicts(&self) -> Vec<(Check, Verdict)> {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let checks = others.iter().filter_map(|other| match &other.work {
            Work::Check(check) => {
                let verdict = other.verdict.lock().unwrap_or_else(PoisonError::into_inner);
                Some((check.clone(), verdict.clone()))
            }
            _ => None,
        });
        checks.collect()
    }

    /// Sends an order to the rules' thread.
    pub(crate) fn order(&self) -> &Sender<Order> {
        &self.rules.orders
    }
}
