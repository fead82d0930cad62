//! The signals process beside Debian's `prometheus`: memory and processor time under the same scrapes, and the
//! size of samples on disk.
//!
//! Both scrape the same targets of a thousand series each: histograms, counters and gauges of which about half
//! change from scrape to scrape. Each is asked for what it counted itself.
#![expect(clippy::cast_precision_loss, reason = "counts are small")]

pub mod kills;

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use mainstay_metrics::{Labels, SeriesView, write_block};
use mainstay_signals_io::{Client, Config, Place, Reading, Target};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Series of a target.
const SERIES: usize = 1000;

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Targets of a thousand series each.
    pub targets: usize,
    /// Between two scrapes, in milliseconds.
    pub every_ms: u64,
    /// How long is measured, in seconds, after as long again to settle.
    pub seconds: u64,
    /// Whether Debian's `prometheus` runs beside it.
    pub peer: bool,
}

/// One process.
#[derive(Debug, Serialize)]
pub struct Side {
    /// Resident memory at the end, in MiB.
    pub rss_mib: f64,
    /// Largest resident memory, in MiB.
    pub rss_peak_mib: f64,
    /// Samples that were taken while it was measured.
    pub samples: f64,
    /// Processor time a sample, in microseconds: scrape, parse, store and everything else.
    pub cpu_us_per_sample: f64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Ours.
    pub signals: Side,
    /// Debian's `prometheus`.
    pub prometheus: Option<Side>,
    /// Bytes a sample of a block of a million samples, with its index.
    pub block_bytes_per_sample: f64,
    /// From a start after a kill until it answers, in milliseconds.
    pub ready_after_kill_ms: u128,
    /// What a verdict asks, over the socket, while targets are scraped: median, 95th percentile and longest of 500
    /// times, in microseconds.
    pub query_us: [u64; 3],
}

/// How often it is asked.
const QUERIES: usize = 500;
/// What a verdict asks: a rate over one series a target.
const QUERY: &str =
    "sum(rate(http_request_duration_seconds_count{handler=\"/api/v1/resource/2\"}[1m]))";

/// A number that looks random and is the same for the same place and scrape.
fn noise(place: u64, scrape: u64) -> u64 {
    let mut bits =
        place.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ scrape.wrapping_mul(0xd1b5_4a32_d192_ed03);
    bits ^= bits >> 31;
    bits = bits.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^ bits >> 29
}

/// A counter that rises by something between nothing and twice `pace`.
fn counter(place: u64, scrape: u64, pace: u64) -> u64 {
    scrape * pace + noise(place, scrape) % pace.max(1)
}

/// What a target shows at its n-th scrape: a third histograms, half counters, the rest gauges of two decimal
/// places; half of all stand still.
fn body(target: usize, scrape: u64) -> String {
    let mut out = String::with_capacity(120 * SERIES);
    let seed = target as u64 * 10_000;
    out.push_str("# HELP http_request_duration_seconds Time.\n# TYPE http_request_duration_seconds histogram\n");
    for histogram in 0..22u64 {
        let moved = if histogram % 2 == 0 { scrape } else { 1 };
        let route = format!("handler=\"/api/v1/resource/{histogram}\",method=\"GET\"");
        let bounds = [
            "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "5", "+Inf",
        ];
        let mut count = 0;
        for (place, bound) in bounds.iter().enumerate() {
            count += counter(
                seed + histogram * 20 + place as u64,
                moved,
                12 - place as u64,
            );
            writeln!(
                out,
                "http_request_duration_seconds_bucket{{{route},le=\"{bound}\"}} {count}"
            )
            .ok();
        }
        let sum = counter(seed + histogram, moved, 40_000) as f64 / 1000.0;
        writeln!(out, "http_request_duration_seconds_sum{{{route}}} {sum}").ok();
        writeln!(
            out,
            "http_request_duration_seconds_count{{{route}}} {count}"
        )
        .ok();
    }
    out.push_str("# HELP jobs_processed_total Jobs.\n# TYPE jobs_processed_total counter\n");
    for number in 0..500u64 {
        let moved = if number % 2 == 0 { scrape } else { 1 };
        let count = counter(seed + 1000 + number, moved, number % 97 + 1);
        writeln!(
            out,
            "jobs_processed_total{{queue=\"queue-{number}\",result=\"ok\"}} {count}"
        )
        .ok();
    }
    out.push_str("# HELP queue_depth Depth.\n# TYPE queue_depth gauge\n");
    for number in 0..236u64 {
        let moved = if number % 2 == 0 { scrape } else { 1 };
        let value = (5000 + noise(seed + 2000 + number, moved) % 200) as f64 / 100.0;
        writeln!(out, "queue_depth{{shard=\"{number}\"}} {value}").ok();
    }
    out
}

