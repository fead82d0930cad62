//! One instance as one worker sees it: its idle connections, its health, what goes on there.

use crate::link::Link;
use crate::series::{Asker, Key, Series, Traffic};
use crate::worker::Worker;
use mainstay_atoms::Moment;
use mainstay_routing::{Backend, Outlier};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Idle connections kept to one instance by one worker.
const KEPT: usize = 256;

/// An instance. It lives on, left, while a request or stream of it does.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) backend: Backend,
    pub(crate) traffic: Arc<Traffic>,
    outlier: Cell<Outlier>,
    idle: RefCell<Vec<(Box<Link>, u64)>>,
    /// By route, and by whose requests they count.
    series: RefCell<Vec<(u32, Asker, Arc<Series>)>>,
    left: Cell<bool>,
    streams_end: watch::Sender<Option<Instant>>,
}

impl Upstream {
    pub(crate) fn new(backend: Backend, traffic: Arc<Traffic>) -> Self {
        Self {
            backend,
            traffic,
            outlier: Cell::default(),
            idle: RefCell::default(),
            series: RefCell::default(),
            left: Cell::new(false),
            streams_end: watch::Sender::new(None),
        }
    }

    pub(crate) fn has_left(&self) -> bool {
        self.left.get()
    }

    /// The table has it no longer: idle connections go, streams get `window`.
    pub(crate) fn leave(&self, window: Duration) {
        self.left.set(true);
        self.idle.borrow_mut().clear();
        self.end_streams(window);
    }

    /// Gives streams this long.
    pub(crate) fn end_streams(&self, window: Duration) {
        self.streams_end.send_replace(Some(Instant::now() + window));
    }

    /// Waits until it has left, or the gateway is about to end.
    pub(crate) async fn leaving(&self) {
        let mut told = self.streams_end.subscribe();
        if told.wait_for(Option::is_some).await.is_err() {
            // Its end is held here: it cannot go away meanwhile.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until streams must end.
    pub(crate) fn streams_over(&self) -> impl Future<Output = ()> + 'static {
        let mut told = self.streams_end.subscribe();
        async move {
            let end = match told.wait_for(Option::is_some).await {
                Ok(end) => *end,
                Err(_) => None,
            };
            match end {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        }
    }

    pub(crate) fn outlier(&self) -> Outlier {
        self.outlier.get()
    }

    pub(crate) fn judge(&self, change: impl FnOnce(&mut Outlier)) {
        let mut outlier = self.outlier.get();
        change(&mut outlier);
        self.outlier.set(outlier);
    }

    /// It answered with `code`.
    pub(crate) fn answered(&self, code: u16, now: Moment) {
        if code < 500 {
            if self.outlier.get() != Outlier::default() {
                self.outlier.set(Outlier::default());
            }
            return;
        }
        self.traffic.failures.add(1);
        self.judge(|outlier| outlier.failed(now));
    }

    /// It did not answer.
    pub(crate) fn unreachable(&self, now: Moment) {
        self.traffic.failures.add(1);
        self.judge(|outlier| outlier.unreachable(now));
    }

    /// The connection used last that still can be; those found dead before it are closed.
    pub(crate) fn pooled(&self) -> Option<Box<Link>> {
        let mut idle = self.idle.borrow_mut();
        while let Some((link, _)) = idle.pop() {
            if link.is_quiet() {
                return Some(link);
            }
        }
        None
    }

    /// Closes the idle connections: one of them was found dead.
    pub(crate) fn forget_idle(&self) {
        self.idle.borrow_mut().clear();
    }

    pub(crate) async fn connect(&self, worker: &Worker) -> io::Result<Box<Link>> {
        Link::connect(self.backend.address, worker).await
    }

    /// Keeps a connection for the next request.
    pub(crate) fn keep(&self, mut link: Box<Link>) {
        let mut idle = self.idle.borrow_mut();
        if !self.left.get() && idle.len() < KEPT {
            link.reused = true;
            idle.push((link, crate::worker::now_ms()));
        }
    }

    /// Drops connections unused for longer than `limit`.
    pub(crate) fn prune(&self, limit: Duration) {
        let now = crate::worker::now_ms();
        let fresh = |since: &u64| u128::from(now.saturating_sub(*since)) <= limit.as_millis();
        self.idle
            .borrow_mut()
            .retain(|(link, since)| fresh(since) && link.is_quiet());
    }

    /// The series of a route to this instance.
    pub(crate) fn series(&self, route: u32, asker: Asker, worker: &Worker) -> Arc<Series> {
        let mut known = self.series.borrow_mut();
        let mut all = known.iter();
        if let Some((.., series)) = all.find(|one| (one.0, one.1) == (route, asker)) {
            return series.clone();
        }
        let series = worker.ledger.begin(Key {
            route: worker.label(route),
            service: self.backend.instance.service.to_string(),
            instance: self.backend.instance.to_string(),
            generation: self.backend.generation.0,
            release: self.backend.release.to_string(),
            asker,
        });
        known.push((route, asker, series.clone()));
        series
    }
}

/// One request under way at an instance, or one stream; counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) upstream: Rc<Upstream>,
    stream: bool,
}

impl Ticket {
    pub(crate) fn new(upstream: &Rc<Upstream>) -> Self {
        upstream.traffic.requests.add(1);
        Self::of_copy(upstream)
    }

    /// A copy is under way like any request, and no request of a client's.
    pub(crate) fn of_copy(upstream: &Rc<Upstream>) -> Self {
        upstream.traffic.in_flight.add(1);
        Self {
            upstream: upstream.clone(),
            stream: false,
        }
    }

    /// From now on it is counted as a stream.
    pub(crate) fn into_stream(mut self) -> Self {
        if !std::mem::replace(&mut self.stream, true) {
            self.upstream.traffic.streams.add(1);
            self.upstream.traffic.in_flight.subtract(1);
        }
        self
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let traffic = &self.upstream.traffic;
        if self.stream {
            traffic.streams.subtract(1);
        } else {
            traffic.in_flight.subtract(1);
        }
    }
}
