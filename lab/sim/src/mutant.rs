//! Mistakes that an engineer could make, each of which must be caught.

use crate::stage::{carry_out, notes};
use crate::{Schedule, World, contents, service, service_digests};
use mainstay_atoms::{Actor, Generation};
use mainstay_plan::{Event, Plan, Purpose, ReleaseRecord, Step};
use std::collections::BTreeSet;

mod acted;
mod beside;
mod paused;
mod scaled;

/// Lives in which a mistake may show; one is enough.
const LIVES: u64 = 12;

/// One mistake.
#[derive(Debug, Clone, Copy)]
pub struct Mutant {
    /// Its name, as a review would say it.
    pub name: &'static str,
    how: How,
}

#[derive(Debug, Clone, Copy)]
enum How {
    /// The decider makes a wrong plan.
    Plan(fn(&mut Vec<Step>)),
    /// The ledger forgets to write an event; then the control plane is replaced.
    Ledger(fn(&Event) -> bool),
    /// The decider makes a wrong plan for a release that restarts a store and migrates.
    Store(fn(&mut Vec<Step>)),
    /// A life of its own.
    Life(beside::Life),
}

/// Who caught a mutant, in words; nobody when both are empty.
#[derive(Debug, Default)]
pub struct Caught {
    /// Rules of the second mind.
    pub check: BTreeSet<&'static str>,
    /// The first broken promise of the world.
    pub world: Option<String>,
}

impl Caught {
    /// The first promise that this world saw broken.
    fn first(&mut self, world: &World) {
        self.world = self.world.take().or_else(|| world.broken.first().cloned());
    }

    /// By anybody.
    pub fn at_all(&self) -> bool {
        !self.check.is_empty() || self.world.is_some()
    }
}

/// Every mutant.
pub fn mutants() -> impl Iterator<Item = &'static Mutant> {
    let others = beside::BESIDE.iter().chain(scaled::SCALED);
    let others = others.chain(acted::ACTED).chain(paused::PAUSED);
    MUTANTS.iter().chain(others)
}

const MUTANTS: &[Mutant] = &[
    plan("stop before acknowledgement", |steps| {
        to_back(steps, |step| matches!(step, Step::AwaitAcknowledged { .. }));
    }),
    plan("skip the acknowledgement", |steps| {
        steps.retain(|step| !matches!(step, Step::AwaitAcknowledged { .. }));
    }),
    plan("skip the drain", |steps| {
        steps.retain(|step| !matches!(step, Step::AwaitDrained { .. }));
    }),
    plan("drain before the table changes", |steps| {
        to_front(steps, |step| matches!(step, Step::AwaitDrained { .. }));
    }),
    plan("reuse a generation", reuse_a_generation),
    plan("publish before ready", |steps| {
        to_back(steps, |step| matches!(step, Step::AwaitReady { .. }));
    }),
    plan("drop below the floor", |steps| {
        let pools = publications(steps).flat_map(|publish| publish.pools.values_mut());
        pools.flatten().for_each(|pool| pool.backends.clear());
    }),
    plan("serve before ready", |steps| {
        to_front(steps, |step| matches!(step, Step::Serve { .. }));
    }),
    plan("two instances on one address", one_address),
    plan("forget to stop", |steps| {
        steps.retain(|step| !matches!(step, Step::Stop { .. } | Step::AwaitStopped { .. }));
    }),
    plan("forget to stop and to clear", |steps| {
        let forgotten = |step: &Step| {
            let stops = matches!(step, Step::Stop { .. } | Step::AwaitStopped { .. });
            stops || matches!(step, Step::Clear { .. } | Step::AwaitDrained { .. })
        };
        steps.retain(|step| !forgotten(step));
    }),
    plan("clear what still runs", |steps| {
        to_front(steps, |step| matches!(step, Step::Clear { .. }));
    }),
    plan("stale table", stale_table),
    plan("forget the release", |steps| {
        steps.retain(|step| !matches!(step, Step::Serve { .. }));
    }),
    plan("stop the new instead of the old", stop_the_new),
    plan("start all at once", |steps| {
        to_front(steps, |step| matches!(step, Step::Start { .. }));
    }),
    Mutant {
        name: "apply before record",
        how: How::Ledger(|event| matches!(event, Event::StepBegun { .. })),
    },
    Mutant {
        name: "forget the hold",
        how: How::Ledger(|event| matches!(event, Event::HoldSet { .. })),
    },
    Mutant {
        name: "forget that a release failed",
        how: How::Ledger(|event| matches!(event, Event::ReleaseEnded { .. })),
    },
];

const fn plan(name: &'static str, how: fn(&mut Vec<Step>)) -> Mutant {
    Mutant {
        name,
        how: How::Plan(how),
    }
}

impl Mutant {
    /// Lets the mistake happen and says who noticed.
    pub fn run(&self) -> Caught {
        let mut caught = Caught::default();
        for seed in 1..=LIVES {
            match self.how {
                How::Plan(mutate) => plan_life(seed, mutate, &mut caught),
                How::Ledger(forgets) => ledger_life(seed, forgets, &mut caught),
                How::Store(mutate) => beside::store_life(seed, mutate, &mut caught),
                How::Life(life) => life(seed, true, &mut caught),
            }
        }
        caught
    }
}

