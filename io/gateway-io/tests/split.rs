//! A release on trial gets its share of the requests, in all workers at once, and no more than it can answer.

mod support;

use mainstay_atoms::{HostName, ReleaseNumber, Share};
use mainstay_routing::{Chosen, Route, Side, Split, Table};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Instant;
use support::instance::Instance;
use support::{Answer, Gateway, Peer, ask_all, asking, eventually, free_address, pair, split, web};

const UPGRADE: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "x-canary: yes",
];

fn share(answers: &[Answer], name: &str) -> f64 {
    let ours = answers.iter().filter(|one| one.body == name).count();
    let ours = u32::try_from(ours).unwrap();
    f64::from(ours) / f64::from(u32::try_from(answers.len()).unwrap()) * 100.0
}

fn all_well(answers: &[Answer]) {
    let bad = answers.iter().find(|one| one.status != 200);
    assert!(bad.is_none(), "{bad:?}");
}

/// The answers to requests of which each waits for the one before: no more than one is under way when somebody is set
/// aside.
fn one_by_one(gateway: &Gateway, count: usize) -> Vec<Answer> {
    let mut peer = gateway.connect();
    (0..count).map(|_| peer.get("/")).collect()
}

/// A split whose canary gets whatever asks for it, beside its share.
fn chosen(canary: u64) -> Split {
    let (name, value) = ("x-canary".into(), "yes".into());
    Split {
        chosen: vec![Chosen::Header { name, value }],
        ..split(canary)
    }
}

#[test]
fn shares_are_kept_to_half_a_point_with_one_worker_and_with_three() {
    let (stable, canary) = pair();
    let requests = vec![asking("/", &[]); 10_000];
    for workers in ["workers=1", "workers=3"] {
        let gateway = Gateway::start(&[workers]);
        for (generation, wanted) in (1..).zip([1_u32, 5, 41]) {
            let split = split(u64::from(wanted) * 100);
            let table = gateway.trial(generation, &[stable.address], &[canary.address], split);
            gateway.client().publish(&table).unwrap();
            let answers = ask_all(gateway.address, &requests);
            all_well(&answers);
            let found = share(&answers, "canary");
            let off = (found - f64::from(wanted)).abs();
            assert!(off <= 0.5, "{found} of {wanted} with {workers}");
        }
    }
}

#[test]
fn fresh_instances_of_the_stable_release_get_a_share_of_their_own() {
    let (stable, canary) = pair();
    let fresh = Instance::start("fresh");
    let gateway = Gateway::start(&["workers=3"]);
    let split = Split {
        baseline: Share(1_000),
        fresh_above: 1,
        ..split(1_000)
    };
    let both = [stable.address, fresh.address];
    let table = gateway.trial(1, &both, &[canary.address], split);
    gateway.client().publish(&table).unwrap();
    let answers = ask_all(gateway.address, &vec![asking("/", &[]); 5_000]);
    for (name, wanted) in [("canary", 10.0), ("fresh", 10.0), ("stable", 80.0)] {
        let found = share(&answers, name);
        assert!((found - wanted).abs() <= 0.5, "{found} for {name}");
    }
}

/// All workers turn to a table at one moment: once anybody was answered by it, nobody who asks later, of whichever
/// worker, is answered by the one before; and so for whoever asks after it was acknowledged.
#[test]
fn shares_change_in_all_workers_at_once() {
    let (stable, canary) = pair();
    let gateway = Gateway::start(&["workers=3"]);
    let table = |generation: u64| {
        let share = if generation.is_multiple_of(2) {
            10_000
        } else {
            0
        };
        let both = ([stable.address], [canary.address]);
        gateway.trial(generation, &both.0, &both.1, split(share))
    };
    let mut client = gateway.client();
    client.publish(&table(1)).unwrap();
    for generation in 2..12 {
        let stop = AtomicBool::new(false);
        let (mut seen, mut acknowledged) = (Vec::new(), None);
        std::thread::scope(|scope| {
            let ask = || {
                let mut peer = gateway.connect();
                let mut seen = Vec::new();
                let mut last = 0;
                while last < 3 {
                    last += u32::from(stop.load(SeqCst));
                    let asked = Instant::now();
                    let body = peer.get("/").body;
                    seen.push((asked, Instant::now(), body));
                }
                seen
            };
            let clients: Vec<_> = (0..9).map(|_| scope.spawn(ask)).collect();
            eventually("everybody asks", || {
                let status = gateway.status();
                (status.connections >= 9).then_some(())
            });
            client.publish(&table(generation)).unwrap();
            acknowledged = Some(Instant::now());
            stop.store(true, SeqCst);
            seen.extend(
                clients
                    .into_iter()
                    .flat_map(|client| client.join().unwrap()),
            );
        });
        let acknowledged = acknowledged.unwrap();
        let new = if generation.is_multiple_of(2) {
            "canary"
        } else {
            "stable"
        };
        let answered = seen.iter().filter(|one| one.2 == new).map(|one| one.1);
        let first = answered.min().expect("it was served").min(acknowledged);
        let late = seen.iter().find(|one| one.0 > first && one.2 != new);
        assert!(
            late.is_none(),
            "{late:?} although it was {new} from {first:?}"
        );
    }
}

