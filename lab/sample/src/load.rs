//! Steady requests to another service, so that its releases have something to be judged by.
//!
//! `WEB_URL` says whom, `RATE` (100) how many requests a second. Each goes out when its time comes, whether those
//! before it were answered or not.

use crate::page;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;

/// Requests under way at one time; what would be more is left out and counted.
const UNDER_WAY: usize = 256;

/// From one line of log to the next.
const TOLD: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Counts {
    answered: AtomicU64,
    failed: AtomicU64,
    left_out: AtomicU64,
}

/// Sends requests until SIGTERM.
pub(crate) async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let url = std::env::var("WEB_URL").map_err(|_| "`WEB_URL` says whom to ask; it is not set")?;
    let rate = std::env::var("RATE").unwrap_or_else(|_| "100".into());
    let rate = rate
        .parse::<u32>()
        .ok()
        .filter(|rate| (1..=10_000).contains(rate));
    let rate = rate.ok_or("`RATE` is a number of requests a second, 1 to 10000")?;
    let mut term = signal(SignalKind::terminate())?;
    let mut due = tokio::time::interval(Duration::from_secs(1) / rate);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut told = tokio::time::interval(TOLD);
    let counts = Arc::new(Counts::default());
    let room = Arc::new(Semaphore::new(UNDER_WAY));
    loop {
        tokio::select! {
            _ = due.tick() => send(&url, &counts, &room),
            _ = told.tick() => tell(&counts),
            _ = term.recv() => break,
        }
    }
    tell(&counts);
    Ok(())
}

fn send(url: &str, counts: &Arc<Counts>, room: &Arc<Semaphore>) {
    let Ok(place) = Arc::clone(room).try_acquire_owned() else {
        counts.left_out.fetch_add(1, Relaxed);
        return;
    };
    let (url, counts) = (url.to_owned(), Arc::clone(counts));
    tokio::spawn(async move {
        let counter = match page::get(&url).await {
            Ok(_) => &counts.answered,
            Err(_) => &counts.failed,
        };
        counter.fetch_add(1, Relaxed);
        drop(place);
    });
}

fn tell(counts: &Counts) {
    let [answered, failed, left_out] =
        [&counts.answered, &counts.failed, &counts.left_out].map(|count| count.load(Relaxed));
    crate::log(&format!(
        "{answered} answered, {failed} failed, {left_out} left out"
    ));
}
