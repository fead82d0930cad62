//! It is never stuck: each way in which a deploy can hang has its test.

use mainstay_atoms::Actor;
use mainstay_execute::Phase;
use mainstay_plan::{Contents, ReleaseState};
use mainstay_sim::{Faults, Schedule, contents, service, service_digests};

const LONG: u64 = 600_000;

fn version(number: u32) -> Contents {
    let services = vec![("web", service(3, &["api"])), ("api", service(2, &[]))];
    contents(services, number)
}

/// A platform on which the first version serves.
fn serving(seed: u64) -> Schedule {
    let mut schedule = Schedule::new(seed);
    assert!(schedule.ship(version(1)));
    assert!(schedule.settle(LONG), "the first release serves");
    schedule
}

fn serves(schedule: &mut Schedule, number: u32) {
    assert!(schedule.settle(LONG), "it comes to rest");
    assert!(
        schedule.world.broken.is_empty(),
        "{:?}",
        schedule.world.broken
    );
    let (engine, _) = schedule.engine().expect("the disk is not full");
    let record = engine.serving_record().expect("a release serves");
    assert_eq!(record.contents, version(number), "which contents serve");
}

fn by() -> Actor {
    Actor("tester".into())
}

fn bad(schedule: &mut Schedule, number: u32) {
    let contents = version(number);
    schedule.world.bad.extend(service_digests(&contents));
    assert!(schedule.ship(contents));
}

fn failed(schedule: &mut Schedule) {
    assert!(
        schedule.until(LONG, |engine, _| engine.history().moving.is_none()),
        "the release ends"
    );
}

#[test]
fn a_bad_release_falls_and_a_good_fix_serves() {
    let mut schedule = serving(1);
    bad(&mut schedule, 2);
    failed(&mut schedule);
    serves(&mut schedule, 1);
    assert!(schedule.ship(version(3)));
    serves(&mut schedule, 3);
}

#[test]
fn a_good_fix_serves_although_the_stable_release_is_broken() {
    let mut schedule = serving(2);
    let old = service_digests(&version(1));
    schedule.world.crashing.extend(old);
    for _ in 0..200 {
        schedule.tick();
        schedule.world.pass(100);
    }
    assert!(schedule.ship(version(2)));
    serves(&mut schedule, 2);
}

#[test]
fn a_release_takes_over_at_four_fifths() {
    let mut schedule = serving(3);
    assert!(schedule.ship(version(2)));
    let late = schedule.until(LONG, |engine, _| {
        let under_way = engine.under_way();
        under_way.is_some_and(|(plan, next)| next * 5 >= plan.steps.len() * 4)
    });
    assert!(late);
    assert!(schedule.ship(version(3)));
    serves(&mut schedule, 3);
}

#[test]
fn a_release_takes_over_before_the_other_serves() {
    let mut schedule = serving(4);
    assert!(schedule.ship(version(2)));
    let late = schedule.until(LONG, |engine, _| {
        let under_way = engine.under_way();
        under_way.is_some_and(|(plan, next)| next * 2 >= plan.steps.len())
    });
    assert!(late);
    assert!(schedule.ship(version(3)));
    serves(&mut schedule, 3);
}

#[test]
fn an_abort_while_instances_start_changes_nothing_that_serves() {
    let mut schedule = serving(5);
    let before = schedule.world.alive();
    bad(&mut schedule, 2);
    assert!(schedule.until(LONG, |_, world| world.alive().len() > before.len()));
    let (engine, world) = schedule.engine().expect("the disk is not full");
    assert!(engine.abort(&by(), world).is_ok());
    serves(&mut schedule, 1);
    assert_eq!(
        schedule.world.alive(),
        before,
        "the same runs since the same moment"
    );
}

#[test]
fn a_failed_first_deploy_leaves_nothing_behind_and_the_next_one_serves() {
    let mut schedule = Schedule::new(6);
    bad(&mut schedule, 1);
    failed(&mut schedule);
    let (engine, _) = schedule.engine().expect("the disk is not full");
    assert_eq!(engine.phase(), Phase::Empty);
    assert!(schedule.until(LONG, |_, world| world.alive().is_empty()));
    assert!(schedule.ship(version(2)));
    serves(&mut schedule, 2);
}

#[test]
fn of_two_deploys_at_once_the_newer_serves() {
    let mut schedule = serving(7);
    assert!(schedule.ship(version(2)));
    assert!(schedule.ship(version(3)));
    serves(&mut schedule, 3);
    let (engine, _) = schedule.engine().expect("the disk is not full");
    let states = engine
        .history()
        .releases
        .values()
        .map(|one| one.state.clone());
    let ended = states.filter(|state| matches!(state, ReleaseState::Ended { .. }));
    assert_eq!(ended.count(), 1, "the older one is superseded, in the open");
}

