//! Samples that come when their time was sent already: each is sent once, in the order of its series.

use super::side::{HOUR, MINUTE, Mode, Receiver, Side, all_arrive, until};
use super::*;
use mainstay_metrics::{Appended, FloatHistogram, GroupId, Value, gap};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

const PROTOCOLS: [Protocol; 3] = [
    Protocol::RemoteWrite,
    Protocol::RemoteWrite2,
    Protocol::Otlp,
];

impl Side {
    fn now_ms(&self) -> i64 {
        self.now.load(Ordering::SeqCst)
    }

    /// Somebody sends a number, and a histogram.
    fn push(&mut self, name: &str, at_ms: i64) {
        let (floats, natives) = (name.to_owned(), format!("{name}_native"));
        let count = (at_ms / 1000) as f64;
        let histogram = FloatHistogram {
            schema: 1,
            count,
            sum: 2.0,
            positive: vec![(1, count)],
            ..FloatHistogram::default()
        };
        for (name, value) in [
            (floats, Value::Float(at_ms as f64)),
            (natives, Value::Histogram(Arc::new(histogram))),
        ] {
            let labels = Labels::new([("__name__", &*name), ("job", "far"), ("instance", "i")]);
            assert_eq!(self.offer(&labels, at_ms, value.clone()), Appended::Stored);
            self.expect(&labels, at_ms, value);
        }
    }

    fn offer(&self, labels: &Labels, at_ms: i64, value: Value) -> Appended {
        let mut live = self.store.live();
        let target = live.target("far", "pushed far");
        let seat = live.seat(target, labels, true).unwrap();
        let appended = live.sample(seat, at_ms, value);
        live.commit().unwrap();
        appended
    }

    /// A target's answer took long to come.
    fn row(&mut self, at_ms: i64) {
        let store = self.store.clone();
        let mut live = store.live();
        let target = live.target("slow", "slow");
        let mut rows: BTreeMap<GroupId, Vec<f64>> = BTreeMap::new();
        for place in 0..3 {
            let name = format!("slow_{place}");
            let labels = Labels::new([("__name__", &*name), ("job", "slow"), ("instance", "i")]);
            let seat = live.seat(target, &labels, false).unwrap();
            let row = rows.entry(seat.group).or_default();
            row.resize(row.len().max(seat.slot as usize + 1), gap());
            row[seat.slot as usize] = at_ms as f64;
            self.expect(&labels, at_ms, Value::Float(at_ms as f64));
        }
        for (group, mut row) in rows {
            assert_eq!(live.row(group, at_ms, &mut row), Appended::Stored);
        }
        live.commit().unwrap();
    }
}

fn nothing_is_missing(side: &Side) {
    let progress = side.progress();
    let lacks = (progress.refused, progress.left_out, progress.lost());
    assert_eq!(lacks, (0, 0, 0), "{}", progress.trouble);
}

#[test]
fn what_comes_late_is_sent_once() {
    for protocol in PROTOCOLS {
        let receiver = Receiver::start(protocol);
        let mut side = Side::start(&receiver.address.to_string(), protocol);
        side.live(HOUR);
        all_arrive(&side, &receiver);
        // Lags, and after some time does not.
        for lag in [20, 20, 20, 12, 12, 3, 3, 3, 0, 0, 0] {
            side.push("lags", side.now_ms() - lag * MINUTE);
            side.row(side.now_ms() - lag * MINUTE + 1);
            side.live(MINUTE);
        }
        all_arrive(&side, &receiver);
        // Many at once, behind each other.
        for step in 0..300 {
            side.push("bulk", side.now_ms() - HOUR + step * 1000);
        }
        side.live(5 * MINUTE);
        all_arrive(&side, &receiver);
        nothing_is_missing(&side);
        assert!(side.store.live().counts.late > 600);
    }
}

#[test]
fn what_comes_late_while_nobody_takes_it_is_sent_in_order() {
    for protocol in PROTOCOLS {
        let receiver = Receiver::start(protocol);
        let mut side = Side::start(&receiver.address.to_string(), protocol);
        side.live(HOUR);
        side.push("lags", side.now_ms() - 30 * MINUTE);
        side.live(MINUTE);
        all_arrive(&side, &receiver);
        receiver.turn(Mode::Away);
        side.live(20 * MINUTE);
        let failures = side.progress().failures;
        until("a request waits", || side.progress().failures > failures);
        // Of what was sent, of what is being sent, and of what is not begun.
        for minute in [45, 40, 25, 21, 15, 10, 5, 1] {
            side.push("lags", side.now_ms() - minute * MINUTE);
            side.push("new", side.now_ms() - minute * MINUTE);
            side.row(side.now_ms() - minute * MINUTE);
        }
        side.live(3 * HOUR);
        side.push("lags", side.now_ms() - 15 * MINUTE);
        receiver.turn(Mode::Take);
        all_arrive(&side, &receiver);
        nothing_is_missing(&side);
    }
}

