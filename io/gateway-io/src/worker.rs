//! One worker: a thread, a runtime, and everything a request touches.

use crate::accept::{Acceptor, Stop};
use crate::config::Limits;
use crate::connection::{ClientState, Order};
use crate::lifeline::Lifeline;
use crate::mirror::Seats;
use crate::series::Ledger;
use crate::serving::{Compiled, Next, Serving};
use crate::sweep::Sweeper;
use crate::wire::Page;
use mainstay_atoms::Moment;
use mainstay_routing::Host;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Acquire};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(1) };
}

/// This worker's milliseconds since it started, plus one; exact to a sweep, for limits and not for latencies.
pub(crate) fn now_ms() -> u64 {
    NOW.get()
}

/// [`now_ms`], for deciders.
pub(crate) fn moment() -> Moment {
    Moment(now_ms())
}

/// How often a worker that retired looks whether its last client has gone.
const RETIRED_LOOK: Duration = Duration::from_millis(50);

/// What the main thread tells a worker.
pub(crate) enum Command {
    /// Make ready to serve from this table once the switch has come to `turn`; say when it is done.
    Prepare {
        turn: u64,
        compiled: Compiled,
        done: oneshot::Sender<()>,
    },
    /// The switch has come there: add and remove listeners; say when it is done.
    Follow {
        add: Vec<(SocketAddr, TcpListener)>,
        remove: Vec<SocketAddr>,
        done: oneshot::Sender<()>,
    },
    /// Answer this status page from now on, or none; say when it is done.
    Show {
        page: Option<Arc<Page>>,
        done: oneshot::Sender<()>,
    },
    /// Accept no more, finish what is under way, let streams go on, and end when the last has ended.
    Retire,
    /// Accept no more, finish what is under way, and end.
    Drain,
}

/// The main thread's end of a worker.
pub(crate) struct Handle {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) ledger: Arc<Ledger>,
    /// Resolves when the worker has ended.
    pub(crate) ended: oneshot::Receiver<()>,
}

/// What stops the acceptors of an address.
type Acceptors = HashMap<SocketAddr, Vec<oneshot::Sender<Stop>>>;

fn stop(stoppers: impl Iterator<Item = oneshot::Sender<Stop>>, how: Stop) {
    for stopper in stoppers {
        // One that has ended needs no stop.
        stopper.send(how).ok();
    }
}

/// What the tasks of a worker share.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) limits: Limits,
    pub(crate) ledger: Arc<Ledger>,
    /// Client connections of this worker, at most.
    cap: usize,
    serving: RefCell<Rc<Serving>>,
    page: RefCell<Option<Arc<Page>>>,
    /// What is served from as soon as the switch has come to its turn.
    next: RefCell<Option<(u64, Next)>>,
    /// Whether there is one, so that a request pays for no more than a look.
    waits: Cell<bool>,
    /// One for all workers: whichever request looks first after it was moved, they all follow it.
    switch: Arc<AtomicU64>,
    /// Copies of requests under way.
    pub(crate) copies: Seats,
    clients: RefCell<HashMap<u64, Arc<ClientState>>>,
    next_client: Cell<u64>,
    lifelines: RefCell<Vec<Weak<Lifeline>>>,
    labels: RefCell<(HashMap<String, u32>, Vec<String>)>,
    random: Cell<u64>,
    draining: Cell<bool>,
    started: Instant,
}

impl Worker {
    /// Starts the thread.
    pub(crate) fn start(
        number: usize,
        limits: Limits,
        cap: usize,
        switch: Arc<AtomicU64>,
    ) -> io::Result<Handle> {
        let (commands, inbox) = mpsc::channel(8);
        let (end, ended) = oneshot::channel();
        let ledger = Arc::<Ledger>::default();
        let counts = ledger.clone();
        std::thread::Builder::new()
            .name(format!("gateway-{number}"))
            .spawn(move || {
                let built = Builder::new_current_thread()
                    .enable_all()
                    .build_local(LocalOptions::default());
                if let Ok(runtime) = built {
                    let worker = Rc::new(Self::new(limits, counts, cap, switch));
                    runtime.block_on(Self::run(worker, inbox));
                }
                drop(end);
            })?;
        Ok(Handle {
            commands,
            ledger,
            ended,
        })
    }

