//! What the engine knows, as the API shows it.

use crate::api::{
    Failed, HistoryRow, HoldRow, InstanceStatus, Judge, Moved, PageStatus, Progress, Prospect,
    ServiceStatus, Status, StoreStatus, Traffic, TrialMetric, TrialStatus, Waiting, Why,
};
use crate::desk::{Office, Standing};
use mainstay_atoms::{InstanceId, Moment, ReleaseNumber, ServiceName, span};
use mainstay_execute::{Engine, World};
use mainstay_plan::{
    Contents, History, ReleaseEnd, ReleaseRecord, ReleaseState, Wait, local_address,
};
use mainstay_workload::{Instance, Readiness, Running};
use std::time::Duration;

/// A duration as people say it: `4 s`, `1.3 s`, `3 min`.
pub(crate) fn ago(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    match milliseconds {
        0..10_000 => format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100),
        _ => span::format(Duration::from_secs(duration.as_secs())),
    }
}

fn waiting((wait, since): &(Wait, Moment), now: Moment) -> Waiting {
    let for_ms = u64::try_from(now.since(*since).as_millis()).unwrap_or(u64::MAX);
    Waiting {
        what: wait.to_string(),
        for_ms,
        wait: wait.clone(),
    }
}

impl Office {
    pub(crate) fn status(&mut self) -> Status {
        match &mut self.standing {
            Standing::Working { engine, world } => {
                let now = world.now().0;
                let mut status = status_of(engine, world, &self.options.environment);
                status.waits = engine.waits().map(|wait| waiting(wait, now)).collect();
                let blind = world.blind().map(ToOwned::to_owned);
                status.attention.extend(blind);
                status.attention.extend(world.ledger_faults());
                status.attention.extend(world.gateway.faults());
                status.attention.extend(world.signals.fault());
                status.attention.extend(world.untold());
                status.attention.extend(world.page_fault());
                status
            }
            Standing::Halted { why, history, .. } => {
                let serving = history
                    .serving
                    .and_then(|number| history.releases.get(&number));
                Status {
                    platform: String::new(),
                    environment: self.options.environment.clone(),
                    release: serving.map(|made| made.release.to_string()),
                    phase: "halted".into(),
                    urls: vec![],
                    services: vec![],
                    stores: vec![],
                    attention: vec![why.clone()],
                    waits: vec![],
                    since_ms: serving.map(|made| made.at.0),
                    trials: vec![],
                    paused: vec![],
                    objectives: vec![],
                    status_page: None,
                }
            }
        }
    }

    /// What the ledger says.
    pub(crate) fn history(&self) -> &History {
        match &self.standing {
            Standing::Working { engine, .. } => engine.history(),
            Standing::Halted { history, .. } => history,
        }
    }

    pub(crate) fn rows(&self) -> Vec<HistoryRow> {
        let history = self.history();
        history
            .releases
            .values()
            .rev()
            .map(|made| row(made, history))
            .collect()
    }

    pub(crate) fn holds(&self) -> Vec<HoldRow> {
        let holds = self.history().holds.iter();
        holds
            .map(|(release, hold)| HoldRow {
                release: *release,
                since: hold.since,
                by: hold.by.to_string(),
            })
            .collect()
    }
}

fn row(made: &mainstay_plan::Release, history: &History) -> HistoryRow {
    let (state, reason) = match &made.state {
        ReleaseState::Moving => ("moving", made.reason.clone()),
        ReleaseState::Serving => ("serving", made.reason.clone()),
        ReleaseState::Kept => ("kept", made.reason.clone()),
        ReleaseState::Ended {
            end: ReleaseEnd::Failed { why },
        } => ("failed", why.clone()),
        ReleaseState::Ended {
            end: ReleaseEnd::Superseded,
        } => ("superseded", made.reason.clone()),
        ReleaseState::Ended {
            end: ReleaseEnd::Aborted,
        } => ("aborted", made.reason.clone()),
    };
    HistoryRow {
        release: made.release,
        of: made.of,
        at: made.at,
        state: state.into(),
        reason,
        by: made.by.to_string(),
        held: history.holds.contains_key(&made.release),
    }
}

