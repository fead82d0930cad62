//! The status page: answered as it was handed over, from outside alone, until another one is.

mod support;

use mainstay_gateway_io::{ClientFault, Page};
use mainstay_routing::Listener;
use support::instance::Instance;
use support::{Gateway, Peer, free_address, web};

fn page(host: Option<&str>, json: &str) -> Page {
    Page {
        host: host.map(|host| host.parse().unwrap()),
        path: "/status".into(),
        html: format!("<p>{json}</p>"),
        json: json.into(),
    }
}

fn asked(gateway: &Gateway, lines: &str) -> support::Answer {
    let mut peer = gateway.connect();
    peer.send(format!("{lines}\r\n\r\n"));
    peer.answer()
}

#[test]
fn a_page_is_answered_as_it_was_handed_over_until_another_is() {
    let web_instance = Instance::start("web");
    let gateway = Gateway::start(&["workers=2"]);
    let local = free_address();
    let mut table = gateway.table(1, &[web_instance.address]);
    table.listeners.push(Listener::Local {
        address: local,
        service: web(),
    });
    gateway.client().publish(&table).unwrap();
    let get = |path: &str| gateway.connect().get(path);
    assert_eq!(get("/status").body, "web", "before there is a page");

    gateway.client().show(Some(page(None, "one"))).unwrap();
    let answer = get("/status");
    assert_eq!((answer.status, answer.body.as_str()), (200, "one"));
    for (name, value) in [
        ("cache-control", "no-store"),
        ("content-type", "application/json"),
        ("vary", "accept"),
        ("content-length", "3"),
    ] {
        assert_eq!(answer.field(name), Some(value), "{name}");
    }
    assert_eq!(get("/a/../status").body, "one", "as routes see it");
    assert_eq!(get("/status?x=1").body, "one");
    for other in ["/status/", "/status/x", "/statuses", "/Status"] {
        assert_eq!(get(other).body, "web", "{other}");
    }
    let elsewhere = asked(&gateway, "GET /status HTTP/1.1\r\nHost: unknown.example");
    assert_eq!(elsewhere.body, "one", "at every host");
    let html = asked(
        &gateway,
        "GET /status HTTP/1.1\r\nHost: localhost\r\nAccept: text/html",
    );
    assert_eq!(html.body, "<p>one</p>");
    let policy = html.field("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let changed = asked(&gateway, "DELETE /status HTTP/1.1\r\nHost: localhost");
    assert_eq!(
        (changed.status, changed.field("allow")),
        (405, Some("GET, HEAD"))
    );
    let mut inside = Peer::connect(local);
    inside.send("GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(
        inside.answer().body,
        "web",
        "services call each other without it"
    );

    gateway
        .client()
        .show(Some(page(Some("localhost"), "two")))
        .unwrap();
    for _ in 0..8 {
        assert_eq!(get("/status").body, "two", "by every worker");
    }
    let elsewhere = asked(&gateway, "GET /status HTTP/1.1\r\nHost: unknown.example");
    assert_eq!(elsewhere.status, 404);

    let long = page(None, &"x".repeat(2 << 20));
    let refused = gateway.client().show(Some(long));
    assert!(matches!(refused, Err(ClientFault::Refused(_))));
    assert_eq!(
        get("/status").body,
        "two",
        "what is refused changes nothing"
    );

    gateway.client().show(None).unwrap();
    assert_eq!(get("/status").body, "web");
}

#[test]
fn one_that_asks_for_the_head_alone_gets_no_body() {
    let web_instance = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1"], &[web_instance.address]);
    gateway.client().show(Some(page(None, "one"))).unwrap();
    let mut peer = gateway.connect();
    peer.send("HEAD /status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = peer.until("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(peer.get("/status").body, "one", "the connection goes on");
}
