//! What alerts do by themselves, in the simulated world: whole stories, each a promise of its own.

use mainstay_atoms::{Actor, ServiceName};
use mainstay_execute::Stand;
use mainstay_plan::{Contents, Event};
use mainstay_sim::{Schedule, by_load, contents, job, service};
use serde_json::{Value, json};
use std::time::Duration;

const LONG: u64 = 600_000;
const HOUR: Duration = Duration::from_secs(3600);
const FIRES: Option<&[&str]> = Some(&["HomeFails"]);

fn web() -> ServiceName {
    ServiceName::new("web").expect("a valid name")
}

/// `web` with one to six instances, a job `heal`, and what `HomeFails` does.
fn version(then: &Value) -> Contents {
    let mut one = service(1, &[]);
    by_load(&mut one, (1, 6));
    let mut contents = contents(vec![("web", one)], 1);
    let heal = ServiceName::new("heal").expect("a valid name");
    contents
        .artifacts
        .insert(heal.clone(), mainstay_atoms::Digest::of(b"job"));
    contents.platform.jobs.insert(heal, job(None, &[]));
    contents.platform.signals.alerts = Some(json!({ "then": { "HomeFails": then } }));
    contents
}

fn scale(cool_down: &str) -> Value {
    json!({ "scale": { "service": "web", "by": 1, "max": 3, "for": "1h" }, "cool_down": cool_down })
}

fn started(seed: u64, then: &Value) -> Schedule {
    let mut schedule = Schedule::new(seed);
    schedule.world.steady_load("web", 0);
    assert!(schedule.ship(version(then)));
    assert!(schedule.settle(LONG), "the first release serves");
    schedule
}

fn passes(schedule: &mut Schedule, milliseconds: u64) {
    schedule.until(milliseconds, |_, _| false);
    let broken = &schedule.world.broken;
    assert!(broken.is_empty(), "{broken:?}");
}

/// What was done: the deed, the count, and whether that was only said.
fn acts(schedule: &Schedule) -> Vec<(String, Option<u32>, bool)> {
    let entries = schedule.world.entries().iter();
    let acts = entries.filter_map(|entry| match &entry.event {
        Event::AlertActed {
            deed,
            reaches,
            dry_run,
            ..
        } => {
            assert_eq!(entry.by, Actor::alert("HomeFails"));
            Some((deed.clone(), *reaches, *dry_run))
        }
        _ => None,
    });
    acts.collect()
}

fn stand(schedule: &mut Schedule) -> Stand {
    let (engine, world) = schedule.engine().expect("the disk is not full");
    let (now, _) = mainstay_execute::World::now(world);
    engine.actions(now).remove(0).stand
}

#[test]
fn it_acts_once_a_cool_down_whoever_is_killed_and_stops_at_its_bound() {
    let mut schedule = started(1, &scale("2m"));
    passes(&mut schedule, 10_000);
    assert!(acts(&schedule).is_empty(), "nobody knows what fires");
    schedule.world.fires(Some(&["Other"]), HOUR);
    passes(&mut schedule, 10_000);
    assert!(acts(&schedule).is_empty(), "it does not fire");
    schedule.world.fires(FIRES, Duration::from_secs(120));
    for _ in 0..10 {
        passes(&mut schedule, 10_000);
        schedule.world.killed = true;
    }
    let by_one = "scale web by 1".to_owned();
    assert_eq!(acts(&schedule), [(by_one.clone(), Some(2), false)]);
    passes(&mut schedule, 200_000);
    let expected = [(by_one.clone(), Some(2), false), (by_one, Some(3), false)];
    assert_eq!(acts(&schedule), expected);
    assert_eq!(stand(&mut schedule), Stand::AtBound(3));
    assert_eq!(schedule.world.alive().len(), 3);
}

#[test]
fn a_clock_that_is_set_changes_no_cool_down() {
    let mut schedule = started(2, &scale("1h"));
    schedule.world.fires(FIRES, HOUR);
    passes(&mut schedule, 10_000);
    for ahead in [7_200_000, -7_200_000, 0] {
        schedule.world.civil_ahead = ahead;
        passes(&mut schedule, 30_000);
        assert_eq!(acts(&schedule).len(), 1, "{ahead}");
    }
}

#[test]
fn a_person_outranks_an_alert() {
    let mut schedule = started(3, &scale("1s"));
    let (engine, world) = schedule.engine().expect("the disk is not full");
    let ann = Actor("ann".into());
    engine
        .set_scale(&web(), (1, Duration::from_secs(60)), &ann, world)
        .expect("it is within the bounds");
    schedule.world.fires(FIRES, Duration::from_secs(1));
    passes(&mut schedule, 30_000);
    assert!(acts(&schedule).is_empty());
    assert_eq!(
        stand(&mut schedule),
        Stand::Held("ann set its count".into())
    );
    // What she said is over.
    passes(&mut schedule, 40_000);
    assert!(!acts(&schedule).is_empty());
    let (engine, world) = schedule.engine().expect("the disk is not full");
    engine
        .set_scale(&web(), (1, HOUR), &ann, world)
        .expect("it is within the bounds");
    let before = acts(&schedule).len();
    passes(&mut schedule, 30_000);
    assert_eq!(acts(&schedule).len(), before);
}

#[test]
fn a_dry_run_changes_nothing_and_a_day_has_its_most() {
    let mut then = scale("1s");
    then["dry_run"] = json!(true);
    then["at_most"] = json!("3/day");
    let mut schedule = started(4, &then);
    schedule.world.fires(FIRES, Duration::from_secs(1));
    passes(&mut schedule, 60_000);
    let said = ("scale web by 1".to_owned(), Some(2), true);
    assert_eq!(acts(&schedule), vec![said; 3]);
    assert_eq!(stand(&mut schedule), Stand::Exhausted);
    assert_eq!(schedule.world.alive().len(), 1);
}

#[test]
fn a_job_runs_by_an_alert_and_not_beside_itself() {
    let mut schedule = started(5, &json!({ "run": "heal", "cool_down": "30s" }));
    schedule
        .world
        .hanging
        .insert(ServiceName::new("heal").expect("a valid name"));
    schedule.world.fires(FIRES, Duration::from_secs(30));
    passes(&mut schedule, 8_000);
    assert_eq!(acts(&schedule).len(), 1);
    let (engine, _) = schedule.engine().expect("the disk is not full");
    let runs = &engine.history().jobs["heal"];
    assert_eq!(runs.kept[0].by, Actor::alert("HomeFails"));
    schedule.world.killed = true;
    passes(&mut schedule, 200_000);
    let runs = acts(&schedule).len();
    assert!((2..=7).contains(&runs), "{runs} runs within 208 s");
}
