//! Queries: on threads of their own, a bounded number of them, so that none holds up who writes.

use crate::config::Limits;
use crate::store::{MOVED, Store};
use mainstay_promql::{Expr, Fault, Outcome, Settings, When, evaluate};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::oneshot;

/// Threads that evaluate.
const THREADS: usize = 2;

/// Queries that wait for a thread.
const WAITING: usize = 64;

/// How often a query is asked again when a window was closed under it.
const AGAIN: usize = 3;

type Job = Box<dyn FnOnce() + Send>;

/// The threads.
#[derive(Debug, Clone)]
pub(crate) struct Pool(SyncSender<Job>);

/// Too many queries wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many queries wait; ask again later")]
pub(crate) struct Busy;

impl Pool {
    /// Starts the threads. They end with the last handle.
    pub(crate) fn start() -> io::Result<Self> {
        let (sender, receiver) = sync_channel::<Job>(WAITING);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..THREADS {
            let receiver = receiver.clone();
            std::thread::Builder::new()
                .name("query".into())
                .spawn(move || work(&receiver))?;
        }
        Ok(Self(sender))
    }

    /// Runs something on one of the threads.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let (sender, receiver) = oneshot::channel();
        let job = Box::new(move || {
            // Whoever asked may be gone.
            drop(sender.send(job()));
        });
        self.0.try_send(job).map_err(|_| Busy)?;
        receiver.await.map_err(|_| Busy)
    }
}

fn work(receiver: &Mutex<Receiver<Job>>) {
    loop {
        let job = receiver
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        match job {
            // A query that panics is a defect, and must not take the thread.
            Ok(job) => drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(job))),
            Err(_) => return,
        }
    }
}

/// What a query may use.
pub(crate) fn settings(limits: &Limits) -> Settings {
    Settings {
        samples_max: limits.query_samples_max,
        bytes_max: limits.query_bytes_max,
        ..Settings::default()
    }
}

/// Evaluates over the store; returns what could not be read beside the outcome.
pub(crate) fn ask(
    store: &Store,
    text: &str,
    expr: &Expr,
    when: When,
    settings: &Settings,
    deadline: Instant,
) -> Result<(Outcome, Vec<String>), Fault> {
    let expired = || Instant::now() >= deadline;
    for _ in 1..AGAIN {
        let view = store.view();
        match evaluate(&view, text, expr, when, settings, &expired) {
            Err(Fault::Source(why)) if why == MOVED => {}
            other => return other.map(|outcome| (outcome, view.remarks())),
        }
    }
    let view = store.view();
    let outcome = evaluate(&view, text, expr, when, settings, &expired)?;
    Ok((outcome, view.remarks()))
}
