//! Collectors: what is measured here, without an exporter; it takes the same way as what targets expose.

mod host;
mod postgres;
mod process;
mod redis;
mod timex;

use crate::clock;
use crate::config::{Collector, CollectorKind};
use crate::ingest::{Dress, Ingest};
use crate::scrape::{Ground, REPORTS, body_limits, phase};
use mainstay_metrics::Labels;
use mainstay_metrics::exposition::Format;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Text in the format that targets expose.
#[derive(Debug, Default)]
pub(crate) struct Page(String);

impl Page {
    /// Says what kind a metric is.
    pub(crate) fn kind(&mut self, metric: &str, kind: &str) {
        // Writing to a text cannot fail.
        writeln!(self.0, "# TYPE {metric} {kind}").ok();
    }

    /// Adds a sample.
    pub(crate) fn put(&mut self, metric: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(metric);
        for (place, (name, text)) in labels.iter().enumerate() {
            self.0.push(if place == 0 { '{' } else { ',' });
            self.0.push_str(name);
            self.0.push_str("=\"");
            for letter in text.chars() {
                match letter {
                    '"' => self.0.push_str("\\\""),
                    '\\' => self.0.push_str("\\\\"),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        writeln!(self.0, " {value}").ok();
    }

    /// The text.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// A way into the store for what is measured here.
pub(crate) struct Sink {
    ground: Ground,
    samples: Ingest,
    report: Ingest,
}

impl Sink {
    pub(crate) fn new(
        ground: &Ground,
        job: &str,
        instance: &str,
        labels: &BTreeMap<String, String>,
    ) -> Self {
        let mut builder = Labels::new(labels).edit();
        builder.set("job", job);
        builder.set("instance", instance);
        let dress = Dress {
            labels: builder.build(),
            // Instances of services say themselves who they are.
            honor_labels: true,
            honor_timestamps: false,
        };
        let limits = body_limits(&ground.limits);
        // Two checks may ask the same address; their labels tell them apart.
        let own: Vec<&str> = labels.values().map(String::as_str).collect();
        let key = format!("{job} {instance} {}here", own.join(" "));
        let store = &ground.store;
        Self {
            samples: Ingest::new(store, job, &key, dress.clone(), limits),
            report: Ingest::new(store, REPORTS, &format!("{key} report"), dress, limits),
            ground: ground.clone(),
        }
    }

    /// Takes what was measured, or that it could not be.
    pub(crate) fn take(&mut self, page: Option<&Page>, at_ms: i64, took: Duration) {
        let Ground {
            store, metadata, ..
        } = &self.ground;
        let taken = page.is_some_and(|page| {
            let body = page.text().as_bytes();
            let taken = self
                .samples
                .body(store, body, Format::Text, at_ms, metadata);
            taken.is_ok()
        });
        if !taken {
            // Where the store refuses samples it says so itself.
            drop(self.samples.silence(store, at_ms));
        }
        let mut page = Page::default();
        page.put("up", &[], f64::from(u8::from(taken)));
        page.put("scrape_duration_seconds", &[], took.as_secs_f64());
        let body = page.text().as_bytes();
        drop(self.report.body(store, body, Format::Text, at_ms, metadata));
    }

    /// Ends its series.
    pub(crate) fn leave(self) {
        let now_ms = clock::wall_ms();
        self.samples.leave(&self.ground.store, now_ms);
        self.report.leave(&self.ground.store, now_ms);
    }
}

/// Does something at its phase of every interval until it is told to stop.
pub(crate) fn ticks(key: &str, every_ms: u64) -> tokio::time::Interval {
    let every = Duration::from_millis(every_ms.max(100));
    let begin = tokio::time::Instant::now() + phase(key, every);
    let mut ticks = tokio::time::interval_at(begin, every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    ticks
}

/// Collects until it is told to stop.
pub(crate) async fn run(collector: Collector, ground: Ground, mut stop: watch::Receiver<bool>) {
    let Collector {
        job,
        instance,
        labels,
        every_ms,
        kind,
    } = collector;
    let mut sink = Sink::new(&ground, &job, &instance, &labels);
    let mut ticks = ticks(&format!("{job} {instance}"), every_ms);
    let limit = Duration::from_millis(every_ms.clamp(100, 10_000));
    let mut postgres = postgres::Session::default();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            // A sender that is gone says the same.
            _ = stop.changed() => break,
        }
        let (begun, at_ms) = (Instant::now(), clock::wall_ms());
        let page = tokio::time::timeout(limit, collect(&kind, &mut postgres)).await;
        sink.take(page.ok().flatten().as_ref(), at_ms, begun.elapsed());
    }
    sink.leave();
}

async fn collect(kind: &CollectorKind, session: &mut postgres::Session) -> Option<Page> {
    match kind {
        // Files of the kernel answer at once, file systems may not.
        CollectorKind::Host => tokio::task::spawn_blocking(host::page).await.ok(),
        CollectorKind::Processes(processes) => {
            let processes = processes.clone();
            tokio::task::spawn_blocking(move || process::page(&processes))
                .await
                .ok()
        }
        CollectorKind::Postgres {
            connection,
            password_file,
        } => Some(session.page(connection, password_file.as_deref()).await),
        CollectorKind::Redis {
            place,
            user,
            password_file,
        } => Some(redis::page(place, user, password_file.as_deref()).await),
    }
}
