//! Requests through a running gateway: routes, retries, streams, counts, limits.

mod support;

use mainstay_atoms::{HostName, ServiceName};
use mainstay_routing::{Listener, Pool, Route};
use std::time::Duration;
use support::instance::Instance;
use support::{Gateway, Peer, eventually, free_address, table};

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[test]
fn hosts_and_prefixes_find_their_service() {
    let (web, api) = (Instance::start("web"), Instance::start("api"));
    let gateway = Gateway::start(&["workers=2"]);
    let local = free_address();
    let mut wanted = gateway.table(1, &[web.address]);
    let name = ServiceName::new("api").unwrap();
    let mut pool: Pool = wanted.services.values().next().unwrap().clone();
    pool.backends[0].instance = "api.v1.1".parse().unwrap();
    pool.backends[0].address = api.address;
    wanted.services.insert(name.clone(), pool);
    let host = HostName::new("localhost").unwrap();
    let route = Route {
        prefix: "/api".into(),
        service: name.clone(),
        only: None,
    };
    wanted.domains.get_mut(&host).unwrap().push(route);
    wanted.listeners.push(Listener::Local {
        address: local,
        service: name,
    });
    gateway.client().publish(&wanted).unwrap();
    let mut peer = gateway.connect();
    assert_eq!(peer.get("/").body, "web");
    assert_eq!(peer.get("/api/x").body, "api");
    assert_eq!(peer.get("/apis").body, "web");
    peer.send("GET / HTTP/1.1\r\nHost: other.example\r\n\r\n");
    let answer = peer.answer();
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("`other.example`"), "{}", answer.body);
    let mut inside = Peer::connect(local);
    inside.send("GET /any HTTP/1.1\r\nHost: whatever\r\n\r\n");
    assert_eq!(inside.answer().body, "api");
}

#[test]
fn fields_of_one_connection_stay_there() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1"], &[web.address]);
    let answer = gateway.connect().get("/");
    let head = answer.head.to_lowercase();
    assert!(head.contains("x-instance: yes"), "{head}");
    for gone in ["keep-alive:", "x-secret", "connection:"] {
        assert!(!head.contains(gone), "{head}");
    }
}

#[test]
fn a_dead_instance_costs_no_request() {
    let (one, other) = (Instance::start("one"), Instance::start("other"));
    let gateway = Gateway::serving(
        &["workers=1"],
        &[free_address(), one.address, other.address],
    );
    let mut peer = gateway.connect();
    for _ in 0..50 {
        assert_eq!(peer.get("/").status, 200);
    }
    peer.send("POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(peer.answer().status, 200);
    let status = gateway.status();
    let dead = &status.instances[0];
    assert!(
        (1..10).contains(&dead.failures),
        "ejected after the first failures: {dead:?}"
    );
}

#[test]
fn nobody_alive_is_told_apart() {
    let gateway = Gateway::serving(&["workers=1"], &[free_address()]);
    let mut peer = gateway.connect();
    assert_eq!(peer.get("/").status, 502);
    gateway.publish(2, &[]);
    let answer = peer.get("/");
    assert_eq!(answer.status, 503);
    assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);
    assert!(
        gateway
            .client()
            .metrics()
            .unwrap()
            .contains("gateway_failures_total{reason=\"no_instance\"} 1")
    );
}

