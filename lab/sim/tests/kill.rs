//! The control plane is killed at every kind of step: before its effect, before its outcome is
//! recorded, and after. Each time the next one carries on, and nobody who should survive is touched.

use mainstay_atoms::{Actor, Generation, InstanceId};
use mainstay_plan::{Contents, Event, Plan, Step};
use mainstay_sim::{KINDS, Kill, KillPoint, Schedule, contents, kill_points, service, with_stores};
use std::collections::{BTreeMap, BTreeSet};

type Runs = BTreeMap<(InstanceId, Generation), mainstay_atoms::Moment>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Journey {
    Deploy,
    Rollback,
    Down,
}

/// A platform whose next step is the journey; `search` goes, `api` stays the same, and the store gets
/// more memory.
fn ready_to(journey: Journey) -> Schedule {
    let mut schedule = Schedule::new(7);
    let first = vec![
        ("web", service(2, &["api"])),
        ("api", service(2, &[])),
        ("search", service(1, &[])),
    ];
    assert!(schedule.ship(without_schedule(contents(first, 1), 256)));
    assert!(schedule.settle(60_000));
    if journey == Journey::Rollback {
        assert!(schedule.ship(second()));
        assert!(schedule.settle(60_000));
    }
    schedule
}

fn second() -> Contents {
    let mut second = contents(
        vec![("web", service(2, &["api"])), ("api", service(2, &[]))],
        2,
    );
    let services = &mut second.platform.services;
    let api = services
        .values_mut()
        .find(|one| one.needs.is_empty())
        .expect("there is an api");
    api.env.insert("VERSION".into(), "1".into());
    without_schedule(second, 512)
}

/// With stores and a migration, and without jobs that run by themselves.
fn without_schedule(contents: Contents, memory_mib: u64) -> Contents {
    let mut contents = with_stores(contents, memory_mib);
    for job in contents.platform.jobs.values_mut() {
        job.schedule = None;
    }
    contents
}

fn ask(journey: Journey, schedule: &mut Schedule) {
    if journey == Journey::Deploy {
        assert!(schedule.ship(second()));
        return;
    }
    let by = Actor("tester".into());
    let (engine, world) = schedule.engine().expect("the disk is not full");
    match journey {
        Journey::Rollback => engine.roll_back(None, &by, world).map(drop),
        _ => engine.go_down(&by, world),
    }
    .expect("nothing stands in the way");
}

fn arrive(journey: Journey, schedule: &mut Schedule) -> bool {
    if journey == Journey::Down {
        return schedule.until(120_000, |engine, world| {
            let served = world
                .table()
                .is_some_and(|table| !table.services.is_empty());
            world.alive().is_empty() && !served && engine.under_way().is_none()
        });
    }
    schedule.settle(120_000)
}

/// The plans that were recorded after the first `skip` entries.
fn plans(schedule: &mut Schedule, skip: usize) -> Vec<Plan> {
    let entries = schedule.world.entries()[skip..].to_vec();
    let ids = entries.iter().filter_map(|entry| match &entry.event {
        Event::PlanRecorded { plan, .. } => Some(plan.0),
        _ => None,
    });
    ids.map(|id| {
        let bytes = mainstay_execute::World::fetch(&mut schedule.world, id).expect("it was kept");
        serde_json::from_slice(&bytes).expect("it was written by us")
    })
    .collect()
}

/// What must be running in the end: every run before that the plan does not stop, since then, and
/// every run that it starts.
fn survivors(before: &Runs, plan: &Plan) -> (Runs, BTreeSet<(InstanceId, Generation)>) {
    let mut kept = before.clone();
    let mut started = BTreeSet::new();
    for step in &plan.steps {
        match step {
            Step::Stop {
                instance,
                generation,
                ..
            } => {
                kept.remove(&(instance.clone(), *generation));
            }
            // A run of a job ends by itself.
            Step::Start { launch } if launch.job.is_none() => {
                started.insert((launch.instance.clone(), launch.generation));
            }
            _ => {}
        }
    }
    (kept, started)
}

fn plan_of(journey: Journey) -> Plan {
    let mut schedule = ready_to(journey);
    let skip = schedule.world.entries().len();
    ask(journey, &mut schedule);
    assert!(
        arrive(journey, &mut schedule),
        "{journey:?} arrives when nobody is killed"
    );
    let mut plans = plans(&mut schedule, skip);
    assert_eq!(plans.len(), 1, "{journey:?} takes one plan");
    plans.remove(0)
}

fn walk(journey: Journey) -> Vec<KillPoint> {
    let rows = kill_points(&plan_of(journey).steps);
    for &row in &rows {
        let mut schedule = ready_to(journey);
        let (skip, before) = (
            schedule.world.entries().len(),
            schedule.world.kept_running(),
        );
        ask(journey, &mut schedule);
        schedule.world.kill_at = Some(row);
        assert!(
            arrive(journey, &mut schedule),
            "{journey:?}, killed at {row}: it does not arrive"
        );
        assert_eq!(
            schedule.world.kill_at, None,
            "{journey:?}: {row} was never reached"
        );
        assert!(
            schedule.world.broken.is_empty(),
            "{journey:?}, {row}: {:?}",
            schedule.world.broken
        );
        let epochs: BTreeSet<_> = schedule.world.entries()[skip..]
            .iter()
            .map(|one| one.epoch)
            .collect();
        assert!(
            epochs.len() > 1,
            "{journey:?}, {row}: the same control plane went on"
        );
        let plans = plans(&mut schedule, skip);
        assert_eq!(
            plans.len(),
            1,
            "{journey:?}, {row}: the plan is resumed, not made anew"
        );
        let (kept, started) = survivors(&before, &plans[0]);
        let after = schedule.world.kept_running();
        for (run, since) in &kept {
            assert_eq!(
                after.get(run),
                Some(since),
                "{journey:?}, {row}: {} was touched",
                run.0
            );
        }
        let new: BTreeSet<_> = after
            .keys()
            .filter(|run| !kept.contains_key(run))
            .cloned()
            .collect();
        assert_eq!(
            new, started,
            "{journey:?}, {row}: each planned run is started once"
        );
    }
    rows
}

#[test]
fn a_deploy_survives_a_kill_at_every_step_there_is() {
    let rows: BTreeSet<KillPoint> = walk(Journey::Deploy).into_iter().collect();
    let when = [Kill::BeforeEffect, Kill::BeforeOutcome, Kill::AfterOutcome];
    let due = KINDS
        .iter()
        .flat_map(|step| when.map(|kill| KillPoint { step, kill }));
    let missing: Vec<String> = due
        .filter(|row| !rows.contains(row))
        .map(|row| row.to_string())
        .collect();
    assert!(
        missing.is_empty(),
        "kinds of steps without their three rows: {missing:?}"
    );
}

#[test]
fn a_rollback_survives_a_kill_at_every_step() {
    assert!(walk(Journey::Rollback).len() >= 24);
}

#[test]
fn going_down_survives_a_kill_at_every_step() {
    assert!(walk(Journey::Down).len() >= 15);
}
