//! It is never stuck: stores and jobs that hang, fail or are killed in the middle of things.

use mainstay_atoms::{Actor, ReleaseNumber, ServiceName};
use mainstay_execute::{Phase, Refusal, World as _};
use mainstay_plan::{Contents, Event, ReleaseState, Wait};
use mainstay_sim::{Schedule, contents, service, service_digests, with_stores};
use mainstay_spec::{Missed, Overlap};

const LONG: u64 = 600_000;

fn name(name: &str) -> ServiceName {
    ServiceName::new(name).expect("a valid name")
}

fn version(number: u32) -> Contents {
    let services = vec![("web", service(2, &["api"])), ("api", service(2, &[]))];
    let mut contents = with_stores(contents(services, number), 256);
    for job in contents.platform.jobs.values_mut() {
        job.schedule = None;
        job.retries = 0;
    }
    contents
}

fn one_way(number: u32) -> Contents {
    let mut contents = version(number);
    for job in contents.platform.jobs.values_mut() {
        job.one_way = true;
    }
    contents
}

/// A platform on which the first version serves.
fn serving(seed: u64) -> Schedule {
    let mut schedule = Schedule::new(seed);
    assert!(schedule.ship(version(1)));
    assert!(schedule.settle(LONG), "the first release serves");
    schedule
}

fn serves(schedule: &mut Schedule, contents: &Contents) {
    assert!(schedule.settle(LONG), "it comes to rest");
    kept(schedule);
    let (engine, _) = schedule.engine().expect("the disk is not full");
    let record = engine.serving_record().expect("a release serves");
    assert_eq!(record.contents, *contents, "which contents serve");
}

fn kept(schedule: &Schedule) {
    let broken = &schedule.world.broken;
    assert!(broken.is_empty(), "{broken:?}");
}

fn by() -> Actor {
    Actor("tester".into())
}

/// Lets a release run until it has ended, and says why.
fn failed(schedule: &mut Schedule) -> String {
    let over = schedule.until(LONG, |engine, _| engine.history().moving.is_none());
    assert!(over, "the release ends");
    let (engine, _) = schedule.engine().expect("the disk is not full");
    let last = engine.history().releases.values().next_back();
    let state = last.map(|made| made.state.clone());
    assert!(
        matches!(state, Some(ReleaseState::Ended { .. })),
        "it has failed: {state:?}"
    );
    let failure = engine.failure().map(|(_, failure, _)| failure.to_string());
    failure.unwrap_or_default()
}

/// Ticks until a process of this job lives.
fn runs(schedule: &mut Schedule, job: &str) {
    let began = schedule.until(LONG, |_, world| {
        let mut runs = world.job_processes().into_iter();
        runs.any(|(id, _)| id.service.as_str() == job)
    });
    assert!(began, "{job} begins");
}

#[test]
fn a_store_that_goes_down_in_a_deploy_comes_back_and_the_deploy_goes_on() {
    let mut schedule = serving(1);
    assert!(schedule.ship(version(2)));
    runs(&mut schedule, "migrate");
    assert!(schedule.world.crash("db"));
    serves(&mut schedule, &version(2));
}

#[test]
fn a_store_that_is_down_before_a_deploy_is_started_first() {
    let mut schedule = serving(2);
    for _ in 0..6 {
        assert!(schedule.until(LONG, |_, world| {
            let mut alive = world.kept_running().into_keys();
            alive.any(|(id, _)| id.service.as_str() == "db")
        }));
        schedule.world.crash("db");
    }
    assert!(schedule.ship(version(2)));
    serves(&mut schedule, &version(2));
}

#[test]
fn a_store_that_refuses_its_data_fails_the_first_release_and_the_next_one_serves() {
    let mut schedule = Schedule::new(3);
    schedule.world.refusing.insert(name("db"));
    assert!(schedule.ship(version(1)));
    let why = failed(&mut schedule);
    assert!(why.contains("db.v1.1 ended"), "{why}");
    schedule.world.refusing.clear();
    assert!(schedule.ship(version(2)));
    serves(&mut schedule, &version(2));
}