#[test]
fn a_side_keeps_its_share_while_somebody_of_it_answers() {
    let (stable, canary) = pair();
    let gateway = Gateway::start(&["workers=1"]);
    let canaries = [canary.address, free_address()];
    let table = gateway.trial(1, &[stable.address], &canaries, split(5_000));
    gateway.client().publish(&table).unwrap();
    let answers = one_by_one(&gateway, 1_000);
    all_well(&answers);
    let found = share(&answers, "canary");
    assert!(
        (found - 50.0).abs() < 0.6,
        "{found}: its retries stay on its side"
    );
}

#[test]
fn a_side_of_which_nobody_can_answer_leaves_its_requests_to_the_others_and_is_not_forgotten() {
    let stable = Instance::start("stable");
    let bad = Instance::always("canary", "/500");
    for canary in [bad.address, free_address()] {
        let gateway = Gateway::start(&["workers=1"]);
        let table = gateway.trial(1, &[stable.address], &[canary], split(5_000));
        gateway.client().publish(&table).unwrap();
        let answers = one_by_one(&gateway, 1_000);
        let bad = answers.iter().filter(|one| one.status != 200).count();
        // It is tried again, for one request after a second, after two more and so on.
        assert!(bad <= 12, "{bad} of 500 were answered badly");
        let status = gateway.status();
        let canary = status
            .instances
            .iter()
            .find(|one| one.address == canary)
            .unwrap();
        assert!(
            (495..=505).contains(&canary.failures),
            "a verdict sees them: {canary:?}"
        );
        let stable = status
            .instances
            .iter()
            .find(|one| one.address == stable.address)
            .unwrap();
        assert_eq!(stable.failures, 0);
        assert!(stable.requests >= 980, "{stable:?}");
    }
}

#[test]
fn a_canary_that_is_not_there_leaves_all_to_the_others() {
    let stable = Instance::start("stable");
    let gateway = Gateway::start(&["workers=1"]);
    let both = [stable.address, stable.address];
    let mut table = gateway.trial(1, &both, &[], chosen(10_000));
    table.services.get_mut(&web()).unwrap().backends[1].instance = "web.v1.7".parse().unwrap();
    gateway.client().publish(&table).unwrap();
    let answers = ask_all(gateway.address, &vec![asking("/", &["x-canary: yes"]); 100]);
    all_well(&answers);
    assert!((share(&answers, "stable") - 100.0).abs() < 0.1);
    assert!(
        gateway
            .status()
            .instances
            .iter()
            .all(|one| one.failures == 0)
    );
}

/// A table with a route `/preview` for one release.
fn with_preview(mut table: Table, release: u64) -> Table {
    let host = HostName::new("localhost").unwrap();
    let route = Route {
        prefix: "/preview".into(),
        service: web(),
        only: Some(ReleaseNumber(release)),
    };
    table.domains.get_mut(&host).unwrap().push(route);
    table
}

#[test]
fn a_preview_is_answered_by_its_release_alone() {
    let (stable, canary) = pair();
    let gateway = Gateway::start(&["workers=2"]);
    let mut client = gateway.client();
    let both = gateway.trial(1, &[stable.address], &[canary.address], split(0));
    client.publish(&with_preview(both, 2)).unwrap();
    let mut peer = gateway.connect();
    for _ in 0..20 {
        assert_eq!(peer.get("/preview/x").body, "canary");
        assert_eq!(peer.get("/").body, "stable");
    }
    // Of the release that serves it works too, and where there is no trial.
    let alone = gateway.table(2, &[stable.address]);
    client.publish(&with_preview(alone, 1)).unwrap();
    assert_eq!(peer.get("/preview").body, "stable");
    let alone = gateway.table(3, &[stable.address]);
    client.publish(&with_preview(alone, 2)).unwrap();
    let answer = peer.get("/preview");
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("`web` of v2"), "{}", answer.body);
    assert_eq!(peer.get("/").body, "stable");
    // One that is there and does not answer is nobody else's to answer for.
    let dead = gateway.trial(4, &[stable.address], &[free_address()], split(0));
    client.publish(&with_preview(dead, 2)).unwrap();
    assert_eq!(peer.get("/preview").status, 502);
    assert_eq!(stable.count(), 22);
}