    fn new(limits: Limits, ledger: Arc<Ledger>, cap: usize, switch: Arc<AtomicU64>) -> Self {
        use std::hash::{BuildHasher, Hasher};
        let seed = std::hash::RandomState::new().build_hasher().finish();
        Self {
            limits,
            ledger,
            cap,
            serving: RefCell::default(),
            page: RefCell::default(),
            next: RefCell::default(),
            waits: Cell::new(false),
            switch,
            copies: Seats::default(),
            clients: RefCell::default(),
            next_client: Cell::new(0),
            lifelines: RefCell::default(),
            labels: RefCell::default(),
            random: Cell::new(seed | 1),
            draining: Cell::new(false),
            started: Instant::now(),
        }
    }

    async fn run(worker: Rc<Self>, mut inbox: mpsc::Receiver<Command>) {
        let sweeper = tokio::task::spawn_local(
            Sweeper {
                worker: worker.clone(),
            }
            .run(),
        );
        let mut acceptors = HashMap::new();
        let mut look = tokio::time::interval(RETIRED_LOOK);
        let mut retired = None;
        loop {
            let command = tokio::select! {
                command = inbox.recv() => command,
                _ = look.tick(), if retired.is_some() => {
                    if worker.is_done_since(retired) {
                        break;
                    }
                    continue;
                }
            };
            let Some(command) = command else {
                break;
            };
            match command {
                Command::Prepare {
                    turn,
                    compiled,
                    done,
                } => {
                    worker.prepare(turn, &compiled);
                    // As below.
                    done.send(()).ok();
                }
                Command::Follow { add, remove, done } => {
                    worker.follow();
                    worker.listen(&mut acceptors, add, &remove);
                    // The main thread no longer waits only when it ends itself.
                    done.send(()).ok();
                }
                Command::Show { page, done } => {
                    worker.page.replace(page);
                    done.send(()).ok();
                }
                Command::Retire => {
                    worker.retire(std::mem::take(&mut acceptors));
                    retired = Some(Instant::now());
                    look.reset();
                }
                Command::Drain => break,
            }
        }
        worker.drain(acceptors).await;
        sweeper.abort();
    }

    fn prepare(&self, turn: u64, compiled: &Compiled) {
        let next = self.serving().next(compiled, self);
        self.next.replace(Some((turn, next)));
        self.waits.set(true);
    }

    /// Serves from the next table, if its turn has come.
    fn follow(&self) {
        let now = self.switch.load(Acquire);
        let next = self.next.borrow_mut().take_if(|(turn, _)| *turn <= now);
        if let Some((_, next)) = next {
            self.waits.set(false);
            self.serving.replace(next.begin());
        }
    }

    fn listen(
        self: &Rc<Self>,
        acceptors: &mut Acceptors,
        add: Vec<(SocketAddr, TcpListener)>,
        remove: &[SocketAddr],
    ) {
        for address in remove {
            stop(acceptors.remove(address).into_iter().flatten(), Stop::Shut);
        }
        for (entrance, listener) in add {
            if let Ok((acceptor, stopper)) = Acceptor::new(self.clone(), entrance, listener) {
                drop(tokio::task::spawn_local(acceptor.run()));
                acceptors.entry(entrance).or_default().push(stopper);
            }
        }
    }

    /// Says to every client that its next request belongs elsewhere, and closes nothing.
    fn retire(&self, acceptors: Acceptors) {
        self.draining.set(true);
        stop(acceptors.into_values().flatten(), Stop::Close);
        self.each_client(|state| state.order(Order::Part));
    }

    /// Whether a worker that retired then has nothing left to do, or has had its time.
    fn is_done_since(&self, retired: Option<Instant>) -> bool {
        let over = |since: Instant| since.elapsed() >= self.limits.retired;
        self.clients.borrow().is_empty() || retired.is_some_and(over)
    }

