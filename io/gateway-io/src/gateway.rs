//! The main thread: owns the table, the listening sockets and the control socket.

use crate::config::Config;
use crate::control::Control;
use crate::listener::{self, Bound};
use crate::metrics::Metrics;
use crate::presence::{self, Place};
use crate::series::{Ledger, Traffic};
use crate::serving::{Compiled, Run};
use crate::store;
use crate::wire::{Acknowledged, InstanceStatus, Refusal, ReleaseLatency, Serving, Stage, Status};
use crate::worker::{Command, Handle, Worker};
use mainstay_routing::{Router, Table};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::Release};
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::UnixListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, Semaphore, oneshot};

/// Why a gateway cannot run.
#[derive(Debug, thiserror::Error)]
pub enum GatewayFault {
    /// Another gateway holds the lock beside the socket; the lock goes with its process.
    #[error("another gateway runs at `{socket}`", socket = socket.display())]
    Running {
        /// The control socket.
        socket: PathBuf,
    },
    /// The control socket or its lock cannot be made.
    #[error("the control socket `{socket}` cannot be opened", socket = socket.display())]
    Socket {
        /// The control socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Threads, event queues or signals are not to be had.
    #[error("the gateway's threads cannot be started")]
    Start {
        /// What the system said.
        source: io::Error,
    },
    /// A worker ended although nobody told it to.
    #[error("a worker of the gateway ended by itself")]
    Worker,
}

/// Runs a gateway until it is told to stop by SIGTERM or SIGINT: then it takes no more connections,
/// finishes what is under way within [`crate::Limits::drain`] and returns.
///
/// It answers on [`Config::socket`] at once, and serves from the table on disk, if there is one, after
/// [`Config::adoption`].
pub fn run(config: Config) -> Result<(), GatewayFault> {
    let lock = match config.beside {
        Some(_) => None,
        None => Some(presence::lock(&config)?),
    };
    let start = |source| GatewayFault::Start { source };
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default());
    runtime.map_err(start)?.block_on(async {
        let (gateway, listener) = Gateway::start(config, lock)?;
        gateway.run(listener).await
    })
}

/// One instance's counters, by worker.
#[derive(Debug)]
struct Seen {
    address: SocketAddr,
    traffic: Vec<Arc<Traffic>>,
}

impl Seen {
    fn sum(&self, part: impl Fn(&Traffic) -> u64) -> u64 {
        self.traffic.iter().map(|traffic| part(traffic)).sum()
    }

    fn is_quiet(&self) -> bool {
        self.sum(|traffic| traffic.in_flight.get() + traffic.streams.get()) == 0
    }
}

/// The process.
pub(crate) struct Gateway {
    pub(crate) config: Config,
    pub(crate) started_ms: u64,
    pub(crate) workers: Vec<Handle>,
    ledgers: Vec<Arc<Ledger>>,
    /// Counts tables; every worker serves from the one whose number it shows.
    switch: Arc<AtomicU64>,
    pub(crate) table: RefCell<Option<Arc<Table>>>,
    /// The one that workers make ready for: whoever is new in it is not forgotten meanwhile.
    coming: RefCell<Option<Arc<Table>>>,
    pub(crate) sockets: RefCell<Bound>,
    pub(crate) adopted: RefCell<Bound>,
    seen: RefCell<BTreeMap<Run, Seen>>,
    metrics: RefCell<Metrics>,
    /// One publication at a time.
    pub(crate) turn: Semaphore,
    pub(crate) begun: Notify,
    pub(crate) has_begun: Cell<bool>,
    pub(crate) unkept: RefCell<Option<String>>,
    pub(crate) unbound: RefCell<Vec<Refusal>>,
    pub(crate) place: RefCell<Place>,
    pub(crate) stage: Cell<Stage>,
}

/// Connections to the control socket at one time.
const CONTROLS: usize = 64;
/// How often a listener that could not be bound at the start is tried again.
const MEND: Duration = Duration::from_millis(200);