pub(crate) fn prospects(all: Vec<mainstay_execute::Prospect>) -> Vec<Prospect> {
    let judge = |judge: mainstay_execute::Judge| Judge {
        condition: judge.condition,
        needs: judge.needs,
        in_time: judge.in_time,
    };
    let prospect = |one: mainstay_execute::Prospect| Prospect {
        service: one.service,
        way: one.way,
        per_second: one.per_second,
        judges: one.judges.into_iter().map(judge).collect(),
    };
    all.into_iter().map(prospect).collect()
}

fn trial(view: mainstay_execute::TrialView) -> TrialStatus {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let metric = |metric: mainstay_execute::MetricView| TrialMetric {
        condition: metric.condition,
        grade: metric.grade.to_string(),
        seen: metric.seen,
        points: metric.points,
    };
    TrialStatus {
        service: view.service,
        release: view.release,
        stable: view.stable,
        stands: view.stands,
        canary: view.weights.canary.0,
        baseline: view.weights.baseline.0,
        step: view.step.map(|(at, _)| at),
        steps: view.step.map(|(_, of)| of),
        held_ms: view.held.map(|(held, _)| ms(held)),
        hold_ms: view.held.map(|(_, hold)| ms(hold)),
        metrics: view.metrics.into_iter().map(metric).collect(),
    }
}

fn status_of(engine: &Engine, world: &mainstay_world::RealWorld, environment: &str) -> Status {
    let history = engine.history();
    let record = engine.serving_record().or_else(|| engine.moving_record());
    let release = history.serving;
    let mut status = Status {
        platform: record
            .map(|record| record.contents.platform.name.to_string())
            .unwrap_or_default(),
        environment: environment.to_owned(),
        release: release.map(|number| number.to_string()),
        phase: word(engine.phase()),
        urls: record
            .map(|record| urls(&record.contents, None))
            .unwrap_or_default(),
        services: vec![],
        stores: vec![],
        attention: vec![],
        waits: vec![],
        since_ms: release
            .and_then(|number| history.releases.get(&number))
            .map(|made| made.at.0),
        trials: engine.trials().into_iter().map(trial).collect(),
        paused: crate::pause::paused(engine, world.now().1),
        objectives: vec![],
        status_page: None,
    };
    if let Some(record) = record {
        status.status_page = page(&record.contents, world);
        let names = record.contents.platform.services.keys();
        status.services = names
            .map(|name| service(engine, world, record, name))
            .collect();
        for row in crate::scale::rows(engine, world.now().1) {
            let mut services = status.services.iter_mut();
            let own = services.find(|service| service.name == row.service);
            if let Some(own) = own {
                own.scale = Some(row);
            }
        }
        status.stores = crate::job::stores(engine, world, record);
    }
    if let Some((release, failure, _)) = engine.failure() {
        status
            .attention
            .push(format!("{release} failed: {failure}"));
    }
    for (id, attempts) in history
        .attempts
        .iter()
        .filter(|(_, attempts)| attempts.looping)
    {
        status.attention.push(format!(
            "{id} is in a crash loop: {} ends in a row",
            attempts.ends
        ));
    }
    if let Some(why) = engine.action_fault() {
        let line = format!("what alerts do by themselves cannot be read: {why}");
        status.attention.push(line);
    }
    if let Some((services, why)) = world.run_as_root() {
        status
            .attention
            .push(format!("{services} run as root: {why}"));
    }
    status
}

