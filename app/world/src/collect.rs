//! What the signals process is to collect: everything that runs, by what serves.

use crate::herald::{Hear, need};
use crate::signals::{Known, KnownRelease};
use crate::state::State;
use mainstay_alerting::file::AlertsFile;
use mainstay_alerting::slo::SloFile;
use mainstay_alerting::{Probe, ProbeKind, read_checks};
use mainstay_atoms::histogram::SHOWN;
use mainstay_atoms::{Server, ServiceName, Url};
use mainstay_plan::{History, ReleaseRecord, ReleaseState};
use mainstay_process_io::{InstanceFact, InstanceState};
use mainstay_signals_io::{
    Check, CheckKind, Collector, CollectorKind, Config, File, Part, Place, Process, Protocol,
    Remote, Retention, Target,
};
use mainstay_spec::{Attached, Platform, Service, Signals, Store};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The administrator of every store.
const ADMIN: &str = "mainstay_admin";

/// From one reading of what Mainstay itself tells to the next.
const EVERY: Duration = Duration::from_secs(15);

/// The configuration that follows from what serves and what runs; none: the file asks for no metrics.
pub(crate) fn config(
    record: &ReleaseRecord,
    facts: &[Arc<InstanceFact>],
    state: &State,
) -> Option<Config> {
    let platform = &record.contents.platform;
    let signals = &platform.signals;
    let told = platform
        .services
        .values()
        .any(|service| service.metrics.is_some());
    let aims = platform
        .services
        .values()
        .any(|service| service.slo.is_some());
    if !signals.enabled && !told && !aims {
        return None;
    }
    let checks = probes(signals);
    let running = || {
        let running = facts.iter();
        running.filter(|fact| matches!(fact.state, InstanceState::Running))
    };
    let mut targets: Vec<Target> = running()
        .filter_map(|fact| target(platform, fact))
        .collect();
    targets.extend(signals.targets.iter().filter_map(elsewhere));
    targets.push(own("gateway", state.control_socket(), "/v1/metrics"));
    targets.push(own("signals", state.signals_socket(), "/metrics"));
    let processes = running().filter_map(|fact| process(fact)).collect();
    let mut collectors = vec![
        collector("node", "localhost", CollectorKind::Host),
        collector("process", "localhost", CollectorKind::Processes(processes)),
    ];
    collectors.extend(running().filter_map(|fact| server(platform, fact, state)));
    Some(Config {
        targets,
        collectors,
        listen: signals.port.map(|port| (Ipv4Addr::LOCALHOST, port).into()),
        rules: files(&signals.rules),
        routing: files(&signals.alertmanager).pop(),
        alerts: alerts(signals),
        checks: checks.iter().map(|one| check(one, state)).collect(),
        objectives: platform.services.iter().filter_map(objectives).collect(),
        latency_edges: SHOWN.iter().map(Duration::as_secs_f64).collect(),
        parts: parts(platform, told, &checks),
        external_labels: BTreeMap::from([
            ("platform".to_owned(), platform.name.to_string()),
            ("environment".to_owned(), platform.environment.to_string()),
        ]),
        retention: Retention {
            keep_ms: ms(signals.keep),
            keep_bytes: signals.disk.0,
        },
        remotes: signals
            .remotes
            .iter()
            .filter_map(|one| remote(one, state))
            .collect(),
        memory_bytes: signals.memory.0,
        ..Config::default()
    })
}

/// Whether something is done about alerts by itself.
pub(crate) fn acts(record: &ReleaseRecord) -> bool {
    let Some(alerts) = &record.contents.platform.signals.alerts else {
        return false;
    };
    let mut presets = alerts["preset"].as_object().into_iter().flatten();
    let named = alerts["then"]
        .as_object()
        .is_some_and(|then| !then.is_empty());
    named || presets.any(|(_, preset)| preset.get("then").is_some())
}

/// Where samples are sent to as well; its address was judged with the file.
fn remote((name, remote): (&String, &mainstay_spec::Remote), state: &State) -> Option<Remote> {
    let url = Url::parse(&remote.url).ok()?;
    let secrets = state.secrets();
    Some(Remote {
        name: name.clone(),
        address: url.authority.to_string(),
        tls: url.is_secure,
        path: url.path,
        protocol: match remote.protocol {
            mainstay_spec::Protocol::RemoteWrite => Protocol::RemoteWrite,
            mainstay_spec::Protocol::RemoteWrite2 => Protocol::RemoteWrite2,
            mainstay_spec::Protocol::Otlp => Protocol::Otlp,
        },
        token_file: remote.token.as_ref().map(|token| secrets.join(token)),
    })
}