impl Gateway {
    fn start(config: Config, lock: Option<File>) -> Result<(Self, UnixListener), GatewayFault> {
        let start = |source| GatewayFault::Start { source };
        let count = config.worker_count();
        let cap = config.limits.connections.div_ceil(count);
        let switch = Arc::<AtomicU64>::default();
        let worker = |number| Worker::start(number, config.limits.clone(), cap, switch.clone());
        let workers = (0..count).map(worker);
        let workers: Vec<Handle> = workers.collect::<io::Result<_>>().map_err(start)?;
        let stage = match lock {
            Some(_) => Stage::Present,
            None => Stage::Beside,
        };
        let opened = Place::open(&config, lock).map_err(|source| GatewayFault::Socket {
            socket: config.socket.clone(),
            source,
        });
        let (place, listener) = opened?;
        let gateway = Self {
            started_ms: civil_ms(),
            ledgers: workers.iter().map(|worker| worker.ledger.clone()).collect(),
            workers,
            switch,
            table: RefCell::default(),
            coming: RefCell::default(),
            sockets: RefCell::default(),
            adopted: RefCell::default(),
            seen: RefCell::default(),
            metrics: RefCell::default(),
            turn: Semaphore::new(1),
            begun: Notify::new(),
            has_begun: Cell::new(config.adoption.is_zero()),
            unkept: RefCell::default(),
            unbound: RefCell::default(),
            place: RefCell::new(place),
            stage: Cell::new(stage),
            config,
        };
        Ok((gateway, listener))
    }

    async fn run(mut self, listener: UnixListener) -> Result<(), GatewayFault> {
        let start = |source| GatewayFault::Start { source };
        let mut term = signal(SignalKind::terminate()).map_err(start)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(start)?;
        let ended: Vec<_> = self
            .workers
            .iter_mut()
            .map(|worker| std::mem::replace(&mut worker.ended, oneshot::channel().1))
            .collect();
        let gateway = Rc::new(self);
        let restoring = tokio::task::spawn_local(gateway.clone().restore());
        let mut ended = ended;
        let mut serving = std::pin::pin!(gateway.clone().serve(listener));
        while !ended.is_empty() {
            tokio::select! {
                () = told(&mut term, &mut interrupt) => break,
                () = &mut serving => break,
                () = any(&mut ended) => {
                    if gateway.stage.get() != Stage::Retired {
                        return Err(GatewayFault::Worker);
                    }
                }
            }
        }
        restoring.abort();
        gateway.drain().await;
        for worker in ended {
            // It says nothing but that it ended.
            drop(worker.await);
        }
        gateway.place.borrow().leave();
        Ok(())
    }