#[test]
fn processes_that_refuse_to_stop_are_ended_by_force() {
    let mut schedule = serving(8);
    schedule.world.faults = Faults {
        stubborn: 1000,
        ..Faults::default()
    };
    assert!(schedule.ship(version(2)));
    serves(&mut schedule, 2);
}

#[test]
fn a_process_that_not_even_force_ends_fails_the_release_and_heals_once_it_is_gone() {
    let mut schedule = serving(9);
    let stuck: Vec<_> = schedule
        .world
        .alive()
        .into_keys()
        .map(|(id, _)| id)
        .collect();
    schedule.world.immortal.extend(stuck.into_iter().take(1));
    assert!(schedule.ship(version(2)));
    failed(&mut schedule);
    schedule.world.immortal.clear();
    serves(&mut schedule, 1);
    assert!(schedule.ship(version(3)));
    serves(&mut schedule, 3);
}

#[test]
fn a_flapping_probe_fails_the_release_or_lets_it_serve_and_never_hangs() {
    let mut schedule = serving(10);
    let contents = version(2);
    schedule.world.flapping.extend(service_digests(&contents));
    assert!(schedule.ship(contents));
    assert!(
        schedule.until(LONG, |engine, _| engine.history().moving.is_none()),
        "it ends"
    );
    schedule.world.flapping.clear();
    let serving = |number| serves_now(&mut schedule, number);
    assert!([1, 2].map(serving).contains(&true));
}

fn serves_now(schedule: &mut Schedule, number: u32) -> bool {
    assert!(schedule.settle(LONG), "it comes to rest");
    let (engine, _) = schedule.engine().expect("the disk is not full");
    engine
        .serving_record()
        .is_some_and(|record| record.contents == version(number))
}

#[test]
fn a_full_disk_stops_everything_in_its_place_and_space_lets_it_go_on() {
    let mut schedule = serving(11);
    assert!(schedule.ship(version(2)));
    for _ in 0..20 {
        schedule.tick();
        schedule.world.pass(50);
    }
    schedule.world.disk_full = true;
    let applied = schedule.world.applied.len();
    for _ in 0..600 {
        schedule.tick();
        schedule.world.pass(100);
    }
    let done = schedule.world.applied.len() - applied;
    assert!(
        done <= 1,
        "only what was recorded before is done, not {done} steps"
    );
    schedule.world.disk_full = false;
    serves(&mut schedule, 2);
}

#[test]
fn a_clock_that_jumps_an_hour_changes_nothing() {
    let mut schedule = serving(12);
    assert!(schedule.ship(version(2)));
    for _ in 0..20 {
        schedule.tick();
        schedule.world.pass(50);
    }
    schedule.world.civil_ahead = 3_600_000;
    serves(&mut schedule, 2);
    let (engine, _) = schedule.engine().expect("the disk is not full");
    assert!(
        engine.failure().is_none(),
        "no deadline was measured by the civil clock"
    );
}

#[test]
fn a_crash_looping_new_set_never_eats_healthy_old_ones() {
    let mut schedule = serving(13);
    let before = schedule.world.alive();
    let contents = version(2);
    schedule.world.crashing.extend(service_digests(&contents));
    assert!(schedule.ship(contents));
    failed(&mut schedule);
    serves(&mut schedule, 1);
    assert_eq!(
        schedule.world.alive(),
        before,
        "the same runs since the same moment"
    );
}

#[test]
fn a_crash_looping_worker_without_a_port_never_eats_healthy_old_ones() {
    let worker = |number| {
        let mut worker = service(2, &[]);
        (worker.port, worker.ready) = (None, None);
        contents(vec![("worker", worker)], number)
    };
    let mut schedule = Schedule::new(14);
    assert!(schedule.ship(worker(1)));
    assert!(schedule.settle(LONG));
    let before = schedule.world.alive();
    schedule.world.crashing.extend(service_digests(&worker(2)));
    assert!(schedule.ship(worker(2)));
    failed(&mut schedule);
    assert!(schedule.settle(LONG));
    assert_eq!(
        schedule.world.alive(),
        before,
        "the same runs since the same moment"
    );
}

#[test]
fn a_gateway_that_is_away_for_two_minutes_delays_a_deploy_and_no_more() {
    let mut schedule = serving(15);
    assert!(schedule.ship(version(2)));
    for _ in 0..20 {
        schedule.tick();
        schedule.world.pass(50);
    }
    schedule.world.gateway_away(120_000);
    serves(&mut schedule, 2);
}

#[test]
fn a_crash_in_the_middle_of_a_deploy_is_carried_along() {
    let mut schedule = serving(16);
    assert!(schedule.ship(version(2)));
    for _ in 0..20 {
        schedule.tick();
        schedule.world.pass(50);
    }
    assert!(schedule.world.crash("web"));
    serves(&mut schedule, 2);
}
