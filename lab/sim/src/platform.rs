//! Small platforms to live in.

use mainstay_atoms::{
    Bytes, Check, Digest, EnvironmentName, HostName, PlatformName, Probe, Schedule, ServiceName,
    Share, Size, Smoke, Stop,
};
use mainstay_plan::Contents;
use mainstay_rollout::{Baseline, Condition, Stages};
use mainstay_spec::{
    BlueGreen, Canary, Gates, GatewayPorts, Job, Missed, Overlap, Platform, Postgres, Rolling,
    Service, Store, StoreKind,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// A service with a port, a readiness probe and `replicas` instances.
pub fn service(replicas: u32, needs: &[&str]) -> Service {
    Service {
        build: None,
        run: vec!["./program".into()],
        artifact: vec!["program".into()],
        port: Some(8080),
        needs: needs
            .iter()
            .map(|name| ServiceName::new(*name).expect("a valid name"))
            .collect(),
        health: None,
        ready: Some(Probe::readiness(Check::Http("/ready".into()))),
        replicas,
        scale: None,
        size: Size::default(),
        inject: BTreeMap::new(),
        before: vec![],
        after: vec![],
        env: BTreeMap::new(),
        stop: Stop {
            drain: Duration::from_secs(5),
            streams: Duration::from_secs(2),
            ..Stop::default()
        },
        canary: None,
        metrics: None,
        slo: None,
        blue_green: None,
        recreate: false,
        smoke: BTreeMap::from([("home".into(), home())]),
        deploy: Rolling::default(),
    }
}

/// A release that earns its traffic within seconds; `asked` says whether somebody else judges it too.
pub(crate) fn canary(same_age: bool, asked: bool) -> Canary {
    Canary {
        steps: Stages::held([10, 50], Duration::from_secs(3)).expect("rising steps"),
        abort_if: bad(asked),
        baseline: if same_age {
            Baseline::SameAge
        } else {
            Baseline::Stable
        },
        every: Duration::from_secs(1),
        least: 20,
        patience: Duration::from_secs(20),
        bake: Duration::from_secs(2),
        sticky: false,
        chosen: vec![],
        mirror: Share::default(),
    }
}

/// A release that takes all of the traffic at once.
pub(crate) fn blue_green(asked: bool) -> BlueGreen {
    BlueGreen {
        preview: None,
        manual: false,
        before: Duration::ZERO,
        after: Duration::from_secs(4),
        abort_if: bad(asked),
        every: Duration::from_secs(1),
        least: 20,
        patience: Duration::from_secs(20),
        warm: Duration::from_secs(2),
    }
}

fn bad(asked: bool) -> Vec<Condition> {
    let counted = "error_rate > 10%";
    let provided = "http(\"http://stats.example/web\", \"$.bad\") > 9";
    let texts = if asked {
        vec![counted, provided]
    } else {
        vec![counted]
    };
    let texts = texts.into_iter().map(str::to_owned);
    texts
        .map(|text| Condition::try_from(text).expect("a condition"))
        .collect()
}

fn home() -> Smoke {
    Smoke {
        get: "/".into(),
        expect: 200,
        contains: None,
        within: Duration::from_secs(10),
    }
}

/// Contents of a platform with these services, the first of which answers for `localhost`; `version`
/// changes every service's environment.
pub fn contents(services: Vec<(&str, Service)>, version: u32) -> Contents {
    let mut routes = BTreeMap::new();
    let mut named = BTreeMap::new();
    let mut artifacts = BTreeMap::new();
    for (name, mut service) in services {
        let name = ServiceName::new(name).expect("a valid name");
        if routes.is_empty() && service.port.is_some() {
            routes.insert("/".to_owned(), name.clone());
        }
        service.env.insert("VERSION".into(), version.to_string());
        artifacts.insert(name.clone(), Digest::of(name.as_str().as_bytes()));
        named.insert(name, service);
    }
    let host = HostName::new("localhost").expect("a valid name");
    let platform = Platform {
        name: PlatformName::new("shop").expect("a valid name"),
        environment: EnvironmentName::default_environment(),
        gateway: GatewayPorts { http: 8080 },
        services: named,
        jobs: BTreeMap::new(),
        stores: BTreeMap::new(),
        domains: BTreeMap::from([(host, routes)]),
        gates: Gates::default(),
        signals: mainstay_spec::Signals::default(),
        status_page: None,
    };
    Contents {
        platform,
        artifacts,
    }
}

/// Adds a store with a server, a folder, and jobs: a migration before each release of `web`, and one
/// that runs every minute. Every service of the contents uses the store.
#[must_use]
pub fn with_stores(mut contents: Contents, memory_mib: u64) -> Contents {
    let name = |name: &str| ServiceName::new(name).expect("a valid name");
    let db = Store {
        kind: StoreKind::Postgres(Postgres {
            version: 15,
            memory: Bytes(memory_mib << 20),
            disk: None,
            extensions: vec![],
            settings: BTreeMap::new(),
        }),
        external: None,
    };
    let files = Store {
        kind: StoreKind::Volume,
        external: None,
    };
    let platform = &mut contents.platform;
    platform.stores = BTreeMap::from([(name("db"), db), (name("files"), files)]);
    for service in platform.services.values_mut() {
        service.needs.push(name("db"));
    }
    if let Some(web) = platform.services.get_mut(&name("web")) {
        web.before.push(name("migrate"));
    }
    let schedule = Schedule::new("* * * * *", "UTC").expect("a valid schedule");
    let jobs = [("migrate", None), ("digest", Some(schedule))];
    for (job, schedule) in jobs {
        contents.artifacts.insert(name(job), Digest::of(b"job"));
        platform
            .jobs
            .insert(name(job), self::job(schedule, &["db"]));
    }
    contents
}

/// A job of at most ten seconds.
pub fn job(schedule: Option<Schedule>, needs: &[&str]) -> Job {
    let needs = needs
        .iter()
        .map(|name| ServiceName::new(*name).expect("a valid name"));
    Job {
        build: None,
        run: vec!["./job".into()],
        artifact: vec!["job".into()],
        needs: needs.collect(),
        inject: BTreeMap::new(),
        env: BTreeMap::new(),
        size: Size::default(),
        stop: Stop::default(),
        schedule,
        timeout: Duration::from_secs(10),
        retries: 1,
        overlap: Overlap::Forbid,
        missed: Missed::Run,
        at_least_once: false,
        one_way: false,
    }
}

/// What the instances of these contents are started from, service by service.
pub fn service_digests(contents: &Contents) -> Vec<Digest> {
    let names = contents.platform.services.keys();
    names.filter_map(|name| contents.digest_of(name)).collect()
}
