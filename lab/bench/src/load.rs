//! The open-loop load generator.

use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::Serialize;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What to send, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where to.
    pub target: SocketAddr,
    /// The `Host`, with its port if it is to be sent.
    pub host: String,
    /// What is asked; a POST has no body.
    pub method: http::Method,
    /// The path and query.
    pub path: String,
    /// Requests a second.
    pub rate: f64,
    /// For how long; `None` until [`Running::stop`].
    pub duration: Option<Duration>,
    /// Which protocol, both in clear text.
    pub protocol: Protocol,
    /// How many connections share the requests. HTTP/1.1 carries one request at a time on each, so
    /// choose more than `rate` × the longest expected latency.
    pub connections: usize,
    /// How long a request may take from its scheduled time.
    pub timeout: Duration,
}

impl Plan {
    /// GET `/` with `Host: localhost`, over HTTP/1.1 on 64 connections, 10 s for each request.
    pub fn new(target: SocketAddr, rate: f64) -> Self {
        Self {
            target,
            host: "localhost".into(),
            method: http::Method::GET,
            path: "/".into(),
            rate,
            duration: None,
            protocol: Protocol::Http1,
            connections: 64,
            timeout: Duration::from_secs(10),
        }
    }
}

/// Which protocol a plan speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 with keep-alive.
    Http1,
    /// HTTP/2 by prior knowledge.
    Http2,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Requests that were due.
    pub sent: u64,
    /// Answered whole with 2xx.
    pub succeeded: u64,
    /// Connections that were refused.
    pub refused: u64,
    /// Connections that broke before an answer was whole.
    pub resets: u64,
    /// Not answered in time.
    pub timeouts: u64,
    /// Answered with 5xx.
    pub server_errors: u64,
    /// Answered with anything else but 2xx.
    pub other_statuses: u64,
    /// Found their connection closing before a byte of them was sent, and went out on another.
    pub unsent: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The longest time without a success, in milliseconds.
    pub longest_gap_ms: u64,
    /// Latencies of the successes, from the scheduled time.
    pub latency: Quantiles,
    /// The first ten failures: milliseconds since the start, and what happened.
    pub failures: Vec<(u64, String)>,
}

impl Summary {
    /// Everything but successes.
    pub fn failed(&self) -> u64 {
        self.sent - self.succeeded
    }
}

/// Latencies in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half are below.
    pub p50_us: u64,
    /// Nine of ten are below.
    pub p90_us: u64,
    /// 99 of 100 are below.
    pub p99_us: u64,
    /// 999 of 1,000 are below.
    pub p999_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// A load that is running on a thread of its own.
#[derive(Debug)]
pub struct Running {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<io::Result<Summary>>,
}

impl Running {
    /// Sends nothing more, waits for what is under way, and sums up.
    pub fn stop(self) -> io::Result<Summary> {
        self.stop.store(true, Relaxed);
        self.wait()
    }

    /// Waits until the plan's duration is over, and sums up.
    pub fn wait(self) -> io::Result<Summary> {
        let panicked = |_| io::Error::other("the load generator panicked");
        self.thread.join().map_err(panicked)?
    }
}

/// Starts a load on a thread of its own.
pub fn start(plan: Plan) -> Running {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default())?;
        Ok(runtime.block_on(Generator::new(plan, stopped).run()))
    });
    Running { stop, thread }
}

/// Runs a plan of a given duration.
pub fn run(plan: Plan) -> io::Result<Summary> {
    start(plan).wait()
}

/// Latencies above an hour count as an hour.
const LONGEST_US: u64 = 3_600_000_000;

enum Failure {
    Refused,
    Reset(String),
    Timeout,
    Status(StatusCode),
}

struct Generator {
    plan: Plan,
    begun: Instant,
    stop: Arc<AtomicBool>,
    next: Cell<u64>,
    histogram: RefCell<Histogram<u64>>,
    summary: RefCell<Summary>,
    last_success: Cell<Instant>,
}

impl Generator {
    fn new(plan: Plan, stop: Arc<AtomicBool>) -> Rc<Self> {
        let begun = Instant::now();
        let histogram = Histogram::new_with_max(LONGEST_US, 3).expect("the bounds are valid");
        Rc::new(Self {
            plan,
            begun,
            stop,
            next: Cell::new(0),
            histogram: RefCell::new(histogram),
            summary: RefCell::default(),
            last_success: Cell::new(begun),
        })
    }