#[test]
fn a_store_that_keeps_ending_fails_the_release_and_does_not_hold_it_up() {
    let mut schedule = serving(4);
    assert!(schedule.ship(version(2)));
    runs(&mut schedule, "migrate");
    schedule.world.refusing.insert(name("db"));
    schedule.world.crash("db");
    failed(&mut schedule);
    schedule.world.refusing.clear();
    serves(&mut schedule, &version(1));
}

#[test]
fn a_store_that_takes_two_minutes_to_start_delays_a_release_and_no_more() {
    let mut schedule = Schedule::new(5);
    schedule.world.slow = Some(120_000);
    assert!(schedule.ship(version(1)));
    serves(&mut schedule, &version(1));
}

#[test]
fn a_store_that_never_gets_ready_fails_the_release() {
    let mut schedule = Schedule::new(6);
    schedule.world.slow = Some(u64::MAX / 4);
    assert!(schedule.ship(version(1)));
    let why = failed(&mut schedule);
    assert!(why.contains("db.v1.1 was not ready"), "{why}");
    let (engine, _) = schedule.engine().expect("the disk is not full");
    assert_eq!(engine.phase(), Phase::Empty);
}

#[test]
fn a_full_disk_under_a_store_holds_a_release_and_space_lets_it_go_on() {
    let mut schedule = Schedule::new(7);
    schedule.world.data_full = true;
    assert!(schedule.ship(version(1)));
    assert!(!schedule.settle(120_000), "nothing can be prepared");
    let (engine, _) = schedule.engine().expect("the disk is not full");
    let waits: Vec<String> = engine.waits().map(|(wait, _)| wait.to_string()).collect();
    assert!(
        waits.iter().any(|wait| wait.contains("no space left")),
        "{waits:?}"
    );
    schedule.world.data_full = false;
    serves(&mut schedule, &version(1));
}

#[test]
fn a_migration_that_hangs_is_ended_at_its_deadline_and_the_release_fails() {
    let mut schedule = serving(8);
    let before = schedule.world.kept_running();
    schedule.world.hanging.insert(name("migrate"));
    assert!(schedule.ship(version(2)));
    let why = failed(&mut schedule);
    assert!(why.contains("migrate.v1.2"), "{why}");
    serves(&mut schedule, &version(1));
    let mut after = schedule.world.kept_running();
    after.retain(|run, _| before.contains_key(run) && run.0.service.as_str() != "api");
    let web = |(id, _): &(mainstay_atoms::InstanceId, _)| id.service.as_str() != "api";
    let due = before.into_iter().filter(|(run, _)| web(run)).collect();
    assert_eq!(after, due, "neither the store nor `web` was touched");
}

#[test]
fn a_migration_that_ignores_its_stop_is_ended_by_force() {
    let mut schedule = serving(9);
    schedule.world.hanging.insert(name("migrate"));
    schedule.world.faults.stubborn = 1000;
    assert!(schedule.ship(version(2)));
    failed(&mut schedule);
    schedule.world.faults.stubborn = 0;
    serves(&mut schedule, &version(1));
}

#[test]
fn a_migration_that_fails_fails_the_release_and_what_served_serves() {
    let mut schedule = serving(10);
    schedule.world.failing.insert(name("migrate"));
    assert!(schedule.ship(version(2)));
    let why = failed(&mut schedule);
    assert!(why.contains("exit 1"), "{why}");
    serves(&mut schedule, &version(1));
    schedule.world.failing.clear();
    assert!(schedule.ship(version(3)));
    serves(&mut schedule, &version(3));
}

#[test]
fn a_migration_that_is_killed_half_way_is_not_run_again_by_itself() {
    let mut schedule = serving(11);
    schedule.world.hanging.insert(name("migrate"));
    assert!(schedule.ship(version(2)));
    runs(&mut schedule, "migrate");
    assert!(schedule.world.kill_shim("migrate"));
    let why = failed(&mut schedule);
    assert!(why.contains("cut off"), "{why}");
    schedule.world.hanging.clear();
    serves(&mut schedule, &version(1));
}

#[test]
fn a_machine_that_goes_down_in_a_migration_comes_back_with_what_served() {
    let mut schedule = serving(12);
    schedule.world.hanging.insert(name("migrate"));
    assert!(schedule.ship(version(2)));
    runs(&mut schedule, "migrate");
    schedule.world.reboot();
    failed(&mut schedule);
    schedule.world.hanging.clear();
    serves(&mut schedule, &version(1));
}

