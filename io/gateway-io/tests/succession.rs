//! A gateway takes the place of another one: nobody is refused, no stream is cut.

mod support;

use mainstay_gateway_io::{Client, Stage, others};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;
use support::instance::Instance;
use support::{Beside, Gateway, Peer, eventually};

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// Starts one beside, hands it the sockets and waits until it serves the same table.
fn started(gateway: &Gateway, arguments: &[&str]) -> (Beside, Client) {
    let listeners = gateway.client().listeners().unwrap();
    let mut all = vec!["adoption=5000"];
    all.extend(arguments);
    let next = gateway.beside(&all);
    let mut client = next.client();
    client.adopt(&listeners).unwrap();
    let wanted = gateway.status().serving;
    eventually("the same table", || {
        (client.status().unwrap().serving == wanted).then_some(())
    });
    (next, client)
}

fn stream(gateway: &Gateway) -> Peer {
    let mut peer = gateway.connect();
    peer.send(UPGRADE);
    assert!(peer.until("\r\n\r\n").unwrap().starts_with("HTTP/1.1 101"));
    peer
}

fn echo(peer: &mut Peer, byte: u8) {
    peer.send([0x81, 1, byte]);
    while peer.read.len() < 3 {
        peer.more().unwrap();
    }
    assert_eq!(std::mem::take(&mut peer.read), [0x81, 1, byte]);
}

/// Clients that ask over kept connections and make another one only when told to: what failed.
fn clients(address: SocketAddr, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<(usize, usize)>> {
    let client = move |stop: Arc<AtomicBool>| {
        let (mut answered, mut failed) = (0, 0);
        while !stop.load(SeqCst) {
            let mut peer = Peer::connect(address);
            loop {
                let request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
                std::io::Write::write_all(&mut peer.stream, request.as_bytes()).ok();
                let Some(answer) = peer.try_answer() else {
                    failed += 1;
                    break;
                };
                answered += 1;
                if answer.head.contains("connection: close") || stop.load(SeqCst) {
                    break;
                }
            }
        }
        (answered, failed)
    };
    (0..4)
        .map(|_| {
            let stop = Arc::clone(stop);
            std::thread::spawn(move || client(stop))
        })
        .collect()
}

#[test]
fn a_successor_takes_over_and_nothing_is_lost() {
    let web = Instance::start("web");
    let mut gateway = Gateway::serving(&["workers=2"], &[web.address]);
    let mut socket = stream(&gateway);
    let mut slow = gateway.connect();
    slow.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
    eventually("one in flight", || {
        (gateway.status().instances[0].in_flight == 1).then_some(())
    });
    let stop = Arc::new(AtomicBool::new(false));
    let load = clients(gateway.address, &stop);
    let (next, mut client) = started(&gateway, &["workers=2", "beside=20000"]);
    assert_eq!(client.status().unwrap().stage, Some(Stage::Beside));
    client.promote().unwrap();
    assert_eq!(gateway.status().pid, next.pid(), "it is the one to ask");
    let mut before = gateway.own();
    eventually("the one before retires", || {
        (before.status().unwrap().stage == Some(Stage::Retired)).then_some(())
    });
    let found = others(&gateway.socket());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, gateway.pid());
    // Its clients go to the successor; what streams, or is slow, goes on where it began.
    eventually("only the stream and the slow one are left", || {
        (before.status().unwrap().connections == 2).then_some(())
    });
    stop.store(true, SeqCst);
    for load in load {
        let (answered, failed) = load.join().unwrap();
        assert!(answered > 0 && failed == 0, "{failed} beside {answered}");
    }
    echo(&mut socket, b'a');
    web.release();
    let answer = slow.answer();
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
    assert_eq!(gateway.has_ended(), None, "a stream keeps it");
    echo(&mut socket, b'b');
    drop(socket);
    assert!(eventually("its end", || gateway.has_ended()));
    assert_eq!(others(&gateway.socket()), []);
    assert_eq!(gateway.connect().get("/").status, 200);
}

#[test]
fn a_retired_gateway_follows_tables() {
    let (old, new) = (Instance::start("old"), Instance::start("new"));
    let gateway = Gateway::serving(&["workers=1"], &[old.address]);
    let mut socket = stream(&gateway);
    let mut idle = gateway.connect();
    assert_eq!(idle.get("/").body, "old");
    let (_next, mut client) = started(&gateway, &["workers=1", "beside=20000"]);
    client.promote().unwrap();
    let mut before = gateway.own();
    eventually("the one before retires", || {
        (before.status().unwrap().stage == Some(Stage::Retired)).then_some(())
    });
    let table = gateway.table(2, &[new.address]);
    client.publish(&table).unwrap();
    before.publish(&table).unwrap();
    assert_eq!(
        idle.get("/").body,
        "new",
        "it picks by the table it was told"
    );
    assert_eq!(socket.rest(), [0x88, 2, 0x03, 0xe9], "1001, going away");
    assert_eq!(gateway.connect().get("/").body, "new");
}

#[test]
fn a_successor_that_is_forgotten_or_killed_changes_nothing() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1"], &[web.address]);
    let mut kept = gateway.connect();
    assert_eq!(kept.get("/").status, 200);
    // Killed before it began.
    let mut next = gateway.beside(&["workers=1", "adoption=5000", "beside=20000"]);
    drop(next.client());
    next.kill();
    assert_eq!(kept.get("/").status, 200);
    // It began, and whoever started it is gone.
    let (mut next, client) = started(&gateway, &["workers=1", "beside=500"]);
    drop(client);
    assert!(eventually("its end", || next.has_ended()));
    assert_eq!(gateway.status().pid, gateway.pid());
    assert_eq!(gateway.status().stage, Some(Stage::Present));
    let answer = kept.get("/");
    assert!(answer.status == 200 && !answer.head.contains("connection: close"));
    for _ in 0..20 {
        assert_eq!(gateway.connect().get("/").status, 200);
    }
}
