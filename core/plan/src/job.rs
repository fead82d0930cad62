//! Jobs: which runs begin, which are stopped, and when to look again.
//!
//! Runs have no plan of their own: each step is recorded, done, and its outcome is the run's end. So a
//! release that takes its time holds up no schedule, and a long run holds up no release.

use crate::launch::job_launch;
use crate::report::Wait;
use crate::run::{Run, Runs};
use crate::step::Step;
use crate::{Observed, ReleaseRecord};
use mainstay_atoms::{Cause, Generation, InstanceId, JobRun, Moment, ServiceName, Wall};
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
/// begins, and what runs goes on to its end or deadline. Schedules follow the civil clock, deadlines
/// the monotonic one: a clock that is set cuts no run short and lets none hang.
pub fn decide_jobs(
    record: Option<&ReleaseRecord>,
    observed: &Observed,
    (now, wall): (Moment, Wall),
) -> JobDecision {
    let mut lane = Lane {
        observed,
        serves: record.is_some(),
        now,
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

/// The run of a job that follows number `last`, ready to be begun.
pub(crate) fn next_run(
    record: &ReleaseRecord,
    name: &ServiceName,
    last: u32,
    run: JobRun,
) -> Option<mainstay_atoms::Launch> {
    let id = InstanceId {
        service: name.clone(),
        release: *record.since.get(name)?,
        ordinal: last.saturating_add(1),
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
    now: Moment,
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
        let left = run.job.timeout.saturating_sub(self.now.since(seen.started));
        if !seen.runs() || (!left.is_zero() && self.before(later(self.wall, left))) {
            return;
        }
        let again = seen.stop.grace + AGAIN;
        if !run.stopping.is_some_and(|at| self.within(at, again)) {
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

    /// Whether less than `wait` has passed since that time; then it is looked at again. When the clock
    /// was set back behind it, nobody knows, and it has.
    fn within(&mut self, at: Wall, wait: Duration) -> bool {
        self.wall >= at && self.before(later(at, wait))
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
        if let Some(launch) = next_run(record, name, runs.last, run) {
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
        let new = last > handled(job, runs, self.wall);
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
        if !own || end.exit.succeeded() || last.was_replaced() {
            return None;
        }
        let again = |attempt: u32| run_of(job, last.job.cause, attempt, last.job.due);
        if end.exit.lost {
            return job.at_least_once.then(|| Some(again(last.job.attempt)));
        }
        let attempt = last.job.attempt;
        // A release that allows more tries does not begin those of an earlier one again.
        if attempt > job.retries || last.job.retries == 0 {
            return None;
        }
        let wait = BACK_OFF * 2_u32.saturating_pow(attempt.saturating_sub(1).min(10));
        if self.within(end.at, wait) {
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

/// Times of the schedule up to here have had their run, or are not to have one. A run that ended later than
/// now did so by a clock that was ahead, and stood in the way of nothing that is still to come.
fn handled(job: &Job, runs: &Runs, now: Wall) -> Wall {
    let handled = runs.due.unwrap_or_default().max(runs.since);
    let over = runs.kept.iter().filter_map(over).filter(|at| *at <= now);
    match (job.overlap, over.max()) {
        // What came due while it ran is skipped.
        (Overlap::Forbid, Some(over)) => handled.max(over),
        _ => handled,
    }
}

/// Until when an ended run ran. Nobody knows that of one that was cut off, so it stands in the way of
/// nothing that came due after it began.
fn over(run: &Run) -> Option<Wall> {
    let end = run.end.as_ref()?;
    Some(if end.exit.lost {
        run.begun
    } else {
        end.at.max(run.begun)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::RunEnd;
    use mainstay_workload::Exit;

    const MINUTE: u64 = 60_000;

    fn job(overlap: Overlap) -> Job {
        Job {
            build: None,
            run: vec!["./job".into()],
            artifact: vec![],
            needs: vec![],
            inject: std::collections::BTreeMap::new(),
            env: std::collections::BTreeMap::new(),
            size: mainstay_atoms::Size::default(),
            stop: mainstay_atoms::Stop::default(),
            schedule: None,
            overlap,
            missed: Missed::Run,
            timeout: Duration::from_secs(3600),
            retries: 0,
            at_least_once: false,
            one_way: false,
        }
    }

    /// A run that began at minute 10 and ended at minute 15.
    fn ran(exit: Exit) -> Runs {
        let mut runs = Runs::default();
        runs.kept.push_back(Run {
            instance: "digest.v1.1".parse().unwrap(),
            generation: Generation(1),
            job: run_of(
                &job(Overlap::Forbid),
                Cause::Schedule,
                1,
                Some(Wall(10 * MINUTE)),
            ),
            release: None,
            by: mainstay_atoms::Actor::itself(),
            begun: Wall(10 * MINUTE),
            stopping: None,
            end: Some(RunEnd {
                exit,
                ran_ms: 5 * MINUTE,
                at: Wall(15 * MINUTE),
            }),
            launch: None,
        });
        runs.due = Some(Wall(10 * MINUTE));
        runs
    }

    #[test]
    fn what_came_due_while_it_ran_is_skipped_where_runs_may_not_overlap() {
        let ok = Exit {
            code: Some(0),
            ..Exit::default()
        };
        let cut_off = Exit {
            signal: Some(9),
            lost: true,
            ..Exit::default()
        };
        let forbid = job(Overlap::Forbid);
        let now = Wall(60 * MINUTE);
        assert_eq!(handled(&forbid, &ran(ok), now), Wall(15 * MINUTE));
        assert_eq!(handled(&forbid, &ran(cut_off), now), Wall(10 * MINUTE));
        let queue = job(Overlap::Queue);
        assert_eq!(handled(&queue, &ran(ok), now), Wall(10 * MINUTE));
    }

    #[test]
    fn a_run_under_a_clock_that_was_ahead_is_in_the_way_of_nothing_that_comes_after() {
        let mut runs = ran(Exit::default());
        runs.due = Some(Wall(2 * MINUTE));
        let forbid = job(Overlap::Forbid);
        // The clock was set back to minute 4 after the run.
        assert_eq!(handled(&forbid, &runs, Wall(4 * MINUTE)), Wall(2 * MINUTE));
        assert_eq!(
            handled(&forbid, &runs, Wall(16 * MINUTE)),
            Wall(15 * MINUTE)
        );
    }

    #[test]
    fn a_run_that_was_replaced_is_not_tried_again_and_one_that_timed_out_is() {
        let again = |ran_ms: u64| {
            let mut runs = ran(Exit {
                asked: true,
                ..Exit::default()
            });
            let run = &mut runs.kept[0];
            run.stopping = Some(Wall(11 * MINUTE));
            run.job.retries = 1;
            run.end.as_mut().unwrap().ran_ms = ran_ms;
            let mut lane = Lane {
                observed: &Observed::nothing(),
                serves: true,
                now: Moment(0),
                wall: Wall(300 * MINUTE),
                decision: JobDecision::default(),
            };
            let mut job = job(Overlap::Replace);
            job.retries = 1;
            lane.retry(&job, &runs)
        };
        assert_eq!(again(MINUTE), None);
        let tried = again(60 * MINUTE).flatten().expect("a further try");
        assert_eq!(tried.attempt, 2);
    }

    #[test]
    fn a_run_never_ends_before_it_began() {
        let mut runs = ran(Exit::default());
        // The clock was set back while it ran.
        runs.kept[0].end.as_mut().unwrap().at = Wall(2 * MINUTE);
        assert_eq!(
            handled(&job(Overlap::Forbid), &runs, Wall(60 * MINUTE)),
            Wall(10 * MINUTE)
        );
    }
}