#[test]
fn a_job_at_its_deadline_is_ended_though_the_clock_was_set_back() {
    let mut schedule = serving(13);
    schedule.world.hanging.insert(name("digest"));
    let (engine, world) = schedule.engine().expect("the disk is not full");
    engine
        .ask_run(&name("digest"), &by(), world)
        .expect("it serves");
    runs(&mut schedule, "digest");
    schedule.world.civil_ahead = -5 * 3_600_000;
    let ended = schedule.until(60_000, |_, world| world.job_processes().is_empty());
    assert!(ended, "its deadline is measured by the monotonic clock");
    kept(&schedule);
}

#[test]
fn a_job_is_not_cut_short_by_a_clock_that_was_set_forward() {
    let mut schedule = serving(14);
    schedule.world.hanging.insert(name("digest"));
    let (engine, world) = schedule.engine().expect("the disk is not full");
    engine
        .ask_run(&name("digest"), &by(), world)
        .expect("it serves");
    runs(&mut schedule, "digest");
    schedule.world.civil_ahead = 5 * 3_600_000;
    assert!(!schedule.until(8_000, |_, world| world.job_processes().is_empty()));
    kept(&schedule);
}

#[test]
fn a_run_that_cannot_start_yet_is_recorded_once_and_says_since_when_it_waits() {
    let mut schedule = serving(23);
    let before = schedule.world.entries().len();
    schedule.world.faults.later = 1_000;
    let (engine, world) = schedule.engine().expect("the disk is not full");
    engine
        .ask_run(&name("digest"), &by(), world)
        .expect("it serves");
    assert!(!schedule.until(5_000, |_, world| !world.job_processes().is_empty()));
    let entries = &schedule.world.entries()[before..];
    let steps = entries
        .iter()
        .filter(|entry| matches!(entry.event, Event::JobStep { .. }));
    assert_eq!(steps.count(), 1);
    let (engine, world) = schedule.engine().expect("the disk is not full");
    let (now, _) = world.now();
    let waited = engine.waits().find_map(|(wait, since)| match wait {
        Wait::Effect { seen, .. } if seen == "no process can be made" => Some(now.since(*since)),
        _ => None,
    });
    assert!(
        waited.is_some_and(|waited| waited.as_millis() > 3_000),
        "{waited:?}"
    );
    schedule.world.faults.later = 0;
    runs(&mut schedule, "digest");
    kept(&schedule);
}

#[test]
fn two_jumps_of_the_clock_around_a_time_run_it_once() {
    let mut schedule = Schedule::new(15);
    let mut contents = with_stores(contents(vec![("web", service(1, &[]))], 1), 256);
    for job in contents.platform.jobs.values_mut() {
        (job.overlap, job.missed) = (Overlap::Queue, Missed::Run);
    }
    assert!(schedule.ship(contents));
    assert!(schedule.settle(LONG));
    let due = |schedule: &Schedule| {
        let entries = schedule.world.entries().iter();
        let runs = entries.filter_map(|entry| match &entry.event {
            Event::JobStep {
                step: mainstay_plan::Step::Start { launch },
            } => launch.job.as_ref()?.due,
            _ => None,
        });
        runs.collect::<Vec<_>>()
    };
    assert!(schedule.until(LONG, |_, world| !world.job_processes().is_empty()));
    for ahead in [-30_000, 30_000, -30_000, 0] {
        schedule.world.civil_ahead = ahead;
        for _ in 0..20 {
            schedule.tick();
            schedule.world.pass(500);
        }
    }
    let times = due(&schedule);
    let mut once = times.clone();
    once.dedup();
    assert_eq!(times, once, "no time has two runs");
    kept(&schedule);
    // Where the clock stands right again, the next minute has its run.
    let (_, wall) = schedule.world.now();
    let later = schedule.until(130_000, |_, _| false);
    assert!(!later && due(&schedule).last() > Some(&wall), "{times:?}");
}

