//! The process: tables, listeners, death and return.

mod support;

use mainstay_atoms::{Epoch, Generation, InstanceId};
use mainstay_gateway_io::{Client, ClientFault, Refusal};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use support::instance::Instance;
use support::{Gateway, Peer, eventually, free_address};

#[test]
fn an_older_table_is_refused_and_the_same_one_is_not() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&[], &[web.address]);
    let mut client = gateway.client();
    let mut next = gateway.table(5, &[web.address]);
    next.epoch = Epoch(2);
    let acknowledged = client.publish(&next).unwrap();
    assert_eq!(
        (
            acknowledged.epoch,
            acknowledged.generation,
            acknowledged.kept
        ),
        (next.epoch, next.generation, true)
    );
    assert!(
        client.publish(&next).is_ok(),
        "the same again is acknowledged again"
    );
    for stale in [gateway.table(6, &[web.address]), {
        let mut other = next.clone();
        other.domains.clear();
        other
    }] {
        let fault = client.publish(&stale).unwrap_err();
        assert!(
            matches!(fault, ClientFault::Refused(Refusal::Stale { .. })),
            "{fault:?}"
        );
    }
    assert_eq!(gateway.connect().get("/").status, 200);
    assert!(client.status().unwrap().workers > 0);
}

#[test]
fn a_stranger_on_the_port_is_named_and_nothing_changes() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&[], &[web.address]);
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = stranger.local_addr().unwrap();
    let mut wanted = gateway.table(2, &[]);
    wanted
        .listeners
        .push(mainstay_routing::Listener::Public { address: taken });
    let fault = gateway.client().publish(&wanted).unwrap_err();
    let ClientFault::Refused(Refusal::PortTaken {
        address,
        pid,
        program,
    }) = fault
    else {
        panic!("{fault:?}");
    };
    assert_eq!(
        (address, pid),
        (taken, i32::try_from(std::process::id()).ok())
    );
    assert!(program.is_some());
    assert_eq!(gateway.connect().get("/").status, 200);
    assert_eq!(gateway.status().serving.unwrap().generation.0, 1);
}

#[test]
fn listeners_follow_the_table_and_unrelated_ones_stay() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=2"], &[web.address]);
    let mut kept = gateway.connect();
    assert_eq!(kept.get("/").status, 200);
    let more = free_address();
    let mut wanted = gateway.table(2, &[web.address]);
    wanted
        .listeners
        .push(mainstay_routing::Listener::Public { address: more });
    gateway.client().publish(&wanted).unwrap();
    assert_eq!(Peer::connect(more).get("/").status, 200);
    // Someone keeps duplicates; the port is given up all the same.
    let duplicates = gateway.client().listeners().unwrap();
    assert_eq!(duplicates.addresses().count(), 2);
    gateway.publish(3, &[web.address]);
    eventually("the port is free", || TcpListener::bind(more).ok());
    assert_eq!(kept.get("/").status, 200);
}

#[test]
fn a_killed_gateway_serves_again_from_disk_alone() {
    let web = Instance::start("web");
    let mut gateway = Gateway::serving(&[], &[web.address]);
    let before = gateway.status();
    gateway.kill();
    gateway.restart(&[]);
    eventually("an answer", || {
        std::net::TcpStream::connect(gateway.address).ok()
    });
    assert_eq!(gateway.connect().get("/").status, 200);
    // A worker may answer a moment before all of them have said that they serve.
    let after = eventually("the table of before", || {
        let status = gateway.status();
        (status.serving == before.serving).then_some(status)
    });
    assert_ne!(after.pid, before.pid);
}

