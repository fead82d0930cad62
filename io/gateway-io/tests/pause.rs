//! Routes that the gateway answers itself for a time.

mod support;

use http::Request;
use mainstay_atoms::{HostName, RouteName, Wall};
use mainstay_gateway_io::{ClientFault, Refusal};
use mainstay_routing::{Listener, Pauses, Route, Table};
use std::time::{SystemTime, UNIX_EPOCH};
use support::instance::Instance;
use support::two::{ask, block_on, connect};
use support::{Gateway, Peer, eventually, free_address, web};

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// `localhost/` paused until then, and beside it `localhost/open`.
fn paused(mut table: Table, number: u64, until: u64) -> Table {
    let route = Route {
        prefix: "/open".into(),
        service: web(),
        only: None,
    };
    let host = HostName::new("localhost").unwrap();
    table.domains.get_mut(&host).unwrap().push(route);
    table.pauses = Pauses {
        number,
        until: [(RouteName::new("localhost/").unwrap(), Wall(until))].into(),
    };
    table
}

#[test]
fn a_paused_route_is_answered_by_the_gateway_alone_until_its_end() {
    let instance = Instance::start("web");
    let mut gateway = Gateway::serving(&["workers=2"], &[instance.address]);
    let local = free_address();
    let mut slow = gateway.connect();
    slow.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
    eventually("one in flight", || (instance.count() == 1).then_some(()));
    let mut kept = gateway.connect();
    assert_eq!(kept.get("/").status, 200);

    let until = now() + 60_000;
    let mut table = paused(gateway.table(1, &[instance.address]), 1, until);
    let service = web();
    table.listeners.push(Listener::Local {
        address: local,
        service,
    });
    gateway.client().publish(&table).unwrap();
    let before = instance.count();
    for _ in 0..10 {
        let answer = kept.get("/x");
        assert_eq!(answer.status, 503);
        let seconds: u64 = answer.field("retry-after").unwrap().parse().unwrap();
        assert!((50..=60).contains(&seconds), "{seconds}");
        assert!(
            answer.body.contains("the route is paused"),
            "{}",
            answer.body
        );
    }
    kept.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(kept.answer().status, 503);
    block_on(async {
        let mut sender = connect(gateway.address).await;
        let answer = ask(&mut sender, Request::get("http://localhost/"), "").await;
        assert_eq!(answer.status(), 503);
    });
    assert_eq!(instance.count(), before, "nobody else saw them");
    assert_eq!(gateway.connect().get("/open/x").body, "web");
    let mut inside = Peer::connect(local);
    inside.send("GET / HTTP/1.1\r\nHost: whatever\r\n\r\n");
    assert_eq!(inside.answer().body, "web", "services reach each other");
    instance.release();
    assert_eq!(slow.answer().body, "web", "what was under way goes on");

    let metrics = gateway.client().metrics().unwrap();
    assert!(
        metrics.contains("gateway_failures_total{reason=\"paused\"} 12\n"),
        "{metrics}"
    );
    let own = "gateway_requests_total{route=\"\",service=\"\",instance=\"\",release=\"\",code=\"503\"} 12\n";
    assert!(metrics.contains(own), "{metrics}");
    let status = gateway.status();
    assert_eq!(status.instances[0].failures, 0, "no fault of an instance");
    assert_eq!(status.serving.unwrap().pauses, 1);

    gateway.kill();
    gateway.restart(&[]);
    eventually("the table on disk", || {
        gateway.client().status().ok()?.serving
    });
    assert_eq!(gateway.connect().get("/").status, 503, "after kill -9");
    assert_eq!(gateway.connect().get("/open").status, 200);
}

#[test]
fn a_pause_ends_by_itself_and_an_older_word_about_it_is_refused() {
    let instance = Instance::start("web");
    let gateway = Gateway::serving(&["workers=2"], &[instance.address]);
    let mut client = gateway.client();
    let table = |number, until| paused(gateway.table(1, &[instance.address]), number, until);
    let until = now() + 1500;
    client.publish(&table(2, until)).unwrap();
    let answer = gateway.connect().get("/");
    assert_eq!(answer.status, 503);
    let seconds: u64 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&seconds), "{seconds}");
    for stale in [table(1, until), table(2, until + 60_000)] {
        let fault = client.publish(&stale).unwrap_err();
        assert!(
            matches!(fault, ClientFault::Refused(Refusal::Stale { .. })),
            "{fault:?}"
        );
    }
    eventually("its end", || {
        (gateway.connect().get("/").status == 200).then_some(())
    });
    assert!(now() >= until, "not before");
    client.publish(&table(3, now() + 60_000)).unwrap();
    assert_eq!(gateway.connect().get("/").status, 503);
    client.publish(&table(4, 0)).unwrap();
    assert_eq!(gateway.connect().get("/").status, 200, "resumed at once");
}
