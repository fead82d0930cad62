//! Carrying a plan out, step by step: recorded, applied, outcome recorded.

use crate::engine::{Engine, Run};
use crate::world::{EffectFault, Evidence, Order, RecordFault, World};
use mainstay_atoms::Actor;
use mainstay_plan::{
    Event, Failure, Judgement, Plan, PlanEnd, Purpose, ReleaseEnd, Step, Wait, judge,
};

/// What became of trying one step.
enum Tried {
    Done,
    NotYet,
    Failed(Failure),
}

impl Engine {
    /// The second mind refused a plan: a broken invariant of ours. Nothing of it is done.
    pub(crate) fn refused(
        &mut self,
        plan: &Plan,
        notes: &str,
        world: &mut impl World,
    ) -> Result<(), RecordFault> {
        let (now, _) = world.now();
        self.put_off(now);
        let seen = format!("the plan breaks invariants: {notes}");
        self.wait_for(
            &[Wait::Effect {
                step: "check".into(),
                seen: seen.clone(),
            }],
            now,
        );
        let moving = self.moving.as_ref().map(|moving| moving.release);
        if let Some(release) = plan.release.filter(|release| moving == Some(*release)) {
            let end = ReleaseEnd::Failed { why: seen.clone() };
            self.record(world, &plan.by, vec![Event::ReleaseEnded { release, end }])?;
            let failure = Failure::Effect {
                step: "check".into(),
                why: seen,
                instance: None,
            };
            self.failed(release, failure, Evidence::default());
        }
        Ok(())
    }

    /// Does as many steps of the plan under way as can be done now.
    pub(crate) fn advance(&mut self, world: &mut impl World) -> Result<(), RecordFault> {
        while let Some(run) = self.run.take() {
            let index = run.next;
            let Some(step) = run.plan.steps.get(index).cloned() else {
                self.run = Some(run);
                return self.finish(world);
            };
            self.run = Some(run);
            self.begin(index, &step, world)?;
            match self.try_step(&step, world) {
                Tried::Done => self.done(index, &step),
                Tried::NotYet => return Ok(()),
                Tried::Failed(failure) => return self.fail(index, failure, world),
            }
            if !step.waits() {
                self.look(world);
            }
        }
        Ok(())
    }

    fn running(&mut self) -> &mut Run {
        self.run
            .as_mut()
            .expect("a plan is under way while its steps are tried")
    }

    /// Records that the step before is done and that this one begins, unless it has begun.
    fn begin(
        &mut self,
        index: usize,
        step: &Step,
        world: &mut impl World,
    ) -> Result<(), RecordFault> {
        let (now, _) = world.now();
        let run = self.running();
        if run.began.is_some() {
            return Ok(());
        }
        let (plan, by) = (run.id, run.plan.by.clone());
        let done = run.unrecorded.map(|index| Event::StepDone { plan, index });
        let begun = Event::StepBegun {
            plan,
            index,
            step: step.clone(),
        };
        self.record(world, &by, done.into_iter().chain([begun]).collect())?;
        let run = self.running();
        run.unrecorded = None;
        run.began = Some(now);
        Ok(())
    }

    fn try_step(&mut self, step: &Step, world: &mut impl World) -> Tried {
        let (now, _) = world.now();
        if step.waits() {
            let began = self.running().began.unwrap_or(now);
            let observed = self.observed(world);
            return match judge(step, &observed, began, now) {
                Judgement::Done => Tried::Done,
                Judgement::Waits(wait) => {
                    self.wait_for(&[wait], now);
                    Tried::NotYet
                }
                Judgement::Failed(failure) => Tried::Failed(failure),
            };
        }
        if self.has_ended(step) {
            return Tried::Done;
        }
        let table =
            matches!(step, Step::Publish(_)).then(|| self.history().table.table(self.epoch()));
        match world.apply(&Order {
            epoch: self.epoch(),
            step,
            table,
        }) {
            Ok(()) => Tried::Done,
            Err(EffectFault::Later(seen)) => {
                self.wait_for(
                    &[Wait::Effect {
                        step: step.to_string(),
                        seen,
                    }],
                    now,
                );
                Tried::NotYet
            }
            Err(EffectFault::Never(why)) => {
                let instance = step.instance().cloned();
                Tried::Failed(Failure::Effect {
                    step: step.to_string(),
                    why,
                    instance,
                })
            }
            Err(EffectFault::Fenced(by)) => {
                self.fenced = Some(by);
                Tried::NotYet
            }
        }
    }

    /// A run of a job that ended is not begun again, though nothing is left of it to see.
    fn has_ended(&self, step: &Step) -> bool {
        let Step::Start { launch } = step else {
            return false;
        };
        let runs = self.history().jobs.get(&launch.instance.service);
        let run = runs.and_then(|runs| runs.find(&launch.instance));
        run.is_some_and(|run| run.end.is_some())
    }

    fn done(&mut self, index: usize, step: &Step) {
        self.waits.clear();
        let run = self.running();
        run.next = index + 1;
        run.began = None;
        run.unrecorded = Some(index);
        if matches!(step, Step::Serve { .. }) {
            self.moved();
        }
    }

    fn finish(&mut self, world: &mut impl World) -> Result<(), RecordFault> {
        let by = self.running().plan.by.clone();
        let events = self.end_of_plan(PlanEnd::Done);
        self.record(world, &by, events)?;
        self.plan_done();
        Ok(())
    }

    /// A store that the plan counts on has ended: another plan starts it again and carries on, or,
    /// when it keeps ending, the release fails.
    pub(crate) fn carry_store(&mut self, world: &mut impl World) -> Result<(), RecordFault> {
        let Some((one, exit)) = self.store_lost() else {
            return Ok(());
        };
        let (instance, generation) = (one.id.clone(), one.generation);
        let attempts = self.history().attempts.get(&instance);
        if attempts.is_some_and(|attempts| attempts.looping) {
            let failure = Failure::Ended {
                instance,
                generation,
                exit,
            };
            let index = self.running().next;
            return self.fail(index, failure, world);
        }
        let seen = format!("{instance} has ended: {exit}");
        let events = self.end_of_plan(PlanEnd::Deviated { seen });
        self.record(world, &Actor::itself(), events)
    }

    /// A step failed: the plan ends, and a release that does not serve yet ends with it. What served
    /// before is decided for at the next tick.
    fn fail(
        &mut self,
        index: usize,
        failure: Failure,
        world: &mut impl World,
    ) -> Result<(), RecordFault> {
        let (now, _) = world.now();
        let evidence = match failure.instance() {
            Some(instance) => world.evidence(instance),
            None => Evidence::default(),
        };
        let moving = self.history().moving;
        let purpose = self.running().plan.purpose;
        let mut events = self.end_of_plan(PlanEnd::Failed {
            index,
            failure: failure.clone(),
        });
        let ships = matches!(
            purpose,
            Purpose::Deploy | Purpose::Trial | Purpose::Rollback
        );
        let again = matches!(failure, Failure::Run { again: true, .. });
        let release = moving.filter(|_| ships && !again);
        if let Some(release) = release {
            let end = ReleaseEnd::Failed {
                why: failure.to_string(),
            };
            events.push(Event::ReleaseEnded { release, end });
        }
        self.record(world, &Actor::itself(), events)?;
        match release {
            Some(release) => self.failed(release, failure, evidence),
            None => self.put_off(now),
        }
        Ok(())
    }
}
