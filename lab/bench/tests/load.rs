//! The generator counts what a client sees.

use mainstay_bench::load::{Plan, run, start};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Answers each connection's first request with these bytes and closes.
fn server(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 1024];
            if stream.read(&mut request).is_ok() {
                stream.write_all(answer).ok();
            }
        }
    });
    address
}

fn plan(target: SocketAddr) -> Plan {
    let mut plan = Plan::new(target, 200.0);
    plan.duration = Some(Duration::from_millis(200));
    plan.connections = 4;
    plan
}

#[test]
fn refusals_resets_and_statuses_are_told_apart() {
    let refused = run(plan(closed())).unwrap();
    assert_eq!(
        (refused.sent, refused.refused, refused.succeeded),
        (40, 40, 0)
    );
    let reset = run(plan(server(
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
    )))
    .unwrap();
    assert_eq!((reset.sent, reset.resets), (40, 40));
    let failed = run(plan(server(
        b"HTTP/1.1 500 Oops\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    )))
    .unwrap();
    assert_eq!((failed.sent, failed.server_errors), (40, 40));
    assert_eq!(failed.failures.len(), 10);
}

#[test]
fn successes_are_timed_from_the_schedule_until_stopped() {
    let target = server(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    let mut endless = plan(target);
    endless.duration = None;
    let running = start(endless);
    // slow on purpose: long enough for some of the schedule
    std::thread::sleep(Duration::from_millis(100));
    let summary = running.stop().unwrap();
    assert!(
        summary.succeeded > 0 && summary.failed() == 0,
        "{summary:?}"
    );
    assert!(summary.latency.max_us > 0 && summary.latency.p50_us <= summary.latency.max_us);
}

#[test]
fn waiting_for_a_connection_counts() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut plan = plan(listener.local_addr().unwrap());
    plan.connections = 1;
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        while stream.read(&mut request).is_ok_and(|count| count > 0) {
            // slow on purpose
            std::thread::sleep(Duration::from_millis(10));
            let answered = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            answered.unwrap();
        }
    });
    // 40 requests due within 200 ms, 10 ms each, one at a time: the last is 200 ms late.
    let summary = run(plan).unwrap();
    assert_eq!(summary.succeeded, 40);
    assert!(summary.latency.max_us > 150_000, "{summary:?}");
}

#[test]
fn a_silent_server_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut silent = plan(listener.local_addr().unwrap());
    silent.timeout = Duration::from_millis(50);
    let summary = run(silent).unwrap();
    assert_eq!((summary.sent, summary.timeouts), (40, 40));
}
