//! Counters of one worker: written by it alone, read by the main thread, no lock between.

use mainstay_routing::histogram;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A number with one writer: a plain load and store, which costs no bus lock.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, count: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_add(count), Relaxed);
    }

    pub(crate) fn subtract(&self, count: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_sub(count), Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What one worker sent to one instance and what goes on there.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) in_flight: Count,
    pub(crate) streams: Count,
    pub(crate) requests: Count,
    pub(crate) failures: Count,
}

/// Status codes told apart in one series; answers with any further code are counted as code 0.
const CODES: usize = 16;

/// Requests of one route to one instance.
#[derive(Debug)]
pub(crate) struct Series {
    codes: [(AtomicU16, Count); CODES],
    buckets: Box<[Count]>,
    sum_us: Count,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            codes: std::array::from_fn(|_| Default::default()),
            buckets: (0..histogram::COUNT).map(|_| Count::default()).collect(),
            sum_us: Count::default(),
        }
    }
}

impl Series {
    pub(crate) fn record(&self, code: u16, latency: Duration) {
        self.count(code);
        self.buckets[histogram::bucket(latency)].add(1);
        self.sum_us
            .add(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    fn count(&self, code: u16) {
        for (place, (slot, count)) in self.codes.iter().enumerate() {
            let held = slot.load(Relaxed);
            let last = place == CODES - 1;
            if held == code || last {
                return count.add(1);
            }
            if held == 0 {
                count.add(1);
                return slot.store(code, Relaxed);
            }
        }
    }

    /// Codes and their counts.
    pub(crate) fn codes(&self) -> impl Iterator<Item = (u16, u64)> {
        self.codes
            .iter()
            .map(|(code, count)| (code.load(Relaxed), count.get()))
            .filter(|(_, count)| *count > 0)
    }

    pub(crate) fn buckets(&self) -> impl Iterator<Item = u64> {
        self.buckets.iter().map(Count::get)
    }

    pub(crate) fn sum_us(&self) -> u64 {
        self.sum_us.get()
    }
}

macro_rules! failures {
    ($($variant:ident $text:literal,)+) => {
        /// Why a request was not answered by an instance.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Failure { $($variant,)+ }

        impl Failure {
            pub(crate) const ALL: &'static [(Self, &'static str)] = &[$((Self::$variant, $text),)+];
        }
    };
}

failures! {
    Refused "refused",
    NoRoute "no_route",
    NoInstance "no_instance",
    Paused "paused",
    Connect "connect",
    Died "died",
    Slow "slow",
    ClientBody "client_body",
    ClientGone "client_gone",
    AnswerCut "answer_cut",
    TooMany "too_many",
    Timeout "client_timeout",
}

/// Whose request a series counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Asker {
    /// A client's.
    #[default]
    Client,
    /// The gateway's: a copy of a client's request.
    Mirror,
}

/// Copies that were due and not sent.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    /// As many as may be were under way.
    pub(crate) full: Count,
    /// Nobody of the canary was there who is not set aside.
    pub(crate) no_instance: Count,
}

/// Who a series belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) route: String,
    pub(crate) service: String,
    pub(crate) instance: String,
    pub(crate) generation: u64,
    pub(crate) release: String,
    pub(crate) asker: Asker,
}

/// Everything one worker counts.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Locked when a series begins and when all are read, never per request.
    series: Mutex<Vec<(Key, Arc<Series>)>>,
    /// Answers the gateway gave itself, by code.
    pub(crate) own: Series,
    pub(crate) connections: Count,
    pub(crate) dropped: Dropped,
    failures: [Count; Failure::ALL.len()],
}

impl Ledger {
    pub(crate) fn failed(&self, failure: Failure) {
        self.failures[failure as usize].add(1);
    }

    pub(crate) fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Failure::ALL
            .iter()
            .map(|(failure, text)| (*text, self.failures[*failure as usize].get()))
    }

    pub(crate) fn begin(&self, key: Key) -> Arc<Series> {
        let series = Arc::<Series>::default();
        self.locked().push((key, series.clone()));
        series
    }

    /// Takes out the series for which `wanted` holds and nobody else counts any more.
    pub(crate) fn take(&self, wanted: impl Fn(&Key) -> bool) -> Vec<(Key, Arc<Series>)> {
        self.locked()
            .extract_if(.., |(key, series)| {
                Arc::strong_count(series) == 1 && wanted(key)
            })
            .collect()
    }

    pub(crate) fn all(&self) -> Vec<(Key, Arc<Series>)> {
        self.locked().clone()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Vec<(Key, Arc<Series>)>> {
        self.series
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