#[test]
fn a_post_of_which_bytes_were_written_is_never_sent_again() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1"], &[web.address]);
    let mut peer = gateway.connect();
    assert_eq!(peer.get("/").status, 200);
    web.requests();
    for body in ["hi", ""] {
        let length = body.len();
        peer.send(format!(
            "POST /die HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        assert_eq!(peer.answer().status, 502);
        assert_eq!(web.requests().len(), 1, "{body:?}");
        assert_eq!(peer.get("/").status, 200);
        web.requests();
    }
}

#[test]
fn a_get_on_a_connection_that_died_is_sent_again() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1"], &[web.address]);
    let mut peer = gateway.connect();
    assert_eq!(peer.get("/").status, 200);
    web.requests();
    assert_eq!(peer.get("/die-once").status, 200);
    assert_eq!(web.requests().len(), 2);
    // A fresh connection that dies is the instance's fault, and is not tried again.
    peer.send("GET /die HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(peer.answer().status, 502);
}

#[test]
fn a_slow_head_is_given_up() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1", "response=100"], &[web.address]);
    assert_eq!(gateway.connect().get("/slow").status, 504);
    eventually("nothing in flight", || {
        (gateway.status().instances[0].in_flight == 0).then_some(())
    });
}

#[test]
fn an_answer_that_breaks_off_breaks_off_for_the_client() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1"], &[web.address]);
    let mut peer = gateway.connect();
    peer.send("GET /half HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let rest = String::from_utf8(peer.rest()).unwrap();
    // What had been written when it broke is there or not; a whole answer never is.
    let begun =
        rest.starts_with("HTTP/1.1 200") && (rest.ends_with("half") || rest.ends_with("\r\n\r\n"));
    assert!(rest.is_empty() || begun, "{rest}");
    let metrics = gateway.client().metrics().unwrap();
    assert!(
        metrics.contains("gateway_failures_total{reason=\"answer_cut\"} 1"),
        "{metrics}"
    );
}

#[test]
fn who_left_the_table_finishes_what_it_has_and_gets_nothing_new() {
    let (old, new) = (Instance::start("old"), Instance::start("new"));
    let gateway = Gateway::serving(&["workers=2"], &[old.address]);
    let mut slow = gateway.connect();
    slow.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
    eventually("one in flight", || {
        (gateway.status().instances[0].in_flight == 1).then_some(())
    });
    let mut kept = gateway.connect();
    assert_eq!(kept.get("/").body, "old");
    gateway.publish(2, &[new.address]);
    for _ in 0..20 {
        assert_eq!(kept.get("/").body, "new", "acknowledged means everywhere");
        assert_eq!(gateway.connect().get("/").body, "new");
    }
    let status = gateway.status();
    let draining = status
        .instances
        .iter()
        .find(|one| !one.current)
        .expect("the old one drains");
    assert_eq!((draining.address, draining.in_flight), (old.address, 1));
    old.release();
    assert_eq!(slow.answer().body, "old");
    eventually("the old one is forgotten", || {
        gateway
            .status()
            .instances
            .iter()
            .all(|one| one.current)
            .then_some(())
    });
    let metrics = gateway.client().metrics().unwrap();
    assert!(metrics.contains("instance=\"past\""), "{metrics}");
}

#[test]
fn a_websocket_passes_and_is_closed_cleanly_when_its_instance_leaves() {
    let (old, new) = (Instance::start("old"), Instance::start("new"));
    let gateway = Gateway::serving(&["workers=1"], &[old.address]);
    let mut peer = gateway.connect();
    peer.send(UPGRADE);
    let head = peer.until("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.1 101") && head.contains("upgrade: websocket"),
        "{head}"
    );
    peer.send([0x81, 2, b'h', b'i']);
    while peer.read.len() < 4 {
        peer.more().unwrap();
    }
    assert_eq!(std::mem::take(&mut peer.read), [0x81, 2, b'h', b'i']);
    let status = gateway.status();
    assert_eq!(
        (status.instances[0].in_flight, status.instances[0].streams),
        (0, 1)
    );
    // An unrelated change disturbs nobody.
    gateway.publish(2, &[old.address, new.address]);
    peer.send([0x81, 1, b'!']);
    while peer.read.len() < 3 {
        peer.more().unwrap();
    }
    peer.read.clear();
    gateway.publish(3, &[new.address]);
    assert_eq!(peer.rest(), [0x88, 2, 0x03, 0xe9], "1001, going away");
    drop(peer);
    eventually("no stream", || {
        gateway
            .status()
            .instances
            .iter()
            .all(|one| one.streams == 0)
            .then_some(())
    });
}

