//! An open load of orders: each is a row of its own, and it is remembered which were acknowledged.

use mainstay_e2e::traffic::post_with;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Threads that share the schedule: one request each at a time.
const LANES: usize = 48;

/// Longest time that a lane sleeps before it looks whether to stop.
const NAP: Duration = Duration::from_millis(100);

/// The load, until it is stopped.
pub(super) struct Orders {
    shared: Arc<Shared>,
    lanes: Vec<JoinHandle<()>>,
}

struct Shared {
    port: u16,
    begun: Instant,
    every: Duration,
    stop: AtomicBool,
    next: AtomicU64,
    failed: AtomicU64,
    acknowledged: Mutex<BTreeSet<u64>>,
}

impl Orders {
    /// Begins with so many requests a second.
    pub(super) fn start(port: u16, rate: f64) -> Self {
        let shared = Arc::new(Shared {
            port,
            begun: Instant::now(),
            every: Duration::from_secs_f64(1.0 / rate),
            stop: AtomicBool::new(false),
            next: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            acknowledged: Mutex::default(),
        });
        let lanes = (0..LANES).map(|_| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.run())
        });
        Self {
            lanes: lanes.collect(),
            shared,
        }
    }

    /// One order at once, beside the schedule; whether it was acknowledged.
    pub(super) fn probe(&self) -> bool {
        let number = self.shared.next.fetch_add(1, Relaxed);
        self.shared.send(number)
    }

    /// Orders that were sent, and those that were not acknowledged.
    pub(super) fn counts(&self) -> (u64, u64) {
        let (sent, failed) = (&self.shared.next, &self.shared.failed);
        (sent.load(Relaxed), failed.load(Relaxed))
    }

    /// The numbers that were acknowledged so far.
    pub(super) fn acknowledged(&self) -> BTreeSet<u64> {
        self.shared.held().clone()
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        for lane in self.lanes.drain(..) {
            // A lane that panicked has said why.
            drop(lane.join());
        }
    }
}

impl Shared {
    fn held(&self) -> std::sync::MutexGuard<'_, BTreeSet<u64>> {
        let held = self.acknowledged.lock();
        held.unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        while !self.stop.load(Relaxed) {
            let number = self.next.fetch_add(1, Relaxed);
            let turn = u32::try_from(number).unwrap_or(u32::MAX);
            let due = self.begun + self.every * turn;
            while let Some(left) = due.checked_duration_since(Instant::now()) {
                if self.stop.load(Relaxed) {
                    return;
                }
                std::thread::sleep(left.min(NAP));
            }
            self.send(number);
        }
    }

    fn send(&self, number: u64) -> bool {
        let answer = post_with(self.port, "/orders", &format!("item=k{number}"));
        let kept = answer.is_ok_and(|answer| answer.status == 200);
        if kept {
            self.held().insert(number);
        } else {
            self.failed.fetch_add(1, Relaxed);
        }
        kept
    }
}
