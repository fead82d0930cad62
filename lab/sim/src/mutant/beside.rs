//! Mistakes about stores and jobs.

use super::{Caught, Mutant, to_back, to_front};
use crate::stage::{carry_out, notes, observed};
use crate::{Schedule, contents, service, service_digests, with_stores};
use mainstay_atoms::{Actor, Moment, ServiceName};
use mainstay_execute::{Entry, Order, World as _};
use mainstay_plan::{Contents, Event, Observed, Plan, Purpose, ReleaseRecord, Step, decide_jobs};
use mainstay_spec::Overlap;

/// Every mistake of this kind.
pub(super) const BESIDE: &[Mutant] = &[
    store("skip the preparation", |steps| {
        steps.retain(|step| !matches!(step, Step::Prepare { .. }));
    }),
    store("skip the provisioning", |steps| {
        steps.retain(|step| !matches!(step, Step::Provision { .. }));
    }),
    store("provision after the users started", |steps| {
        to_back(steps, |step| matches!(step, Step::Provision { .. }));
    }),
    store("start the users before the store is ready", |steps| {
        to_back(steps, awaits_store);
    }),
    store("two servers on one folder", |steps| {
        to_front(
            steps,
            |step| matches!(step, Step::Start { launch } if launch.server.is_some()),
        );
    }),
    store("start before the migration ended", |steps| {
        to_back(steps, |step| matches!(step, Step::AwaitRun { .. }));
    }),
    store("skip the migration", |steps| {
        steps.retain(|step| !migrates(step));
    }),
    store("migrate twice", |steps| {
        let starts = |step: &&Step| migrates(step) && !step.waits();
        if let Some(Step::Start { launch }) = steps.iter().find(starts) {
            let mut again = launch.clone();
            again.instance.ordinal += 1;
            steps.push(Step::Start { launch: again });
        }
    }),
    life("restart the store on a release of services", restarted_life),
    life("stop the stores first", down_life),
    life("run again after the recorded end", |seed, wrong, caught| {
        let forgets: fn(&Event) -> bool = |event| matches!(event, Event::InstanceEnded { .. });
        replayed_life(seed, wrong.then_some(forgets), None, caught);
    }),
    life(
        "forget the time that a run was for",
        |seed, wrong, caught| {
            replayed_life(
                seed,
                None,
                wrong.then_some(without_due as fn(&mut Event)),
                caught,
            );
        },
    ),
    life("run beside another run", |seed, wrong, caught| {
        lane_life(
            seed,
            wrong.then_some(overlooks as fn(&mut Observed)),
            caught,
        );
    }),
    life(
        "measure a deadline by another clock",
        |seed, wrong, caught| {
            lane_life(
                seed,
                wrong.then_some(started_long_ago as fn(&mut Observed)),
                caught,
            );
        },
    ),
    life("go back across what cannot be undone", one_way_life),
];

/// A life in which a mistake happens, or not.
pub(super) type Life = fn(u64, bool, &mut Caught);

const fn store(name: &'static str, how: fn(&mut Vec<Step>)) -> Mutant {
    Mutant {
        name,
        how: super::How::Store(how),
    }
}

const fn life(name: &'static str, how: Life) -> Mutant {
    Mutant {
        name,
        how: super::How::Life(how),
    }
}

fn migrates(step: &Step) -> bool {
    let name = step.instance().map(|id| id.service.as_str());
    name == Some("migrate")
}

fn awaits_store(step: &Step) -> bool {
    matches!(step, Step::AwaitReady { instance, .. } if instance.service.as_str() == "db")
}

fn version(number: u32, memory: u64) -> Contents {
    let services = vec![("web", service(2, &["api"])), ("api", service(1, &[]))];
    let mut services = services;
    if number > 1 {
        services.push(("search", service(1, &[])));
    }
    let mut contents = with_stores(contents(services, number), memory);
    for (name, job) in &mut contents.platform.jobs {
        job.overlap = Overlap::Queue;
        job.schedule = job.schedule.take().filter(|_| name.as_str() == "digest");
    }
    contents
}

/// A platform with a store on which the first version serves.
fn serving(seed: u64) -> Schedule {
    let mut schedule = Schedule::new(seed);
    schedule.ship(version(1, 256));
    assert!(schedule.settle(60_000), "the first release serves");
    schedule
}

fn by() -> Actor {
    Actor("tester".into())
}

fn plan_of(schedule: &mut Schedule, next: Contents) -> (Plan, ReleaseRecord) {
    let (engine, world) = schedule.engine().expect("the disk is not full");
    let plan = engine.preview(next.clone(), &by(), world);
    let number = engine.history().next_release();
    let record = ReleaseRecord::over(engine.serving_record(), number, next);
    (plan, record)
}

fn judged(schedule: &mut Schedule, plan: &Plan, record: &ReleaseRecord, caught: &mut Caught) {
    let found = notes(plan, record, &mut schedule.world);
    caught.check.extend(found.iter().map(|note| note.rule));
    carry_out(plan, record, &mut schedule.world);
    caught.first(&schedule.world);
}

/// A release that gives the store more memory and migrates.
pub(super) fn store_life(seed: u64, mutate: fn(&mut Vec<Step>), caught: &mut Caught) {
    let mut schedule = serving(seed);
    let (plan, record) = plan_of(&mut schedule, version(2, 512));
    let plan = super::mutated(plan, mutate);
    judged(&mut schedule, &plan, &record, caught);
}

