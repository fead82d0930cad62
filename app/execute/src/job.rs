//! Runs of jobs: begun, stopped and ended beside whatever plan is under way.

use crate::engine::Engine;
use crate::look::same;
use crate::request::Refusal;
use crate::wait::carried;
use crate::world::{EffectFault, Order, RecordFault, Seen, World};
use mainstay_atoms::{Actor, Cause, Moment, ServiceName, Wall};
use mainstay_plan::{Event, Observed, Run, Runs, Step, Wait, decide_jobs};
use mainstay_workload::Exit;
use std::time::Duration;

/// Runs of one job that may be asked for and not begun.
const ASKED: usize = 16;

/// Wait before a step that did not work is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A civil clock that moves so many milliseconds against the monotonic one was set; then what was
/// decided by it is decided anew.
const CLOCK_SET: u64 = 1_000;

/// The exit of a program that could not be executed, as shells have it (POSIX 2.8.2).
const NOT_EXECUTED: i32 = 127;

/// What was decided about jobs, and until when it holds.
#[derive(Debug, Default)]
pub(crate) struct JobLook {
    /// What was seen when nothing was to be done; none when something was recorded since.
    seen: Option<Seen>,
    /// The time at which something will be.
    again: Option<Wall>,
    /// How far the civil clock was from the monotonic one.
    offset: u64,
    /// A step did not work; it is not tried before.
    retry: Option<Moment>,
    /// Steps that are recorded and cannot be done yet.
    open: Vec<Step>,
    /// What jobs wait for.
    pub(crate) waits: Vec<(Wait, Moment)>,
}

impl JobLook {
    /// Something was recorded, so it is decided anew.
    pub(crate) fn forget(&mut self) {
        self.seen = None;
    }
}

impl Engine {
    /// Does what is to be done about jobs now; whether anything was.
    pub(crate) fn jobs(&mut self, world: &mut impl World) -> Result<bool, RecordFault> {
        if self.history.jobs.is_empty() {
            return Ok(false);
        }
        self.note_never_begun(world)?;
        let (now, wall) = world.now();
        let look = &self.jobs;
        let offset = wall.0.wrapping_sub(now.0);
        let calm = same(look.seen.as_ref(), self.seen.as_ref())
            && offset.abs_diff(look.offset) < CLOCK_SET
            && look.again.is_none_or(|again| wall < again);
        if calm || look.retry.is_some_and(|retry| now < retry) {
            return Ok(false);
        }
        self.jobs.retry = None;
        let mut observed = self.observed(world);
        self.reserve(&mut observed);
        let record = self.serving.as_ref().filter(|_| !self.history.down);
        let decision = decide_jobs(record, &observed, (now, wall));
        self.jobs.offset = offset;
        self.jobs.again = decision.again;
        let mut waits = decision.waits;
        self.jobs.seen = self.seen.clone().filter(|_| decision.steps.is_empty());
        let busy = !decision.steps.is_empty();
        self.jobs.open.retain(|open| decision.steps.contains(open));
        for step in decision.steps {
            if let Some(wait) = self.job_step(&step, world)? {
                self.jobs.retry = Some(now.after(RETRY));
                waits.push(wait);
            }
        }
        self.jobs.waits = carried(&self.jobs.waits, &waits, now);
        Ok(busy)
    }

    /// The numbers of runs that the plan under way will begin are not given to others.
    fn reserve(&self, observed: &mut Observed) {
        let left = self
            .run
            .iter()
            .filter_map(|run| run.plan.steps.get(run.next..));
        for step in left.flatten() {
            if let Step::Start { launch } = step
                && launch.job.is_some()
                && let Some(runs) = observed.jobs.get_mut(&launch.instance.service)
            {
                runs.last = runs.last.max(launch.instance.ordinal);
            }
        }
    }

