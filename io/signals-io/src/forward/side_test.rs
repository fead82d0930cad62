//! Both sides of what goes outward: a store whose clock the test moves, and a receiver that does what it is told.

use super::*;
use crate::store::Bounds;
use crate::{otlp, remote};
use mainstay_metrics::{FloatHistogram, GroupId, Value, gap};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

pub(super) const MINUTE: i64 = 60_000;
pub(super) const HOUR: i64 = 3_600_000;
pub(super) const BEGIN: i64 = 1_700_000_000_000 - 1_700_000_000_000 % (2 * HOUR);

/// What a receiver of version 2.0 says.
pub(super) const WRITTEN: &str = "X-Prometheus-Remote-Write-Samples-Written";

/// How long anything may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "never: {what}");
        std::thread::yield_now();
    }
}

/// What a receiver does with a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Mode {
    Take,
    /// Reads it and says nothing.
    Hang,
    /// Closes the connection.
    Away,
    /// A status, fields of the head, each with its end, and a body.
    Say(u16, String, Vec<u8>),
}

/// Samples by series, as they came.
pub(super) type Stored = BTreeMap<Labels, Vec<(i64, Value)>>;

/// The other side.
#[derive(Clone)]
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    pub(super) mode: Arc<Mutex<Mode>>,
    pub(super) requests: Arc<AtomicUsize>,
    pub(super) stored: Arc<Mutex<Stored>>,
    pub(super) protocol: Protocol,
}