    async fn run(self: Rc<Self>) -> Summary {
        let mut lanes = JoinSet::new();
        for _ in 0..self.plan.connections.max(1) {
            match self.plan.protocol {
                Protocol::Http1 => lanes.spawn_local(self.clone().lane_one()),
                Protocol::Http2 => lanes.spawn_local(self.clone().lane_two()),
            };
        }
        while lanes.join_next().await.is_some() {}
        self.sum_up()
    }

    /// When the next request is due; `None` when no more are.
    fn due(&self) -> Option<Instant> {
        let number = self.next.get();
        #[expect(clippy::cast_precision_loss, reason = "2^53 requests are out of reach")]
        let after = Duration::from_secs_f64(number as f64 / self.plan.rate);
        let over = self.plan.duration.is_some_and(|duration| after >= duration);
        if over || self.stop.load(Relaxed) {
            return None;
        }
        self.next.set(number + 1);
        Some(self.begun + after)
    }

    /// Takes the next request and waits until it is due. A stop while it waits leaves it unsent.
    async fn turn(&self) -> Option<Instant> {
        let due = self.due()?;
        while due > Instant::now() {
            let step = due.min(Instant::now() + Duration::from_millis(100));
            tokio::time::sleep_until(step.into()).await;
            if self.stop.load(Relaxed) && due > Instant::now() {
                return None;
            }
        }
        self.summary.borrow_mut().sent += 1;
        Some(due)
    }

    /// One HTTP/1.1 connection, one request at a time.
    async fn lane_one(self: Rc<Self>) {
        let mut held = None;
        while let Some(due) = self.turn().await {
            let exchange = self.exchange_one(held.take());
            match tokio::time::timeout_at((due + self.plan.timeout).into(), exchange).await {
                Ok(Ok(sender)) => {
                    held = sender;
                    self.succeeded(due);
                }
                Ok(Err((sender, failure))) => {
                    held = sender;
                    self.failed(&failure);
                }
                Err(_) => self.failed(&Failure::Timeout),
            }
        }
    }

    async fn exchange_one(&self, held: Option<One>) -> Result<Option<One>, (Option<One>, Failure)> {
        // A connection that the server announced to close, or closed while idle, is not used again.
        let usable = match held {
            Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
            None => None,
        };
        let mut sender = match usable {
            Some(sender) => sender,
            None => connect_one(self.plan.target)
                .await
                .map_err(|failure| (None, failure))?,
        };
        let answer = sender.send_request(self.request(&self.plan.path)).await;
        let judged = judge(answer).await;
        match judged {
            Ok(()) => Ok(Some(sender)),
            Err(failure @ Failure::Status(_)) => Err((Some(sender), failure)),
            Err(failure) => Err((None, failure)),
        }
    }

    /// One HTTP/2 connection, as many requests at a time as are due.
    async fn lane_two(self: Rc<Self>) {
        let mut held: Option<Two> = None;
        let mut requests = JoinSet::new();
        while let Some(due) = self.turn().await {
            let usable = match held.take() {
                Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
                None => None,
            };
            let connected = match usable {
                Some(sender) => Ok(sender),
                None => connect_two(self.plan.target).await,
            };
            match connected {
                Ok(sender) => {
                    held = Some(sender.clone());
                    requests.spawn_local(self.clone().exchange_two(sender, due));
                }
                Err(failure) => self.failed(&failure),
            }
            while requests.try_join_next().is_some() {}
        }
        while requests.join_next().await.is_some() {}
    }

    async fn exchange_two(self: Rc<Self>, sender: Two, due: Instant) {
        let exchange = self.judge_two(sender);
        match tokio::time::timeout_at((due + self.plan.timeout).into(), exchange).await {
            Ok(Ok(())) => self.succeeded(due),
            Ok(Err(failure)) => self.failed(&failure),
            Err(_) => self.failed(&Failure::Timeout),
        }
    }

