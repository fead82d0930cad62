//! A raw executor: it does what a plan says and asks nobody whether it is sound.

use crate::World;
use mainstay_atoms::{Actor, Digest, InstanceId, PlanId, ServiceName};
use mainstay_execute::{EffectFault, Entry, Order, World as _};
use mainstay_plan::{
    Event, History, Judgement, Observed, Plan, ReleaseRecord, Step, check::Note, judge,
};
use mainstay_workload::{Exit, Running};
use std::collections::{BTreeMap, BTreeSet};

/// Longest time for one step, in milliseconds.
const PATIENCE: u64 = 60_000;

/// The world as a decision sees it, with what the ledger knows.
pub fn observed(world: &mut World, history: &History) -> Observed {
    let seen = world.observe();
    Observed {
        instances: seen.instances,
        gateway: seen.gateway,
        ports_taken: world.ports_taken(),
        serving: history.table.clone(),
        attempts: history.attempts.clone(),
        generation: history.generation,
        stores: history.stores.clone(),
        jobs: history.jobs.clone(),
        counts: history.counts.instances(),
    }
}

/// Every instance of a service or store that a release wants.
pub fn due(record: &ReleaseRecord, counts: &BTreeMap<ServiceName, u32>) -> Vec<InstanceId> {
    let platform = &record.contents.platform;
    let services = platform.services.iter();
    let count = |(name, service): (_, &mainstay_spec::Service)| {
        (name, service.count(counts.get(name).copied()))
    };
    let services = services.map(count);
    let stores = platform.stores.iter();
    let stores = stores.map(|(name, store)| (name, u32::from(store.server().is_some())));
    let all = services.chain(stores).flat_map(|(name, count)| {
        (1..=count).map(|ordinal| InstanceId {
            service: name.clone(),
            release: record.since[name],
            ordinal,
        })
    });
    all.collect()
}

/// Instances that run and that take traffic are exactly those of this release; if not, what differs.
pub fn differs(world: &World, record: &ReleaseRecord) -> Option<String> {
    let all = due(record, world.counts());
    let all: BTreeSet<InstanceId> = all.into_iter().collect();
    let services = &record.contents.platform.services;
    let served = |id: &&InstanceId| {
        let service = services.get(&id.service);
        service.is_some_and(|service| service.port.is_some())
    };
    let served: BTreeSet<InstanceId> = all.iter().filter(served).cloned().collect();
    let alive = world.kept_running().into_keys();
    let alive: BTreeSet<InstanceId> = alive.map(|(id, _)| numbered(id, record)).collect();
    let pools = world
        .table()
        .into_iter()
        .flat_map(|one| one.services.values());
    let routed: BTreeSet<InstanceId> = pools
        .flat_map(|pool| &pool.backends)
        .map(|one| one.instance.clone())
        .collect();
    let names = |ids: &BTreeSet<InstanceId>| {
        let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
        names.join(" ")
    };
    if alive != all {
        return Some(format!("what runs in the end is {}", names(&alive)));
    }
    (routed != served).then(|| format!("what takes traffic in the end is {}", names(&routed)))
}

/// The server of a store keeps the number of the release that started it, whichever wants it now.
pub fn numbered(id: InstanceId, record: &ReleaseRecord) -> InstanceId {
    let stores = &record.contents.platform.stores;
    let since = record.since.get(&id.service);
    match since.filter(|_| stores.contains_key(&id.service)) {
        Some(&release) => InstanceId { release, ..id },
        None => id,
    }
}

/// What the second mind says of a plan that is made for the world as it is.
pub fn notes(plan: &Plan, record: &ReleaseRecord, world: &mut World) -> Vec<Note> {
    let history = world.history();
    mainstay_plan::check(plan, Some(record), None, &observed(world, &history))
}

/// Does the plan step by step. What goes wrong is added to the broken promises.
pub fn carry_out(plan: &Plan, record: &ReleaseRecord, world: &mut World) {
    let by = Actor("raw executor".into());
    let mut history = world.history();
    let epoch = history.epoch.next();
    let id = PlanId(Digest::of(&plan.to_bytes()));
    let kept = world
        .keep(&record.to_bytes())
        .expect("the disk is not full");
    let release = plan.release.expect("the plan is for a release");
    let mut say = |event: Event, world: &mut World| {
        let (_, at) = world.now();
        history.apply(&event, epoch, &by, at);
        let (by, entry_event) = (by.clone(), event);
        let entry = Entry {
            event: entry_event,
            epoch,
            by,
            at,
        };
        world.record(vec![entry]).expect("the disk is not full");
        history.clone()
    };
    let made = Event::ReleaseMade {
        release,
        contents: record.contents.digest(),
        record: kept,
        of: None,
        reason: "a change".into(),
        jobs: record.contents.platform.jobs.keys().cloned().collect(),
    };
    let _history = say(made, world);
    let recorded = Event::PlanRecorded {
        plan: id,
        parent: plan.parent,
        purpose: plan.purpose,
        release: plan.release,
    };
    let _history = say(recorded, world);
    for (index, step) in plan.steps.iter().enumerate() {
        let begun = Event::StepBegun {
            plan: id,
            index,
            step: step.clone(),
        };
        let mut known = say(begun, world);
        if let Step::AwaitRun {
            instance,
            generation,
            ..
        } = step
            && let Some((exit, ran_ms)) = run_ends(instance, world)
        {
            let ended = Event::InstanceEnded {
                instance: instance.clone(),
                generation: *generation,
                exit,
                ran_ms,
                ago_ms: 0,
            };
            known = say(ended, world);
        }
        let order = Order {
            epoch,
            step,
            table: matches!(step, Step::Publish(_)).then(|| known.table.table(epoch)),
        };
        if let Err(why) = do_step(&order, &known, world) {
            world.broken.push(why);
            return;
        }
        let _history = say(Event::StepDone { plan: id, index }, world);
    }
    // The last processes end, and the last table is taken.
    for _ in 0..100 {
        world.pass(100);
    }
    world.broken.extend(differs(world, record));
}

/// Lets time pass until a run of a job has ended, and says how and after how long.
fn run_ends(instance: &InstanceId, world: &mut World) -> Option<(Exit, u64)> {
    for _ in 0..PATIENCE / 7 {
        let seen = world.observe().instances;
        let run = seen.iter().find(|one| one.id == *instance)?;
        if let Running::Ended { exit, at } = run.running {
            return Some((exit, at.0 - run.started.0));
        }
        world.pass(7);
    }
    None
}

fn do_step(order: &Order<'_>, history: &History, world: &mut World) -> Result<(), String> {
    let (began, _) = world.now();
    loop {
        let (now, _) = world.now();
        let why = if order.step.waits() {
            let seen = observed(world, history);
            match judge(order.step, &seen, began, now) {
                Judgement::Done => return Ok(()),
                Judgement::Waits(wait) => wait.to_string(),
                Judgement::Failed(failure) => return Err(failure.to_string()),
            }
        } else {
            match world.apply(order) {
                Ok(()) => return Ok(()),
                Err(EffectFault::Later(why)) => why,
                Err(fault) => return Err(fault.to_string()),
            }
        };
        if now.since(began).as_millis() > u128::from(PATIENCE) {
            return Err(format!("`{}` is never done: {why}", order.step));
        }
        world.pass(7);
    }
}
