//! `kill -9` of the signals process at random moments while it scrapes and is pushed to: what it had acknowledged
//! or shown is asked for again afterwards, and how long it took to answer is measured.

use super::{Running, config, ready, start, targets};
use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use mainstay_signals_io::{Client, Reading};
use serde::Serialize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One scraped series a target; as many of its samples are there as scrapes were stored.
const SCRAPED: &str = "queue_depth{shard=\"0\"}";
/// The series that is pushed; each sample is acknowledged before the next is made.
const PUSHED: &str = "pushed";
/// What may be missing after a kill: what was not yet written, in milliseconds.
const WINDOW_MS: u64 = 1000;

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How often it is killed.
    pub kills: u32,
    /// Where the moments of the kills come from.
    pub seed: u64,
    /// Targets of a thousand series each.
    pub targets: usize,
    /// Between two scrapes, in milliseconds.
    pub every_ms: u64,
}

/// What was measured.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// How often it was killed.
    pub kills: u32,
    /// Pushed samples that were acknowledged.
    pub pushed: u64,
    /// Of those, not there afterwards.
    pub pushed_lost: u64,
    /// Scrapes that a query had shown a second before its process was killed, counted at each kill.
    pub scraped: u64,
    /// Of those, not there afterwards.
    pub scraped_lost: u64,
    /// Scrapes of the last second before a kill that a query had shown, and that were not there afterwards.
    pub scraped_lost_within_window: u64,
    /// From a start until it answers, in milliseconds: median.
    pub ready_median_ms: u64,
    /// 95th percentile.
    pub ready_p95_ms: u64,
    /// Longest.
    pub ready_longest_ms: u64,
}

/// Kills it so often; `process` is the command that runs signals, without folder and socket.
pub fn measure(plan: Plan, process: &[&str]) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    let addresses = targets(plan.targets, plan.every_ms)?;
    let (state, socket) = (folder.path().join("state"), folder.path().join("s.sock"));
    let mut ours = start(process, &state, &socket)?;
    let client = Client::new(&socket, Duration::from_secs(10));
    ready(&client)?;
    client.configure(&config(&addresses, plan.every_ms))?;
    let wanted = u64::try_from(plan.targets)?;
    let begun = Instant::now();
    while count(&client, SCRAPED, None)? < 2 * wanted {
        ensure!(
            begun.elapsed() < Duration::from_mins(2),
            "nothing is scraped"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let mut times = Histogram::<u64>::new(3)?;
    let mut report = Report::default();
    for _ in 0..plan.kills {
        let life = Duration::from_millis(random.u64(200..2 * plan.every_ms));
        let (acknowledged, shown) = live(&socket, &mut ours, life, report.pushed)?;
        let begun = Instant::now();
        ours = start(process, &state, &socket)?;
        ready(&client)?;
        times.record(u64::try_from(begun.elapsed().as_millis())?)?;
        report.kills += 1;
        // One more may have been taken, whose answer was cut off.
        let there = count(&client, PUSHED, None)?;
        report.pushed_lost += acknowledged.saturating_sub(there);
        report.pushed = there.max(acknowledged);
        let early = count(&client, SCRAPED, Some(shown.at_ms - WINDOW_MS))?;
        let late = count(&client, SCRAPED, Some(shown.at_ms))?;
        report.scraped = shown.early;
        report.scraped_lost += shown.early.saturating_sub(early);
        let lost = (shown.late - shown.early).saturating_sub(late.saturating_sub(early));
        report.scraped_lost_within_window += lost;
    }
    report.ready_median_ms = times.value_at_quantile(0.5);
    report.ready_p95_ms = times.value_at_quantile(0.95);
    report.ready_longest_ms = times.max();
    Ok(report)
}

/// What queries showed just before the kill.
struct Shown {
    at_ms: u64,
    /// Scrapes until a second before.
    early: u64,
    /// Scrapes until then.
    late: u64,
}

/// Pushes for so long while a killer waits; returns how many samples of all were acknowledged, and what was shown.
fn live(socket: &Path, ours: &mut Running, life: Duration, before: u64) -> Result<(u64, Shown)> {
    let acknowledged = AtomicU64::new(before);
    let is_over = AtomicBool::new(false);
    let shown = std::thread::scope(|scope| -> Result<Shown> {
        let pusher = scope.spawn(|| {
            let client = Client::new(socket, Duration::from_secs(10));
            while !is_over.load(Ordering::Relaxed) {
                if push(&client)? {
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
            }
            anyhow::Ok(())
        });
        std::thread::sleep(life);
        let client = Client::new(socket, Duration::from_secs(10));
        let at_ms = now_ms()?;
        let shown = Shown {
            at_ms,
            early: count(&client, SCRAPED, Some(at_ms - WINDOW_MS))?,
            late: count(&client, SCRAPED, Some(at_ms))?,
        };
        ours.0.kill()?;
        is_over.store(true, Ordering::Relaxed);
        ours.0.wait()?;
        pusher
            .join()
            .map_err(|_| anyhow::anyhow!("the pusher panicked"))??;
        Ok(shown)
    })?;
    Ok((acknowledged.into_inner(), shown))
}

/// Pushes one sample in the JSON of OTLP; false where nobody acknowledged it. At most one a millisecond, because
/// a series has one sample a moment.
fn push(client: &Client) -> Result<bool> {
    std::thread::sleep(Duration::from_millis(2));
    let nanoseconds = now_ms()? * 1_000_000;
    let body = format!(
        "{{\"resourceMetrics\":[{{\"scopeMetrics\":[{{\"metrics\":[{{\"name\":\"pushed\",\"gauge\":{{\"dataPoints\":\
         [{{\"timeUnixNano\":\"{nanoseconds}\",\"asDouble\":1}}]}}}}]}}]}}]}}"
    );
    match client.ask("POST", "/api/v1/otlp/v1/metrics", body.as_bytes()) {
        Ok((200, _)) => Ok(true),
        Ok((status, body)) => anyhow::bail!("{status}: {}", String::from_utf8_lossy(&body)),
        Err(_) => Ok(false),
    }
}

fn now_ms() -> Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(u64::try_from(now.as_millis())?)
}

/// How many samples of six hours there are, until a moment or now.
fn count(client: &Client, series: &str, until_ms: Option<u64>) -> Result<u64> {
    let at = until_ms.map_or(String::new(), |at_ms| {
        format!(" @ {}.{:03}", at_ms / 1000, at_ms % 1000)
    });
    let query = format!("sum(count_over_time({series}[6h]{at}))");
    match client.query(&query) {
        Reading::NoData => Ok(0),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count"
        )]
        Reading::Values(values) => Ok(values.first().context("no value")?.1 as u64),
        Reading::Away { why } => anyhow::bail!("`{query}`: {why}"),
    }
}