#[test]
fn events_stream_and_end_cleanly_when_their_instance_leaves() {
    let (old, new) = (Instance::start("old"), Instance::start("new"));
    let gateway = Gateway::serving(&["workers=1"], &[old.address]);
    let mut peer = gateway.connect();
    peer.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(
        peer.until("data: 1\n\n\r\n").is_some(),
        "an event is not held back"
    );
    assert_eq!(gateway.status().instances[0].streams, 1);
    gateway.publish(2, &[new.address]);
    assert!(peer.until("0\r\n\r\n").is_some(), "the body ends");
    assert_eq!(peer.get("/").body, "new", "and the connection goes on");
}

#[test]
fn a_client_that_is_too_slow_is_cut() {
    let web = Instance::start("web");
    let limits = ["workers=1", "head=200", "body=200", "idle=400"];
    let gateway = Gateway::serving(&limits, &[web.address]);
    let mut head = gateway.connect();
    head.send("GET / HTTP/1.1\r\nHost:");
    assert_eq!(head.rest(), b"");
    let mut body = gateway.connect();
    body.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhi");
    body.rest();
    let mut idle = gateway.connect();
    assert_eq!(idle.get("/").status, 200);
    assert_eq!(idle.rest(), b"");
    assert_eq!(web.requests().len(), 1, "the cut body is no request");
}

#[test]
fn too_many_connections_are_told_so() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1", "connections=1"], &[web.address]);
    let mut first = gateway.connect();
    assert_eq!(first.get("/").status, 200);
    let mut second = gateway.connect();
    assert_eq!(second.answer().status, 503);
    assert_eq!(first.get("/").status, 200);
}

#[test]
fn metrics_name_route_service_instance_release_and_code() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=2"], &[web.address]);
    for path in ["/", "/", "/500"] {
        gateway.connect().get(path);
    }
    let mut client = gateway.client();
    let metrics = eventually("three requests", || {
        let metrics = client.metrics().unwrap();
        let labels = r#"route="localhost/",service="web",instance="web.v1.1",release="v1",code="#;
        let has = |code: &str, count| {
            metrics.contains(&format!(
                "gateway_requests_total{{{labels}\"{code}\"}} {count}"
            ))
        };
        (has("200", 2) && has("500", 1)).then_some(metrics.clone())
    });
    assert!(metrics.contains(
        r#"gateway_request_duration_seconds_count{route="localhost/",service="web",release="v1"} 3"#
    ));
    let latencies = client.latencies().unwrap();
    let one = latencies
        .iter()
        .find(|one| one.instance == "web.v1.1")
        .unwrap();
    assert!(one.latency.quantile(0.99).unwrap() < Duration::from_secs(10));
    assert_eq!(one.codes, [(200, 2), (500, 1)]);
}

#[test]
fn a_head_answer_has_no_body_and_a_big_body_passes() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1"], &[web.address]);
    let mut peer = gateway.connect();
    let body = "x".repeat(300_000);
    peer.send(format!(
        "PUT /up HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(peer.answer().status, 200);
    assert!(web.requests()[0].ends_with(&body));
    peer.send(
        "POST /up HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    );
    assert_eq!(
        peer.until("\r\n\r\n").unwrap(),
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    assert_eq!(peer.send("hi").answer().status, 200);
}

#[test]
fn a_table_in_any_order_is_one_table() {
    let listener = Listener::Public {
        address: free_address(),
    };
    let gateway = Gateway::start(&["workers=1"]);
    let wanted = table(1, vec![listener.clone(), listener], &[]);
    let fault = gateway.client().publish(&wanted).unwrap_err();
    assert!(format!("{fault:?}").contains("listed twice"), "{fault:?}");
}
