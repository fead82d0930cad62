//! Once all faults are over schedules are kept: each time that comes due has its run, and no run hangs.

use crate::Schedule;
use mainstay_atoms::{ServiceName, Wall};
use mainstay_execute::World as _;
use mainstay_plan::Runs;
use mainstay_spec::Job;
use std::collections::BTreeMap;

/// How long is watched, and how often it is looked, in milliseconds.
const WATCHED: u64 = 150_000;
const LOOK: u64 = 1_000;

/// What may still be ending, or waiting for its next try, when the watch begins.
const SETTLED: u64 = 120_000;

/// How late a run may be.
const LATE: u64 = 10_000;

/// Watches for two minutes and a half.
pub(crate) fn keeps_time(schedule: &mut Schedule) {
    let hanging = schedule.world.job_processes();
    let mut passed = 0;
    while passed < SETTLED {
        schedule.tick();
        schedule.world.pass(LOOK);
        passed += LOOK;
        let over = schedule.world.job_processes().is_empty();
        if over && passed > 30_000 {
            break;
        }
    }
    let still = schedule.world.job_processes();
    if let Some(run) = hanging.iter().find(|run| still.contains(run)) {
        let id = &run.0;
        schedule
            .world
            .broken
            .push(format!("{id} hangs past its deadline"));
    }
    let from = counts_from(schedule);
    let mut passed = 0;
    while passed < WATCHED {
        schedule.tick();
        schedule.world.pass(LOOK);
        passed += LOOK;
    }
    let until = Wall(schedule.world.now().1.0 - LATE);
    let Some((engine, _)) = schedule.engine() else {
        return;
    };
    let mut missing = Vec::new();
    if let Some(record) = engine.serving_record() {
        for (name, job) in &record.contents.platform.jobs {
            if let (Some(runs), Some(&from)) = (engine.history().jobs.get(name), from.get(name)) {
                missing.extend(missed(name, job, runs, (from, until)));
            }
        }
    }
    schedule.world.broken.extend(missing);
}

/// Since when each job's times count: from now on, or, when the clock was set back, from where it was.
fn counts_from(schedule: &mut Schedule) -> BTreeMap<ServiceName, Wall> {
    let now = schedule.world.now().1;
    let jobs = schedule.engine().map(|(engine, _)| &engine.history().jobs);
    let from = |(name, runs): (&ServiceName, &Runs)| {
        let ends = runs.kept.iter().filter_map(|run| run.end.as_ref());
        let known = ends.map(|end| end.at).chain(runs.due).chain([runs.since]);
        (name.clone(), known.fold(now, Wall::max))
    };
    jobs.into_iter().flatten().map(from).collect()
}

/// The first time between these that came due and had no run.
fn missed(
    name: &ServiceName,
    job: &Job,
    runs: &Runs,
    (from, until): (Wall, Wall),
) -> Option<String> {
    let schedule = job.schedule.as_ref()?;
    let had = |at: Wall| runs.kept.iter().any(|run| run.job.due == Some(at));
    let times = std::iter::successors(schedule.next(from), |at| schedule.next(*at));
    let mut times = times.take_while(|at| *at < until);
    let missed = times.find(|at| !had(*at))?;
    Some(format!("{name} was due at {} and did not run", missed.0))
}