/// A serde word without its quotes.
fn word<T: serde::Serialize>(value: T) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// Where routes answer, of one service or of all.
fn urls(contents: &Contents, only: Option<&ServiceName>) -> Vec<String> {
    let port = contents.platform.gateway.http;
    let mut urls = Vec::new();
    for (host, routes) in &contents.platform.domains {
        for (prefix, service) in routes {
            if only.is_none_or(|only| only == service) {
                urls.push(format!("http://{host}:{port}{prefix}"));
            }
        }
    }
    urls
}

/// Where the status page is answered, and who signs it.
fn page(contents: &Contents, world: &mainstay_world::RealWorld) -> Option<PageStatus> {
    let platform = &contents.platform;
    let page = platform.status_page.as_ref()?;
    let port = platform.gateway.http;
    let hosts = match &page.host {
        Some(host) => vec![host],
        None => platform.domains.keys().collect(),
    };
    let url = |host| format!("http://{host}:{port}{}", page.path);
    Some(PageStatus {
        urls: hosts.into_iter().map(url).collect(),
        key: world.page_key(),
    })
}

fn service(
    engine: &Engine,
    world: &mainstay_world::RealWorld,
    record: &ReleaseRecord,
    name: &ServiceName,
) -> ServiceStatus {
    let seen = engine
        .seen()
        .map(|seen| seen.instances.as_slice())
        .unwrap_or_default();
    let own: Vec<&Instance> = seen.iter().filter(|one| one.id.service == *name).collect();
    let wanted = &record.contents.platform.services[name];
    let ready = own
        .iter()
        .filter(|one| serves(engine, one, wanted.port.is_some()))
        .count();
    let mut answers = urls(&record.contents, Some(name));
    if engine.history().table.routes.local.contains_key(name)
        && let Some(local) = local_address(&record.contents.platform, name)
    {
        answers.push(format!("http://{local}"));
    }
    ServiceStatus {
        name: name.to_string(),
        release: record
            .since
            .get(name)
            .map(ToString::to_string)
            .unwrap_or_default(),
        desired: engine.wanted(name, wanted),
        ready: u32::try_from(ready).unwrap_or(u32::MAX),
        urls: answers,
        instances: own
            .into_iter()
            .map(|one| instance(engine, world, one))
            .collect(),
        scale: None,
        advice: engine
            .size_advice(name)
            .iter()
            .filter(|one| one.ask.is_some())
            .map(crate::scale::advice)
            .collect(),
    }
}

pub(crate) fn serves(engine: &Engine, one: &Instance, routed: bool) -> bool {
    one.ready_since().is_some()
        && (!routed || engine.history().table.serves(&one.id, one.generation))
}

fn instance(engine: &Engine, world: &mainstay_world::RealWorld, one: &Instance) -> InstanceStatus {
    let history = engine.history();
    let in_table = history.table.serves(&one.id, one.generation);
    let looping = history
        .attempts
        .get(&one.id)
        .is_some_and(|attempts| attempts.looping);
    let (state, detail) = match (&one.running, &one.readiness) {
        (Running::Ended { exit, .. }, _) if looping => ("crash_loop", Some(exit.to_string())),
        (Running::Ended { exit, .. }, _) => ("ended", Some(exit.to_string())),
        (_, Readiness::NotReady { seen }) if in_table => ("not_ready", Some(seen.clone())),
        (_, Readiness::NotReady { seen }) => ("starting", Some(seen.clone())),
        (_, Readiness::Ready { .. }) if in_table || one.address.is_none() => ("ready", None),
        (_, Readiness::Ready { .. }) => ("draining", None),
    };
    let pid = match one.running {
        Running::Yes { pid } => Some(pid),
        Running::Ended { .. } => None,
    };
    let isolation = world.isolation(&one.id);
    InstanceStatus {
        name: one.id.to_string(),
        address: one.address.map(|address| address.to_string()),
        state: state.into(),
        detail,
        pid,
        release: one.id.release.to_string(),
        isolation: isolation.map(ToString::to_string),
        user: isolation.map(|isolation| format!("{}{}", isolation.user, isolation.reach)),
    }
}

