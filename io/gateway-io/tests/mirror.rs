//! Copies of requests go to the canary, and nothing that it answers to them reaches a user.

mod support;

use http::Request;
use mainstay_atoms::Share;
use mainstay_routing::{Chosen, Split};
use std::net::SocketAddr;
use support::instance::Instance;
use support::two::{ask, block_on, connect};
use support::{Gateway, Peer, ask_all, asking, eventually, free_address, split};

fn mirror(canary: u64, copies: u64) -> Split {
    let (name, value) = ("x-canary".into(), "yes".into());
    Split {
        mirror: Share(copies),
        chosen: vec![Chosen::Header { name, value }],
        ..split(canary)
    }
}

fn start(arguments: &[&str], canary: SocketAddr, split: Split) -> (Gateway, Instance) {
    let stable = Instance::start("stable");
    let gateway = Gateway::start(arguments);
    let table = gateway.trial(1, &[stable.address], &[canary], split);
    gateway.client().publish(&table).unwrap();
    (gateway, stable)
}

/// The sum of all lines of a metric that hold `label`.
fn metric(gateway: &Gateway, name: &str, label: &str) -> u64 {
    let text = gateway.client().metrics().unwrap();
    let ours = text
        .lines()
        .filter(|line| line.split(['{', ' ']).next() == Some(name) && line.contains(label));
    ours.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

const COPIES: &str = "gateway_mirrored_requests_total";
const DROPPED: &str = "gateway_mirror_dropped_total";

fn until_copied(gateway: &Gateway, copies: u64) {
    eventually("all copies are counted", || {
        let counted = metric(gateway, COPIES, "") + metric(gateway, DROPPED, "");
        (counted == copies).then_some(())
    });
}

#[test]
fn a_copy_is_the_request_and_says_that_it_is_one() {
    let canary = Instance::start("canary");
    let (gateway, stable) = start(&["workers=1"], canary.address, mirror(0, 10_000));
    let lines = [
        "Cookie: a=b; mainstay-web=0001",
        "X-Own: 7",
        "Mainstay-Mirror: 1",
    ];
    let answer = gateway.connect().send(asking("/a/../b?c", &lines)).answer();
    assert_eq!(answer.body, "stable");
    until_copied(&gateway, 1);
    let (asked, copied) = (stable.requests(), canary.requests());
    assert!(
        !asked[0].contains("mainstay"),
        "nobody else may say so: {}",
        asked[0]
    );
    assert!(
        asked[0].starts_with("GET /b?c HTTP/1.1\r\n"),
        "{}",
        asked[0]
    );
    assert_eq!(copied[0].replace("mainstay-mirror: 1\r\n", ""), asked[0]);
    assert!(
        copied[0].contains("mainstay-mirror: 1\r\n"),
        "{}",
        copied[0]
    );
    let mut peer = gateway.connect();
    peer.send("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .until("\r\n\r\n")
        .unwrap();
    until_copied(&gateway, 2);
    assert!(canary.requests()[0].starts_with("HEAD / HTTP/1.1\r\n"));
}

#[test]
fn requests_of_http2_clients_are_copied_too() {
    let canary = Instance::always("canary", "/500");
    let (gateway, stable) = start(&["workers=1"], canary.address, mirror(0, 10_000));
    block_on(async {
        let mut sender = connect(gateway.address).await;
        for _ in 0..5 {
            let request = Request::get("http://localhost/b?c").header("x-own", "7");
            let answer = ask(&mut sender, request, "").await;
            assert_eq!(
                (answer.status().as_u16(), answer.body().as_str()),
                (200, "stable")
            );
        }
        let request = Request::post("http://localhost/b");
        assert_eq!(ask(&mut sender, request, "hello").await.body(), "stable");
    });
    until_copied(&gateway, 5);
    let copied = canary.requests();
    let ours =
        |head: &String| head.starts_with("GET /b?c HTTP/1.1\r\n") && head.contains("x-own: 7\r\n");
    assert!(copied.iter().all(ours), "{copied:?}");
    assert_eq!((copied.len(), stable.count()), (5, 6));
}

#[test]
fn what_a_canary_answers_to_copies_reaches_nobody() {
    for (path, code) in [
        ("/", "200"),
        ("/500", "500"),
        ("/chunks", "200"),
        ("/to-the-end", "200"),
        ("/big", "200"),
        ("/interim", "200"),
        ("/twice", "200"),
        ("/leave", "200"),
        ("/half", "502"),
        ("/die", "502"),
        ("/two-lengths", "502"),
        ("/ws", "502"),
        ("/slow", "504"),
        ("/events", "504"),
    ] {
        let canary = Instance::always("canary", path);
        let deadline = if code == "504" {
            "copy=100"
        } else {
            "copy=10000"
        };
        let limits = ["workers=2", deadline];
        let (gateway, stable) = start(&limits, canary.address, mirror(0, 10_000));
        let mut peer = gateway.connect();
        for _ in 0..20 {
            let answer = peer.get("/");
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (200, "stable"),
                "{path}"
            );
            assert!(
                answer.head.contains("x-instance: yes"),
                "{path}: {}",
                answer.head
            );
        }
        until_copied(&gateway, 20);
        let counted = metric(&gateway, COPIES, &format!("release=\"v2\",code=\"{code}\""));
        assert_eq!(
            counted,
            20,
            "{path}: {}",
            gateway.client().metrics().unwrap()
        );
        let answers = metric(&gateway, "gateway_requests_total", "release=\"v2\"");
        assert_eq!((answers, stable.count()), (0, 20), "{path}");
        let latencies = gateway.client().latencies().unwrap();
        let one = latencies.iter().find(|one| one.release == "v2").unwrap();
        let code = code.parse().unwrap();
        assert_eq!(
            (one.copies, &one.codes[..]),
            (20, &[(code, 20)][..]),
            "{path}"
        );
        let status = gateway.status();
        let one = &status.instances[1];
        let failures = if code < 500 { 0 } else { 20 };
        assert_eq!(
            (one.requests, one.failures, one.in_flight),
            (0, failures, 0),
            "{path}"
        );
    }
}

#[test]
fn a_canary_that_cannot_be_reached_costs_no_answer_and_sets_nobody_aside() {
    let (gateway, stable) = start(&["workers=1"], free_address(), mirror(0, 10_000));
    let mut peer = gateway.connect();
    for _ in 0..20 {
        assert_eq!(peer.get("/").body, "stable");
    }
    until_copied(&gateway, 20);
    assert_eq!(metric(&gateway, COPIES, "code=\"502\""), 20);
    // One that users could not reach gets no copies until it is tried again.
    assert_eq!(
        peer.send(asking("/", &["X-Canary: yes"])).answer().body,
        "stable"
    );
    peer.get("/");
    eventually("they are counted", || {
        (metric(&gateway, DROPPED, "no_instance") > 0).then_some(())
    });
    assert_eq!(stable.count(), 22);
}

#[test]
fn copies_are_a_share_of_the_safe_requests_that_the_stable_side_answers() {
    let canary = Instance::start("canary");
    for (workers, canaries) in [("workers=1", 0), ("workers=3", 2_000)] {
        let split = mirror(canaries, 4_100);
        let (gateway, stable) = start(&[workers], canary.address, split);
        let answers = ask_all(gateway.address, &vec![asking("/", &[]); 10_000]);
        assert!(answers.iter().all(|one| one.status == 200));
        let safe = u64::try_from(stable.count()).unwrap();
        eventually("all are counted", || {
            let copies = metric(&gateway, COPIES, "") + metric(&gateway, DROPPED, "full");
            let off = (copies * 10_000).abs_diff(safe * 4_100);
            (off <= safe * 50).then_some(())
        });
        assert!(metric(&gateway, COPIES, "") > 0);
    }
}

#[test]
fn what_changes_something_or_never_ends_is_not_copied() {
    let canary = Instance::start("canary");
    let (gateway, stable) = start(&["workers=1"], canary.address, mirror(0, 10_000));
    let mut peer = gateway.connect();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        peer.send(format!(
            "{method} / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi"
        ));
        assert_eq!(peer.answer().body, "stable", "{method}");
    }
    peer.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        .answer();
    peer.send(asking("/", &["Content-Length: 2"]))
        .send("hi")
        .answer();
    let chunks = ["Transfer-Encoding: chunked"];
    peer.send(asking("/", &chunks))
        .send("2\r\nhi\r\n0\r\n\r\n")
        .answer();
    assert_eq!(
        peer.send(asking("/", &["X-Canary: yes"])).answer().body,
        "canary"
    );
    let mut socket = gateway.connect();
    let lines = ["Connection: upgrade", "Upgrade: websocket"];
    socket
        .send(asking("/ws", &lines))
        .until("\r\n\r\n")
        .unwrap();
    let mut events = gateway.connect();
    events
        .send(asking("/events", &[]))
        .until("data: 1")
        .unwrap();
    // And then one that is.
    peer.get("/last");
    until_copied(&gateway, 1);
    let copied = canary.requests();
    let ours: Vec<_> = copied
        .iter()
        .filter(|head| head.contains("mainstay-mirror"))
        .collect();
    assert!(
        ours.len() == 1 && ours[0].starts_with("GET /last "),
        "{ours:?}"
    );
    assert_eq!((copied.len(), stable.count()), (2, 11));
}