    /// A request that found its connection told to go (GOAWAY) before a byte of it was sent goes out on
    /// another one, as clients do (RFC 9113, 6.8); whatever was sent is never sent twice.
    async fn judge_two(&self, mut sender: Two) -> Result<(), Failure> {
        let uri = format!("http://{}{}", self.plan.host, self.plan.path);
        let mut request = self.request(&uri);
        loop {
            match sender.try_send_request(request).await {
                Ok(answer) => return judge(Ok(answer)).await,
                Err(mut fault) => match fault.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(reset(fault.error())),
                },
            }
            self.summary.borrow_mut().unsent += 1;
            sender = connect_two(self.plan.target).await?;
        }
    }

    fn request(&self, uri: &str) -> Request<Empty<Bytes>> {
        let request = Request::builder().method(&self.plan.method).uri(uri);
        let request = request.header(http::header::HOST, &self.plan.host);
        request
            .body(Empty::new())
            .expect("the plan's host and path are valid")
    }

    fn succeeded(&self, due: Instant) {
        let now = Instant::now();
        let latency = u64::try_from((now - due).as_micros()).unwrap_or(u64::MAX);
        self.histogram.borrow_mut().saturating_record(latency);
        self.summary.borrow_mut().succeeded += 1;
        self.note_gap(now);
    }

    fn note_gap(&self, now: Instant) {
        let gap = now - self.last_success.replace(now);
        let gap_ms = u64::try_from(gap.as_millis()).unwrap_or(u64::MAX);
        let mut summary = self.summary.borrow_mut();
        summary.longest_gap_ms = summary.longest_gap_ms.max(gap_ms);
    }

    fn failed(&self, failure: &Failure) {
        let mut summary = self.summary.borrow_mut();
        let text = match failure {
            Failure::Refused => "refused".into(),
            Failure::Reset(text) => text.clone(),
            Failure::Timeout => "timeout".into(),
            Failure::Status(status) => status.to_string(),
        };
        match failure {
            Failure::Refused => summary.refused += 1,
            Failure::Reset(_) => summary.resets += 1,
            Failure::Timeout => summary.timeouts += 1,
            Failure::Status(status) if status.is_server_error() => summary.server_errors += 1,
            Failure::Status(_) => summary.other_statuses += 1,
        }
        if summary.failures.len() < 10 {
            let at = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            summary.failures.push((at, text));
        }
    }

    fn sum_up(&self) -> Summary {
        let mut summary = self.summary.take();
        let histogram = self.histogram.borrow();
        let at = |share| histogram.value_at_quantile(share);
        summary.seconds = self.begun.elapsed().as_secs_f64();
        summary.latency = Quantiles {
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram.max(),
        };
        summary
    }
}

type One = http1::SendRequest<Empty<Bytes>>;
type Two = http2::SendRequest<Empty<Bytes>>;

async fn open(target: SocketAddr) -> Result<TokioIo<TcpStream>, Failure> {
    match TcpStream::connect(target).await {
        Ok(stream) => {
            stream
                .set_nodelay(true)
                .map_err(|fault| Failure::Reset(fault.to_string()))?;
            Ok(TokioIo::new(stream))
        }
        Err(fault) if fault.kind() == io::ErrorKind::ConnectionRefused => Err(Failure::Refused),
        Err(fault) => Err(Failure::Reset(fault.to_string())),
    }
}

async fn connect_one(target: SocketAddr) -> Result<One, Failure> {
    let shaken = http1::handshake(open(target).await?).await;
    let (sender, connection) = shaken.map_err(|fault| reset(&fault))?;
    drop(tokio::task::spawn_local(connection));
    Ok(sender)
}

async fn connect_two(target: SocketAddr) -> Result<Two, Failure> {
    let shaken = http2::handshake(TokioExecutor::new(), open(target).await?).await;
    let (sender, connection) = shaken.map_err(|fault| reset(&fault))?;
    drop(tokio::task::spawn_local(connection));
    Ok(sender)
}

/// Reads the answer to its end and says whether it is a success.
async fn judge(answer: hyper::Result<Response<Incoming>>) -> Result<(), Failure> {
    let answer = answer.map_err(|fault| reset(&fault))?;
    let (head, mut body) = answer.into_parts();
    while let Some(frame) = body.frame().await {
        frame.map_err(|fault| reset(&fault))?;
    }
    if head.status.is_success() {
        Ok(())
    } else {
        Err(Failure::Status(head.status))
    }
}

fn reset(fault: &hyper::Error) -> Failure {
    let cause = std::error::Error::source(fault).map(|cause| format!(": {cause}"));
    Failure::Reset(format!("{fault}{}", cause.unwrap_or_default()))
}