/// The plan restarts a store of which nothing changes.
fn restarted_life(seed: u64, wrong: bool, caught: &mut Caught) {
    let mut schedule = serving(seed);
    let memory = if wrong { 512 } else { 256 };
    let (plan, _) = plan_of(&mut schedule, version(2, memory));
    let (_, record) = plan_of(&mut schedule, version(2, 256));
    judged(&mut schedule, &plan, &record, caught);
}

fn down_life(seed: u64, wrong: bool, caught: &mut Caught) {
    let mut schedule = serving(seed);
    let (engine, world) = schedule.engine().expect("the disk is not full");
    engine.go_down(&by(), world).expect("nothing is in the way");
    let none = engine.tick(world);
    let plan = engine.under_way().map(|(plan, _)| plan.clone());
    let mut plan = plan.unwrap_or_else(|| panic!("a plan is made at once: {none:?}"));
    assert_eq!(plan.purpose, Purpose::Down);
    if !wrong {
        schedule.until(60_000, |_, world| world.alive().is_empty());
        caught.first(&schedule.world);
        return;
    }
    to_front(&mut plan.steps, |step| {
        let about = step.instance().map(|id| id.service.as_str());
        about == Some("db") && !matches!(step, Step::Clear { .. })
    });
    let history = schedule.world.history();
    let seen = observed(&mut schedule.world, &history);
    let found = mainstay_plan::check(&plan, None, None, &seen);
    caught.check.extend(found.iter().map(|note| note.rule));
    let stop = plan
        .steps
        .iter()
        .find(|step| matches!(step, Step::Stop { .. }));
    apply(&mut schedule, stop.expect("the store stops"));
    caught.first(&schedule.world);
}

/// Does one step as the lane of jobs does: recorded, then applied.
fn apply(schedule: &mut Schedule, step: &Step) {
    let (_, at) = schedule.world.now();
    let epoch = schedule.world.history().epoch;
    let entry = Entry {
        event: Event::JobStep { step: step.clone() },
        epoch,
        by: by(),
        at,
    };
    let order = Order {
        epoch,
        step,
        table: None,
    };
    let done = schedule.world.record(vec![entry]);
    done.expect("the disk is not full");
    // What becomes of it shows in the promises.
    drop(schedule.world.apply(&order));
}

/// Some runs of a schedule, and the control plane replaced in between.
fn replayed_life(
    seed: u64,
    forgets: Option<fn(&Event) -> bool>,
    miswrites: Option<fn(&mut Event)>,
    caught: &mut Caught,
) {
    let mut schedule = serving(seed);
    schedule.world.forgets = forgets;
    schedule.world.miswrites = miswrites;
    for _ in 0..80 {
        schedule.tick();
        schedule.world.pass(1_000);
    }
    for _ in 0..3 {
        schedule.world.killed = true;
        for _ in 0..10 {
            schedule.tick();
            schedule.world.pass(500);
        }
    }
    caught.first(&schedule.world);
}

fn without_due(event: &mut Event) {
    if let Event::JobStep {
        step: Step::Start { launch },
    } = event
        && let Some(job) = &mut launch.job
    {
        job.due = None;
    }
}

/// A run lives, and what is decided about jobs next is decided from what is seen wrongly.
fn lane_life(seed: u64, wrong: Option<fn(&mut Observed)>, caught: &mut Caught) {
    let mut schedule = serving(seed);
    schedule.world.hanging.insert(digest());
    let began = schedule.until(120_000, |_, world| !world.job_processes().is_empty());
    assert!(began, "the schedule comes due");
    schedule.world.pass(100);
    let history = schedule.world.history();
    let mut seen = observed(&mut schedule.world, &history);
    if let Some(wrong) = wrong {
        wrong(&mut seen);
    }
    let (engine, world) = schedule.engine().expect("the disk is not full");
    let decision = decide_jobs(engine.serving_record(), &seen, world.now());
    for step in &decision.steps {
        apply(&mut schedule, step);
    }
    caught.first(&schedule.world);
}

fn digest() -> ServiceName {
    ServiceName::new("digest").expect("a valid name")
}

/// Runs that are under way are not known, and somebody asked for another one.
fn overlooks(seen: &mut Observed) {
    if let Some(runs) = seen.jobs.get_mut(&digest()) {
        runs.kept.clear();
        runs.asked.push_back(by());
    }
}

fn started_long_ago(seen: &mut Observed) {
    for one in &mut seen.instances {
        one.started = Moment(0);
    }
}

/// A release whose migration cannot be undone fails, and the control plane is replaced.
fn one_way_life(seed: u64, wrong: bool, caught: &mut Caught) {
    let mut schedule = serving(seed);
    if wrong {
        schedule.world.miswrites = Some(undoable);
    }
    let mut next = version(2, 256);
    for job in next.platform.jobs.values_mut() {
        job.one_way = job.schedule.is_none();
    }
    // What comes first is fine, so that the migration is reached.
    schedule.world.bad.extend(service_digests(&next).last());
    schedule.ship(next);
    let fell = schedule.until(200_000, |engine, _| engine.history().moving.is_none());
    assert!(fell, "the release fails");
    schedule.world.killed = true;
    for _ in 0..40 {
        schedule.tick();
        schedule.world.pass(500);
    }
    caught.first(&schedule.world);
}

fn undoable(event: &mut Event) {
    if let Event::StepBegun {
        step: Step::Start { launch },
        ..
    } = event
        && let Some(job) = &mut launch.job
    {
        job.one_way = false;
    }
}
