//! Outages of the other side, a day long by a clock that the test moves: what was stored meanwhile arrives once the
//! receiver is back, in order, once, and what is lost is counted.

use super::side::{HOUR, MINUTE, Mode, Receiver, Side, WRITTEN, all_arrive, until};
use super::*;
use std::sync::atomic::Ordering;

const ALL: [Protocol; 3] = [
    Protocol::RemoteWrite,
    Protocol::RemoteWrite2,
    Protocol::Otlp,
];

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
    a_day_without(Protocol::RemoteWrite2, Mode::Away);
    a_day_without(Protocol::Otlp, Mode::Away);
}

#[test]
fn a_day_of_silence_is_made_up_for() {
    a_day_without(Protocol::RemoteWrite, Mode::Hang);
    a_day_without(Protocol::RemoteWrite2, Mode::Hang);
    a_day_without(Protocol::Otlp, Mode::Hang);
}

#[test]
fn a_day_of_failures_is_made_up_for() {
    a_day_without(Protocol::RemoteWrite, says(500));
    a_day_without(Protocol::RemoteWrite2, says(500));
    a_day_without(Protocol::Otlp, says(503));
    let later = Mode::Say(429, "Retry-After: 0\r\n".into(), Vec::new());
    a_day_without(Protocol::Otlp, later);
    let field = format!("Retry-After: 0\r\n{WRITTEN}: 1\r\n");
    a_day_without(Protocol::RemoteWrite2, Mode::Say(503, field, Vec::new()));
}

#[test]
fn a_redirect_is_not_followed() {
    for protocol in ALL {
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
        (Protocol::RemoteWrite2, 400),
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
        if protocol != Protocol::Otlp {
            assert_eq!(refused as usize + taken, side.count());
            assert_eq!(progress.samples as usize, taken);
        }
    }
}

#[test]
fn what_was_kept_for_too_short_a_time_is_counted() {
    for protocol in ALL {
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

#[test]
fn a_receiver_of_the_first_version_is_named_and_loses_nothing() {
    // It says so, or takes nothing from what it does not know and says that all is well.
    let refuses = Mode::Say(415, String::new(), b"unsupported".to_vec());
    let knows_nothing = Mode::Say(204, String::new(), Vec::new());
    for mode in [refuses, knows_nothing] {
        let receiver = Receiver::start(Protocol::RemoteWrite2);
        let address = receiver.address.to_string();
        let mut side = Side::start(&address, Protocol::RemoteWrite2);
        receiver.turn(mode.clone());
        side.live(HOUR);
        until("it says why", || {
            let trouble = side.progress().trouble;
            trouble.contains("does not speak remote-write 2.0")
                && trouble.contains("`protocol: remote_write`")
        });
        let progress = side.progress();
        assert_eq!((progress.samples, progress.refused), (0, 0), "{mode:?}");
        receiver.turn(Mode::Take);
        all_arrive(&side, &receiver);
    }
}

#[test]
fn what_the_second_version_takes_in_part_is_counted() {
    let receiver = Receiver::start(Protocol::RemoteWrite2);
    let mut side = Side::start(&receiver.address.to_string(), Protocol::RemoteWrite2);
    let histograms = "x-prometheus-remote-write-histograms-written";
    let fields = format!("{WRITTEN}: 3\r\n{histograms}: 2\r\n");
    receiver.turn(Mode::Say(400, fields, b"out of order".to_vec()));
    side.live(10 * MINUTE);
    let end_ms = side.now.load(Ordering::SeqCst) - LATE_MS;
    until("it is over", || side.progress().sent_ms >= end_ms);
    let progress = side.progress();
    assert!(progress.trouble.contains("out of order"), "{progress:?}");
    // Five of each request.
    assert_eq!(progress.samples, 5 * receiver.asked() as u64);
    assert_eq!(progress.samples + progress.refused, side.count() as u64);
    assert_eq!(progress.failures, 0);
}
