//! Blue-green releases: green starts whole, is looked at, takes all of the traffic at once.

use crate::engine::Engine;
use crate::trial::{Look, Stand, Subject, WHOLE};
use crate::world::{RecordFault, World};
use mainstay_atoms::{Actor, Fact, Moment, ReleaseNumber, Share};
use mainstay_plan::{Event, Goal, Wait};
use mainstay_rollout::blue_green::{self, Phase, Served, State, Wanted};
use mainstay_rollout::{Baseline, Held, Weights};
use mainstay_spec::BlueGreen;
use std::collections::BTreeSet;

impl Engine {
    /// The state of one blue-green release, taken further, and what it wants.
    pub(crate) fn look_at_flip(
        &mut self,
        (subject, way): (&Subject<'_>, &BlueGreen),
        look: &Look<'_>,
        waits: &mut Vec<Wait>,
        world: &mut impl World,
    ) -> Result<Stand, RecordFault> {
        let (now, _) = world.now();
        let before = self.flip_state(subject);
        let attempt = before.as_ref().and_then(|state| state.judged);
        let verdict = attempt.and_then(|attempt| self.measure(subject, attempt, false, world));
        let observed = blue_green::Observed {
            green: self.count(|id| subject.is_new(id)),
            blue: self.count(|id| id.service == *subject.name && id.release == subject.old),
            broken: self.broken(subject),
            gateway: self.live(subject),
            verdict,
            // Whoever is of neither side leaves with the next table.
            others: BTreeSet::new(),
            orders: look.orders.to_vec(),
        };
        let decision = blue_green::decide(&wanted(subject, way), &observed, before.clone(), now);
        // In a freeze it stays where it is; what fails goes back all the same.
        let fails = decision.state.phase.aborts().is_some();
        let stood = before.clone().filter(|_| look.frozen && !fails);
        let state = stood.unwrap_or(decision.state);
        if before.is_none_or(|before| moved(&before, &state)) || !look.orders.is_empty() {
            let event = Event::BlueGreen {
                service: subject.name.clone(),
                state: Box::new(state.clone()),
            };
            self.record(world, &Actor::itself(), vec![event])?;
        }
        waits.extend(decision.waits.iter().map(|wait| Wait::Trial {
            service: subject.name.clone(),
            stands: state.phase.to_string(),
            seen: wait.to_string(),
        }));
        let stand = Stand {
            goal: goal(subject, &state.phase),
            worse: state.phase.aborts().map(ToString::to_string),
            // From here on its plan lets blue leave.
            done: matches!(state.phase, Phase::Leaving | Phase::Done),
        };
        self.trials.flips.insert(subject.name.clone(), state);
        Ok(stand)
    }

    fn flip_state(&self, subject: &Subject<'_>) -> Option<State> {
        let states = [
            self.trials.flips.get(subject.name),
            self.history.flips.get(subject.name),
        ];
        let mut states = states.into_iter().flatten();
        states.find(|state| state.release == subject.new).cloned()
    }

    /// Which release every worker of the gateway serves, and which it shows on the preview.
    fn live(&self, subject: &Subject<'_>) -> Fact<Served> {
        match self.served(subject) {
            Fact::Missing { reason } => Fact::Missing { reason },
            Fact::Known { value, at } => {
                let table = &self.history.table;
                let pool = table.pools.get(subject.name);
                let split = pool.and_then(|pool| pool.split.as_ref());
                let shown = split.is_some_and(|split| split.release == subject.new);
                let live = value.weights.canary == Share(WHOLE);
                let release: ReleaseNumber = if live { subject.new } else { subject.old };
                let value = Served {
                    live: release,
                    preview: (shown && !live).then_some(subject.new),
                };
                Fact::Known { value, at }
            }
        }
    }
}

fn wanted(subject: &Subject<'_>, way: &BlueGreen) -> Wanted {
    Wanted {
        green: subject.new,
        blue: subject.old,
        instances: subject.replicas,
        before: way.before,
        after: way.after,
        manual: way.manual,
        warm: way.warm,
        patience: way.patience,
        deadline: subject.deadline,
    }
}

/// What a phase wants to run and to be served.
pub(crate) fn goal(subject: &Subject<'_>, phase: &Phase) -> Goal {
    let live = matches!(
        phase,
        Phase::Flipped | Phase::Doubted(_) | Phase::Warm | Phase::Leaving | Phase::Done
    );
    let share = Share(if live { WHOLE } else { 0 });
    Goal {
        canary: subject.replicas,
        baseline: 0,
        weights: Weights::of(share, Baseline::Stable),
    }
}

/// Whether a state differs in more than how long it held.
fn moved(before: &State, after: &State) -> bool {
    let still = |state: &State| State {
        held: Held::new(Moment(0)),
        ..state.clone()
    };
    still(before) != still(after)
}
