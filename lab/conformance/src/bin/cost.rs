//! What queries over ten thousand series cost: processor time of the thread, the median of several runs; over a source
//! in memory, and over the store as the product keeps it, with its head, pages and blocks on disk.
#![expect(clippy::cast_precision_loss, reason = "counts are small")]

use anyhow::Result;
use mainstay_metrics::{Labels, Memory, Sample, Value};
use mainstay_promql::{Options, Settings, When, evaluate, parse};
use mainstay_signals_io::Filled;
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::io::Write as _;

/// Upper bounds of the classic histograms that are asked for.
const BOUNDS: [&str; 10] = [
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "5", "+Inf",
];

/// Instances, with a histogram each.
const INSTANCES: i64 = 1000;

/// A scrape every fifteen seconds.
const SCRAPE_MS: i64 = 15_000;

/// In memory twenty minutes of them, in the store a whole window of two hours and what follows it.
const SCRAPES: i64 = 80;
const BEGIN_MS: i64 = 1_700_006_400_000;
const WINDOW_MS: i64 = 7_200_000;

/// How long behind the window the store is filled.
const BEHIND_MS: i64 = 1_800_000;

/// Runs of each query; the middle one counts.
const RUNS: usize = 15;

const MINUTE_MS: i64 = 60_000;

const QUERIES: [(&str, &str, bool); 5] = [
    (
        "p95 instant",
        "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
        false,
    ),
    (
        "p95 range 10 min/15 s",
        "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
        true,
    ),
    (
        "p95 by route, range",
        "histogram_quantile(0.95, sum by (le, route) (rate(http_request_duration_seconds_bucket[5m])))",
        true,
    ),
    (
        "regex, instant",
        "sum(http_request_duration_seconds_bucket{instance=~\"10.0.0.1.*:9090\"})",
        false,
    ),
    (
        "ratio of all, instant",
        "http_request_duration_seconds_bucket / ignoring(le) group_left http_request_duration_seconds_bucket{le=\"+Inf\"}",
        false,
    ),
];

/// The series of an instance, with what each shows at a scrape.
fn shown(instance: i64) -> impl Iterator<Item = (Labels, i64)> {
    (1i64..).zip(BOUNDS).map(move |(place, bound)| {
        let labels = Labels::new([
            ("__name__", "http_request_duration_seconds_bucket"),
            ("instance", &format!("10.0.0.{instance}:9090")),
            ("job", "shop"),
            ("route", &format!("/route/{}", instance % 20)),
            ("le", bound),
        ]);
        (labels, place * (1 + instance % 7))
    })
}

fn memory() -> Memory {
    let mut memory = Memory::default();
    for (labels, rise) in (0..INSTANCES).flat_map(shown) {
        for scrape in 0..SCRAPES {
            let at_ms = scrape * SCRAPE_MS;
            let value = Value::Float((scrape * rise) as f64);
            memory.append(&labels, Sample { at_ms, value });
        }
    }
    memory
}

/// An instance: its name, what it shows, and by how much each series rises.
type Shower = (String, Vec<(Labels, f64)>, Vec<i64>);

/// The store, its first window a block on disk and the next in its head; returns where the first ended.
fn store(folder: &std::path::Path) -> Result<(Filled, i64)> {
    let mut store = Filled::open(folder)?;
    let mut targets: Vec<Shower> = (0..INSTANCES)
        .map(|instance| {
            let (series, rises) = shown(instance)
                .map(|(labels, rise)| ((labels, 0.0), rise))
                .unzip();
            (instance.to_string(), series, rises)
        })
        .collect();
    let end_ms = BEGIN_MS + WINDOW_MS;
    let steps = (BEGIN_MS..end_ms + BEHIND_MS).step_by(usize::try_from(SCRAPE_MS)?);
    for (scrape, at_ms) in (0i64..).zip(steps) {
        for (name, series, rises) in &mut targets {
            for ((_, value), rise) in series.iter_mut().zip(rises.iter()) {
                *value = (scrape * *rise) as f64;
            }
            store.show(name, series, at_ms)?;
        }
        let mut blocks = store.keep(at_ms)?;
        // What the process does in the seconds between two scrapes.
        for _ in 0..200 {
            if at_ms < end_ms || blocks > 0 {
                break;
            }
            blocks = store.keep(at_ms)?;
        }
        anyhow::ensure!(at_ms < end_ms || blocks > 0, "no window was closed");
    }
    Ok((store, end_ms))
}

/// Milliseconds that this thread has run.
fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// The middle one of several runs.
fn median(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut all = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let before = cpu_ms();
        run()?;
        all.push(cpu_ms() - before);
    }
    all.sort_by(f64::total_cmp);
    Ok(all[RUNS / 2])
}

fn when(end_ms: i64, is_range: bool) -> When {
    if !is_range {
        return When::Instant(end_ms);
    }
    When::Range {
        start_ms: end_ms - 10 * MINUTE_MS,
        end_ms,
        step_ms: SCRAPE_MS,
    }
}

fn main() -> Result<()> {
    let mut out = std::io::stdout().lock();
    let source = memory();
    for (name, query, is_range) in QUERIES {
        let expr = parse(query, Options::default())?;
        let when = when((SCRAPES - 1) * SCRAPE_MS, is_range);
        let each = median(|| {
            let settings = Settings::default();
            black_box(evaluate(&source, query, &expr, when, &settings, &|| false)?);
            Ok(())
        })?;
        writeln!(out, "in memory, {name}: {each:.1} ms")?;
    }
    drop(source);
    let folder = tempfile::tempdir()?;
    let (store, end_ms) = store(folder.path())?;
    for (place, at_ms) in [
        ("store, head", end_ms + BEHIND_MS - SCRAPE_MS),
        ("store, head and block", end_ms + 5 * MINUTE_MS),
        ("store, block", end_ms - SCRAPE_MS),
    ] {
        for (name, query, is_range) in QUERIES {
            let when = when(at_ms, is_range);
            let each = median(|| {
                black_box(store.ask(query, when)?);
                Ok(())
            })?;
            writeln!(out, "{place}, {name}: {each:.1} ms")?;
        }
    }
    Ok(())
}