    async fn drain(&self, acceptors: Acceptors) {
        self.draining.set(true);
        stop(acceptors.into_values().flatten(), Stop::Close);
        tokio::task::yield_now().await;
        let began = Instant::now();
        for upstream in self.serving().upstreams() {
            upstream.end_streams(self.limits.grace);
        }
        let mut told = false;
        while !self.clients.borrow().is_empty() && began.elapsed() < self.limits.drain {
            if !told && began.elapsed() >= self.limits.grace {
                told = true;
                self.each_client(|state| state.order(Order::Finish));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.each_client(|state| state.order(Order::Kill));
        tokio::task::yield_now().await;
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    pub(crate) fn serving(&self) -> Rc<Serving> {
        if self.waits.get() {
            self.follow();
        }
        self.serving.borrow().clone()
    }

    /// The status page, where it is what a request asks for.
    pub(crate) fn page_at(&self, host: &Host<'_>, path: &str) -> Option<Arc<Page>> {
        let page = self.page.borrow();
        page.as_ref().filter(|page| page.is_at(host, path)).cloned()
    }

    /// Whether one more connection may be served.
    pub(crate) fn has_room(&self) -> bool {
        self.clients.borrow().len() < self.cap
    }

    pub(crate) fn enter(&self, state: Arc<ClientState>) -> u64 {
        let number = self.next_client.get();
        self.next_client.set(number + 1);
        self.clients.borrow_mut().insert(number, state);
        self.ledger.connections.add(1);
        number
    }

    pub(crate) fn leave(&self, number: u64) {
        if self.clients.borrow_mut().remove(&number).is_some() {
            self.ledger.connections.subtract(1);
        }
    }

    pub(crate) fn each_client(&self, act: impl Fn(&ClientState)) {
        self.clients.borrow().values().for_each(|state| act(state));
    }

    pub(crate) fn watch(&self, lifeline: &Rc<Lifeline>) {
        self.lifelines.borrow_mut().push(Rc::downgrade(lifeline));
    }

    pub(crate) fn each_lifeline(&self, act: impl Fn(&Lifeline)) {
        let mut lifelines = self.lifelines.borrow_mut();
        lifelines.retain(|lifeline| {
            lifeline
                .upgrade()
                .inspect(|lifeline| act(lifeline))
                .is_some()
        });
    }

    /// The number of a label in metrics, the same for as long as the worker lives.
    pub(crate) fn number(&self, label: &str) -> u32 {
        let (numbers, labels) = &mut *self.labels.borrow_mut();
        if let Some(number) = numbers.get(label) {
            return *number;
        }
        let number = u32::try_from(labels.len()).unwrap_or(u32::MAX);
        labels.push(label.into());
        numbers.insert(label.into(), number);
        number
    }

    pub(crate) fn label(&self, number: u32) -> String {
        let labels = &self.labels.borrow().1;
        labels.get(number as usize).cloned().unwrap_or_default()
    }

    /// A random number (xorshift64*, Vigna 2016): good enough to spread load, nothing else.
    pub(crate) fn draw(&self) -> u64 {
        let mut state = self.random.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.random.set(state);
        state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    /// Reads the clock for everyone.
    pub(crate) fn tick(&self) {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        NOW.set(elapsed + 1);
        crate::date::tick();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_atoms::ServiceName;
    use mainstay_routing::{Router, Table};
    use std::collections::BTreeMap;
    use std::sync::atomic::Ordering::Release;

    fn compiled(generation: u64, service: &str) -> Compiled {
        let text = format!(
            r#"{{"epoch":1,"generation":{generation},"listeners":[],"domains":{{}},
            "services":{{"{service}":{{"streams":{{"secs":1,"nanos":0}},"backends":[]}}}}}}"#
        );
        let table: Table = serde_json::from_str(&text).unwrap();
        Compiled {
            router: Arc::new(Router::new(&table)),
            table: Arc::new(table),
            traffic: BTreeMap::new(),
        }
    }

    fn serves(worker: &Worker, service: &str) -> bool {
        let service = ServiceName::new(service).unwrap();
        worker.serving().pool(&service).is_some()
    }

    #[test]
    fn one_switch_turns_all_workers_and_no_command_is_waited_for() {
        let switch = Arc::<AtomicU64>::default();
        let worker = || Worker::new(Limits::default(), Arc::default(), 1, switch.clone());
        let workers = [worker(), worker(), worker()];
        for worker in &workers {
            worker.prepare(1, &compiled(1, "old"));
        }
        switch.store(1, Release);
        for worker in &workers {
            worker.prepare(2, &compiled(2, "new"));
            assert!(serves(worker, "old") && !serves(worker, "new"));
        }
        assert!(workers.iter().all(|worker| serves(worker, "old")));
        switch.store(2, Release);
        assert!(workers.iter().all(|worker| serves(worker, "new")));
        assert!(!workers.iter().any(|worker| serves(worker, "old")));
    }
}