/// Targets that answer; each body is made once a change and shared by both sides.
fn targets(count: usize, every_ms: u64) -> Result<Vec<String>> {
    let begun = Instant::now();
    let mut addresses = Vec::new();
    for target in 0..count {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        addresses.push(listener.local_addr()?.to_string());
        let known: Arc<Mutex<(u64, Arc<String>)>> = Arc::default();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let known = known.clone();
                std::thread::spawn(move || serve(stream, target, begun, every_ms, &known));
            }
        });
    }
    Ok(addresses)
}

fn serve(
    mut stream: TcpStream,
    target: usize,
    begun: Instant,
    every_ms: u64,
    known: &Mutex<(u64, Arc<String>)>,
) {
    let mut head = [0; 8192];
    while stream.read(&mut head).is_ok_and(|count| count > 0) {
        let scrape = u64::try_from(begun.elapsed().as_millis()).unwrap_or(0) / every_ms + 1;
        let body = {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.0 != scrape {
                *known = (scrape, Arc::new(body(target, scrape)));
            }
            known.1.clone()
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all(head.as_bytes()).is_err() || stream.write_all(body.as_bytes()).is_err()
        {
            return;
        }
    }
}

/// A process that ends with its measurement.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Runs the measurement; `process` is the command that runs signals, without folder and socket.
pub fn measure(plan: Plan, process: &[&str]) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    let addresses = targets(plan.targets, plan.every_ms)?;
    let peer = plan
        .peer
        .then(|| prometheus(folder.path(), &addresses, plan.every_ms));
    let peer = peer.transpose()?;
    let (state, socket) = (folder.path().join("state"), folder.path().join("s.sock"));
    let mut ours = start(process, &state, &socket)?;
    let client = Client::new(&socket, Duration::from_secs(10));
    ready(&client)?;
    client.configure(&config(&addresses, plan.every_ms))?;
    let own = || counted(&client);
    let theirs = || theirs_counted();
    std::thread::sleep(Duration::from_secs(plan.seconds));
    let before = (cpu_seconds(ours.0.id())?, own()?);
    let peer_before = match &peer {
        Some(peer) => Some((cpu_seconds(peer.0.id())?, theirs()?)),
        None => None,
    };
    std::thread::sleep(Duration::from_secs(plan.seconds));
    let signals = side(ours.0.id(), before, own()?)?;
    let prometheus = match (&peer, peer_before) {
        (Some(peer), Some(before)) => Some(side(peer.0.id(), before, theirs()?)?),
        _ => None,
    };
    let query_us = queries(&client)?;
    ours.0.kill()?;
    ours.0.wait()?;
    let begun = Instant::now();
    ours = start(process, &state, &socket)?;
    ready(&client)?;
    let ready_after_kill_ms = begun.elapsed().as_millis();
    drop(ours);
    Ok(Report {
        signals,
        prometheus,
        block_bytes_per_sample: block()?,
        ready_after_kill_ms,
        query_us,
    })
}

/// How long questions take, over several scrapes.
fn queries(client: &Client) -> Result<[u64; 3]> {
    let mut times = Histogram::<u64>::new(3)?;
    for _ in 0..QUERIES {
        let begun = Instant::now();
        let reading = client.query(QUERY);
        times.record(u64::try_from(begun.elapsed().as_micros())?)?;
        ensure!(
            matches!(&reading, Reading::Values(values) if values.len() == 1),
            "`{QUERY}`: {reading:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok([
        times.value_at_quantile(0.5),
        times.value_at_quantile(0.95),
        times.max(),
    ])
}

fn start(process: &[&str], state: &Path, socket: &Path) -> Result<Running> {
    let (program, arguments) = process.split_first().context("no command")?;
    let child = Command::new(program)
        .args(arguments)
        .args([state, socket])
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("`{program}` does not start"))?;
    Ok(Running(child))
}

