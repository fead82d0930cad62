//! How instances answer: every way to end a body, and what makes a connection unfit for the next request.

mod support;

use support::instance::Instance;
use support::{Gateway, eventually};

#[test]
fn every_framing_reaches_the_client() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1"], &[web.address]);
    let mut peer = gateway.connect();
    for path in ["/chunks", "/to-the-end"] {
        for _ in 0..2 {
            peer.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            let answer = peer.until("\r\n0\r\n\r\n").unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
            let body = answer.split("\r\n\r\n").nth(1).unwrap();
            let text: String = body.split("\r\n").skip(1).step_by(2).collect();
            assert!(["hello", "to the end"].contains(&text.as_str()), "{answer}");
        }
    }
    assert_eq!(peer.get("/").body, "web");
    peer.send("GET /to-the-end HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let rest = String::from_utf8(peer.rest()).unwrap();
    assert!(rest.ends_with("\r\n\r\nto the end"), "{rest}");
}

#[test]
fn an_answer_to_head_has_no_body_and_the_connection_goes_on() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1"], &[web.address]);
    let mut peer = gateway.connect();
    peer.send("HEAD /to-the-end HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = peer.until("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert_eq!(peer.get("/").body, "web");
}

#[test]
fn an_answer_that_can_be_read_in_two_ways_is_refused() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1"], &[web.address]);
    let mut peer = gateway.connect();
    for _ in 0..2 {
        assert_eq!(peer.get("/two-lengths").status, 502);
    }
    assert_eq!(web.requests().len(), 2, "and the request is not sent again");
}

#[test]
fn an_interim_answer_is_not_the_answer() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1"], &[web.address]);
    assert_eq!(gateway.connect().get("/interim").status, 200);
}

#[test]
fn bytes_that_nobody_asked_for_answer_no_request() {
    let (web, other) = (Instance::start("web"), Instance::start("other"));
    let gateway = Gateway::serving(&["workers=1"], &[web.address]);
    let mut peer = gateway.connect();
    for _ in 0..20 {
        assert_eq!(peer.get("/twice").body, "twice");
        let head = "GET /chunks HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let answer = peer.send(head).until("\r\n0\r\n\r\n").unwrap();
        assert!(answer.contains("hel"), "an answer of its own: {answer}");
    }
    gateway.publish(2, &[other.address]);
    assert_eq!(peer.get("/").body, "other");
}

#[test]
fn an_answer_before_the_end_of_the_request_is_the_answer() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1"], &[web.address]);
    let mut peer = gateway.connect();
    peer.send("POST /early HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\nhello");
    assert_eq!(peer.answer().status, 413);
    assert_eq!(gateway.connect().get("/").body, "web");
}

#[test]
fn a_connection_that_is_known_to_be_closed_carries_no_request() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1"], &[web.address]);
    let mut peer = gateway.connect();
    let mut answered = 0;
    for round in 1..=20 {
        assert_eq!(peer.get("/leave").status, 200);
        eventually("the instance closes", || {
            (web.closed() >= round).then_some(())
        });
        // The worker hears of that before this, unless the machine carries the one more slowly.
        peer.send("GET / HTTP/1.1\r\nHost: nowhere.example\r\n\r\n");
        assert_eq!(peer.answer().status, 404);
        // A POST is not sent twice, so the first attempt has to be the right one.
        peer.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        answered += usize::from(peer.answer().status == 200);
    }
    assert!(answered > 10, "{answered} of 20");
}
