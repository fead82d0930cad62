//! The engine: what it knows, and how a tick goes.

use crate::act::Acting;
use crate::job::JobLook;
use crate::look::same;
use crate::progress::Progress;
use crate::scale::Scaling;
use crate::traffic::Traffics;
use crate::trial::Trials;
use crate::wait::carried;
use crate::world::{Entry, Evidence, RecordFault, Seen, World};
use mainstay_atoms::{
    Actor, Digest, Epoch, Generation, InstanceId, Moment, PlanId, ReleaseNumber, Wall,
};
use mainstay_plan::{
    Event, Failure, Frozen, History, Limits, Pace, Parent, Plan, PlanEnd, Purpose, ReleaseRecord,
    ReleaseState, Target, Wait, check, decide,
};
use mainstay_rollout::gate::Gate;
use std::time::Duration;

/// How soon to look again while something moves, and while nothing does.
const BUSY: Duration = Duration::from_millis(10);
const STEADY: Duration = Duration::from_millis(200);

/// Waits before a failed healing is tried again: doubling, from and to.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LONGEST: Duration = Duration::from_secs(30);

/// Joins what the ledger says with what the world shows, and acts on the difference.
pub struct Engine {
    pub(crate) history: History,
    pub(crate) epoch: Epoch,
    pub(crate) limits: Limits,
    pub(crate) serving: Option<ReleaseRecord>,
    pub(crate) moving: Option<Moving>,
    pub(crate) run: Option<Run>,
    pub(crate) waits: Vec<(Wait, Moment)>,
    pub(crate) failure: Option<(ReleaseNumber, Failure, Evidence)>,
    /// The run whose end that evidence does not tell yet.
    pub(crate) ending: Option<(InstanceId, Generation)>,
    pub(crate) progress: Progress,
    pub(crate) retry: Option<(Moment, Duration)>,
    pub(crate) fenced: Option<String>,
    pub(crate) seen: Option<Seen>,
    pub(crate) steady: bool,
    /// What was seen when nothing was left to do.
    pub(crate) steady_seen: Option<Seen>,
    /// What was last decided about jobs.
    pub(crate) jobs: JobLook,
    pub(crate) trials: Trials,
    pub(crate) scaling: Scaling,
    pub(crate) traffics: Traffics,
    pub(crate) acting: Acting,
}

pub(crate) struct Moving {
    pub(crate) release: ReleaseNumber,
    pub(crate) record: ReleaseRecord,
    pub(crate) pace: Pace,
    pub(crate) by: Actor,
}

/// A plan under way.
pub(crate) struct Run {
    pub(crate) plan: Plan,
    pub(crate) id: PlanId,
    pub(crate) next: usize,
    /// Since when the next step is under way.
    pub(crate) began: Option<Moment>,
    /// The step before it is done and not yet recorded so.
    pub(crate) unrecorded: Option<usize>,
}

/// What a tick came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// When to look again, unless something happens before.
    pub again: Duration,
    /// Everything was stopped, as asked.
    pub down: bool,
}

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// The contents of a release that has to run are not there.
    #[error("the record of {release} cannot be read")]
    Release {
        /// Which.
        release: ReleaseNumber,
        /// Why.
        source: RecordFault,
    },
    /// The first entry could not be recorded.
    #[error("the ledger cannot record")]
    Record(#[source] RecordFault),
}

impl Engine {
    /// An engine over what the ledger holds: reads the records it needs, takes the next epoch, says
    /// so in the ledger, and resumes the plan that was under way.
    pub fn start(
        history: History,
        limits: Limits,
        (pid, version): (u32, &str),
        world: &mut impl World,
    ) -> Result<Self, StartFault> {
        let record = |release: Option<ReleaseNumber>, world: &mut _| {
            let made = release.and_then(|number| history.releases.get(&number));
            made.map(|made| read_record(world, made.release, made.record))
                .transpose()
        };
        let serving = record(history.serving, world)?;
        let moving = record(history.moving, world)?.zip(history.moving);
        let moving = moving.map(|(record, release)| {
            let made = &history.releases[&release];
            // What once served comes back at once; what failed and is tried again earns its place as before.
            let of = made.of.and_then(|of| history.releases.get(&of));
            let back = of.is_some_and(|of| !matches!(of.state, ReleaseState::Ended { .. }));
            let pace = if back { Pace::AtOnce } else { Pace::Rolling };
            Moving {
                release,
                record,
                pace,
                by: made.by.clone(),
            }
        });
        let epoch = history.epoch.next();
        let mut engine = Self {
            history,
            epoch,
            limits,
            serving,
            moving,
            run: None,
            waits: Vec::new(),
            failure: None,
            ending: None,
            progress: Progress::default(),
            retry: None,
            fenced: None,
            seen: None,
            steady: false,
            steady_seen: None,
            jobs: JobLook::default(),
            trials: Trials::default(),
            scaling: Scaling::default(),
            traffics: Traffics::default(),
            acting: Acting::default(),
        };
        let started = Event::ControlPlaneStarted {
            pid,
            version: version.into(),
        };
        engine
            .record(world, &Actor::itself(), vec![started])
            .map_err(StartFault::Record)?;
        engine.resume(world);
        Ok(engine)
    }

