//! Scrapes: one task a target, at its own phase; what it shows is stored, and so is that it did not answer.

use crate::clock;
use crate::config::{Limits, Place, Target};
use crate::fetch::{Connection, FetchFault, Request, fetch};
use crate::ingest::{Dress, Ingest, IngestFault};
use crate::metadata::Metadata;
use crate::store::Store;
use crate::tls::Trust;
use mainstay_metrics::Labels;
use mainstay_metrics::exposition::{self, Format};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What is known of a target, for whoever asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    /// When it was asked last, in milliseconds since 1970.
    pub(crate) at_ms: Option<i64>,
    pub(crate) took: Duration,
    /// Why the last scrape failed.
    pub(crate) fault: Option<String>,
}

/// What every scrape needs.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    pub(crate) store: Store,
    pub(crate) metadata: Arc<Metadata>,
    pub(crate) limits: Limits,
}

/// A target that is scraped.
#[derive(Debug)]
pub(crate) struct Scrape {
    pub(crate) target: Target,
    pub(crate) ground: Ground,
    pub(crate) standing: Arc<Mutex<Standing>>,
}

/// What formats are understood, best first, as the field's servers say it.
const ACCEPT: &str = "Accept: application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=1.0.0;q=0.6,\
text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\nUser-Agent: mainstay-signals\r\n";

/// Whose series those are that say how scrapes went: a service at its limit must not silence them.
pub(crate) const REPORTS: &str = "scrapes";

/// Compression is worth its time where bytes travel.
const GZIP: &str = "Accept-Encoding: gzip\r\n";

/// The limits of one body.
pub(crate) fn body_limits(limits: &Limits) -> exposition::Limits {
    exposition::Limits {
        body_bytes_max: limits.scrape_bytes_max,
        samples_max: limits.scrape_samples_max,
        labels_max: limits.labels_max,
        value_bytes_max: limits.label_bytes_max,
        ..exposition::Limits::default()
    }
}

/// Why a scrape failed.
#[derive(Debug, thiserror::Error)]
enum ScrapeFault {
    #[error(transparent)]
    Fetch(#[from] FetchFault),
    #[error("its certificates cannot be judged: {0}")]
    Trust(String),
    #[error("the target answers with status {0}")]
    Status(u16),
    #[error(transparent)]
    Ingest(#[from] IngestFault),
}

/// The way to a target, kept from one scrape to the next.
#[derive(Debug, Default)]
struct Way {
    connection: Option<Connection>,
    /// Room for an answer.
    buffer: Vec<u8>,
    /// What it is trusted by, where that is not the system's certificates.
    trust: Option<Result<Trust, String>>,
}

impl Scrape {
    /// The labels that a target's samples get.
    fn dress(&self) -> Dress {
        let mut builder = Labels::default().edit();
        for (name, value) in &self.target.labels {
            builder.set(name, value);
        }
        builder.set("job", &self.target.job);
        builder.set("instance", &self.target.instance());
        if !self.target.service.is_empty() {
            builder.set("service", &self.target.service);
        }
        Dress {
            labels: builder.build(),
            honor_labels: self.target.honor_labels,
            honor_timestamps: self.target.honor_timestamps,
        }
    }

    /// Scrapes until it is told to stop; then the target's series end.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let every = Duration::from_millis(self.target.every_ms.max(100));
        let key = format!("{} {}", self.target.job, self.target.url());
        let owner = self.target.owner().to_owned();
        let limits = body_limits(&self.ground.limits);
        let store = &self.ground.store;
        let dress = self.dress();
        let mut ingest = Ingest::new(store, &owner, &key, dress.clone(), limits);
        let mut report = Ingest::new(store, REPORTS, &format!("{key} report"), dress, limits);
        let begin = tokio::time::Instant::now() + phase(&key, every);
        let mut ticks = tokio::time::interval_at(begin, every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut way = Way::default();
        if !self.target.ca.is_empty() {
            way.trust = Some(Trust::only(&self.target.ca));
        }
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                // A sender that is gone says the same.
                _ = stop.changed() => break,
            }
            self.once(&mut ingest, &mut report, &mut way).await;
        }
        let now_ms = clock::wall_ms();
        ingest.leave(store, now_ms);
        report.leave(store, now_ms);
    }