fn ready(client: &Client) -> Result<()> {
    let begun = Instant::now();
    while client.ask("GET", "/-/ready", &[]).is_err() {
        ensure!(
            begun.elapsed() < Duration::from_secs(30),
            "signals does not answer"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Generations of configurations, which rise.
static GENERATION: AtomicU64 = AtomicU64::new(1);

fn config(addresses: &[String], every_ms: u64) -> Config {
    let targets = addresses.iter().map(|address| Target {
        job: "bench".into(),
        instance: String::new(),
        service: String::new(),
        place: Place::Tcp(address.clone()),
        path: "/metrics".into(),
        labels: BTreeMap::new(),
        every_ms,
        timeout_ms: every_ms,
        honor_labels: false,
        honor_timestamps: true,
        allow_link_local: false,
        ca: String::new(),
    });
    Config {
        generation: GENERATION.fetch_add(1, Ordering::Relaxed),
        targets: targets.collect(),
        ..Config::default()
    }
}

/// Where the peer listens.
const PEER: &str = "127.0.0.1:29090";

fn prometheus(folder: &Path, addresses: &[String], every_ms: u64) -> Result<Running> {
    let list: Vec<String> = addresses.iter().map(|one| format!("'{one}'")).collect();
    let text = format!(
        "global: {{scrape_interval: {every_ms}ms, scrape_timeout: {every_ms}ms}}\nscrape_configs:\n\
         - job_name: bench\n  static_configs:\n  - targets: [{}]\n",
        list.join(", ")
    );
    let path = folder.join("prometheus.yml");
    std::fs::write(&path, text)?;
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", path.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.join("peer").display()
        ))
        .arg(format!("--web.listen-address={PEER}"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("`prometheus` is not installed; try: apt-get install prometheus")?;
    Ok(Running(child))
}

fn value_of(text: &str, metric: &str) -> Result<f64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    let value = line.with_context(|| format!("`{metric}` is not shown"))?;
    Ok(value.trim().parse()?)
}

fn counted(client: &Client) -> Result<f64> {
    let (_, body) = client.ask("GET", "/metrics", &[])?;
    value_of(&String::from_utf8(body)?, "signals_samples_stored_total")
}

fn theirs_counted() -> Result<f64> {
    let mut stream = TcpStream::connect(PEER)?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    value_of(
        &text,
        "prometheus_tsdb_head_samples_appended_total{type=\"float\"}",
    )
    .or_else(|_| value_of(&text, "prometheus_tsdb_head_samples_appended_total"))
}

/// Processor time of all threads, in seconds; the kernel counts hundredths.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = text.rsplit_once(')').context("no process")?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |place: usize| words.get(place).and_then(|word| word.parse::<f64>().ok());
    let sum = ticks(11).zip(ticks(12)).map(|(user, system)| user + system);
    Ok(sum.context("no times")? / 100.0)
}

fn side(pid: u32, before: (f64, f64), samples: f64) -> Result<Side> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| -> Result<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line
            .with_context(|| format!("no `{name}`"))?
            .trim()
            .trim_end_matches(" kB");
        Ok(kib.parse::<f64>()? / 1024.0)
    };
    let taken = samples - before.1;
    Ok(Side {
        rss_mib: field("VmRSS:")?,
        rss_peak_mib: field("VmHWM:")?,
        samples: taken,
        cpu_us_per_sample: (cpu_seconds(pid)? - before.0) * 1e6 / taken,
    })
}

/// The size of a block of a thousand series with a thousand samples each, fifteen seconds apart.
fn block() -> Result<f64> {
    struct Series {
        labels: Labels,
        values: Vec<f64>,
    }
    let at_ms: Vec<i64> = (0..1000)
        .map(|scrape| 1_700_000_000_000 + 15_000 * scrape)
        .collect();
    let mut columns: BTreeMap<String, Series> = BTreeMap::new();
    for scrape in 0..1000 {
        for line in body(0, scrape)
            .lines()
            .filter(|line| !line.starts_with('#'))
        {
            let (series, value) = line.rsplit_once(' ').context("no value")?;
            let known = columns.entry(series.to_owned()).or_insert_with(|| Series {
                labels: labels(series),
                values: Vec::new(),
            });
            known.values.push(value.parse()?);
        }
    }
    let mut views: Vec<SeriesView<'_>> = columns
        .values()
        .map(|one| SeriesView {
            labels: &one.labels,
            at_ms: &at_ms,
            values: &one.values,
            histograms: &[],
        })
        .collect();
    let samples = views.len() * at_ms.len();
    Ok(write_block(&mut views)?.len() as f64 / samples as f64)
}

fn labels(series: &str) -> Labels {
    let (name, rest) = series.split_once('{').unwrap_or((series, ""));
    let pairs = rest.trim_end_matches('}').split("\",").filter_map(|pair| {
        let (label, value) = pair.split_once("=\"")?;
        Some((label, value.trim_end_matches('"')))
    });
    Labels::new(pairs.chain([
        ("__name__", name),
        ("job", "bench"),
        ("instance", "127.0.0.1:1"),
    ]))
}