    async fn serve(self: Rc<Self>, mut listener: UnixListener) {
        let room = Arc::new(Semaphore::new(CONTROLS));
        let mut look = tokio::time::interval(presence::LOOK_EVERY);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = look.tick() => {
                    if let Some(again) = self.look().await {
                        listener = again;
                    }
                    continue;
                }
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            if let Ok(permit) = room.clone().try_acquire_owned() {
                let control = Control {
                    gateway: self.clone(),
                    stream,
                };
                drop(tokio::task::spawn_local(async move {
                    control.run().await;
                    drop(permit);
                }));
            }
        }
    }

    /// Serves from the table on disk, once listeners were handed over or that has taken too long.
    async fn restore(self: Rc<Self>) {
        if !self.has_begun.get() {
            drop(tokio::time::timeout(self.config.adoption, self.begun.notified()).await);
            self.has_begun.set(true);
        }
        let turn = self.turn.acquire().await;
        match store::load(&self.config.table) {
            Ok(Some(table)) if self.table.borrow().is_none() => self.resume(table).await,
            Ok(_) => {}
            Err(fault) => {
                self.unkept
                    .replace(Some(format!("the table on disk cannot be read: {fault}")));
            }
        }
        // No table wants them; while another gateway listens on them too, they are its to shut.
        let unwanted = self.adopted.take();
        if self.stage.get() == Stage::Present {
            unwanted.values().flatten().for_each(listener::shut);
        }
        drop(turn);
        self.mend().await;
    }

    async fn resume(&self, table: Table) {
        let wanted = addresses(&table);
        let (mut add, left) = self
            .adopted
            .take()
            .into_iter()
            .partition::<Bound, _>(|(address, _)| wanted.contains(address));
        self.adopted.replace(left);
        for (address, sockets) in &mut add {
            listener::fill(*address, sockets, self.workers.len());
        }
        let (bound, faults) = self.bind_what_can_be(&table, &add);
        add.extend(bound);
        self.unbound.replace(faults);
        self.install(Arc::new(table), add).await;
    }

    /// Tries again to bind what could not be bound at the start.
    async fn mend(&self) {
        while !self.unbound.borrow().is_empty() {
            tokio::time::sleep(MEND).await;
            let turn = self.turn.acquire().await;
            let Some(table) = self.table.borrow().clone() else {
                return;
            };
            let (add, faults) = self.bind_what_can_be(&table, &Bound::new());
            if !add.is_empty() {
                self.install(table, add).await;
            }
            self.unbound.replace(faults);
            drop(turn);
        }
    }

    fn bind_what_can_be(&self, table: &Table, but: &Bound) -> (Bound, Vec<Refusal>) {
        let (mut bound, mut faults) = (Bound::new(), Vec::new());
        for address in self
            .missing(table)
            .into_iter()
            .filter(|address| !but.contains_key(address))
        {
            match listener::bind(address, self.workers.len()) {
                Ok(sockets) => drop(bound.insert(address, sockets)),
                Err(refusal) => faults.push(refusal),
            }
        }
        (bound, faults)
    }

    fn missing(&self, table: &Table) -> BTreeSet<SocketAddr> {
        let sockets = self.sockets.borrow();
        addresses(table)
            .into_iter()
            .filter(|address| !sockets.contains_key(address))
            .collect()
    }

    /// Takes a table whole or not at all.
    pub(crate) async fn publish(&self, table: Table) -> Result<Acknowledged, Refusal> {
        // Never closed.
        let turn = self.turn.acquire().await;
        self.check(&table)?;
        let table = Arc::new(table);
        if self.stage.get() != Stage::Present {
            // Listeners and the table on disk are those of the one in place.
            self.install(table.clone(), Bound::new()).await;
            return Ok(Acknowledged {
                epoch: table.epoch,
                generation: table.generation,
                kept: false,
            });
        }
        let mut add = Bound::new();
        for address in self.missing(&table) {
            add.insert(address, listener::bind(address, self.workers.len())?);
        }
        self.install(table.clone(), add).await;
        self.unbound.borrow_mut().clear();
        let kept = self.keep(&table).await;
        let is_kept = kept.is_ok();
        self.unkept.replace(kept.err());
        drop(turn);
        Ok(Acknowledged {
            epoch: table.epoch,
            generation: table.generation,
            kept: is_kept,
        })
    }

    /// Keeps a table on disk, however long that takes, while everybody else is answered.
    pub(crate) async fn keep(&self, table: &Arc<Table>) -> Result<(), String> {
        let saved = store::save(self.config.table.clone(), table.clone()).await;
        saved.map_err(|fault| format!("the table cannot be kept on disk: {fault}"))
    }

    fn check(&self, table: &Table) -> Result<(), Refusal> {
        if !self.has_begun.get() {
            let message = "listeners are still being handed over".into();
            return Err(Refusal::Invalid { message });
        }
        let mut seen = BTreeSet::new();
        for address in table.listeners.iter().map(listener::address) {
            if !seen.insert(address) {
                let message = format!("{address} is listed twice");
                return Err(Refusal::Invalid { message });
            }
        }
        match &*self.table.borrow() {
            Some(held) if is_stale(table, held) => Err(Refusal::Stale {
                epoch: held.epoch,
                generation: held.generation,
            }),
            _ => Ok(()),
        }
    }

    /// Gives the table to every worker, lets all of them serve from it at the same moment, and waits until they have
    /// seen it.
    async fn install(&self, table: Arc<Table>, add: Bound) {
        let router = Arc::new(Router::new(&table));
        let wanted = match self.stage.get() {
            Stage::Present => addresses(&table),
            Stage::Beside | Stage::Retired => self.held(&add),
        };
        let remove: Vec<SocketAddr> = self
            .sockets
            .borrow()
            .keys()
            .filter(|address| !wanted.contains(address))
            .copied()
            .collect();
        self.coming.replace(Some(table.clone()));
        self.see(&table);
        let turn = self.switch.load(Relaxed) + 1;
        let prepare = |worker, done| Command::Prepare {
            turn,
            compiled: Compiled {
                table: table.clone(),
                router: router.clone(),
                traffic: self.traffic_of(worker),
            },
            done,
        };
        self.tell(prepare).await;
        // A request that any worker reads from now on is answered by this table.
        self.switch.store(turn, Release);
        let follow = |worker, done| Command::Follow {
            add: listener::share(&add, worker, self.workers.len()),
            remove: remove.clone(),
            done,
        };
        self.tell(follow).await;
        let mut sockets = self.sockets.borrow_mut();
        sockets.retain(|address, _| wanted.contains(address));
        sockets.extend(add);
        self.table.replace(Some(table));
        self.coming.replace(None);
        self.fold();
    }

    /// Tells every worker something and waits until all have done it.
    pub(crate) async fn tell(&self, command: impl Fn(usize, oneshot::Sender<()>) -> Command) {
        let mut waiting = Vec::new();
        for (number, worker) in self.workers.iter().enumerate() {
            let (done, acknowledged) = oneshot::channel();
            if worker.commands.send(command(number, done)).await.is_ok() {
                waiting.push(acknowledged);
            }
        }
        for acknowledged in waiting {
            // A worker that ended ends the process; see `run`.
            drop(acknowledged.await);
        }
    }

    /// Where it listens, and where it is about to.
    fn held(&self, add: &Bound) -> BTreeSet<SocketAddr> {
        let sockets = self.sockets.borrow();
        sockets.keys().chain(add.keys()).copied().collect()
    }

    /// Makes counters for instances that are new.
    fn see(&self, table: &Table) {
        let mut seen = self.seen.borrow_mut();
        for backend in table.services.values().flat_map(|pool| &pool.backends) {
            let run = (backend.instance.clone(), backend.generation);
            let fresh = || Seen {
                address: backend.address,
                traffic: self.workers.iter().map(|_| Arc::default()).collect(),
            };
            seen.entry(run).or_insert_with(fresh);
        }
    }

    fn traffic_of(&self, worker: usize) -> BTreeMap<Run, Arc<Traffic>> {
        let seen = self.seen.borrow();
        seen.iter()
            .map(|(run, seen)| (run.clone(), seen.traffic[worker].clone()))
            .collect()
    }

    fn current(&self) -> BTreeSet<Run> {
        let (table, coming) = (self.table.borrow(), self.coming.borrow());
        let tables = table.iter().chain(coming.iter());
        let pools = tables.flat_map(|table| table.services.values());
        let backends = pools.flat_map(|pool| &pool.backends);
        backends
            .map(|backend| (backend.instance.clone(), backend.generation))
            .collect()
    }

    /// Forgets instances that left and at which nothing goes on.
    fn fold(&self) {
        let current = self.current();
        let mut seen = self.seen.borrow_mut();
        seen.retain(|run, seen| current.contains(run) || !seen.is_quiet());
        let live = seen
            .keys()
            .map(|(instance, generation)| (instance.to_string(), generation.0))
            .collect();
        let table = self.table.borrow();
        let services = table.iter().flat_map(|table| table.services.keys());
        let services = services.map(ToString::to_string).collect();
        self.metrics
            .borrow_mut()
            .fold(&self.ledgers, &live, &services);
    }

    pub(crate) fn status(&self) -> Status {
        self.fold();
        let current = self.current();
        let seen = self.seen.borrow();
        let instances = seen.iter().map(|(run, seen)| InstanceStatus {
            instance: run.0.clone(),
            generation: run.1,
            address: seen.address,
            current: current.contains(run),
            in_flight: seen.sum(|traffic| traffic.in_flight.get()),
            streams: seen.sum(|traffic| traffic.streams.get()),
            requests: seen.sum(|traffic| traffic.requests.get()),
            failures: seen.sum(|traffic| traffic.failures.get()),
        });
        let instances = instances.collect();
        let table = self.table.borrow();
        let unbound = self.unbound.borrow();
        let faults = unbound
            .iter()
            .map(ToString::to_string)
            .chain(self.unkept.borrow().clone());
        Status {
            pid: std::process::id(),
            started_ms: self.started_ms,
            serving: table.as_ref().map(|table| Serving {
                epoch: table.epoch,
                generation: table.generation,
                pauses: table.pauses.number,
            }),
            workers: self.workers.len(),
            connections: self
                .ledgers
                .iter()
                .map(|ledger| ledger.connections.get())
                .sum(),
            listeners: table
                .as_ref()
                .map(|table| table.listeners.clone())
                .unwrap_or_default(),
            instances,
            faults: faults.collect(),
            stage: Some(self.stage.get()),
        }
    }

    pub(crate) fn metrics(&self) -> String {
        let status = self.status();
        let in_flight: Vec<_> = status
            .instances
            .iter()
            .map(|one| (one.instance.to_string(), one.in_flight, one.streams))
            .collect();
        self.metrics.borrow().text(&self.ledgers, &in_flight)
    }

    pub(crate) fn latencies(&self) -> Vec<ReleaseLatency> {
        self.metrics.borrow().by_release(&self.ledgers)
    }

    async fn drain(&self) {
        // The workers' own are the last then, and go once everyone who waits is accepted.
        self.sockets.borrow_mut().clear();
        for worker in &self.workers {
            // One that has ended needs no telling.
            drop(worker.commands.send(Command::Drain).await);
        }
    }
}

fn addresses(table: &Table) -> BTreeSet<SocketAddr> {
    table.listeners.iter().map(listener::address).collect()
}

/// A lower number, or another table under the number held.
fn is_stale(table: &Table, held: &Table) -> bool {
    let (number, known) = (table.number(), held.number());
    number < known || (number == known && table != held)
}

async fn told(term: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Resolves when the first of them does, and takes out all that did.
async fn any(ended: &mut Vec<oneshot::Receiver<()>>) {
    std::future::poll_fn(|context| {
        let before = ended.len();
        ended.retain_mut(|one| std::pin::Pin::new(one).poll(context).is_pending());
        if ended.len() == before {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
}

pub(crate) fn civil_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