    async fn once(&self, ingest: &mut Ingest, report: &mut Ingest, way: &mut Way) {
        let (begun, at_ms) = (Instant::now(), clock::wall_ms());
        let limit =
            Duration::from_millis(self.target.timeout_ms.min(self.target.every_ms.max(100)));
        let fetched = tokio::time::timeout(limit, self.fetch(way)).await;
        let fetched = fetched.unwrap_or_else(|_| {
            let limit_ms = limit.as_millis() as u64;
            Err(FetchFault::Late { limit_ms }.into())
        });
        let store = &self.ground.store;
        let outcome = fetched.and_then(|(body, format)| {
            let scraped = ingest.body(store, &body, format, at_ms, &self.ground.metadata);
            // The room of one body serves the next.
            way.buffer = body;
            Ok(scraped?)
        });
        if way.buffer.capacity() > 4 << 20 {
            way.buffer = Vec::new();
        }
        let took = begun.elapsed();
        let scraped = outcome.as_ref().copied().unwrap_or_default();
        let text = format!(
            "up {}\nscrape_duration_seconds {}\nscrape_samples_scraped {}\n\
             scrape_samples_post_metric_relabeling {}\nscrape_series_added {}\n",
            u8::from(outcome.is_ok()),
            took.as_secs_f64(),
            scraped.samples,
            scraped.samples,
            scraped.added
        );
        let mut fault = outcome.err().map(|fault| fault.to_string());
        if fault.is_some()
            && let Err(silent) = ingest.silence(store, at_ms)
        {
            fault = Some(silent.to_string());
        }
        let told = report.body(
            store,
            text.as_bytes(),
            Format::Text,
            at_ms,
            &self.ground.metadata,
        );
        if let Err(untold) = told {
            fault.get_or_insert_with(|| untold.to_string());
        }
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = Standing {
            at_ms: Some(at_ms),
            took,
            fault,
        };
    }

    async fn fetch(&self, way: &mut Way) -> Result<(Vec<u8>, Format), ScrapeFault> {
        let target = &self.target;
        let Way {
            connection,
            buffer,
            trust,
        } = way;
        let trust = trust.as_ref().map(Result::as_ref).transpose();
        let trust = trust.map_err(|why| ScrapeFault::Trust(why.clone()))?;
        let mut fields = ACCEPT.to_owned();
        if !is_near(connection.as_ref(), &target.place) {
            fields.push_str(GZIP);
        }
        // Writing to a text cannot fail.
        let seconds = target.timeout_ms as f64 / 1000.0;
        write!(fields, "X-Prometheus-Scrape-Timeout-Seconds: {seconds}\r\n").ok();
        let host = match &target.place {
            Place::Tcp(address) | Place::Tls(address) => address,
            Place::Unix(_) => "localhost",
        };
        let request = Request {
            method: "GET",
            host,
            path: &target.path,
            fields: &fields,
            body: &[],
            bytes_max: self.ground.limits.scrape_bytes_max,
        };
        let link_local = target.allow_link_local;
        let place = &target.place;
        let answer = fetch(connection, place, link_local, trust, &request, buffer).await?;
        if answer.status != 200 {
            return Err(ScrapeFault::Status(answer.status));
        }
        let is_open_metrics = answer
            .content_type
            .starts_with("application/openmetrics-text");
        let format = if is_open_metrics {
            Format::OpenMetrics
        } else {
            Format::Text
        };
        Ok((answer.body, format))
    }
}

/// Whether bytes do not leave the machine.
fn is_near(connection: Option<&Connection>, place: &Place) -> bool {
    match place {
        Place::Unix(_) => true,
        Place::Tcp(address) | Place::Tls(address) => {
            let peer = connection.and_then(Connection::peer);
            let peer = peer.or_else(|| address.parse().ok());
            peer.is_some_and(|peer| peer.ip().is_loopback()) || address.starts_with("localhost:")
        }
    }
}

/// Where in its interval something is done: spread by name, the same after every start.
pub(crate) fn phase(key: &str, every: Duration) -> Duration {
    // FNV-1a: it stays the same over restarts and versions.
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let every_ms = (every.as_millis() as u64).max(1);
    Duration::from_millis(hash % every_ms)
}
