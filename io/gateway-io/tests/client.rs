//! How clients speak and leave: bodies nobody reads, old versions, connections that end too early.

mod support;

use std::net::Shutdown;
use support::instance::{BIG, Instance};
use support::{Gateway, eventually};

#[test]
fn a_body_that_nobody_wants_does_not_become_a_request() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1"], &[web.address]);
    let mut peer = gateway.connect();
    let body = "GET /evil HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let head = |host| {
        format!(
            "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
    };
    peer.send(format!("{}{body}", head("nowhere.example")));
    assert_eq!(peer.answer().status, 404);
    assert_eq!(peer.get("/").body, "web", "the connection goes on");
    // One that is not here yet is not waited for.
    peer.send(head("nowhere.example"));
    let answer = peer.answer();
    assert_eq!(answer.status, 404);
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
    peer.send(body);
    assert_eq!(peer.rest(), b"");
    assert_eq!(web.requests().len(), 1);
}

#[test]
fn a_body_is_not_asked_for_in_vain() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1"], &[web.address]);
    let mut peer = gateway.connect();
    peer.send("POST / HTTP/1.1\r\nHost: nowhere.example\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(peer.answer().status, 404, "and no 100 before it");
    assert_eq!(peer.rest(), b"");
}

#[test]
fn an_old_client_keeps_its_connection_when_it_asks_for_that() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1"], &[web.address]);
    let mut peer = gateway.connect();
    for _ in 0..2 {
        peer.send("GET / HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n");
        let answer = peer.answer();
        assert_eq!(answer.body, "web");
        assert!(
            answer.head.contains("connection: keep-alive"),
            "{}",
            answer.head
        );
    }
}

#[test]
fn a_client_that_leaves_takes_its_request_back() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1"], &[web.address]);
    for (path, how) in [
        ("/slow", Shutdown::Both),
        ("/slow", Shutdown::Write),
        ("/events", Shutdown::Both),
    ] {
        let mut peer = gateway.connect();
        peer.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let under_way = || {
            let one = gateway.status().instances[0].clone();
            one.in_flight + one.streams
        };
        eventually("one under way", || (under_way() == 1).then_some(()));
        if path == "/events" {
            peer.until("data: 1").unwrap();
        }
        peer.stream.shutdown(how).unwrap();
        eventually("none under way", || (under_way() == 0).then_some(()));
    }
}

#[test]
fn a_client_that_reads_slowly_gets_all_of_it() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1"], &[web.address]);
    let mut slow = gateway.connect();
    slow.send("GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n");
    slow.until("\r\n\r\n").unwrap();
    // Meanwhile the worker serves others.
    for _ in 0..20 {
        assert_eq!(gateway.connect().get("/").body, "web");
    }
    while slow.read.len() < BIG {
        slow.more().unwrap();
    }
    assert!(slow.read.len() == BIG && slow.read.iter().all(|byte| *byte == b'b'));
    slow.read.clear();
    assert_eq!(slow.get("/").body, "web");
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1", "stall=200"], &[web.address]);
    let mut peer = gateway.connect();
    peer.send("GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n");
    eventually("the request ends", || {
        let metrics = gateway.client().metrics().unwrap();
        metrics
            .contains("gateway_failures_total{reason=\"client_timeout\"} 1")
            .then_some(())
    });
    assert!(peer.rest().len() < BIG);
}

#[test]
fn a_body_in_chunks_streams_to_the_instance() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1"], &[web.address]);
    let mut peer = gateway.connect();
    peer.send("POST /up HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = "y".repeat(5_000);
    for _ in 0..60 {
        peer.send(format!("1388\r\n{chunk}\r\n"));
    }
    peer.send("0\r\nA: trailer\r\n\r\n");
    assert_eq!(peer.answer().status, 200);
    let request = web.requests().remove(0);
    assert_eq!(request.matches('y').count(), 300_000);
    assert!(!request.contains("trailer"), "trailers stay behind");
    assert_eq!(peer.get("/").body, "web");
}