#[test]
fn a_second_gateway_is_turned_away() {
    let mut gateway = Gateway::start(&[]);
    let first = gateway.pid();
    gateway.restart(&[]);
    assert!(!eventually("the second ends", || gateway.has_ended()));
    assert_eq!(gateway.status().pid, first);
    let pid = rustix::process::Pid::from_raw(i32::try_from(first).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// Connections one after another, a request on each: how many were refused or broken.
fn hammer(address: std::net::SocketAddr, stop: &AtomicBool) -> (usize, usize) {
    let (mut answered, mut refused) = (0, 0);
    while !stop.load(SeqCst) {
        match std::net::TcpStream::connect(address) {
            Err(_) => refused += 1,
            Ok(stream) => {
                stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
                let mut peer = Peer {
                    stream,
                    read: Vec::new(),
                };
                let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
                if std::io::Write::write_all(&mut peer.stream, request).is_ok() {
                    answered += usize::from(peer.try_answer().is_some());
                }
            }
        }
    }
    (answered, refused)
}

#[test]
fn connections_wait_for_a_killed_gateway_whose_listeners_are_kept() {
    let web = Instance::start("web");
    let mut gateway = Gateway::serving(&["workers=2"], &[web.address]);
    let kept = gateway.client().listeners().unwrap();
    assert_eq!(kept.addresses().next(), Some((gateway.address, 2)));
    let stop = Arc::new(AtomicBool::new(false));
    let (address, stopped) = (gateway.address, stop.clone());
    let load = std::thread::spawn(move || hammer(address, &stopped));
    for _ in 0..3 {
        gateway.kill();
        gateway.restart(&["adoption=5000"]);
        let socket = gateway.socket();
        let mut client = eventually("the control socket", || {
            Client::connect(&socket)
                .ok()
                .filter(|_| true)
                .and_then(|mut client| client.adopt(&kept).is_ok().then_some(client))
        });
        eventually("the table", || client.status().unwrap().serving);
        assert_eq!(gateway.connect().get("/").status, 200);
    }
    stop.store(true, SeqCst);
    let (answered, refused) = load.join().unwrap();
    assert_eq!(refused, 0, "nobody is refused meanwhile");
    assert!(answered > 0);
    assert_eq!(
        gateway.client().listeners().unwrap().addresses().next(),
        Some((gateway.address, 2))
    );
}

#[test]
fn a_gateway_that_stops_answers_what_it_took() {
    let web = Instance::start("web");
    let mut gateway = Gateway::serving(&["workers=1", "grace=200"], &[web.address]);
    let (mut slow, mut idle) = (gateway.connect(), gateway.connect());
    assert_eq!(idle.get("/").status, 200);
    slow.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
    eventually("one in flight", || {
        (gateway.status().instances[0].in_flight == 1).then_some(())
    });
    gateway.terminate();
    eventually("no more connections", || {
        std::net::TcpStream::connect(gateway.address)
            .is_err()
            .then_some(())
    });
    let answer = idle.get("/");
    assert!(
        answer.status == 200 && answer.head.contains("connection: close"),
        "{answer:?}"
    );
    web.release();
    assert_eq!(slow.answer().status, 200);
    assert!(eventually("the end", || gateway.has_ended()));
}

#[test]
fn a_request_that_makes_no_sense_is_refused() {
    use std::io::{BufRead, BufReader, Write};
    let gateway = Gateway::start(&[]);
    let mut stream = std::os::unix::net::UnixStream::connect(gateway.socket()).unwrap();
    stream
        .write_all(b"nonsense\n{\"request\":\"status\"}\n")
        .unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.next().unwrap().unwrap().contains("refused"));
    assert!(
        lines
            .next()
            .unwrap()
            .unwrap()
            .contains("\"answer\":\"status\"")
    );
}

/// The file that a table is written to before it is renamed is a pipe here, which nobody reads at first.
#[test]
fn a_disk_that_hangs_holds_up_an_acknowledgement_and_nothing_else() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let (old, new) = (Instance::start("old"), Instance::start("new"));
    let gateway = Gateway::serving(&["workers=2"], &[old.address]);
    let pipe = gateway.folder.path().join("table.new");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let (mut publisher, table) = (gateway.client(), gateway.table(2, &[new.address]));
    let publishing = std::thread::spawn(move || publisher.publish(&table).unwrap());
    let mut peer = gateway.connect();
    eventually("it is served", || {
        (peer.get("/").body == "new").then_some(())
    });
    eventually("it is said so", || {
        let instances = gateway.status().instances;
        instances
            .iter()
            .all(|one| one.address == new.address)
            .then_some(())
    });
    assert!(!publishing.is_finished(), "not until it is kept");
    let mut read = String::new();
    let mut pipe = std::fs::File::open(pipe).unwrap();
    std::io::Read::read_to_string(&mut pipe, &mut read).unwrap();
    assert!(read.contains(&new.address.to_string()), "{read}");
    // A pipe cannot be synchronised, and so holds nothing.
    assert!(!publishing.join().unwrap().kept);
    assert!(gateway.status().faults[0].contains("cannot be kept"));
}

/// Whoever asks for the status while a table is on its way must not make the gateway forget who is about to come: what
/// goes on there would never be counted, and nobody would wait for it.
#[test]
fn who_comes_while_somebody_asks_is_counted() {
    let web = Instance::start("web");
    let gateway = Gateway::start(&["workers=3"]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut client = gateway.client();
                while !stop.load(SeqCst) {
                    client.status().unwrap();
                }
            });
        }
        let (mut client, mut missed) = (gateway.client(), Vec::new());
        for run in 1..100 {
            let mut table = gateway.table(run, &[web.address]);
            let pool = table.services.values_mut().next().unwrap();
            pool.backends[0].generation = Generation(run);
            client.publish(&table).unwrap();
            assert_eq!(gateway.connect().get("/").status, 200);
            let status = client.status().unwrap();
            let instance = status.instance(&pool_instance(), Generation(run));
            if instance.is_none_or(|one| one.requests != 1) {
                missed.push(run);
            }
        }
        stop.store(true, SeqCst);
        assert!(missed.is_empty(), "{missed:?}");
    });
}

fn pool_instance() -> InstanceId {
    "web.v1.1".parse().unwrap()
}