    /// Takes up the plan that was under way when the last control plane ended. A plan that cannot be
    /// read any more is left open: the next tick ends it and decides anew.
    fn resume(&mut self, world: &mut impl World) {
        let Some(open) = self.history.open.clone() else {
            return;
        };
        let plan = world.fetch(open.plan.0).ok();
        let plan = plan.and_then(|bytes| serde_json::from_slice::<Plan>(&bytes).ok());
        let (now, _) = world.now();
        self.run = plan.map(|plan| Run {
            plan,
            id: open.plan,
            next: open.next,
            began: open.begun.then_some(now),
            unrecorded: None,
        });
    }

    /// One round: look, decide if nothing is under way, do what can be done.
    pub fn tick(&mut self, world: &mut impl World) -> Tick {
        let (now, _) = world.now();
        if self.fenced.is_some() {
            return Tick {
                again: STEADY,
                down: false,
            };
        }
        self.look(world);
        self.tell_pauses(world);
        if let Some(serves) = &self.serving {
            self.traffics.take(now, serves, world);
        }
        if let Err(fault) = self.note_ends(world) {
            return self.blocked(&fault, now);
        }
        if self.history.open.is_some() && self.run.is_none() {
            let end = PlanEnd::Deviated {
                seen: "the stored plan cannot be read".into(),
            };
            let events = self.end_of_plan(end);
            if let Err(fault) = self.record(world, &Actor::itself(), events) {
                return self.blocked(&fault, now);
            }
        }
        let worked = self
            .jobs(world)
            .and_then(|jobs| Ok(self.act(world)? || jobs))
            .and_then(|beside| Ok(self.scale(world)? || beside))
            .and_then(|beside| Ok(self.work(world)? || beside));
        let busy = match worked {
            Ok(busy) => busy,
            Err(fault) => return self.blocked(&fault, now),
        };
        let down = self.history.down && self.run.is_none() && !busy && self.nothing_runs();
        Tick {
            again: if busy { BUSY } else { STEADY },
            down,
        }
    }

    fn work(&mut self, world: &mut impl World) -> Result<bool, RecordFault> {
        if let Some(seen) = self.deviation() {
            let events = self.end_of_plan(PlanEnd::Deviated { seen });
            self.record(world, &Actor::itself(), events)?;
        }
        self.carry_store(world)?;
        if self.run.is_none() && self.steady && same(self.steady_seen.as_ref(), self.seen.as_ref())
        {
            return Ok(false);
        }
        if self.run.is_none() && !self.decide(world)? {
            return Ok(self.waits.iter().any(|(wait, _)| {
                !matches!(
                    wait,
                    Wait::Restart { .. }
                        | Wait::Frozen { .. }
                        | Wait::Trial { .. }
                        | Wait::Gate { .. }
                )
            }));
        }
        self.advance(world)?;
        Ok(true)
    }

    fn blocked(&mut self, fault: &RecordFault, now: Moment) -> Tick {
        self.wait_for(
            &[Wait::Ledger {
                seen: fault.to_string(),
            }],
            now,
        );
        Tick {
            again: STEADY,
            down: false,
        }
    }

