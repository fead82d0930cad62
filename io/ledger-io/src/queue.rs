//! Requests on their way to the writer, gathered so that one commit and one wake-up serve many.

use crate::{AppendFault, Receipt};
use mainstay_ledger::IdempotencyKey;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Most rows gathered for one commit: bounds the wait of the first of them.
const BATCH_ROWS: usize = 1024;

/// How long the writer waits for those it served before: less than a sync takes.
const RETURN: Duration = Duration::from_micros(500);

/// Rows that stand or fall together.
pub(crate) type Rows = Vec<(IdempotencyKey, Vec<u8>)>;

/// What became of a batch: the receipts of each request, or one fault for all.
pub(crate) type Outcome = Result<Vec<Vec<Receipt>>, AppendFault>;

/// The batch that is being gathered.
#[derive(Default)]
pub(crate) struct Queue {
    gathering: Mutex<Gathering>,
    /// Something to write, or the end.
    filled: Condvar,
    /// Room for more.
    emptied: Condvar,
}

#[derive(Default)]
struct Gathering {
    requests: Vec<Rows>,
    rows: usize,
    /// The writer sleeps and wants to be woken by the request that makes this many; 0 while it works.
    wake_at: usize,
    outcome: Arc<OnceLock<Outcome>>,
    closed: bool,
}

/// A request under way.
#[derive(Debug)]
#[must_use = "an entry counts once its wait is over"]
pub struct Pending {
    outcome: Arc<OnceLock<Outcome>>,
    place: usize,
}

impl Pending {
    /// Waits until the request is durable or failed; the receipts of its entries, in their order.
    pub fn wait(self) -> Result<Vec<Receipt>, AppendFault> {
        match self.outcome.wait() {
            Ok(receipts) => Ok(receipts[self.place].clone()),
            Err(fault) => Err(fault.clone()),
        }
    }
}

/// Requests that the writer took. Whatever happens to the writer, everybody gets an answer.
pub(crate) struct Batch {
    pub(crate) requests: Vec<Rows>,
    outcome: Arc<OnceLock<Outcome>>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Gathering> {
        // A panic between two changes leaves at worst a request without a waiter.
        self.gathering
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request; waits only while too many wait already.
    pub(crate) fn submit(&self, rows: Rows) -> Result<Pending, AppendFault> {
        let full = |state: &mut Gathering| state.rows >= BATCH_ROWS && !state.closed;
        let waited = self.emptied.wait_while(self.lock(), full);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err(AppendFault::Closed);
        }
        let place = state.requests.len();
        state.rows += rows.len();
        state.requests.push(rows);
        let outcome = Arc::clone(&state.outcome);
        let wake = place + 1 == state.wake_at || (state.wake_at > 0 && state.rows >= BATCH_ROWS);
        drop(state);
        if wake {
            self.filled.notify_one();
        }
        Ok(Pending { outcome, place })
    }

    /// The next batch; `None` once the queue is closed and empty. When the last one served several
    /// (`expected`), they get a moment to come back, because a commit costs the same for all of them.
    pub(crate) fn take(&self, expected: usize) -> Option<Batch> {
        let mut state = self.lock();
        if expected > 1 {
            state.wake_at = expected;
            let few = |state: &mut Gathering| {
                state.requests.len() < expected && state.rows < BATCH_ROWS && !state.closed
            };
            let waited = self.filled.wait_timeout_while(state, RETURN, few);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.wake_at = 1;
        let idle = |state: &mut Gathering| state.requests.is_empty() && !state.closed;
        let waited = self.filled.wait_while(state, idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.requests.is_empty() {
            return None;
        }
        let crowded = state.rows >= BATCH_ROWS;
        let closed = state.closed;
        let taken = std::mem::take(&mut *state);
        state.closed = closed;
        drop(state);
        if crowded {
            self.emptied.notify_all();
        }
        Some(Batch {
            requests: taken.requests,
            outcome: taken.outcome,
        })
    }

    /// Takes no more requests; those that wait are still written.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.emptied.notify_all();
    }
}

impl Batch {
    /// Answers everybody at once.
    pub(crate) fn settle(&self, outcome: Outcome) {
        // Only the first answer counts.
        self.outcome.set(outcome).ok();
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let why = "the writer ended unexpectedly".into();
        self.settle(Err(AppendFault::Halted { why }));
    }
}

/// Closes the queue when the writer ends, however it ends.
pub(crate) struct ClosesOnDrop(pub(crate) Arc<Queue>);

impl Drop for ClosesOnDrop {
    fn drop(&mut self) {
        self.0.close();
        while self.0.take(0).is_some() {}
    }
}