    /// Records a step, once however often it is tried, and does it; what it waits for, if it cannot be done yet.
    fn job_step(
        &mut self,
        step: &Step,
        world: &mut impl World,
    ) -> Result<Option<Wait>, RecordFault> {
        let by = Actor::itself();
        if !self.jobs.open.contains(step) {
            self.record(world, &by, vec![Event::JobStep { step: step.clone() }])?;
            self.jobs.open.push(step.clone());
        }
        let order = Order {
            epoch: self.epoch(),
            step,
            table: None,
        };
        let applied = world.apply(&order);
        if let Err(EffectFault::Later(seen)) = applied {
            let step = step.to_string();
            return Ok(Some(Wait::Effect { step, seen }));
        }
        self.jobs.open.retain(|open| open != step);
        match applied {
            Ok(()) | Err(EffectFault::Later(_)) => {}
            Err(EffectFault::Never(_)) => {
                if let Step::Start { launch } = step {
                    let exit = Exit {
                        code: Some(NOT_EXECUTED),
                        ..Exit::default()
                    };
                    let ended = Event::InstanceEnded {
                        instance: launch.instance.clone(),
                        generation: launch.generation,
                        exit,
                        ran_ms: 0,
                        ago_ms: 0,
                    };
                    self.record(world, &by, vec![ended])?;
                }
            }
            Err(EffectFault::Fenced(by)) => self.fenced = Some(by),
        }
        Ok(None)
    }

    /// Runs around a release whose plan ended before they began: they will not begin any more.
    fn note_never_begun(&mut self, world: &mut impl World) -> Result<(), RecordFault> {
        let Some(seen) = &self.seen else {
            return Ok(());
        };
        let open = self
            .run
            .as_ref()
            .and_then(|run| match run.plan.steps.get(run.next)? {
                Step::Start { launch } => Some(&launch.instance),
                _ => None,
            });
        let never = |run: &&Run| {
            let around = matches!(run.job.cause, Cause::Before | Cause::After);
            let mut traces = seen.instances.iter();
            let traced = traces.any(|one| one.id == run.instance);
            around && !traced && open != Some(&run.instance)
        };
        let runs = self.history.jobs.values().flat_map(Runs::running);
        let ended: Vec<Event> = runs
            .filter(never)
            .map(|run| Event::InstanceEnded {
                instance: run.instance.clone(),
                generation: run.generation,
                exit: Exit {
                    asked: true,
                    ..Exit::default()
                },
                ran_ms: 0,
                ago_ms: 0,
            })
            .collect();
        if ended.is_empty() {
            return Ok(());
        }
        self.record(world, &Actor::itself(), ended)
    }

    /// Asks for a run of a job; it begins as soon as nothing of it runs and what it needs is ready.
    /// Returns the number that it will most likely have.
    pub fn ask_run(
        &mut self,
        job: &ServiceName,
        by: &Actor,
        world: &mut impl World,
    ) -> Result<u32, Refusal> {
        self.ask_run_with(vec![], job, by, world)
    }

    /// The same, recorded together with these events.
    pub(crate) fn ask_run_with(
        &mut self,
        mut events: Vec<Event>,
        job: &ServiceName,
        by: &Actor,
        world: &mut impl World,
    ) -> Result<u32, Refusal> {
        let platform = self
            .serving
            .as_ref()
            .map(|record| &record.contents.platform);
        let platform = platform.ok_or(Refusal::NothingServes)?;
        if !platform.jobs.contains_key(job) {
            return Err(Refusal::UnknownJob {
                job: job.clone(),
                known: platform.jobs.keys().cloned().collect(),
            });
        }
        if self.history.down {
            return Err(Refusal::GoingDown);
        }
        let runs = self.history.jobs.get(job);
        let waiting = runs.map_or(0, |runs| runs.asked.len());
        if waiting >= ASKED {
            return Err(Refusal::TooMany { job: job.clone() });
        }
        let number = runs.map_or(0, |runs| runs.last) + u32::try_from(waiting).unwrap_or(0) + 1;
        events.push(Event::JobAsked { job: job.clone() });
        self.record(world, by, events).map_err(Refusal::Record)?;
        Ok(number)
    }
}
