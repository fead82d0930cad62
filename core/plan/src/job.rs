//! Jobs: which runs begin, which are stopped, and when to look again.
//!
//! Runs have no plan of their own: each step is recorded, done, and its outcome is the run's end. So a
//! release that takes its time holds up no schedule, and a long run holds up no release.

use crate::launch::job_launch;
use crate::report::Wait;
use crate::run::{Run, Runs};
use crate::step::Step;
use crate::{Observed, ReleaseRecord};
use mainstay_atoms::{Cause, Generation, InstanceId, JobRun, ServiceName, Wall};
use mainstay_spec::{Job, Missed, Overlap};
use mainstay_workload::Instance;
use std::time::Duration;

/// First wait before a failed run is tried again; each further one is twice as long.
const BACK_OFF: Duration = Duration::from_secs(10);

/// A time of the schedule that lies further back was missed, and is not merely late.
const LATE: Duration = Duration::from_secs(60);

/// Added to a run's own grace before it is asked to stop once more.
const AGAIN: Duration = Duration::from_secs(10);

/// What is to be done about jobs now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobDecision {
    /// In order; each is recorded before it is done.
    pub steps: Vec<Step>,
    /// What is waited for.
    pub waits: Vec<Wait>,
    /// When to look again, if nothing happens before.
    pub again: Option<Wall>,
}

/// Decides about the runs of all jobs. `record` is the release that serves; without one nothing new
/// begins, and what runs goes on to its end or deadline.
pub fn decide_jobs(record: Option<&ReleaseRecord>, observed: &Observed, wall: Wall) -> JobDecision {
    let mut lane = Lane {
        observed,
        serves: record.is_some(),
        wall,
        decision: JobDecision::default(),
    };
    for run in crate::run::under_way(&observed.jobs) {
        lane.tend(run);
    }
    lane.clear();
    for (name, job) in record
        .iter()
        .flat_map(|record| &record.contents.platform.jobs)
    {
        if let (Some(record), Some(runs)) = (record, observed.jobs.get(name)) {
            lane.begin(record, name, job, runs);
        }
    }
    lane.decision
}

/// The next run of a job, ready to be begun.
pub(crate) fn next_run(
    record: &ReleaseRecord,
    name: &ServiceName,
    runs: Option<&Runs>,
    run: JobRun,
) -> Option<mainstay_atoms::Launch> {
    let id = InstanceId {
        service: name.clone(),
        release: *record.since.get(name)?,
        ordinal: runs.map_or(0, |runs| runs.last) + 1,
    };
    // No other run has this id, so nobody has to be fenced off.
    job_launch(record, &id, Generation(1), run)
}

/// A run as the file wants it.
pub(crate) fn run_of(job: &Job, cause: Cause, attempt: u32, due: Option<Wall>) -> JobRun {
    JobRun {
        cause,
        due,
        attempt,
        retries: (job.retries + 1).saturating_sub(attempt),
        timeout: job.timeout,
        at_least_once: job.at_least_once,
        one_way: job.one_way,
    }
}

struct Lane<'a> {
    observed: &'a Observed,
    serves: bool,
    wall: Wall,
    decision: JobDecision,
}

