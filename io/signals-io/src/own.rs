//! What the process says of itself, in the text format.

use crate::api::Api;
use crate::forward::Progress;
use std::fmt::Write as _;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

impl Api {
    /// Counters and sizes of this process.
    pub(crate) fn own_metrics(&self) -> String {
        let process = &self.process;
        let mut out = String::new();
        let live = process.store.live();
        let (counts, series) = (live.counts, live.head.len());
        let (volumes, size) = (live.volumes.len(), live.size());
        let refusing = live.refusing.is_some();
        let owners: Vec<(String, usize)> = live
            .head
            .owners()
            .map(|(owner, count)| (owner.to_owned(), count))
            .collect();
        let limit = live.bounds.owner_series_max;
        drop(live);
        let rules = process.rules.shown();
        let tasks = process.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let down = tasks.iter().filter(|task| {
            let standing = task.standing.lock().unwrap_or_else(PoisonError::into_inner);
            standing.fault.is_some()
        });
        let down = down.count();
        for (name, kind, value) in [
            ("signals_samples_stored_total", "counter", counts.stored),
            (
                "signals_samples_duplicate_total",
                "counter",
                counts.duplicates,
            ),
            (
                "signals_samples_out_of_order_total",
                "counter",
                counts.out_of_order,
            ),
            ("signals_samples_late_total", "counter", counts.late),
            (
                "signals_series_refused_total",
                "counter",
                counts.series_refused,
            ),
            (
                "signals_blocks_quarantined_total",
                "counter",
                counts.quarantined,
            ),
            (
                "signals_blocks_dropped_total",
                "counter",
                counts.dropped_blocks,
            ),
            ("signals_pages_total", "counter", counts.pages),
            ("signals_series", "gauge", series as u64),
            ("signals_blocks", "gauge", volumes as u64),
            ("signals_store_bytes", "gauge", size),
            ("signals_ingest_refused", "gauge", u64::from(refusing)),
            ("signals_targets", "gauge", tasks.len() as u64),
            ("signals_targets_down", "gauge", down as u64),
            ("signals_service_series_limit", "gauge", limit as u64),
            (
                "signals_rule_evaluations_total",
                "counter",
                rules.evaluations,
            ),
            (
                "signals_rule_evaluation_failures_total",
                "counter",
                rules.failures,
            ),
            (
                "signals_notifications_total",
                "counter",
                rules.notifications,
            ),
            ("signals_receivers_failing", "gauge", rules.failing as u64),
        ] {
            // Writing to a text cannot fail.
            writeln!(out, "# TYPE {name} {kind}\n{name} {value}").ok();
        }
        let refused = process.refused.load(Relaxed);
        // Writing to a text cannot fail.
        writeln!(
            out,
            "# TYPE mainstay_access_refused_total counter\nmainstay_access_refused_total{{door=\"signals\"}} {refused}"
        )
        .ok();
        put_remotes(&mut out, &process.progress());
        out.push_str("# TYPE signals_service_series gauge\n");
        for (owner, count) in owners {
            let owner = mainstay_metrics::label::quoted(owner.as_bytes());
            writeln!(out, "signals_service_series{{owned_by={owner}}} {count}").ok();
        }
        out
    }
}

/// How far what goes outward has come, by remote.
fn put_remotes(out: &mut String, all: &[(String, Progress)]) {
    type Figure = fn(&Progress) -> f64;
    let figures: [(&str, &str, Figure); 6] = [
        ("sent_samples_total", "counter", |one| one.samples as f64),
        ("failures_total", "counter", |one| one.failures as f64),
        ("refused_samples_total", "counter", |one| one.refused as f64),
        ("left_out_samples_total", "counter", |one| {
            one.left_out as f64
        }),
        ("lost_samples_total", "counter", |one| one.lost() as f64),
        ("behind_seconds", "gauge", |one| {
            (crate::clock::wall_ms() - one.sent_ms) as f64 / 1000.0
        }),
    ];
    for (name, kind, figure) in figures.iter().filter(|_| !all.is_empty()) {
        // Writing to a text cannot fail.
        writeln!(out, "# TYPE signals_remote_{name} {kind}").ok();
        for (remote, progress) in all {
            let remote = mainstay_metrics::label::quoted(remote.as_bytes());
            let value = figure(progress);
            writeln!(out, "signals_remote_{name}{{remote={remote}}} {value}").ok();
        }
    }
}
