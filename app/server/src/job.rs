//! Jobs and stores as the API shows them.

use crate::api::{JobDetail, JobRow, RunRow, StoreStatus};
use mainstay_atoms::{Cause, ServiceName, Wall};
use mainstay_execute::{Engine, World as _};
use mainstay_plan::{ReleaseRecord, Run, Runs, local_address};
use mainstay_spec::{Job, StoreKind};
use mainstay_workload::{Instance, Readiness, Running};
use mainstay_world::RealWorld;

/// Every job of the serving release.
pub(crate) fn jobs(engine: &Engine, world: &RealWorld) -> Vec<JobRow> {
    let (_, wall) = world.now();
    let record = engine.serving_record();
    let jobs = record.map(|record| record.contents.platform.jobs.iter());
    jobs.into_iter()
        .flatten()
        .map(|(name, job)| row(engine, name, job, wall))
        .collect()
}

/// One job with its runs, newest first; a run's name finds its job.
pub(crate) fn job(engine: &Engine, world: &RealWorld, subject: &str) -> Option<JobDetail> {
    let (_, wall) = world.now();
    let name = subject.split('.').next().unwrap_or(subject);
    let name = ServiceName::new(name).ok()?;
    let jobs = &engine.serving_record()?.contents.platform.jobs;
    let runs = engine.history().jobs.get(&name);
    let job = jobs.get(&name)?;
    let all = runs.into_iter().flat_map(|runs| runs.kept.iter().rev());
    let runs: Vec<RunRow> = all
        .map(run)
        .filter(|run| subject == name.as_str() || run.run == subject)
        .collect();
    let found = subject == name.as_str() || !runs.is_empty();
    found.then(|| JobDetail {
        job: row(engine, &name, job, wall),
        runs,
    })
}

fn row(engine: &Engine, name: &ServiceName, job: &Job, wall: Wall) -> JobRow {
    let known = engine.history().jobs.get(name);
    let schedule = job.schedule.as_ref();
    JobRow {
        name: name.to_string(),
        schedule: schedule.map(|schedule| schedule.cron.clone()),
        time_zone: schedule.map(|schedule| schedule.zone.clone()),
        next_ms: schedule
            .and_then(|schedule| schedule.next(wall))
            .map(|at| at.0),
        asked: known.map_or(0, |runs| {
            u32::try_from(runs.asked.len()).unwrap_or(u32::MAX)
        }),
        around: around(engine, name),
        last: known.and_then(|runs: &Runs| runs.kept.back()).map(run),
    }
}

/// The services before or after whose releases it runs: `before web`.
fn around(engine: &Engine, name: &ServiceName) -> Vec<String> {
    let Some(record) = engine.serving_record() else {
        return vec![];
    };
    let services = record.contents.platform.services.iter();
    services
        .flat_map(|(service, wanted)| {
            let before = wanted
                .before
                .contains(name)
                .then(|| format!("before {service}"));
            let after = wanted
                .after
                .contains(name)
                .then(|| format!("after {service}"));
            before.into_iter().chain(after)
        })
        .collect()
}

fn run(run: &Run) -> RunRow {
    let end = run.end.as_ref();
    let state = match end.map(|end| end.exit) {
        None => "running",
        Some(exit) if exit.succeeded() => "ok",
        Some(exit) if exit.lost => "cut_off",
        Some(_) if run.timed_out() => "timed_out",
        Some(exit) if exit.asked => "stopped",
        Some(_) => "failed",
    };
    let cause = match run.job.cause {
        Cause::Schedule => "schedule",
        Cause::Asked => "asked",
        Cause::Before => "before",
        Cause::After => "after",
    };
    RunRow {
        run: run.instance.to_string(),
        state: state.into(),
        cause: cause.into(),
        release: run.release.map(|release| release.to_string()),
        by: run.by.to_string(),
        begun_ms: run.begun.0,
        due_ms: run.job.due.map(|due| due.0),
        ran_ms: end.map(|end| end.ran_ms),
        exit: end.map(|end| end.exit.to_string()),
        attempt: run.job.attempt,
    }
}

/// Every store of a release.
pub(crate) fn stores(
    engine: &Engine,
    world: &RealWorld,
    record: &ReleaseRecord,
) -> Vec<StoreStatus> {
    let platform = &record.contents.platform;
    let seen = engine.seen().map(|seen| seen.instances.as_slice());
    let seen = seen.unwrap_or_default();
    let one = |(name, store): (&ServiceName, &mainstay_spec::Store)| {
        let own = seen.iter().find(|one| one.id.service == *name);
        let kind = match &store.kind {
            StoreKind::Postgres(one) => format!("postgres {}", one.version),
            StoreKind::Redis(one) => format!("redis {}", one.version),
            other => other.word().into(),
        };
        let (state, detail) = match (store.external.as_ref(), store.server(), own) {
            (Some(secret), ..) => ("external", Some(format!("at the address in `{secret}`"))),
            (None, None, _) if engine.history().stores.contains_key(name) => ("ready", None),
            (None, None, _) => ("missing", None),
            (None, Some(_), Some(own)) => server_state(own),
            (None, Some(_), None) => ("missing", Some("it has no server yet".into())),
        };
        StoreStatus {
            name: name.to_string(),
            kind,
            state: state.into(),
            detail,
            address: local_address(platform, name).map(|at| at.to_string()),
            pid: own.and_then(|own| match own.running {
                Running::Yes { pid } => Some(pid),
                Running::Ended { .. } => None,
            }),
            release: own.map(|own| own.id.release.to_string()),
            folder: world.store_folder(name).display().to_string(),
        }
    };
    platform.stores.iter().map(one).collect()
}

/// Stores that a service needs and that are not ready: the reason why it may fail, in a fact each.
pub(crate) fn away(
    engine: &Engine,
    service: &str,
    stores: &[StoreStatus],
) -> Vec<(String, String)> {
    let record = engine.serving_record().or_else(|| engine.moving_record());
    let services = record.map(|record| &record.contents.platform.services);
    let needs = services
        .into_iter()
        .flatten()
        .find(|(name, _)| name.as_str() == service)
        .map(|(_, service)| service.needs.as_slice())
        .unwrap_or_default();
    let away = stores.iter().filter(|store| {
        let fine = matches!(store.state.as_str(), "ready" | "external");
        !fine && needs.iter().any(|need| need.as_str() == store.name)
    });
    away.map(|store| {
        let state = store.state.replace('_', " ");
        let detail = store.detail.as_ref().map(|why| format!(": {why}"));
        let text = format!(
            "store {} is {state}{}; it is started again by itself, and {service} is left alone",
            store.name,
            detail.unwrap_or_default()
        );
        ("needs".to_owned(), text)
    })
    .collect()
}

fn server_state(own: &Instance) -> (&'static str, Option<String>) {
    match (&own.running, &own.readiness) {
        (Running::Ended { exit, .. }, _) => ("ended", Some(exit.to_string())),
        (_, Readiness::Ready { .. }) => ("ready", None),
        (_, Readiness::NotReady { seen }) => ("not_ready", Some(seen.clone())),
    }
}
