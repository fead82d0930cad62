//! Requests on their way to the disk, gathered so that one commit and one wake-up serve many.
//!
//! A caller whom nobody is before commits by itself, because two hand-overs between threads cost as much
//! as a quarter of a sync. Who comes meanwhile is gathered, and the writer's thread goes on with them.

use crate::{AppendFault, Receipt};
use mainstay_ledger::IdempotencyKey;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Most rows gathered for one commit: bounds the wait of the first of them.
const BATCH_ROWS: usize = 1024;

/// How long the writer waits for those it served before: less than a sync takes.
const RETURN: Duration = Duration::from_micros(500);

/// Why nothing more is written once a commit panicked.
pub(crate) const ENDED: &str = "the writer ended unexpectedly";

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
    lead: Lead,
    outcome: Arc<OnceLock<Outcome>>,
    closed: bool,
}

/// Who commits at present.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Lead {
    #[default]
    Nobody,
    Caller,
    Writer,
}

/// What a caller has to do about its request.
pub(crate) enum Turn<'a> {
    /// Commit it now: nobody else does.
    Lead(Led<'a>),
    /// Wait for whoever commits.
    Follow(Pending),
}

/// A batch in the hands of a caller. However it ends, the writer goes on with what was gathered meanwhile.
pub(crate) struct Led<'a> {
    pub(crate) batch: Batch,
    queue: &'a Queue,
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

    /// Lets the caller commit its request where nobody is before it; else gathers it.
    pub(crate) fn enter(&self, rows: Rows) -> Result<Turn<'_>, AppendFault> {
        let mut state = self.lock();
        if state.closed || state.lead != Lead::Nobody || !state.requests.is_empty() {
            drop(state);
            return self.submit(rows).map(Turn::Follow);
        }
        state.lead = Lead::Caller;
        drop(state);
        let batch = Batch {
            requests: vec![rows],
            outcome: Arc::default(),
        };
        Ok(Turn::Lead(Led { batch, queue: self }))
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
        let due = place + 1 == state.wake_at || (state.wake_at > 0 && state.rows >= BATCH_ROWS);
        let wake = due && state.lead != Lead::Caller;
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
        if state.requests.is_empty() && state.lead == Lead::Writer {
            state.lead = Lead::Nobody;
        }
        let idle = |state: &mut Gathering| {
            state.lead == Lead::Caller || (state.requests.is_empty() && !state.closed)
        };
        let waited = self.filled.wait_while(state, idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.requests.is_empty() {
            return None;
        }
        let crowded = state.rows >= BATCH_ROWS;
        let closed = state.closed;
        let taken = std::mem::take(&mut *state);
        state.closed = closed;
        state.lead = Lead::Writer;
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

impl Led<'_> {
    /// Lets the next one commit; what became of this one.
    pub(crate) fn finish(self) -> Result<Vec<Receipt>, AppendFault> {
        let outcome = Arc::clone(&self.batch.outcome);
        drop(self);
        Pending { outcome, place: 0 }.wait()
    }
}

impl Drop for Led<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.lead = Lead::Nobody;
        let left = !state.requests.is_empty() || state.closed;
        drop(state);
        if left {
            self.queue.filled.notify_one();
        }
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
        let why = ENDED.into();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: u8) -> Rows {
        vec![([n; 16], vec![n])]
    }

    fn lead(queue: &Queue, n: u8) -> Led<'_> {
        match queue.enter(rows(n)) {
            Ok(Turn::Lead(led)) => led,
            _ => panic!("somebody else commits"),
        }
    }

    fn receipt(index: u64) -> Receipt {
        let fresh = true;
        Receipt { index, fresh }
    }

    #[test]
    fn who_is_alone_commits_and_who_comes_meanwhile_is_served_by_the_writer_in_order() {
        let queue = Queue::default();
        let led = lead(&queue, 1);
        let Ok(Turn::Follow(second)) = queue.enter(rows(2)) else {
            panic!("two commit at once");
        };
        led.batch.settle(Ok(vec![vec![receipt(0)]]));
        assert_eq!(led.finish().unwrap(), [receipt(0)]);
        let Ok(Turn::Follow(third)) = queue.enter(rows(3)) else {
            panic!("the third is before the second");
        };
        let batch = queue.take(0).unwrap();
        assert_eq!(batch.requests, [rows(2), rows(3)]);
        let Ok(Turn::Follow(fourth)) = queue.enter(rows(4)) else {
            panic!("it commits beside the writer");
        };
        batch.settle(Ok(vec![vec![receipt(1)], vec![receipt(2)]]));
        assert_eq!(second.wait().unwrap(), [receipt(1)]);
        assert_eq!(third.wait().unwrap(), [receipt(2)]);
        drop(queue.take(1));
        assert!(matches!(fourth.wait(), Err(AppendFault::Halted { .. })));
    }

    #[test]
    fn an_idle_writer_lets_the_next_caller_commit_again() {
        let queue = Arc::new(Queue::default());
        drop(queue.submit(rows(1)).unwrap());
        drop(queue.take(0).unwrap());
        let writer = {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || queue.take(1).is_none())
        };
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while queue.lock().lead == Lead::Writer {
            assert!(std::time::Instant::now() < deadline, "it leads for ever");
            std::thread::yield_now();
        }
        let led = lead(&queue, 2);
        queue.close();
        assert!(matches!(queue.enter(rows(3)), Err(AppendFault::Closed)));
        // The writer stays until the caller is done, because the database is closed after it.
        assert!(!writer.is_finished());
        led.batch.settle(Ok(vec![vec![receipt(1)]]));
        led.finish().unwrap();
        assert!(writer.join().unwrap(), "nothing is left");
    }

    #[test]
    fn a_caller_that_ends_without_an_answer_is_a_fault_and_stops_nobody_else() {
        let queue = Queue::default();
        assert!(matches!(
            lead(&queue, 1).finish(),
            Err(AppendFault::Halted { .. })
        ));
        drop(lead(&queue, 2));
    }
}
