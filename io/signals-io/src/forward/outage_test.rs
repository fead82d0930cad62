//! Outages of the other side, a day long by a clock that the test moves: what was stored meanwhile arrives once the
//! receiver is back, in order, once, and what is lost is counted.

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

const MINUTE: i64 = 60_000;
const HOUR: i64 = 3_600_000;
const BEGIN: i64 = 1_700_000_000_000 - 1_700_000_000_000 % (2 * HOUR);

/// How long anything may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "never: {what}");
        std::thread::yield_now();
    }
}

/// What a receiver does with a request.
#[derive(Debug, Clone, PartialEq)]
enum Mode {
    Take,
    /// Reads it and says nothing.
    Hang,
    /// Closes the connection.
    Away,
    /// A status, fields of the head, each with its end, and a body.
    Say(u16, String, Vec<u8>),
}

/// Samples by series, as they came.
type Stored = BTreeMap<Labels, Vec<(i64, Value)>>;

/// The other side.
#[derive(Clone)]
struct Receiver {
    address: SocketAddr,
    mode: Arc<Mutex<Mode>>,
    requests: Arc<AtomicUsize>,
    stored: Arc<Mutex<Stored>>,
    protocol: Protocol,
}

impl Receiver {
    fn start(protocol: Protocol) -> Self {
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

    fn turn(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn asked(&self) -> usize {
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
                    self.take(&body);
                    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into()
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

    fn take(&self, body: &[u8]) {
        let series = match self.protocol {
            Protocol::RemoteWrite => {
                remote::read_first(&remote::inflate(body, 1 << 24).unwrap()).unwrap()
            }
            Protocol::Otlp => {
                let body = crate::fetch::inflate(body, 1 << 24).unwrap();
                let (series, refused) = otlp::translate(&otlp::read_proto(&body).unwrap());
                assert_eq!(refused, None);
                series
            }
        };
        let mut stored = self.stored.lock().unwrap();
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
    }

    fn count(&self) -> usize {
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
struct Side {
    _folder: tempfile::TempDir,
    store: Store,
    now: Arc<AtomicI64>,
    progress: Arc<Mutex<Progress>>,
    expected: Stored,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Side {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

impl Side {
    fn start(address: &str, protocol: Protocol) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("metrics"), Bounds::default()).unwrap();
        let now = Arc::new(AtomicI64::new(BEGIN));
        let progress = Arc::<Mutex<Progress>>::default();
        let forward = Forward {
            remote: Remote {
                name: "far".into(),
                address: address.into(),
                tls: false,
                path: "/write".into(),
                protocol,
                token_file: None,
            },
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
            _folder: folder,
            store,
            now,
            progress,
            expected: Stored::new(),
            stop,
            thread: Some(thread),
        };
        until("it has begun", || side.progress().sent_ms > 0);
        side
    }

    fn progress(&self) -> Progress {
        self.progress.lock().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.expected.values().map(Vec::len).sum()
    }

    /// Lets so much time go by, with a sample of everything each minute, and the store kept every ten.
    fn live(&mut self, span_ms: i64) {
        let begin_ms = self.now.load(Ordering::SeqCst);
        for at_ms in (begin_ms..begin_ms + span_ms).step_by(60_000) {
            self.show(at_ms);
            if at_ms % (10 * MINUTE) == 0 {
                self.store.keep(at_ms, false).unwrap();
            }
            self.now.store(at_ms + MINUTE, Ordering::SeqCst);
        }
    }

    fn expect(&mut self, labels: &Labels, at_ms: i64, value: Value) {
        let mut dressed = labels.edit();
        dressed.set("site", "near");
        let series = self.expected.entry(dressed.build()).or_default();
        series.push((at_ms, value));
    }

    /// Stores what a target shows, and a native histogram.
    fn show(&mut self, at_ms: i64) {
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

fn same(one: &Value, two: &Value) -> bool {
    match (one, two) {
        (Value::Float(one), Value::Float(two)) => one.to_bits() == two.to_bits(),
        (Value::Histogram(one), Value::Histogram(two)) => one.equals(two),
        _ => false,
    }
}

/// Everything that was stored, but for the last seconds that are waited for.
fn all_arrive(side: &Side, receiver: &Receiver) {
    let end_ms = side.now.load(Ordering::SeqCst) - LATE_MS;
    until("everything was sent", || side.progress().sent_ms >= end_ms);
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

/// A day without the other side, which does this meanwhile.
fn a_day_without(protocol: Protocol, mode: Mode) {
    let receiver = Receiver::start(protocol);
    let mut side = Side::start(&receiver.address.to_string(), protocol);
    side.live(HOUR);
    all_arrive(&side, &receiver);
    receiver.turn(mode);
    let asked = receiver.asked();
    side.live(24 * HOUR);
    until("it was tried", || {
        receiver.asked() > asked && side.progress().failures > 0
    });
    assert!(
        side.store.live().volumes.len() >= 11,
        "blocks were made meanwhile"
    );
    assert!(!side.progress().trouble.is_empty());
    receiver.turn(Mode::Take);
    all_arrive(&side, &receiver);
    let progress = side.progress();
    assert_eq!(
        (progress.refused, progress.left_out, progress.lost()),
        (0, 0, 0)
    );
    assert_eq!(progress.trouble, "");
}

fn says(status: u16) -> Mode {
    Mode::Say(status, String::new(), b"not today".to_vec())
}

#[test]
fn a_day_away_is_made_up_for() {
    a_day_without(Protocol::RemoteWrite, Mode::Away);
    a_day_without(Protocol::Otlp, Mode::Away);
}

#[test]
fn a_day_of_silence_is_made_up_for() {
    a_day_without(Protocol::RemoteWrite, Mode::Hang);
    a_day_without(Protocol::Otlp, Mode::Hang);
}

#[test]
fn a_day_of_failures_is_made_up_for() {
    a_day_without(Protocol::RemoteWrite, says(500));
    a_day_without(Protocol::Otlp, says(503));
    let later = Mode::Say(429, "Retry-After: 0\r\n".into(), Vec::new());
    a_day_without(Protocol::Otlp, later);
}

#[test]
fn a_redirect_is_not_followed() {
    for protocol in [Protocol::RemoteWrite, Protocol::Otlp] {
        let trap = Receiver::start(protocol);
        let field = format!("Location: http://{}/write\r\n", trap.address);
        a_day_without(protocol, Mode::Say(307, field, Vec::new()));
        let field = "Location: http://169.254.169.254/latest\r\n".to_owned();
        a_day_without(protocol, Mode::Say(302, field, Vec::new()));
        assert_eq!(trap.asked(), 0);
    }
}

#[test]
fn nobody_sends_where_clouds_keep_their_secrets() {
    for address in [
        "169.254.169.254:80",
        "[fe80::1]:80",
        "[::ffff:169.254.0.1]:80",
    ] {
        let mut side = Side::start(address, Protocol::Otlp);
        side.live(HOUR);
        until("it says why", || {
            side.progress().trouble.contains("link-local")
        });
        assert_eq!(side.progress().samples, 0);
    }
}

#[test]
fn what_is_refused_is_counted_and_the_rest_goes_on() {
    for (protocol, status) in [
        (Protocol::RemoteWrite, 400),
        (Protocol::Otlp, 400),
        (Protocol::Otlp, 500),
    ] {
        let receiver = Receiver::start(protocol);
        let mut side = Side::start(&receiver.address.to_string(), protocol);
        receiver.turn(says(status));
        side.live(3 * HOUR);
        let end_ms = side.now.load(Ordering::SeqCst) - LATE_MS;
        until("it is over", || side.progress().sent_ms >= end_ms);
        let refused = side.progress().refused;
        assert!(refused > 0 && side.progress().trouble.ends_with("not today"));
        receiver.turn(Mode::Take);
        side.live(HOUR);
        let end_ms = side.now.load(Ordering::SeqCst) - LATE_MS;
        until("the rest is sent", || side.progress().sent_ms >= end_ms);
        let progress = side.progress();
        assert_eq!(progress.refused, refused);
        let taken = receiver.count();
        assert_eq!(taken, side.count() / 4);
        if protocol == Protocol::RemoteWrite {
            assert_eq!(refused as usize + taken, side.count());
            assert_eq!(progress.samples as usize, taken);
        }
    }
}

#[test]
fn what_was_kept_for_too_short_a_time_is_counted() {
    for protocol in [Protocol::RemoteWrite, Protocol::Otlp] {
        let receiver = Receiver::start(protocol);
        let mut side = Side::start(&receiver.address.to_string(), protocol);
        side.live(2 * HOUR + 10 * MINUTE);
        all_arrive(&side, &receiver);
        {
            let mut live = side.store.live();
            let block = live.volumes.first().expect("a window is over").bytes;
            live.bounds.keep_bytes = live.size() + 3 * block;
        }
        receiver.turn(Mode::Away);
        side.live(24 * HOUR);
        assert!(side.store.live().volumes.len() < 10, "old blocks went");
        until("it was counted", || side.progress().lost() > 0);
        receiver.turn(Mode::Take);
        let end_ms = side.now.load(Ordering::SeqCst) - LATE_MS;
        until("the rest is sent", || side.progress().sent_ms >= end_ms);
        let lost = side.progress().lost();
        assert_eq!(lost as usize + receiver.count(), side.count());
        assert_eq!(side.progress().refused, 0);
    }
}

#[test]
fn what_is_taken_in_part_is_counted() {
    let receiver = Receiver::start(Protocol::Otlp);
    let mut side = Side::start(&receiver.address.to_string(), Protocol::Otlp);
    let (mut part, mut body) = (Vec::new(), Vec::new());
    crate::wire::put_number(&mut part, 1, 2);
    crate::wire::put_bytes(&mut part, 2, b"out of order");
    crate::wire::put_bytes(&mut body, 1, &part);
    receiver.turn(Mode::Say(200, String::new(), body));
    side.live(10 * MINUTE);
    until("it was sent", || side.progress().refused > 0);
    assert_eq!(side.progress().trouble, "out of order");
    let end_ms = side.now.load(Ordering::SeqCst) - LATE_MS;
    until("it is over", || side.progress().sent_ms >= end_ms);
    let progress = side.progress();
    assert_eq!(progress.refused % 2, 0);
    // Each minute: two numbers, a classic histogram and a native one.
    assert_eq!(progress.samples + progress.refused, 40);
    assert_eq!(progress.failures, 0);
}
