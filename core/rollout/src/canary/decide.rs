//! The next state of a canary.

use super::order::obey;
use super::state::{Abort, Pause, Phase, State, Wait};
use super::{Act, Count, Decision, Observed, Report, Served, Side, Wanted, instances};
use crate::verdict::{Grade, Verdict};
use crate::weight::{Baseline, Weights};
use mainstay_atoms::{Fact, Moment, Share};
use std::time::Duration;

const WHOLE: Share = Share(10_000);

/// Decides the next state, what is to be done, and what is waited for. `state` is what the last decision
/// returned, none at the beginning; a state of another release hands over.
pub fn decide(wanted: &Wanted, observed: &Observed, state: Option<State>, now: Moment) -> Decision {
    let mut state = match state {
        Some(state) if state.release == wanted.release => state,
        before => State::begin(wanted.release, before, now),
    };
    state.looked = now;
    let done = state.phase == Phase::Done;
    let mut decider = Decider {
        wanted,
        observed,
        state,
        acts: Vec::new(),
        waits: Vec::new(),
        ignored: Vec::new(),
    };
    decider.fail();
    for order in &observed.orders {
        let stages = decider.stages();
        let weight = stage_of(&decider.state.phase).map_or(Share(0), |at| decider.weight(at));
        let obeyed = obey(&mut decider.state, *order, stages, weight);
        decider.ignored.extend(obeyed.err());
    }
    decider.leave();
    decider.advance(now);
    if decider.state.phase == Phase::Done && !done {
        decider.acts.push(Act::Finish);
    }
    decider.decision()
}

struct Decider<'a> {
    wanted: &'a Wanted,
    observed: &'a Observed,
    state: State,
    acts: Vec<Act>,
    waits: Vec<Wait>,
    ignored: Vec<super::Ignored>,
}