fn get(peer: &mut Peer, times: usize) {
    for _ in 0..times {
        assert_eq!(peer.get("/").body, "stable");
    }
}

#[test]
fn a_canary_that_hangs_holds_a_bounded_number_of_copies_and_what_is_beyond_is_counted() {
    let canary = Instance::always("canary", "/slow");
    let limits = ["workers=1", "copy=400"];
    let (gateway, _stable) = start(&limits, canary.address, mirror(0, 10_000));
    let mut peer = gateway.connect();
    let mut most = 0;
    let mut asked = 0;
    eventually("some are dropped", || {
        get(&mut peer, 20);
        asked += 20;
        most = most.max(gateway.status().instances[1].in_flight);
        (metric(&gateway, DROPPED, "full") > 0).then_some(())
    });
    assert!(most <= 64, "{most} under way at once");
    until_copied(&gateway, asked);
    assert!(metric(&gateway, COPIES, "code=\"504\"") >= 64);
    // They are given back.
    canary.release();
    get(&mut peer, 1);
    until_copied(&gateway, asked + 1);
    assert_eq!(metric(&gateway, COPIES, "code=\"200\""), 1);
    assert_eq!(gateway.status().instances[1].in_flight, 0);
}

#[test]
fn copies_hold_nobody_up_who_leaves() {
    let canary = Instance::always("canary", "/slow");
    let limits = ["workers=1", "copy=600000"];
    let (mut gateway, stable) = start(&limits, canary.address, mirror(0, 10_000));
    let mut peer = gateway.connect();
    get(&mut peer, 5);
    let gone = |gateway: &Gateway| {
        let instances = gateway.status().instances;
        !instances.iter().any(|one| one.address == canary.address)
    };
    assert_eq!(gateway.status().instances[1].in_flight, 5);
    gateway.publish(2, &[stable.address]);
    eventually("nothing goes on there", || gone(&gateway).then_some(()));
    assert_eq!(metric(&gateway, COPIES, ""), 0, "nothing is said of them");
    // Nor a gateway that ends.
    let table = gateway.trial(3, &[stable.address], &[canary.address], mirror(0, 10_000));
    gateway.client().publish(&table).unwrap();
    get(&mut peer, 5);
    drop(peer);
    gateway.terminate();
    assert!(eventually("its end", || gateway.has_ended()));
}