/// What messages know of the platform.
pub(crate) fn known(record: &ReleaseRecord, history: &History) -> Known {
    let platform = &record.contents.platform;
    let served = |state: &ReleaseState| matches!(state, ReleaseState::Serving | ReleaseState::Kept);
    let releases = history
        .releases
        .values()
        .rev()
        .filter(|made| served(&made.state));
    let release = |made: &mainstay_plan::Release| {
        let changed = record.since.iter();
        let changed = changed.filter(|(_, since)| **since == made.release);
        KnownRelease {
            name: made.release.to_string(),
            services: changed.map(|(name, _)| name.to_string()).collect(),
            at_ms: made.at.0,
        }
    };
    Known {
        place: format!("{}/{}", platform.name, platform.environment),
        releases: releases.map(release).collect(),
    }
}

/// The file's own form; it was judged before it was shipped, and what cannot be read tells nobody.
fn alerts(signals: &Signals) -> Option<AlertsFile> {
    let alerts = signals.alerts.clone()?;
    serde_json::from_value(alerts).ok()
}

/// Who hears of releases.
pub(crate) fn hearers(record: &ReleaseRecord, place: &str) -> Hear {
    let file = alerts(&record.contents.platform.signals);
    let alerts = file.and_then(|file| file.compile().ok());
    let said = alerts.map(|alerts| (alerts.releases, alerts.allow));
    let (names, allow) = said.unwrap_or_default();
    Hear {
        place: place.to_owned(),
        names,
        allow,
        need: need(record),
    }
}

/// The file's checks; they were judged before they were shipped, and what cannot be read is not made.
fn probes(signals: &Signals) -> Vec<Probe> {
    let checks = signals.checks.clone();
    let checks = checks.and_then(|checks| serde_json::from_value(checks).ok());
    let read = checks.map(|checks| read_checks(&checks));
    read.and_then(Result::ok).unwrap_or_default()
}

fn check(probe: &Probe, state: &State) -> Check {
    let secrets = probe.secrets.iter();
    let secrets = secrets.map(|name| (name.clone(), state.secrets().join(name)));
    let kind = match probe.kind.clone() {
        ProbeKind::Http(steps) => CheckKind::Http { steps },
        ProbeKind::Tcp(address) => CheckKind::Tcp { address },
        ProbeKind::Dns(name, address) => CheckKind::Dns { name, address },
        ProbeKind::Certificate(address, left_ms) => CheckKind::Certificate { address, left_ms },
        ProbeKind::Status(page) => CheckKind::Status { page },
    };
    Check {
        job: "check".to_owned(),
        instance: probe.instance.clone(),
        labels: BTreeMap::from([("check".to_owned(), probe.name.clone())]),
        every_ms: probe.every_ms,
        timeout_ms: probe.timeout_ms,
        latency_ms: probe.latency_ms,
        secrets: secrets.collect(),
        kind,
    }
}

/// What a service aims at.
fn objectives((name, service): (&ServiceName, &Service)) -> Option<SloFile> {
    let slo = service.slo.as_ref()?;
    Some(SloFile {
        service: name.to_string(),
        availability: slo.availability.clone(),
        latency: slo.latency.clone(),
    })
}