/// How a release moves, for those who watch it.
pub(crate) fn progress(
    engine: &Engine,
    world: &mut mainstay_world::RealWorld,
    after: u64,
    release: Option<ReleaseNumber>,
) -> Progress {
    let now = world.now().0;
    let (requests, failures) = world.gateway.traffic();
    let made = release.and_then(|number| engine.history().releases.get(&number));
    let failure = engine
        .failure()
        .filter(|(failed, ..)| Some(*failed) == release);
    Progress {
        happenings: engine.progress().after(after).cloned().collect(),
        newest: engine.progress().newest(),
        phase: engine.phase(),
        state: made.map(|made| made.state.clone()),
        waits: engine.waits().map(|wait| waiting(wait, now)).collect(),
        serving: engine.history().serving,
        services: moved(engine),
        traffic: Traffic { requests, failures },
        failure: failure.map(|(_, failure, evidence)| Failed {
            why: failure.to_string(),
            failure: failure.clone(),
            evidence: evidence.clone(),
            instance: failure.instance().cloned(),
        }),
    }
}

fn moved(engine: &Engine) -> Vec<Moved> {
    let Some(record) = engine.moving_record().or_else(|| engine.serving_record()) else {
        return vec![];
    };
    let moving = engine.history().moving.or(engine.history().serving);
    let seen = engine
        .seen()
        .map(|seen| seen.instances.as_slice())
        .unwrap_or_default();
    let table = &engine.history().table;
    let services = record.contents.platform.services.iter();
    services
        .map(|(name, wanted)| {
            let since = record.since.get(name).copied();
            let own = seen
                .iter()
                .filter(|one| one.id.service == *name && one.runs());
            let (mut new, mut ready, mut draining) = (0, 0, 0);
            for one in own {
                let current = Some(one.id.release) == since;
                let serves = serves(engine, one, wanted.port.is_some());
                ready += u32::from(serves);
                new += u32::from(serves && current);
                let left = !table.serves(&one.id, one.generation);
                draining += u32::from(!current && left);
            }
            let moves = since == moving;
            Moved {
                service: name.clone(),
                wanted: engine.wanted(name, wanted),
                new,
                ready,
                draining,
                moves,
            }
        })
        .collect()
}

