//! A platform that came from elsewhere says of its counts only what a file could say.

use mainstay_atoms::{ServiceName, Share};
use mainstay_spec::{Platform, Queue, Scale, Waiting, check, parse_file};
use std::time::Duration;

const TEXT: &str = r#"
mainstay: 1
name: shop
services:
  web:
    run: ./web
    port: 80
    size: { cpu: 1, memory: 1Gi }
    scale: { min: 1, max: 4, cpu: 70%, requests: 5/s, at: { day: { begins: "0 8 * * *", lasts: 1h, min: 2 } } }
stores: { cache: { redis: 7 } }
"#;

type Change = fn(&mut Scale);

fn platform() -> Platform {
    let tree = parse_file("mainstay.yaml", TEXT.as_bytes()).expect("YAML");
    let mut resolved = check(&tree, None, &[]).expect("valid");
    resolved.remove(0).platform
}

fn without(change: impl Fn(&mut Scale)) -> Option<String> {
    let mut platform = platform();
    let service = platform.services.values_mut().next().expect("a service");
    change(service.scale.as_mut().expect("it is scaled"));
    platform.unsound()
}

#[test]
fn what_no_file_says_is_refused() {
    assert_eq!(platform().unsound(), None);
    let table: [(Change, &str); 13] = [
        (|one| one.min = 0, "from 0 to 4"),
        (|one| one.max = 0, "from 1 to 0"),
        (|one| one.max = 1001, "from 1 to 1001"),
        (|one| (one.cpu, one.requests) = (None, None), "by no target"),
        (|one| one.cpu = Some(Share(0)), "by a target of 0"),
        (|one| one.requests = Some(0), "by a target of 0"),
        (|one| one.p95 = Some(Duration::ZERO), "by a target of 0"),
        (
            |one| one.every = Duration::ZERO,
            "at times that no file says",
        ),
        (
            |one| one.settle = Duration::from_hours(2),
            "at times that no file says",
        ),
        (
            |one| one.warm_up = Duration::from_hours(2),
            "at times that no file says",
        ),
        (|one| one.at[0].min = 5, "out of its bounds"),
        (|one| one.at[0].min = 0, "out of its bounds"),
        (|one| one.queue = Some(queue(1)), "that it does not need"),
    ];
    for (change, said) in table {
        let why = without(change).unwrap_or_default();
        assert!(
            why.starts_with("`web` is scaled ") && why.contains(said),
            "{why}"
        );
    }
}

#[test]
fn a_share_of_no_limit_and_requests_without_a_port_are_refused() {
    let mut limitless = platform();
    let service = limitless.services.values_mut().next().expect("a service");
    service.size.cpu = None;
    let why = limitless.unsound().unwrap_or_default();
    assert!(why.contains("a limit of cores"), "{why}");
    let mut silent = platform();
    let service = silent.services.values_mut().next().expect("a service");
    service.port = None;
    assert!(silent.unsound().is_some());
    let scale = service_of(&mut silent);
    scale.memory = Some(Share(5_000));
    scale.requests = None;
    assert_eq!(silent.unsound(), None);
}

fn queue(per: u64) -> Queue {
    Queue {
        store: ServiceName::new("cache").expect("a name"),
        waiting: Waiting::Key("jobs".into()),
        per,
    }
}

#[test]
fn a_queue_is_a_target_of_its_own() {
    let mut queued = platform();
    let service = queued.services.values_mut().next().expect("a service");
    service.needs.push(queue(1).store);
    let scale = service_of(&mut queued);
    (scale.cpu, scale.requests, scale.queue) = (None, None, Some(queue(1)));
    assert_eq!(queued.unsound(), None);
    service_of(&mut queued).queue = Some(queue(0));
    let why = queued.unsound().unwrap_or_default();
    assert!(why.contains("by a target of 0"), "{why}");
}

fn service_of(platform: &mut Platform) -> &mut Scale {
    let service = platform.services.values_mut().next().expect("a service");
    service.scale.as_mut().expect("it is scaled")
}