    /// Decides and records a plan; false when there is nothing to do.
    fn decide(&mut self, world: &mut impl World) -> Result<bool, RecordFault> {
        let (now, _) = world.now();
        if self.retry.is_some_and(|(at, _)| now < at) {
            return Ok(false);
        }
        let moving = self.moving.take();
        let plan = match &moving {
            _ if self.history.down => self.plan(None, Purpose::Down, &Actor::itself(), world),
            Some(ship) => match self.next_of(ship, world) {
                Ok(Some(plan)) => plan,
                Ok(None) => return Ok(true),
                Err(fault) => {
                    self.moving = moving;
                    return Err(fault);
                }
            },
            None => self.heal(world),
        };
        self.moving = moving;
        self.wait_for(&plan.report.waits, now);
        self.steady = plan.steps.is_empty() && plan.report.waits.is_empty();
        self.steady_seen = self.seen.clone().filter(|_| self.steady);
        if plan.steps.is_empty() {
            return Ok(false);
        }
        let by = plan.by.clone();
        let moving = self.moving.as_ref();
        let moving = moving.filter(|moving| plan.release == Some(moving.release));
        let record = moving.map(|moving| moving.record.clone());
        let record = record.or_else(|| self.serving.clone());
        let notes = self.notes(&plan, record.as_ref(), world);
        if notes.is_empty() {
            self.begin_plan(plan, &by, world)?;
            return Ok(true);
        }
        self.refused(&plan, &notes, world)?;
        Ok(false)
    }

    /// The next plan of the release that moves, or of what serves while that one waits at its gates.
    fn next_of(
        &mut self,
        moving: &Moving,
        world: &mut impl World,
    ) -> Result<Option<Plan>, RecordFault> {
        let (_, wall) = world.now();
        match self.gate(moving, wall) {
            Gate::Shut(missing) if !self.history.begun => {
                Ok(Some(self.at_gate(moving, &missing, world)))
            }
            gate => self.plan_moving(moving, &gate, world),
        }
    }

    fn heal(&mut self, world: &mut impl World) -> Plan {
        if let Some(frozen) = self.history.frozen().cloned() {
            return self.frozen(frozen, world);
        }
        let last = self.history.releases.values().next_back();
        let fell = last.is_some_and(|made| Some(made.release) != self.history.serving);
        let purpose = if fell && !self.steady {
            Purpose::Return
        } else {
            Purpose::Heal
        };
        self.plan_back(purpose, world)
    }

    /// What runs is kept running; a person decides what comes after what cannot be undone.
    fn frozen(&mut self, frozen: Frozen, world: &mut impl World) -> Plan {
        let mut plan = self.plan_back(Purpose::Heal, world);
        if self.serving.is_none() {
            // A first release: there is nothing to keep, and nothing to go back to.
            plan.steps.clear();
        }
        let wait = Wait::Frozen {
            release: frozen.release,
            job: frozen.job,
        };
        plan.report.waits.insert(0, wait);
        plan
    }

    /// The plan that brings the world back to what the serving release says; to nothing without one.
    pub(crate) fn plan_back(&mut self, purpose: Purpose, world: &mut impl World) -> Plan {
        let serving = self.serving.take();
        let target = serving
            .as_ref()
            .zip(self.history.serving)
            .map(|(record, release)| Target {
                release,
                record,
                pace: if self.history.frozen().is_some() {
                    Pace::Held
                } else {
                    Pace::Rolling
                },
                serves: true,
                trial: None,
            });
        let plan = self.plan(target, purpose, &Actor::itself(), world);
        self.serving = serving;
        plan
    }

    pub(crate) fn plan(
        &mut self,
        target: Option<Target<'_>>,
        purpose: Purpose,
        by: &Actor,
        world: &mut impl World,
    ) -> Plan {
        let (now, wall) = world.now();
        let mut observed = self.observed(world);
        observed.ports_taken = world.ports_taken();
        let decision = decide(target, &observed, &self.limits, now);
        Plan {
            parent: Parent {
                release: self.history.serving,
                generation: self.history.generation,
                plan: self.history.last_plan,
            },
            release: target.map(|target| target.release),
            contents: target.map(|target| target.record.contents.digest()),
            purpose,
            by: by.clone(),
            made_at: wall,
            steps: decision.steps,
            report: decision.report,
        }
    }

    /// The first plan of a release as things are.
    pub(crate) fn plan_for(
        &mut self,
        release: ReleaseNumber,
        record: ReleaseRecord,
        by: &Actor,
        world: &mut impl World,
    ) -> Plan {
        self.look(world);
        let moving = Moving {
            release,
            record,
            pace: Pace::Rolling,
            by: by.clone(),
        };
        self.scaling.assumed = self.first_counts(&moving.record.contents);
        let goals = self.first_goals(&moving);
        let plan = self.plan_trial(&moving, goals, world);
        self.scaling.assumed.clear();
        plan
    }

    /// What the second mind says against a plan; empty when nothing.
    pub(crate) fn notes(
        &mut self,
        plan: &Plan,
        record: Option<&ReleaseRecord>,
        world: &mut impl World,
    ) -> String {
        let observed = self.observed(world);
        let record = record.filter(|_| plan.release.is_some());
        let notes = check(plan, record, self.serving.as_ref(), &observed);
        notes
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; ")
    }