impl Decider<'_> {
    fn stages(&self) -> usize {
        self.wanted.stages.all().len()
    }

    fn weight(&self, stage: usize) -> Share {
        let stages = self.wanted.stages.all();
        stages.get(stage).map_or(WHOLE, |stage| stage.weight)
    }

    fn weights(&self, stage: usize) -> Weights {
        Weights::of(self.weight(stage), self.wanted.baseline)
    }

    /// The verdict of this try at this stage; nothing, while there is none.
    fn verdict(&self, stage: usize) -> Verdict {
        match &self.observed.verdict {
            Some((attempt, verdict)) if *attempt == self.state.attempt(stage) => verdict.clone(),
            _ => Verdict::nothing(),
        }
    }

    /// A failure outranks everything that is ordered.
    fn fail(&mut self) {
        if !matches!(
            self.state.phase,
            Phase::Starting { .. } | Phase::Stage { .. }
        ) {
            return;
        }
        if let Some(why) = &self.observed.broken {
            self.state.abort(Abort::Broken { why: why.clone() });
            return;
        }
        let Some((attempt, verdict)) = &self.observed.verdict else {
            return;
        };
        let ours = attempt.number == self.state.number;
        if !(ours && verdict.settled && verdict.grade == Grade::Failed) {
            return;
        }
        let (metric, why) = (verdict.metric.clone(), verdict.why.clone());
        if self.wanted.stable.is_some() {
            let seen = verdict.seen.clone();
            self.state.abort(Abort::Verdict { metric, why, seen });
        } else if let Phase::Stage { paused, .. } = &mut self.state.phase {
            *paused = Some(Pause::NothingBefore { metric, why });
        }
    }

    /// Releases that were superseded stop once no table names them.
    fn leave(&mut self) {
        let running = &self.observed.running;
        self.state
            .leaving
            .retain(|release| running.contains(release));
        let served = self.observed.gateway.known();
        for release in &self.state.leaving {
            let named = served.is_none_or(|served| {
                served.release == *release && served.weights.canary > Share(0)
            });
            if !named {
                self.acts.push(Act::Stop(*release));
            }
            self.waits.push(Wait::Gone(*release));
        }
    }

    fn advance(&mut self, now: Moment) {
        // Each turn either stays or goes to a later phase, so this ends.
        for _ in 0..=self.stages() + 6 {
            let before = self.state.phase.clone();
            let acts = self.acts.len();
            let waits = self.waits.len();
            self.turn(now);
            if std::mem::discriminant(&before) == std::mem::discriminant(&self.state.phase)
                && stage_of(&before) == stage_of(&self.state.phase)
            {
                return;
            }
            // What the phase that is over wanted is wanted no longer, but that it ended.
            self.acts.truncate(acts);
            self.waits.truncate(waits);
        }
    }

    fn turn(&mut self, now: Moment) {
        match self.state.phase.clone() {
            Phase::Starting { .. } => self.start(now),
            Phase::Stage { stage, .. } => self.stage(stage, now),
            Phase::Aborting { why } => {
                if self.publish(Weights::STABLE) {
                    self.state.phase = Phase::Stopping { why };
                }
            }
            Phase::Stopping { why } => self.stop(why),
            Phase::Aborted { .. } | Phase::Done => {}
        }
    }

    fn start(&mut self, now: Moment) {
        let first = if self.wanted.stable.is_some() {
            0
        } else {
            self.stages()
        };
        let (ready, needed) = self.scale(first);
        let Phase::Starting { held } = &mut self.state.phase else {
            return;
        };
        held.look(now, true);
        let (time, left) = (held.time, held.left(self.wanted.deadline));
        if ready >= needed {
            self.state.enter(first, Share(0));
            return;
        }
        if left.is_zero() {
            let waited_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            self.state.abort(Abort::NotReady { waited_ms });
            return;
        }
        if !self.state.leaving.is_empty() {
            // What it supersedes proved nothing and is wanted no longer: it loses its traffic at once.
            self.publish(Weights::STABLE);
        }
        self.waits.push(Wait::Ready {
            ready,
            needed,
            left,
        });
    }

    /// Asks for the instances of a stage; how many are ready and needed, canary and baseline together.
    fn scale(&mut self, stage: usize) -> (u32, u32) {
        let canary = instances(self.weight(stage), self.wanted.instances);
        let baseline = self.weights(stage).baseline;
        let same_age = self.wanted.baseline == Baseline::SameAge && baseline > Share(0);
        let baseline = if same_age {
            canary.min(self.wanted.instances)
        } else {
            0
        };
        for (side, needed, count) in [
            (Side::Canary, canary, self.observed.canary),
            (Side::Baseline, baseline, self.observed.baseline),
        ] {
            if count.running < needed {
                self.acts.push(Act::Scale {
                    side,
                    instances: needed,
                });
            }
        }
        let ready = |count: Count, needed: u32| count.ready.min(needed);
        (
            ready(self.observed.canary, canary) + ready(self.observed.baseline, baseline),
            canary + baseline,
        )
    }

    fn stage(&mut self, stage: usize, now: Moment) {
        let (ready, needed) = self.scale(stage);
        let Phase::Stage { reached, from, .. } = &self.state.phase else {
            return;
        };
        let (reached, from) = (*reached, *from);
        let target = if self.observed.canary.ready == 0 {
            Weights::STABLE
        } else if reached || ready >= needed {
            self.weights(stage)
        } else {
            // Not enough instances yet: what was served stays served, also after the gateway restarted.
            Weights::of(from, self.wanted.baseline)
        };
        let synced = self.publish(target) && target == self.weights(stage);
        if !synced {
            return self.come((ready, needed), now);
        }
        self.hold(stage, now);
    }

    /// On the way to the weights of a stage, or back to them.
    fn come(&mut self, (ready, needed): (u32, u32), now: Moment) {
        let deadline = self.wanted.deadline;
        let Phase::Stage {
            reached,
            held,
            paused,
            ..
        } = &mut self.state.phase
        else {
            return;
        };
        if ready < needed {
            // Before the stage is reached its clock is that of the deadline.
            held.look(now, !*reached);
            let left = if *reached {
                deadline
            } else {
                held.left(deadline)
            };
            let waited_ms = u64::try_from(held.time.as_millis()).unwrap_or(u64::MAX);
            if left.is_zero() && self.wanted.stable.is_some() {
                self.state.abort(Abort::NotReady { waited_ms });
                return;
            }
            self.waits.push(Wait::Ready {
                ready,
                needed,
                left,
            });
        } else {
            held.look(now, false);
        }
        if let Some(why) = paused {
            self.waits.push(Wait::Paused(why.clone()));
        }
    }

    fn hold(&mut self, stage: usize, now: Moment) {
        let attempt = self.state.attempt(stage);
        let verdict = self.verdict(stage);
        let last = stage == self.stages();
        if last && self.observed.baseline.running > 0 {
            self.acts.push(Act::Scale {
                side: Side::Baseline,
                instances: 0,
            });
        }
        let hold = match self.wanted.stages.all().get(stage) {
            Some(stage) => stage.hold,
            None => Some(self.wanted.bake),
        };
        let Phase::Stage {
            reached,
            judged,
            held,
            paused,
            ..
        } = &mut self.state.phase
        else {
            return;
        };
        if !*reached {
            *reached = true;
            *held = crate::hold::Held::new(now);
        }
        held.look(now, paused.is_none());
        if !*judged {
            *judged = true;
            self.acts.push(Act::Judge(attempt));
        }
        // Before a first release there was nothing: no doubt holds it up, only a failure does.
        let first = self.wanted.stable.is_none();
        let doubted = !first && verdict.settled && verdict.grade > Grade::Successful;
        let late = !first && hold.is_some_and(|hold| held.time >= hold + self.wanted.patience);
        if paused.is_none() && verdict.grade != Grade::Successful && (doubted || late) {
            let (metric, why) = (verdict.metric.clone(), verdict.why.clone());
            *paused = Some(Pause::Doubt { metric, why });
        }
        if let Some(why) = paused {
            self.waits.push(Wait::Paused(why.clone()));
            return;
        }
        let (left, patience) = match hold {
            None => {
                self.waits.push(Wait::Promotion);
                return;
            }
            Some(hold) => (held.left(hold), held.left(hold + self.wanted.patience)),
        };
        if left > Duration::ZERO {
            self.waits.push(Wait::Hold {
                left,
                so_far: verdict,
            });
        } else if first || verdict.grade == Grade::Successful {
            let stages = self.stages();
            let weight = self.weight(stage);
            self.state.go_on(stage + 1, stages, weight);
        } else {
            self.waits.push(Wait::Verdict {
                left: patience,
                so_far: verdict,
            });
        }
    }

    fn stop(&mut self, why: Abort) {
        // The gateway may have restarted with an older table: the weights are given again first.
        if !self.publish(Weights::STABLE) {
            return;
        }
        let release = self.state.release;
        let baseline = self.observed.baseline.running;
        if self.observed.running.contains(&release) {
            self.acts.push(Act::Stop(release));
        }
        if baseline > 0 {
            self.acts.push(Act::Scale {
                side: Side::Baseline,
                instances: 0,
            });
        }
        if self.observed.running.contains(&release) || baseline > 0 {
            self.waits.push(Wait::Gone(release));
        } else {
            self.state.phase = Phase::Aborted { why };
        }
    }

    /// Whether every worker serves by these weights; asks for it else.
    fn publish(&mut self, weights: Weights) -> bool {
        let served = Served {
            release: self.state.release,
            weights,
        };
        let seen = match &self.observed.gateway {
            Fact::Known { value, .. } => {
                // Without a share it does not matter whose it is.
                let same = value.release == served.release || weights.canary == Share(0);
                if value.weights == weights && same {
                    return true;
                }
                Ok(value.weights)
            }
            Fact::Missing { reason } => Err(reason.clone()),
        };
        self.acts.push(Act::Publish(served));
        self.waits.push(Wait::Gateway {
            wanted: weights,
            seen,
        });
        false
    }

    fn decision(self) -> Decision {
        let stages = self.stages();
        let (stage, weights) = match &self.state.phase {
            Phase::Stage { stage, .. } => (Some((stage + 1, stages + 1)), self.weights(*stage)),
            Phase::Done => (None, Weights::of(WHOLE, self.wanted.baseline)),
            _ => (None, Weights::STABLE),
        };
        Decision {
            report: Report {
                stage,
                weights,
                waits: self.waits,
                ignored: self.ignored,
            },
            acts: self.acts,
            state: self.state,
        }
    }
}

fn stage_of(phase: &Phase) -> Option<usize> {
    match phase {
        Phase::Stage { stage, .. } => Some(*stage),
        _ => None,
    }
}