impl Lane<'_> {
    /// A run that began and has not ended.
    fn tend(&mut self, run: &Run) {
        let Some(seen) = self.observed.run(&run.instance, run.generation) else {
            // It left no trace, so it never began: a crash came between the record and the start.
            // Those around a release are begun by its plan, or not at all.
            let own = matches!(run.job.cause, Cause::Schedule | Cause::Asked);
            if let Some(launch) = run.launch.as_ref().filter(|_| own && self.serves) {
                self.decision.steps.push(Step::Start {
                    launch: launch.clone(),
                });
            }
            return;
        };
        let deadline = later(run.begun, run.job.timeout);
        if !seen.runs() || self.before(deadline) {
            return;
        }
        let asked = run.stopping.map(|at| later(at, seen.stop.grace + AGAIN));
        if !asked.is_some_and(|again| self.before(again)) {
            self.stop(seen);
        }
    }

    fn stop(&mut self, seen: &Instance) {
        self.decision.steps.push(Step::Stop {
            instance: seen.id.clone(),
            generation: seen.generation,
            stop: seen.stop.clone(),
        });
    }

    /// Traces of runs whose end is recorded.
    fn clear(&mut self) {
        for seen in &self.observed.instances {
            let runs = self.observed.jobs.get(&seen.id.service);
            let ended = runs
                .and_then(|runs| runs.find(&seen.id))
                .is_some_and(|run| run.end.is_some());
            if ended && !seen.runs() {
                self.decision.steps.push(Step::Clear {
                    instance: seen.id.clone(),
                    generation: seen.generation,
                });
            }
        }
    }

    /// Whether that time has not come; then it is looked at again.
    fn before(&mut self, at: Wall) -> bool {
        let before = self.wall < at;
        if before {
            let again = self.decision.again;
            self.decision.again = Some(again.map_or(at, |again| again.min(at)));
        }
        before
    }

    /// Begins the next run of a job, if one is due and nothing stands in its way.
    fn begin(&mut self, record: &ReleaseRecord, name: &ServiceName, job: &Job, runs: &Runs) {
        let Some(run) = self.due(job, runs) else {
            return;
        };
        let mut running = runs.running().peekable();
        if running.peek().is_some() {
            if job.overlap == Overlap::Replace && run.cause == Cause::Schedule {
                for run in running.filter(|run| run.stopping.is_none()) {
                    if let Some(seen) = self.observed.run(&run.instance, run.generation) {
                        self.stop(seen);
                    }
                }
            }
            return;
        }
        if let Some(needs) = self.unready(record, job) {
            let service = name.clone();
            self.decision.waits.push(Wait::Needs { service, needs });
            return;
        }
        if let Some(launch) = next_run(record, name, Some(runs), run) {
            self.decision.steps.push(Step::Start {
                launch: Box::new(launch),
            });
        }
    }

    /// The run that is due: a further try, what somebody asked for, or the schedule.
    fn due(&mut self, job: &Job, runs: &Runs) -> Option<JobRun> {
        if let Some(run) = self.retry(job, runs) {
            return run;
        }
        if !runs.asked.is_empty() {
            return Some(run_of(job, Cause::Asked, 1, None));
        }
        let schedule = job.schedule.as_ref()?;
        if let Some(next) = schedule.next(self.wall) {
            self.before(next);
        }
        let last = schedule.last(self.wall)?;
        let missed = self.wall > later(last, LATE);
        let new = last > handled(job, runs);
        let wanted = new && !(missed && job.missed == Missed::Skip);
        wanted.then(|| run_of(job, Cause::Schedule, 1, Some(last)))
    }

    /// Whether the last run is tried again: none when there is nothing to try again, `Some(None)`
    /// while its time has not come.
    #[expect(
        clippy::option_option,
        reason = "not again, not yet and now are three answers"
    )]
    fn retry(&mut self, job: &Job, runs: &Runs) -> Option<Option<JobRun>> {
        let last = runs.kept.back()?;
        let end = last.end.as_ref()?;
        let own = matches!(last.job.cause, Cause::Schedule | Cause::Asked);
        if !own || end.exit.succeeded() {
            return None;
        }
        let again = |attempt: u32| run_of(job, last.job.cause, attempt, last.job.due);
        if end.exit.lost {
            return job.at_least_once.then(|| Some(again(last.job.attempt)));
        }
        let attempt = last.job.attempt;
        if attempt > job.retries {
            return None;
        }
        let wait = BACK_OFF * 2_u32.saturating_pow(attempt.saturating_sub(1).min(10));
        if self.before(later(end.at, wait)) {
            return Some(None);
        }
        Some(Some(again(attempt + 1)))
    }

    /// What a run would miss now.
    fn unready(&self, record: &ReleaseRecord, job: &Job) -> Option<ServiceName> {
        let platform = &record.contents.platform;
        let ready = |name: &ServiceName| {
            let mut seen = self.observed.instances.iter();
            seen.any(|one| one.id.service == *name && one.ready_since().is_some())
        };
        let there = |need: &&ServiceName| match platform.stores.get(*need) {
            Some(store) => store.server().is_none() || ready(need),
            None => ready(need),
        };
        job.needs.iter().find(|need| !there(need)).cloned()
    }
}

fn later(at: Wall, wait: Duration) -> Wall {
    Wall(at.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
}

/// Times of the schedule up to here have had their run, or are not to have one.
fn handled(job: &Job, runs: &Runs) -> Wall {
    let handled = runs.due.unwrap_or_default().max(runs.since);
    let ends = runs.kept.iter().filter_map(|run| run.end.as_ref());
    match (job.overlap, ends.map(|end| end.at).max()) {
        // What came due while it ran is skipped.
        (Overlap::Forbid, Some(end)) => handled.max(end),
        _ => handled,
    }
}