#[test]
fn what_came_late_is_known_after_a_kill() {
    for protocol in PROTOCOLS {
        let receiver = Receiver::start(protocol);
        let mut side = Side::start(&receiver.address.to_string(), protocol);
        side.live(HOUR);
        all_arrive(&side, &receiver);
        receiver.turn(Mode::Away);
        for minute in [40, 30, 20] {
            side.push("lags", side.now_ms() - minute * MINUTE);
        }
        let mut side = side.again();
        side.push("lags", side.now_ms() - 10 * MINUTE);
        side.live(10 * MINUTE);
        receiver.turn(Mode::Take);
        all_arrive(&side, &receiver);
        // What was sent is not sent again after the next one.
        let mut side = side.again();
        side.live(10 * MINUTE);
        all_arrive(&side, &receiver);
        nothing_is_missing(&side);
    }
}

#[test]
fn what_the_store_does_not_take_is_not_sent() {
    let receiver = Receiver::start(Protocol::RemoteWrite);
    let mut side = Side::start(&receiver.address.to_string(), Protocol::RemoteWrite);
    side.live(HOUR);
    let labels = Labels::new([("__name__", "lags"), ("job", "far"), ("instance", "i")]);
    let offer = |side: &Side, at_ms| side.offer(&labels, at_ms, Value::Float(1.0));
    side.push("lags", side.now_ms() - 20 * MINUTE);
    // Before what the series has.
    let earlier = side.now_ms() - 21 * MINUTE;
    assert_eq!(offer(&side, earlier), Appended::OutOfOrder);
    let same = side.now_ms() - 20 * MINUTE;
    assert_eq!(offer(&side, same), Appended::Duplicate);
    // Before the last sample of a window that is closed.
    side.live(2 * HOUR);
    side.live(MINUTE);
    assert!(!side.store.live().volumes.is_empty());
    let closed = side.now_ms() - 90 * MINUTE;
    assert_eq!(offer(&side, closed), Appended::OutOfOrder);
    let fresh = Labels::new([("__name__", "other"), ("job", "far")]);
    let appended = side.offer(&fresh, closed, Value::Float(1.0));
    assert_eq!(appended, Appended::OutOfOrder);
    all_arrive(&side, &receiver);
}

#[test]
fn what_comes_while_its_time_is_read_is_read_next() {
    let folder = tempfile::tempdir().unwrap();
    let bounds = crate::store::Bounds::default();
    let store = Store::open(&folder.path().join("metrics"), bounds).unwrap();
    let append = |name: &str, at_ms: i64| {
        let mut live = store.live();
        let target = live.target("a", "a");
        let labels = Labels::new([("__name__", name), ("job", "a")]);
        let seat = live.seat(target, &labels, true).unwrap();
        let appended = live.sample(seat, at_ms, Value::Float(0.0));
        assert_eq!(appended, Appended::Stored);
        live.commit().unwrap();
    };
    let shown = |part: &Part, view: &View, range| {
        let mut shown = BTreeMap::new();
        let walked = part.each(view, range, &mut |one| {
            shown.insert(one.labels.metric().to_owned(), one.at_ms.to_vec());
            true
        });
        walked.unwrap();
        shown
    };
    let expected = |all: &[(&str, &[i64])]| -> BTreeMap<String, Vec<i64>> {
        let all = all.iter();
        all.map(|(name, at_ms)| ((*name).to_owned(), at_ms.to_vec()))
            .collect()
    };
    append("a", 600);
    append("b", 600);
    let mark = store.mark(&folder.path().join("late"), || 500);
    let first = store.stretch(&mark, 1000);
    assert_eq!(first.picks, []);
    // They come after it was begun, and before it is read.
    append("a", 700);
    append("c", 650);
    append("d", 1100);
    let all = Part::All(mark.clone());
    let found = shown(&all, &first.view, (500, 1000));
    assert_eq!(found, expected(&[("a", &[600]), ("b", &[600])]));
    mark.done(true, false);
    append("a", 800);
    append("a", 1500);
    let second = store.stretch(&mark, 2000);
    append("a", 1900);
    let found = shown(&all, &second.view, (1000, 2000));
    assert_eq!(found, expected(&[("a", &[1500]), ("d", &[1100])]));
    let late = Part::Late(Picks::new(&second.picks));
    let found = shown(&late, &second.late, (0, 2000));
    assert_eq!(found, expected(&[("a", &[700, 800]), ("c", &[650])]));
    mark.caught_up(&second.picks, 3, true, false);
    mark.done(true, false);
    let third = store.stretch(&mark, 3000);
    let late = Part::Late(Picks::new(&third.picks));
    let found = shown(&late, &third.late, (0, 3000));
    assert_eq!(found, expected(&[("a", &[1900])]));
}