#[test]
fn a_release_whose_one_way_migration_ran_and_that_fails_is_frozen_and_a_fix_serves() {
    let mut schedule = serving(16);
    let next = one_way(2);
    // What comes before the migration is fine, `web` after it is not.
    schedule.world.bad.extend(service_digests(&next).last());
    assert!(schedule.ship(next));
    failed(&mut schedule);
    let applied = schedule.world.applied.len();
    schedule.until(60_000, |_, _| false);
    let idle = schedule.world.applied.len() - applied;
    assert!(idle <= 1, "nothing goes back by itself, but {idle} steps");
    let (engine, _) = schedule.engine().expect("the disk is not full");
    let waits: Vec<String> = engine.waits().map(|(wait, _)| wait.to_string()).collect();
    assert!(
        waits.iter().any(|wait| wait.contains("migrate")),
        "{waits:?}"
    );
    // What ends by itself starts again meanwhile: the store, and who served before.
    let alive = |world: &mainstay_sim::World, name: &str| {
        let runs = world.alive().into_keys();
        let of = runs.map(|(id, _)| id);
        of.into_iter()
            .filter(|id| id.service.as_str() == name)
            .count()
    };
    for name in ["db", "web"] {
        let before = alive(&schedule.world, name);
        assert!(schedule.world.crash(name), "{name} runs");
        let back = schedule.until(60_000, |engine, world| {
            alive(world, name) == before && engine.under_way().is_none()
        });
        assert!(back, "{name} is back");
        kept(&schedule);
    }
    assert!(schedule.ship(version(3)));
    serves(&mut schedule, &version(3));
}

#[test]
fn down_and_up_again_after_what_cannot_be_undone_brings_nothing_back_by_itself() {
    let mut schedule = serving(20);
    let next = one_way(2);
    schedule.world.bad.extend(service_digests(&next).last());
    assert!(schedule.ship(next));
    failed(&mut schedule);
    let (engine, world) = schedule.engine().expect("the disk is not full");
    engine.go_down(&by(), world).expect("nothing is in the way");
    assert!(schedule.until(LONG, |_, world| world.alive().is_empty()));
    schedule.until(60_000, |engine, _| engine.under_way().is_none());
    let (engine, world) = schedule.engine().expect("the disk is not full");
    engine.come_up(&by(), world).expect("nothing is in the way");
    schedule.until(60_000, |_, _| false);
    kept(&schedule);
    assert!(schedule.world.alive().is_empty(), "a person decides");
    assert!(schedule.ship(version(3)));
    serves(&mut schedule, &version(3));
}

#[test]
fn a_rollback_across_a_one_way_migration_is_refused_with_the_reason() {
    let mut schedule = serving(17);
    assert!(schedule.ship(one_way(2)));
    serves(&mut schedule, &one_way(2));
    let (engine, world) = schedule.engine().expect("the disk is not full");
    let refused = engine.roll_back(None, &by(), world).map(drop);
    let Err(Refusal::OneWay { to, release, job }) = refused else {
        panic!("it is refused: {refused:?}");
    };
    assert_eq!(
        (to, release, job),
        (ReleaseNumber(1), ReleaseNumber(2), name("migrate"))
    );
    serves(&mut schedule, &one_way(2));
}

#[test]
fn a_promotion_that_fails_after_the_instances_serve_leaves_what_served() {
    let mut schedule = serving(18);
    let mut next = version(2);
    for service in next.platform.services.values_mut() {
        service.after = vec![name("digest")];
    }
    schedule.world.failing.insert(name("digest"));
    assert!(schedule.ship(next));
    let why = failed(&mut schedule);
    assert!(why.contains("digest"), "{why}");
    serves(&mut schedule, &version(1));
}

#[test]
fn everything_stops_though_a_job_hangs_and_a_store_is_slow_to_stop() {
    let mut schedule = serving(19);
    schedule.world.hanging.insert(name("digest"));
    schedule.world.faults.stubborn = 1000;
    let (engine, world) = schedule.engine().expect("the disk is not full");
    engine
        .ask_run(&name("digest"), &by(), world)
        .expect("it serves");
    runs(&mut schedule, "digest");
    let (engine, world) = schedule.engine().expect("the disk is not full");
    engine.go_down(&by(), world).expect("nothing is in the way");
    assert!(schedule.until(LONG, |_, world| world.alive().is_empty()));
    kept(&schedule);
}