/// Why a service, an instance or the whole is as it is.
pub(crate) fn why(
    engine: &Engine,
    world: &mainstay_world::RealWorld,
    subject: &str,
) -> Option<Why> {
    let now = world.now().0;
    let id = subject.parse::<InstanceId>().ok();
    let about = |wait: &Wait| match (wait, wait.instance()) {
        _ if subject.is_empty() => true,
        (_, Some(found)) => id.as_ref() == Some(found) || found.service.as_str() == subject,
        (Wait::Needs { service, .. }, None) => service.as_str() == subject,
        (_, None) => true,
    };
    let waits: Vec<Waiting> = engine
        .waits()
        .filter(|(wait, _)| about(wait))
        .map(|wait| waiting(wait, now))
        .collect();
    let status = status_of(engine, world, "");
    let mut facts = Vec::new();
    let summary = if let Some(id) = &id {
        let rows = status
            .services
            .iter()
            .flat_map(|service| &service.instances);
        let one = rows.into_iter().find(|one| one.name == id.to_string())?;
        instance_facts(&mut facts, one);
        format!("{id} is {}", one.state.replace('_', " "))
    } else if subject.is_empty() {
        facts.extend(crate::pause::facts(engine, world.now().1, subject));
        facts.extend(crate::action::facts(engine, world.now(), subject));
        let release = status.release.unwrap_or_else(|| "nothing".into());
        format!("{release} serves; the platform is {}", status.phase)
    } else if let Some(row) = crate::pause::find(engine, world.now().1, subject) {
        facts.extend(crate::pause::facts(engine, world.now().1, subject));
        facts.extend(crate::action::facts(engine, world.now(), subject));
        match row.paused {
            Some(_) => format!("{subject} is answered by the gateway alone"),
            None => format!("{subject} is answered by {}", row.service),
        }
    } else if let Some(store) = status.stores.iter().find(|store| store.name == subject) {
        store_facts(&mut facts, store);
        format!(
            "{} ({}) is {}",
            store.name,
            store.kind,
            store.state.replace('_', " ")
        )
    } else {
        let service = status
            .services
            .iter()
            .find(|service| service.name == subject)?;
        facts.extend(crate::job::away(engine, subject, &status.stores));
        for one in &service.instances {
            let detail = one
                .detail
                .as_ref()
                .map_or(String::new(), |detail| format!(": {detail}"));
            facts.push((
                one.name.clone(),
                format!("{}{detail}", one.state.replace('_', " ")),
            ));
        }
        facts.extend(crate::pause::facts(engine, world.now().1, subject));
        facts.extend(crate::scale::facts(engine, world.now().1, subject));
        facts.extend(crate::action::facts(engine, world.now(), subject));
        if let Some(one) = service.instances.first() {
            let mut fact = |name: &str, value: Option<&String>| {
                facts.extend(value.map(|value| (name.to_owned(), value.clone())));
            };
            fact("runs", one.user.as_ref());
            fact("limits", one.isolation.as_ref());
        }
        facts.extend(changed(engine, service));
        runs(service)
    };
    if let Some(wait) = waits.first() {
        facts.push(("since".into(), ago(Duration::from_millis(wait.for_ms))));
    }
    if let (Some(moving), Some(wait)) = (engine.history().moving, waits.first()) {
        let back = engine
            .history()
            .serving
            .map_or("nothing serves".into(), |serving| {
                format!("{serving} serves meanwhile")
            });
        let ends = match wait.wait {
            Wait::Trial { .. } | Wait::Gate { .. } => {
                "goes on when that is so, back if it is worse"
            }
            Wait::Frozen { .. } => "stays as it is until somebody decides",
            _ => "fails in the end and goes back",
        };
        facts.push(("then".into(), format!("{moving} {ends}; {back}")));
    }
    Some(Why {
        subject: subject.to_owned(),
        summary,
        waits,
        facts,
    })
}

/// The release that last changed a service, who made it, and what changed.
fn changed(engine: &Engine, service: &ServiceStatus) -> Option<(String, String)> {
    let number = service.release.parse().ok()?;
    let made = engine.history().releases.get(&number)?;
    let text = format!("{} by {}: {}", service.release, made.by, made.reason);
    Some(("changed".into(), text))
}

/// A service in one line; with those of a release on trial, more may be ready than are wanted.
fn runs(service: &ServiceStatus) -> String {
    let (ready, desired) = (service.ready, service.desired);
    let ready = if ready > desired {
        format!("{ready} ready, {desired} wanted")
    } else {
        format!("{ready} of {desired} ready")
    };
    format!("{} runs {} with {ready}", service.name, service.release)
}

fn store_facts(facts: &mut Vec<(String, String)>, store: &StoreStatus) {
    let mut fact = |name: &str, value: Option<String>| {
        facts.extend(value.map(|value| (name.to_owned(), value)));
    };
    fact("seen", store.detail.clone());
    fact("address", store.address.clone());
    fact("process", store.pid.map(|pid| format!("pid {pid}")));
    fact("data", Some(store.folder.clone()));
}

fn instance_facts(facts: &mut Vec<(String, String)>, one: &InstanceStatus) {
    let mut fact = |name: &str, value: Option<String>| {
        facts.extend(value.map(|value| (name.to_owned(), value)));
    };
    fact("seen", one.detail.clone());
    fact("address", one.address.clone());
    fact("process", one.pid.map(|pid| format!("pid {pid}")));
    fact("runs", one.user.clone());
    fact("limits", one.isolation.clone());
}
