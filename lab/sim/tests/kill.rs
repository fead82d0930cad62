//! At every kind of step somebody is killed: before its effect, before its outcome is recorded, and
//! after. Each time the platform carries on, and nobody who should survive is touched.

use mainstay_atoms::{Actor, Generation, InstanceId};
use mainstay_plan::{Contents, Event, Plan, Step};
use mainstay_sim::{
    KINDS, Kill, KillPoint, Schedule, Victim, contents, kill_points, service, with_stores,
};
use std::collections::{BTreeMap, BTreeSet};

type Runs = BTreeMap<(InstanceId, Generation), mainstay_atoms::Moment>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Journey {
    /// A release of services that gives the store more memory: its server is restarted.
    Deploy,
    /// The first release.
    First,
    /// A release whose service newly uses the store: it is let in, the server stays.
    Reload,
    /// A release whose migration fails once.
    Retry,
    Rollback,
    Down,
}

/// A platform whose next step is the journey; `search` goes, `api` stays the same, and the store gets
/// more memory.
fn ready_to(journey: Journey) -> Schedule {
    let mut schedule = Schedule::new(7);
    if journey == Journey::First {
        return schedule;
    }
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

/// The same store, and one more service that uses it.
fn third() -> Contents {
    let services = vec![
        ("web", service(2, &["api"])),
        ("api", service(2, &[])),
        ("search", service(1, &[])),
        ("mail", service(1, &[])),
    ];
    without_schedule(contents(services, 1), 256)
}

fn ask(journey: Journey, schedule: &mut Schedule) {
    let next = match journey {
        Journey::Deploy | Journey::Retry | Journey::First => Some(second()),
        Journey::Reload => Some(third()),
        Journey::Rollback | Journey::Down => None,
    };
    if journey == Journey::Retry {
        schedule.world.fails_once = true;
    }
    if let Some(next) = next {
        assert!(schedule.ship(next));
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
fn survivors(before: &Runs, plans: &[Plan]) -> (Runs, BTreeSet<(InstanceId, Generation)>) {
    let mut kept = before.clone();
    let mut started = BTreeSet::new();
    for step in plans.iter().flat_map(|plan| &plan.steps) {
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

/// Every step of the plans of a journey on which nobody is killed.
fn steps_of(journey: Journey) -> Vec<Step> {
    let mut schedule = ready_to(journey);
    let skip = schedule.world.entries().len();
    ask(journey, &mut schedule);
    assert!(
        arrive(journey, &mut schedule),
        "{journey:?} arrives when nobody is killed"
    );
    let plans = plans(&mut schedule, skip);
    let takes = if journey == Journey::Retry { 2 } else { 1 };
    assert_eq!(plans.len(), takes, "plans that {journey:?} takes");
    plans.into_iter().flat_map(|plan| plan.steps).collect()
}

fn walk(journey: Journey) -> Vec<KillPoint> {
    let rows = kill_points(&steps_of(journey));
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
        let takes = if journey == Journey::Retry { 2 } else { 1 };
        assert_eq!(
            plans.len(),
            takes,
            "{journey:?}, {row}: the plan is resumed, not made anew"
        );
        let (kept, started) = survivors(&before, &plans);
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

#[test]
fn a_first_release_survives_a_kill_at_every_step() {
    assert!(walk(Journey::First).len() >= 24);
}

#[test]
fn a_store_that_lets_one_more_in_survives_a_kill_at_every_step() {
    let rows = walk(Journey::Reload);
    assert!(rows.iter().any(|row| row.step == "provision"));
    assert!(
        rows.iter().all(|row| row.step != "stop"),
        "nobody is stopped"
    );
}

#[test]
fn a_migration_that_fails_once_survives_a_kill_at_every_step() {
    assert!(walk(Journey::Retry).len() >= 24);
}

/// Somebody else is killed at each step: the journey arrives, or the release falls and what served
/// serves; no promise is broken on the way, and the store is the same process unless it was killed,
/// or the journey restarts it.
fn others_are_killed(journey: Journey) {
    for row in kill_points(&steps_of(journey)) {
        for victim in Victim::ALL {
            let mut schedule = ready_to(journey);
            let before = schedule.world.kept_running();
            ask(journey, &mut schedule);
            schedule.world.victim = victim;
            schedule.world.kill_at = Some(row);
            let whole = format!("{journey:?}, {victim:?} killed at {row}");
            assert!(
                arrive(journey, &mut schedule),
                "{whole}: it does not arrive"
            );
            let broken = &schedule.world.broken;
            assert!(broken.is_empty(), "{whole}: {broken:?}");
            let spared = matches!(victim, Victim::ControlPlane | Victim::Gateway);
            if spared && journey == Journey::Reload {
                let after = schedule.world.kept_running();
                let touched = before.iter().find(|(run, at)| after.get(run) != Some(at));
                assert_eq!(touched, None, "{whole}: nobody is touched");
            }
            let store = |runs: &Runs| {
                let mut runs = runs
                    .iter()
                    .filter(|((id, _), _)| id.service.as_str() == "db");
                runs.next().map(|(run, at)| (run.clone(), *at))
            };
            let shot = matches!(victim, Victim::Store | Victim::Everything | Victim::Shim);
            if journey == Journey::Reload && !shot {
                let after = schedule.world.kept_running();
                assert_eq!(
                    store(&before),
                    store(&after),
                    "{whole}: the store is touched"
                );
            }
        }
    }
}

#[test]
fn whoever_is_killed_in_a_deploy_the_platform_carries_on() {
    others_are_killed(Journey::Deploy);
}

#[test]
fn whoever_is_killed_in_a_first_release_the_platform_carries_on() {
    others_are_killed(Journey::First);
}

#[test]
fn whoever_is_killed_while_a_store_lets_one_in_the_platform_carries_on() {
    others_are_killed(Journey::Reload);
}

#[test]
fn whoever_is_killed_on_the_way_back_the_platform_carries_on() {
    others_are_killed(Journey::Rollback);
}

#[test]
fn whoever_is_killed_on_the_way_down_everything_stops() {
    others_are_killed(Journey::Down);
}