fn echo(peer: &mut Peer, byte: u8) {
    peer.send([0x81, 1, byte]);
    while peer.read.len() < 3 {
        peer.more().unwrap();
    }
    assert_eq!(std::mem::take(&mut peer.read), [0x81, 1, byte]);
}

fn socket(gateway: &Gateway, lines: &[&str]) -> Peer {
    let mut peer = gateway.connect();
    peer.send(asking("/ws", lines));
    assert!(peer.until("\r\n\r\n").unwrap().starts_with("HTTP/1.1 101"));
    peer
}

fn events(gateway: &Gateway, lines: &[&str]) -> Peer {
    let mut peer = gateway.connect();
    peer.send(asking("/events", lines));
    assert!(peer.until("data: 1\n\n\r\n").is_some());
    peer
}

#[test]
fn streams_of_a_side_live_until_it_leaves_and_end_cleanly() {
    let (stable, canary) = pair();
    let gateway = Gateway::start(&["workers=2"]);
    let mut client = gateway.client();
    let both =
        |generation, split| gateway.trial(generation, &[stable.address], &[canary.address], split);
    client.publish(&both(1, chosen(100))).unwrap();
    let mut new = (socket(&gateway, &UPGRADE), events(&gateway, &UPGRADE[3..]));
    client.publish(&both(2, chosen(0))).unwrap();
    let mut old = (socket(&gateway, &UPGRADE[..3]), events(&gateway, &[]));
    let streams = |address| {
        let status = gateway.status();
        let one = status.instances.iter().find(|one| one.address == address);
        one.map_or(0, |one| one.streams)
    };
    assert_eq!((streams(stable.address), streams(canary.address)), (2, 2));
    // Shares that rise and fall cut nobody off.
    client.publish(&both(3, split(5_000))).unwrap();
    client.publish(&both(4, split(0))).unwrap();
    echo(&mut new.0, b'a');
    echo(&mut old.0, b'b');
    // Its side leaves.
    gateway.publish(5, &[stable.address]);
    assert_eq!(new.0.rest(), [0x88, 2, 0x03, 0xe9], "1001, going away");
    assert!(new.1.until("0\r\n\r\n").is_some(), "the body ends");
    assert_eq!(new.1.get("/").body, "stable", "and the connection goes on");
    drop(new);
    eventually("no stream there", || {
        (streams(canary.address) == 0).then_some(())
    });
    echo(&mut old.0, b'c');
    assert_eq!(streams(stable.address), 2);
}

#[test]
fn who_is_on_a_side_is_who_the_table_says() {
    let (stable, canary) = pair();
    let gateway = Gateway::start(&["workers=1"]);
    let table = gateway.trial(1, &[stable.address], &[canary.address], split(0));
    let pool = &table.services[&web()];
    let split = pool.split.as_ref().unwrap();
    let sides: Vec<Side> = pool.backends.iter().map(|one| split.side(one)).collect();
    assert_eq!(sides, [Side::Stable, Side::Canary]);
}

#[test]
fn a_table_on_disk_from_before_there_were_stays_choices_and_copies_is_served() {
    let (stable, canary) = pair();
    let mut gateway = Gateway::start(&["workers=1"]);
    let new = Split {
        sticky: true,
        mirror: Share(10),
        ..chosen(10_000)
    };
    let table = gateway.trial(1, &[stable.address], &[canary.address], new);
    gateway
        .client()
        .publish(&with_preview(table.clone(), 2))
        .unwrap();
    gateway.kill();
    let path = gateway.folder.path().join("table.json");
    let kept = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        serde_json::from_str::<Table>(&kept).unwrap(),
        with_preview(table, 2)
    );
    let mut old: serde_json::Value = serde_json::from_str(&kept).unwrap();
    let split = old["services"]["web"]["split"].as_object_mut().unwrap();
    for key in ["sticky", "chosen", "mirror"] {
        assert!(split.remove(key).is_some(), "{key} in {kept}");
    }
    let routes = old["domains"]["localhost"].as_array_mut().unwrap();
    assert!(routes[1].as_object_mut().unwrap().remove("only").is_some());
    std::fs::write(&path, old.to_string()).unwrap();
    gateway.restart(&[]);
    eventually("it serves", || gateway.client().status().unwrap().serving);
    let answer = gateway.connect().get("/");
    assert_eq!(
        (answer.body.as_str(), answer.field("set-cookie")),
        ("canary", None)
    );
}
