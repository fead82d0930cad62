//! What queries over ten thousand series cost, in CPU milliseconds a run.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "counts are small"
)]

use anyhow::{Context as _, Result};
use mainstay_metrics::{Labels, Memory, Sample, Value};
use mainstay_promql::{Options, Settings, When, evaluate, parse};
use std::io::Write as _;

/// Upper bounds of the classic histograms that are asked for.
const BOUNDS: [&str; 10] = [
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "5", "+Inf",
];

/// A scrape every fifteen seconds, for twenty minutes.
const SCRAPE_MS: i64 = 15_000;
const SCRAPES: i64 = 80;

/// Runs of each query.
const RUNS: usize = 15;

fn store() -> Memory {
    let mut memory = Memory::default();
    for instance in 0..1000 {
        for (place, bound) in BOUNDS.iter().enumerate() {
            let labels = Labels::new([
                ("__name__", "http_request_duration_seconds_bucket"),
                ("instance", &format!("10.0.0.{instance}:9090")),
                ("job", "shop"),
                ("route", &format!("/route/{}", instance % 20)),
                ("le", bound),
            ]);
            for scrape in 0..SCRAPES {
                let value = (scrape * (place as i64 + 1) * (1 + instance % 7)) as f64;
                memory.append(
                    &labels,
                    Sample {
                        at_ms: scrape * SCRAPE_MS,
                        value: Value::Float(value),
                    },
                );
            }
        }
    }
    memory
}

/// Milliseconds that this process has run, from the kernel's scheduler.
fn cpu_ms() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds: f64 = text
        .split_whitespace()
        .next()
        .context("no figure")?
        .parse()?;
    Ok(nanoseconds / 1e6)
}

fn main() -> Result<()> {
    let memory = store();
    let end = (SCRAPES - 1) * SCRAPE_MS;
    let range = When::Range {
        start_ms: end - 600_000,
        end_ms: end,
        step_ms: 15_000,
    };
    let mut out = std::io::stdout().lock();
    for (name, query, when) in [
        (
            "p95 instant",
            "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
            When::Instant(end),
        ),
        (
            "p95 range 10 min/15 s",
            "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
            range,
        ),
        (
            "p95 by route, range",
            "histogram_quantile(0.95, sum by (le, route) (rate(http_request_duration_seconds_bucket[5m])))",
            range,
        ),
        (
            "regex, instant",
            "sum(http_request_duration_seconds_bucket{instance=~\"10.0.0.1.*:9090\"})",
            When::Instant(end),
        ),
        (
            "ratio of all, instant",
            "http_request_duration_seconds_bucket / ignoring(le) group_left http_request_duration_seconds_bucket{le=\"+Inf\"}",
            When::Instant(end),
        ),
    ] {
        let expr = parse(query, Options::default())?;
        let before = cpu_ms()?;
        for _ in 0..RUNS {
            let outcome = evaluate(&memory, query, &expr, when, &Settings::default(), &|| false)?;
            std::hint::black_box(outcome);
        }
        let each = (cpu_ms()? - before) / RUNS as f64;
        writeln!(out, "{name}: {each:.1} ms")?;
    }
    Ok(())
}