/// A life in which nothing is mutated: nobody may object.
pub fn control() -> Caught {
    let mut caught = Caught::default();
    for seed in 1..=LIVES {
        plan_life(seed, |_| {}, &mut caught);
        ledger_life(seed, |_| false, &mut caught);
        beside::store_life(seed, |_| {}, &mut caught);
        for mutant in beside::BESIDE {
            if let How::Life(life) = mutant.how {
                life(seed, false, &mut caught);
            }
        }
    }
    caught
}

fn plan_life(seed: u64, mutate: fn(&mut Vec<Step>), caught: &mut Caught) {
    let mut schedule = Schedule::new(seed);
    let first = vec![("web", service(3, &["api"])), ("api", service(2, &[]))];
    let first = [first, vec![("old", service(1, &[]))]].concat();
    schedule.ship(contents(first, 1));
    assert!(schedule.settle(60_000), "the first release serves");
    let second = vec![("web", service(3, &["api"])), ("api", service(2, &[]))];
    let (plan, record) = sound_plan(&mut schedule, second);
    let plan = mutated(plan, mutate);
    let found = notes(&plan, &record, &mut schedule.world);
    caught.check.extend(found.iter().map(|note| note.rule));
    carry_out(&plan, &record, &mut schedule.world);
    caught.first(&schedule.world);
}

fn mutated(plan: Plan, mutate: fn(&mut Vec<Step>)) -> Plan {
    let mut plan = plan;
    mutate(&mut plan.steps);
    plan
}

fn sound_plan(
    schedule: &mut Schedule,
    services: Vec<(&str, mainstay_spec::Service)>,
) -> (Plan, ReleaseRecord) {
    let contents = contents(services, 2);
    let (engine, world) = schedule.engine().expect("the disk is not full");
    let by = Actor("tester".into());
    let plan = engine.preview(contents.clone(), &by, world);
    assert_eq!(plan.purpose, Purpose::Deploy);
    let number = engine.history().next_release();
    let record = ReleaseRecord::over(engine.serving_record(), number, contents);
    (plan, record)
}

/// Deploy, deploy, take back, lose the control plane, and deploy by itself what was taken back;
/// then a release that fails, and its successor.
fn ledger_life(seed: u64, forgets: fn(&Event) -> bool, caught: &mut Caught) {
    let mut schedule = Schedule::new(seed);
    let version = |number| contents(vec![("web", service(2, &[]))], number);
    schedule.ship(version(1));
    schedule.settle(60_000);
    schedule.ship(version(2));
    schedule.settle(60_000);
    schedule.world.forgets = Some(forgets);
    let by = Actor("tester".into());
    if let Some((engine, world)) = schedule.engine() {
        engine.roll_back(None, &by, world).expect("there is a v1");
    }
    schedule.settle(60_000);
    schedule.world.killed = true;
    if schedule.ship(version(2)) {
        schedule
            .world
            .broken
            .push("contents on hold are shipped".into());
    }
    let bad = version(3);
    schedule.world.bad.extend(service_digests(&bad));
    schedule.ship(bad);
    schedule.until(200_000, |engine, _| engine.history().moving.is_none());
    schedule.world.killed = true;
    if schedule
        .engine()
        .is_some_and(|(engine, _)| engine.history().moving.is_some())
    {
        schedule
            .world
            .broken
            .push("a release that failed moves again".into());
    }
    caught.first(&schedule.world);
}

fn publications(steps: &mut [Step]) -> impl Iterator<Item = &mut mainstay_plan::Publish> {
    steps.iter_mut().filter_map(|step| match step {
        Step::Publish(publish) => Some(publish),
        _ => None,
    })
}

fn to_front(steps: &mut [Step], which: fn(&Step) -> bool) {
    steps.sort_by_key(|step| !which(step));
}

fn to_back(steps: &mut [Step], which: fn(&Step) -> bool) {
    steps.sort_by_key(which);
}

/// Every start takes the generation of the first one.
fn reuse_a_generation(steps: &mut Vec<Step>) {
    let mut first: Option<Generation> = None;
    for step in steps {
        if let Step::Start { launch } = step {
            launch.generation = *first.get_or_insert(launch.generation);
        }
    }
}

fn one_address(steps: &mut Vec<Step>) {
    let mut first = None;
    for step in steps {
        if let Step::Start { launch } = step {
            launch.address = *first.get_or_insert(launch.address);
        }
    }
}

/// The last table has the number of the first one.
fn stale_table(steps: &mut Vec<Step>) {
    let numbers: Vec<Generation> = publications(steps).map(|one| one.generation).collect();
    let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else {
        return;
    };
    for step in steps {
        match step {
            Step::Publish(publish) if publish.generation == *last => publish.generation = *first,
            Step::AwaitAcknowledged { generation, .. } if generation == last => {
                *generation = *first;
            }
            _ => {}
        }
    }
}

/// Drains and stops are about the instance that started last.
fn stop_the_new(steps: &mut Vec<Step>) {
    let mut started = None;
    for step in steps {
        match (step, &started) {
            (Step::Start { launch }, _) => {
                started = Some((launch.instance.clone(), launch.generation));
            }
            (
                Step::Stop {
                    instance,
                    generation,
                    ..
                }
                | Step::AwaitStopped {
                    instance,
                    generation,
                    ..
                },
                Some(new),
            ) => (*instance, *generation) = new.clone(),
            _ => {}
        }
    }
}