/// What the platform contains that rules come with.
fn parts(platform: &Platform, told: bool, checks: &[Probe]) -> Vec<Part> {
    let runs = |wanted: fn(Server) -> bool| {
        let mut servers = platform.stores.values().filter_map(Store::server);
        servers.any(wanted)
    };
    let rows = [
        (
            runs(|one| matches!(one, Server::Postgres(_))),
            Part::Postgres,
        ),
        (runs(|one| matches!(one, Server::Redis(_))), Part::Redis),
        (true, Part::Host),
        (!platform.domains.is_empty(), Part::Gateway),
        (!platform.services.is_empty(), Part::Service),
        (!platform.jobs.is_empty(), Part::Job),
        (told || !platform.signals.targets.is_empty(), Part::Metrics),
        (!checks.is_empty(), Part::Check),
        (
            checks.iter().any(Probe::sees_certificate),
            Part::Certificate,
        ),
    ];
    rows.into_iter()
        .filter(|(there, _)| *there)
        .map(|(_, part)| part)
        .collect()
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn files(attached: &[Attached]) -> Vec<File> {
    let file = |attached: &Attached| File {
        name: attached.path.clone(),
        text: attached.text.clone(),
    };
    attached.iter().map(file).collect()
}

fn collector(job: &str, instance: &str, kind: CollectorKind) -> Collector {
    Collector {
        job: job.to_owned(),
        instance: instance.to_owned(),
        labels: BTreeMap::new(),
        every_ms: ms(EVERY),
        kind,
    }
}

/// The server of a store, asked as its administrator: PostgreSQL knows the user of this process, Redis a password.
fn server(platform: &Platform, fact: &InstanceFact, state: &State) -> Option<Collector> {
    let name = &fact.id.service;
    let store = platform.stores.get(name)?;
    let address = fact.launch.address?;
    let (job, kind) = match store.server()? {
        Server::Postgres(_) => {
            let data = state.stores().join(name.as_str()).join("data");
            let (data, port) = (data.display(), address.port());
            let connection =
                format!("host='{data}' port={port} user={ADMIN} dbname=postgres connect_timeout=5");
            let kind = CollectorKind::Postgres {
                connection,
                password_file: None,
            };
            ("postgres", kind)
        }
        Server::Redis(_) => {
            let kind = CollectorKind::Redis {
                place: Place::Tcp(address.to_string()),
                user: ADMIN.to_owned(),
                password_file: Some(state.secrets().join(format!("{name}.{ADMIN}"))),
            };
            ("redis", kind)
        }
    };
    Some(collector(job, name.as_str(), kind))
}

/// Something elsewhere that the file names; its address was judged with the file.
fn elsewhere((name, told): (&String, &mainstay_spec::Target)) -> Option<Target> {
    let url = Url::parse(&told.url).ok()?;
    let address = url.authority.to_string();
    let ca: Vec<&str> = told.ca.iter().map(|file| file.text.as_str()).collect();
    Some(Target {
        job: name.clone(),
        instance: address.clone(),
        service: name.clone(),
        place: Place::at(address, url.is_secure),
        ca: ca.join("\n"),
        path: url.path,
        labels: BTreeMap::new(),
        every_ms: ms(told.every),
        timeout_ms: ms(told.every).min(10_000),
        honor_labels: false,
        honor_timestamps: true,
        allow_link_local: false,
    })
}

/// Where an instance tells its metrics, if it does.
fn target(platform: &Platform, fact: &InstanceFact) -> Option<Target> {
    let service = platform.services.get(&fact.id.service)?;
    let metrics = service.metrics.as_ref()?;
    let address = fact.launch.address?;
    Some(Target {
        job: fact.id.service.to_string(),
        instance: fact.id.to_string(),
        service: fact.id.service.to_string(),
        place: Place::Tcp(address.to_string()),
        ca: String::new(),
        path: metrics.path.clone(),
        labels: BTreeMap::from([
            ("service".to_owned(), fact.id.service.to_string()),
            ("release".to_owned(), fact.id.release.to_string()),
        ]),
        every_ms: ms(metrics.every),
        timeout_ms: ms(metrics.every).min(10_000),
        honor_labels: false,
        honor_timestamps: true,
        allow_link_local: false,
    })
}

/// What the gateway and the control plane, and signals itself tell.
fn own(name: &str, socket: PathBuf, path: &str) -> Target {
    Target {
        job: name.to_owned(),
        instance: name.to_owned(),
        service: name.to_owned(),
        place: Place::Unix(socket),
        ca: String::new(),
        path: path.to_owned(),
        labels: BTreeMap::new(),
        every_ms: ms(EVERY),
        timeout_ms: 10_000,
        honor_labels: true,
        honor_timestamps: true,
        allow_link_local: false,
    }
}

fn process(fact: &InstanceFact) -> Option<Process> {
    Some(Process {
        service: fact.id.service.to_string(),
        instance: fact.id.to_string(),
        release: fact.id.release.to_string(),
        pid: i32::try_from(fact.pid?).ok()?,
    })
}