    pub(crate) fn begin_plan(
        &mut self,
        plan: Plan,
        by: &Actor,
        world: &mut impl World,
    ) -> Result<(), RecordFault> {
        let id = PlanId(world.keep(&plan.to_bytes())?);
        let recorded = Event::PlanRecorded {
            plan: id,
            parent: plan.parent,
            purpose: plan.purpose,
            release: plan.release,
        };
        self.record(world, by, vec![recorded])?;
        self.run = Some(Run {
            plan,
            id,
            next: 0,
            began: None,
            unrecorded: None,
        });
        Ok(())
    }

    /// Makes events durable and only then takes them in.
    pub(crate) fn record(
        &mut self,
        world: &mut impl World,
        by: &Actor,
        events: Vec<Event>,
    ) -> Result<(), RecordFault> {
        let (_, at) = world.now();
        let entry = |event: &Event| Entry {
            event: event.clone(),
            epoch: self.epoch,
            by: by.clone(),
            at,
        };
        world.record(events.iter().map(entry).collect())?;
        for event in events {
            self.take(event, by, at);
        }
        Ok(())
    }

    fn take(&mut self, event: Event, by: &Actor, at: Wall) {
        if matches!(event, Event::PlanEnded { .. }) {
            self.run = None;
        }
        self.history.apply(&event, self.epoch, by, at);
        self.progress.push(event, at);
        self.jobs.forget();
    }

    /// Events that end the plan under way, if one is; the last done step is recorded as such.
    pub(crate) fn end_of_plan(&self, end: PlanEnd) -> Vec<Event> {
        let Some(open) = &self.history.open else {
            return vec![];
        };
        let done = self.run.as_ref().and_then(|run| run.unrecorded);
        let done = done.map(|index| Event::StepDone {
            plan: open.plan,
            index,
        });
        done.into_iter()
            .chain([Event::PlanEnded {
                plan: open.plan,
                end,
            }])
            .collect()
    }

    pub(crate) fn wait_for(&mut self, waits: &[Wait], now: Moment) {
        self.waits = carried(&self.waits, waits, now);
    }

    pub(crate) fn put_off(&mut self, now: Moment) {
        let wait = self
            .retry
            .map_or(RETRY_FIRST, |(_, last)| (last * 2).min(RETRY_LONGEST));
        self.retry = Some((now.after(wait), wait));
    }

    pub(crate) fn plan_done(&mut self) {
        self.retry = None;
    }

    pub(crate) fn set_moving(
        &mut self,
        release: ReleaseNumber,
        record: ReleaseRecord,
        pace: Pace,
        by: Actor,
    ) {
        self.moving = Some(Moving {
            release,
            record,
            pace,
            by,
        });
        self.retry = None;
        self.failure = None;
        self.ending = None;
        self.steady = false;
    }

    pub(crate) fn moving_ended(&mut self) {
        self.moving = None;
        self.retry = None;
        self.steady = false;
    }

    /// The moving release serves from here on.
    pub(crate) fn moved(&mut self) {
        if let Some(moving) = self.moving.take() {
            self.serving = Some(moving.record);
        }
    }

    pub(crate) fn failed(&mut self, release: ReleaseNumber, failure: Failure, evidence: Evidence) {
        self.ending = failure
            .instance()
            .filter(|_| !evidence.ended)
            .and_then(|id| {
                let seen = self.seen.as_ref()?.instances.iter();
                let mut own = seen.filter(|one| one.id == *id && one.runs());
                own.next().map(|one| (id.clone(), one.generation))
            });
        let ended = self.ending.is_none();
        self.failure = Some((release, failure, Evidence { ended, ..evidence }));
        self.moving_ended();
    }

    fn nothing_runs(&self) -> bool {
        self.seen
            .as_ref()
            .is_some_and(|seen| seen.instances.iter().all(|one| !one.runs()))
    }
}

fn read_record(
    world: &mut impl World,
    release: ReleaseNumber,
    digest: Digest,
) -> Result<ReleaseRecord, StartFault> {
    let bytes = world
        .fetch(digest)
        .map_err(|source| StartFault::Release { release, source })?;
    serde_json::from_slice(&bytes).map_err(|fault| {
        let source = RecordFault(format!("{}: {fault}", digest.short()));
        StartFault::Release { release, source }
    })
}