impl Receiver {
    pub(super) fn start(protocol: Protocol) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            mode: Arc::new(Mutex::new(Mode::Take)),
            requests: Arc::default(),
            stored: Arc::default(),
            protocol,
        };
        let own = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = own.clone();
                std::thread::spawn(move || own.serve(stream));
            }
        });
        receiver
    }

    pub(super) fn turn(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    pub(super) fn asked(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn serve(&self, mut stream: TcpStream) {
        while let Some(body) = request(&mut stream) {
            self.requests.fetch_add(1, Ordering::SeqCst);
            let mode = self.mode.lock().unwrap().clone();
            let answer = match mode {
                Mode::Away => return,
                Mode::Hang => {
                    // Until whoever asks gives up.
                    drop(stream.read(&mut [0; 1]));
                    return;
                }
                Mode::Take => {
                    let written = self.take(&body);
                    let fields = match self.protocol {
                        Protocol::RemoteWrite2 => format!("{WRITTEN}: {written}\r\n"),
                        _ => String::new(),
                    };
                    let answer = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n");
                    answer.into_bytes()
                }
                Mode::Say(status, fields, said) => {
                    let length = said.len();
                    let head =
                        format!("HTTP/1.1 {status} X\r\n{fields}Content-Length: {length}\r\n\r\n");
                    [head.into_bytes(), said].concat()
                }
            };
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    }

    /// Stores what it was sent; how much that was.
    fn take(&self, body: &[u8]) -> usize {
        let series = match self.protocol {
            Protocol::RemoteWrite => {
                remote::read_first(&remote::inflate(body, 1 << 24).unwrap()).unwrap()
            }
            Protocol::RemoteWrite2 => {
                let body = remote::inflate(body, 1 << 24).unwrap();
                remote::read_second(&body).unwrap().0
            }
            Protocol::Otlp => {
                let body = crate::fetch::inflate(body, 1 << 24).unwrap();
                let (series, refused) = otlp::translate(&otlp::read_proto(&body).unwrap());
                assert_eq!(refused, None);
                series
            }
        };
        let mut stored = self.stored.lock().unwrap();
        let written = series.iter().map(|one| one.samples.len()).sum();
        for one in series {
            let known = stored.entry(one.labels.clone()).or_default();
            for sample in one.samples {
                let last = known.last().map(|last| last.0);
                assert!(
                    last < Some(sample.0),
                    "{} at {} after {last:?}",
                    one.labels,
                    sample.0
                );
                known.push(sample);
            }
        }
        written
    }

    pub(super) fn count(&self) -> usize {
        self.stored.lock().unwrap().values().map(Vec::len).sum()
    }
}

/// The body of the next request.
fn request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?.to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1)?;
    let length: usize = length.split("\r\n").next()?.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

/// This side: a store whose clock the test moves, and what sends from it.
pub(super) struct Side {
    folder: Arc<tempfile::TempDir>,
    remote: Remote,
    pub(super) store: Store,
    pub(super) now: Arc<AtomicI64>,
    pub(super) progress: Arc<Mutex<Progress>>,
    pub(super) expected: Stored,
    pub(super) stop: watch::Sender<bool>,
    pub(super) thread: Option<JoinHandle<()>>,
}

impl Drop for Side {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

impl Side {
    pub(super) fn start(address: &str, protocol: Protocol) -> Self {
        let remote = Remote {
            name: "far".into(),
            address: address.into(),
            tls: false,
            path: "/write".into(),
            protocol,
            token_file: None,
        };
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let now = Arc::new(AtomicI64::new(BEGIN));
        Self::begin(folder, remote, now, Stored::new())
    }

    /// The same after its process was killed.
    pub(super) fn again(mut self) -> Self {
        self.stop.send_replace(true);
        drop(self.thread.take().map(JoinHandle::join));
        let (folder, remote) = (self.folder.clone(), self.remote.clone());
        let (now, expected) = (self.now.clone(), std::mem::take(&mut self.expected));
        drop(self);
        Self::begin(folder, remote, now, expected)
    }

    fn begin(
        folder: Arc<tempfile::TempDir>,
        remote: Remote,
        now: Arc<AtomicI64>,
        expected: Stored,
    ) -> Self {
        let store = Store::open(&folder.path().join("metrics"), Bounds::default()).unwrap();
        let progress = Arc::<Mutex<Progress>>::default();
        let forward = Forward {
            remote: remote.clone(),
            external: Labels::new([("site", "near")]),
            store: store.clone(),
            metadata: Arc::default(),
            folder: folder.path().to_owned(),
            progress: progress.clone(),
            now: Now::Told(now.clone()),
            pace: Pace {
                every: Duration::from_millis(20),
                patience: Duration::from_millis(500),
                wait_min: Duration::from_millis(5),
                wait_max: Duration::from_millis(50),
            },
        };
        let (stop, stopping) = watch::channel(false);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(forward.run(stopping));
        });
        let side = Self {
            folder,
            remote,
            store,
            now,
            progress,
            expected,
            stop,
            thread: Some(thread),
        };
        until("it has begun", || side.progress().sent_ms > 0);
        side
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.lock().unwrap().clone()
    }

    pub(super) fn count(&self) -> usize {
        self.expected.values().map(Vec::len).sum()
    }

    /// Lets so much time go by, with a sample of everything each minute, and the store kept every ten.
    pub(super) fn live(&mut self, span_ms: i64) {
        let begin_ms = self.now.load(Ordering::SeqCst);
        for at_ms in (begin_ms..begin_ms + span_ms).step_by(60_000) {
            self.show(at_ms);
            if at_ms % (10 * MINUTE) == 0 {
                self.store.keep(at_ms, false).unwrap();
            }
            self.now.store(at_ms + MINUTE, Ordering::SeqCst);
        }
    }

    pub(super) fn expect(&mut self, labels: &Labels, at_ms: i64, value: Value) {
        let mut dressed = labels.edit();
        dressed.set("site", "near");
        let series = self.expected.entry(dressed.build()).or_default();
        series.push((at_ms, value));
    }

    /// Stores what a target shows, and a native histogram.
    pub(super) fn show(&mut self, at_ms: i64) {
        let step = (at_ms - BEGIN) / MINUTE;
        let up = step as f64;
        let store = self.store.clone();
        let mut live = store.live();
        let target = live.target("api", "one");
        let mut rows: BTreeMap<GroupId, Vec<f64>> = BTreeMap::new();
        for (name, more, value) in [
            ("requests_total", ("route", "/"), 3.0 * up),
            ("load", ("route", "/"), (up * 0.37).fract()),
            ("took_seconds_bucket", ("le", "0.5"), up),
            ("took_seconds_bucket", ("le", "2"), 3.0 * up),
            ("took_seconds_bucket", ("le", "+Inf"), 4.0 * up),
            ("took_seconds_count", ("", ""), 4.0 * up),
            ("took_seconds_sum", ("", ""), 5.5 * up),
        ] {
            let mut builder = Labels::new([("job", "api"), ("instance", "i")]).edit();
            builder.set("__name__", name);
            builder.set(more.0, more.1);
            let labels = builder.build();
            let seat = live.seat(target, &labels, false).unwrap();
            let row = rows.entry(seat.group).or_default();
            row.resize(row.len().max(seat.slot as usize + 1), gap());
            row[seat.slot as usize] = value;
            self.expect(&labels, at_ms, Value::Float(value));
        }
        for (group, mut row) in rows {
            live.row(group, at_ms, &mut row);
        }
        let labels = Labels::new([("__name__", "native"), ("instance", "i"), ("job", "api")]);
        let seat = live.seat(target, &labels, true).unwrap();
        let value = Value::Histogram(Arc::new(FloatHistogram {
            schema: 2,
            zero_threshold: 1e-6,
            zero_count: up,
            count: 6.0 * up + 3.0,
            sum: 7.0 * up,
            positive: vec![(-3, 2.0 * up + 1.0), (2, 2.0 * up + 1.0)],
            negative: vec![(1, up + 1.0)],
            ..FloatHistogram::default()
        }));
        live.sample(seat, at_ms, value.clone());
        self.expect(&labels, at_ms, value);
        live.commit().unwrap();
    }
}

pub(super) fn same(one: &Value, two: &Value) -> bool {
    match (one, two) {
        (Value::Float(one), Value::Float(two)) => one.to_bits() == two.to_bits(),
        (Value::Histogram(one), Value::Histogram(two)) => one.equals(two),
        _ => false,
    }
}

/// Everything that was stored, but for the last seconds that are waited for.
pub(super) fn all_arrive(side: &Side, receiver: &Receiver) {
    let end_ms = side.now.load(Ordering::SeqCst) - LATE_MS;
    until("everything was sent", || {
        side.progress().sent_ms >= end_ms && receiver.count() >= side.count()
    });
    let stored = receiver.stored.lock().unwrap();
    for (labels, expected) in &side.expected {
        let found = stored.get(labels).map_or(&[][..], Vec::as_slice);
        assert_eq!(found.len(), expected.len(), "{labels}");
        for (one, two) in found.iter().zip(expected) {
            assert!(
                one.0 == two.0 && same(&one.1, &two.1),
                "{labels}: {one:?}, {two:?}"
            );
        }
    }
    assert_eq!(stored.len(), side.expected.len());
}
