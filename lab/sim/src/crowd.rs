//! Many lives, on every core.

use crate::{Schedule, Story};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What many lives came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// Lives lived.
    pub schedules: u64,
    /// Control planes that it took.
    pub lives: u64,
    /// Plans that were recorded.
    pub plans: usize,
    /// Entries of their ledgers.
    pub entries: usize,
    /// The life of the lowest seed known in which a promise was broken.
    pub broken: Option<Story>,
}

/// Lives `count` lives from seed `first` on and stops at the first broken promise; `told` hears how
/// many lives are over, now and then.
pub fn live_all(first: u64, count: u64, told: impl Fn(u64) + Sync) -> Tally {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let tally = Mutex::new(Tally::default());
    let work = || {
        while !over.load(Ordering::Relaxed) {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= count {
                return;
            }
            let story = Schedule::new(first + place).live(first + place);
            let mut tally = tally
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            tally.take(story, &over);
            if tally.schedules.is_multiple_of(10_000) {
                told(tally.schedules);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    tally
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Tally {
    fn take(&mut self, story: Story, over: &AtomicBool) {
        self.schedules += 1;
        self.lives += story.lives;
        self.plans += story.plans;
        self.entries += story.entries;
        let first = self
            .broken
            .as_ref()
            .is_none_or(|known| story.seed < known.seed);
        if !story.broken.is_empty() && first {
            over.store(true, Ordering::Relaxed);
            self.broken = Some(story);
        }
    }
}
