//! Releases on trial: each look takes them further, and says what is wanted of their services.

use crate::engine::{Engine, Moving};
use crate::measure::Judging;
use crate::request::Refusal;
use crate::world::{Evidence, RecordFault, World};
use mainstay_atoms::{Actor, Fact, InstanceId, Moment, ReleaseNumber, ServiceName, Share, Size};
use mainstay_plan::{
    Event, Failure, Goal, Pace, Plan, Purpose, ReleaseEnd, ReleaseRecord, Target, Trial, Wait,
};
use mainstay_rollout::canary::{self, Act, Attempt, Count, Order, Phase, Served, Side, State};
use mainstay_rollout::gate::Gate;
use mainstay_rollout::{Baseline, Condition, Held, Verdict, Weights, blue_green};
use mainstay_routing::Split;
use mainstay_spec::{BlueGreen, Canary};
use mainstay_workload::Instance;
use std::collections::BTreeMap;
use std::time::Duration;

/// What is known of trials beside what the ledger holds: how long each step held, and the evidence so far.
#[derive(Default)]
pub(crate) struct Trials {
    states: BTreeMap<ServiceName, State>,
    pub(crate) flips: BTreeMap<ServiceName, blue_green::State>,
    pub(crate) judging: BTreeMap<ServiceName, Judging>,
}

impl Trials {
    /// The state of a canary.
    pub(crate) fn state(&self, name: &ServiceName) -> Option<&State> {
        self.states.get(name)
    }
}

/// What a look at the trials is made with.
pub(crate) struct Look<'a> {
    /// What was ordered since one last moved.
    pub(crate) orders: &'a [Order],
    /// Nothing goes on for now.
    pub(crate) frozen: bool,
}

/// What a look at the trials came to.
enum Looked {
    /// What is wanted of each service, and what they wait for; nothing: no service is on trial.
    Goals(BTreeMap<ServiceName, Goal>, Vec<Wait>),
    /// The release has failed, and that is recorded.
    Failed,
}

/// A service on trial.
pub(crate) struct Subject<'a> {
    pub(crate) name: &'a ServiceName,
    pub(crate) way: Way<'a>,
    /// The release of its new instances, and of those that serve.
    pub(crate) new: ReleaseNumber,
    pub(crate) old: ReleaseNumber,
    /// How many there are of each, in whole.
    pub(crate) replicas: u32,
    old_replicas: u32,
    /// What an instance of each may use.
    pub(crate) size: Size,
    pub(crate) old_size: Size,
    /// How long instances may take to become ready.
    pub(crate) deadline: Duration,
}

/// How a service is on trial.
#[derive(Clone, Copy)]
pub(crate) enum Way<'a> {
    /// Step by step.
    Canary(&'a Canary),
    /// At once.
    BlueGreen(&'a BlueGreen),
}

/// How a trial stands after a look.
pub(crate) struct Stand {
    /// What is wanted of the service.
    pub(crate) goal: Goal,
    /// Why the release goes back, if it does.
    pub(crate) worse: Option<String>,
    /// It was judged good.
    pub(crate) done: bool,
}

impl Subject<'_> {
    /// Its conditions, how often they are measured, and the fewest requests that say anything.
    pub(crate) fn judged_by(&self) -> (&[Condition], Duration, u64) {
        match self.way {
            Way::Canary(way) => (&way.abort_if, way.every, way.least),
            Way::BlueGreen(way) => (&way.abort_if, way.every, way.least),
        }
    }

    pub(crate) fn is_new(&self, id: &InstanceId) -> bool {
        id.service == *self.name && id.release == self.new
    }

    fn is_fresh(&self, id: &InstanceId) -> bool {
        let old = id.service == *self.name && id.release == self.old;
        old && id.ordinal > self.old_replicas
    }

    /// What the canary is compared with.
    pub(crate) fn is_compared(&self, id: &InstanceId) -> bool {
        let Way::Canary(way) = self.way else {
            return false;
        };
        let old = id.service == *self.name && id.release == self.old;
        old && (id.ordinal > self.old_replicas) == (way.baseline == Baseline::SameAge)
    }

    fn wanted(&self, way: &Canary) -> canary::Wanted {
        canary::Wanted {
            release: self.new,
            stable: Some(self.old),
            instances: self.replicas,
            stages: way.steps.clone(),
            baseline: way.baseline,
            patience: way.patience,
            bake: way.bake,
            deadline: self.deadline,
        }
    }
}

/// The services of a release that are to earn their traffic: those that change and that serve already.
pub(crate) fn subjects<'a>(
    release: ReleaseNumber,
    record: &'a ReleaseRecord,
    (stable, serving): (ReleaseNumber, &'a ReleaseRecord),
    counts: &BTreeMap<ServiceName, u32>,
) -> Vec<Subject<'a>> {
    let services = record.contents.platform.services.iter();
    let subject = |(name, service): (&'a ServiceName, &'a mainstay_spec::Service)| {
        let canary = service.canary.as_ref().map(Way::Canary);
        let way = canary.or_else(|| service.blue_green.as_ref().map(Way::BlueGreen))?;
        let before = serving.contents.platform.services.get(name)?;
        let changes = record.since.get(name) == Some(&release);
        let shared = before.port.is_some() && before.replicas > 0 && service.replicas > 0;
        (changes && shared).then(|| Subject {
            name,
            way,
            new: release,
            old: serving.since.get(name).copied().unwrap_or(stable),
            replicas: service.count(counts.get(name).copied()),
            old_replicas: before.count(counts.get(name).copied()),
            size: service.size,
            old_size: before.size,
            deadline: service.deploy.deadline,
        })
    };
    services.filter_map(subject).collect()
}

impl Engine {
    /// The next plan of the release that moves; none when it was judged and has failed.
    pub(crate) fn plan_moving(
        &mut self,
        moving: &Moving,
        gate: &Gate,
        world: &mut impl World,
    ) -> Result<Option<Plan>, RecordFault> {
        let (goals, waits) = if moving.pace == Pace::Rolling {
            match self.judge_trials(moving, gate, world)? {
                Looked::Goals(goals, waits) => (goals, waits),
                Looked::Failed => return Ok(None),
            }
        } else {
            (BTreeMap::new(), vec![])
        };
        let mut plan = self.plan_trial(moving, goals, world);
        plan.report.waits.extend(waits);
        Ok(Some(plan))
    }

    /// The plan for a release of which these services are on trial.
    pub(crate) fn plan_trial(
        &mut self,
        moving: &Moving,
        goals: BTreeMap<ServiceName, Goal>,
        world: &mut impl World,
    ) -> Plan {
        let purpose = match moving.pace {
            Pace::AtOnce => Purpose::Rollback,
            Pace::Rolling | Pace::Held if goals.is_empty() => Purpose::Deploy,
            Pace::Rolling | Pace::Held => Purpose::Trial,
        };
        let serving = self.serving.take();
        let stable = serving.as_ref().zip(self.history.serving);
        let trial = stable.map(|(record, stable)| Trial {
            stable,
            record,
            goals,
        });
        let target = Target {
            release: moving.release,
            record: &moving.record,
            pace: moving.pace,
            serves: false,
            trial: trial.as_ref().filter(|trial| !trial.goals.is_empty()),
        };
        let plan = self.plan(Some(target), purpose, &moving.by, world);
        self.serving = serving;
        plan
    }

    /// Looks at every service of the moving release that is on trial.
    fn judge_trials(
        &mut self,
        moving: &Moving,
        gate: &Gate,
        world: &mut impl World,
    ) -> Result<Looked, RecordFault> {
        let serving = self.serving.clone().zip(self.history.serving);
        let Some((serving, stable)) = serving else {
            return Ok(Looked::Goals(BTreeMap::new(), vec![]));
        };
        let counts = self.counts();
        let subjects = subjects(moving.release, &moving.record, (stable, &serving), &counts);
        let (mut goals, mut waits) = (BTreeMap::new(), Vec::new());
        let mut done = true;
        let orders = self.history.orders.clone();
        let (_, wall) = world.now();
        let frozen = match gate {
            Gate::Shut(missing) if !subjects.is_empty() => {
                waits.extend(crate::gate::waits(moving.release, missing, wall));
                true
            }
            _ => false,
        };
        let look = Look {
            orders: &orders,
            frozen,
        };
        for subject in &subjects {
            let stand = match subject.way {
                Way::Canary(way) => self.look_at((subject, way), &look, &mut waits, world)?,
                Way::BlueGreen(way) => {
                    self.look_at_flip((subject, way), &look, &mut waits, world)?
                }
            };
            if let Some(why) = stand.worse {
                self.worse(moving, subject.name, &why, world)?;
                return Ok(Looked::Failed);
            }
            done &= stand.done;
            goals.insert(subject.name.clone(), stand.goal);
        }
        if done {
            // Together they come to serve.
            goals.clear();
        }
        Ok(Looked::Goals(goals, waits))
    }

    /// What the services of a release will want that are to be on trial.
    pub(crate) fn first_goals(&self, moving: &Moving) -> BTreeMap<ServiceName, Goal> {
        let counts = self.counts();
        let serving = self.serving.as_ref().zip(self.history.serving);
        let subjects = serving.map(|(serving, stable)| {
            subjects(moving.release, &moving.record, (stable, serving), &counts)
        });
        let goal = |subject: Subject<'_>| {
            let goal = match subject.way {
                Way::Canary(way) => {
                    let observed = self.seen_of(&subject, None, &[]);
                    let decision = canary::decide(&subject.wanted(way), &observed, None, Moment(0));
                    goal(&subject, &observed, &decision)
                }
                Way::BlueGreen(_) => crate::flip::goal(&subject, &blue_green::Phase::Starting),
            };
            (subject.name.clone(), goal)
        };
        subjects.into_iter().flatten().map(goal).collect()
    }

    /// The state of one trial, taken further, and what it wants.
    fn look_at(
        &mut self,
        (subject, way): (&Subject<'_>, &Canary),
        look: &Look<'_>,
        waits: &mut Vec<Wait>,
        world: &mut impl World,
    ) -> Result<Stand, RecordFault> {
        let (now, _) = world.now();
        let wanted = subject.wanted(way);
        let before = self.trial_state(subject.name, wanted.release);
        let steps = wanted.stages.all().len();
        let verdict = match before.as_ref().map(|state| (state.number, &state.phase)) {
            Some((
                number,
                Phase::Stage {
                    stage,
                    judged: true,
                    ..
                },
            )) => {
                let stage = *stage;
                // With all of the traffic at the canary there is nothing beside it any longer.
                self.measure(subject, Attempt { number, stage }, stage < steps, world)
            }
            _ => None,
        };
        let observed = self.seen_of(subject, verdict, look.orders);
        // In a freeze no time passes for it; what fails goes back all the same.
        let stood = before.as_ref().filter(|_| look.frozen);
        let at = stood.map_or(now, |state| state.looked);
        let decision = canary::decide(&wanted, &observed, before.clone(), at);
        let state = decision.state.clone();
        if before.is_none_or(|before| moved(&before, &state)) || !look.orders.is_empty() {
            let event = Event::Canary {
                service: subject.name.clone(),
                state: Box::new(state.clone()),
                weights: decision.report.weights,
            };
            self.record(world, &Actor::itself(), vec![event])?;
        }
        let states = &mut self.trials.states;
        states.insert(subject.name.clone(), state.clone());
        let goal = goal(subject, &observed, &decision);
        let stands = match decision.report.stage {
            Some((at, of)) if at > of => "with all of the traffic".to_owned(),
            Some((at, of)) => format!("step {at} of {of}, {}", goal.weights.canary),
            None => "starting".to_owned(),
        };
        waits.extend(decision.report.waits.iter().map(|wait| Wait::Trial {
            service: subject.name.clone(),
            stands: stands.clone(),
            seen: wait.to_string(),
        }));
        Ok(Stand {
            goal,
            done: state.phase == Phase::Done,
            worse: state.phase.aborts().map(ToString::to_string),
        })
    }

    fn trial_state(&self, name: &ServiceName, release: ReleaseNumber) -> Option<State> {
        let states = [self.trials.states.get(name), self.history.trials.get(name)];
        let mut states = states.into_iter().flatten();
        states.find(|state| state.release == release).cloned()
    }

    /// What is seen of a trial.
    fn seen_of(
        &self,
        subject: &Subject<'_>,
        verdict: Option<(Attempt, Verdict)>,
        orders: &[Order],
    ) -> canary::Observed {
        let of_service = self.alive().filter(|one| one.id.service == *subject.name);
        canary::Observed {
            canary: self.count(|id| subject.is_new(id)),
            baseline: self.count(|id| subject.is_fresh(id)),
            broken: self.broken(subject),
            gateway: self.served(subject),
            verdict,
            running: of_service
                .map(|one| one.id.release)
                .filter(|release| *release != subject.old)
                .collect(),
            orders: orders.to_vec(),
        }
    }

    pub(crate) fn alive(&self) -> impl Iterator<Item = &Instance> {
        let instances = self.seen.iter().flat_map(|seen| &seen.instances);
        instances.filter(|one| one.runs() && one.live)
    }

    /// How many of these run and are ready.
    pub(crate) fn count(&self, ours: impl Fn(&InstanceId) -> bool) -> Count {
        let ours = self.alive().filter(|one| ours(&one.id));
        ours.fold(Count::default(), |sum, one| Count {
            running: sum.running + 1,
            ready: sum.ready + u32::from(one.ready_since().is_some()),
        })
    }

    /// Why the new instances of a service cannot become ready, when it is certain.
    pub(crate) fn broken(&self, subject: &Subject<'_>) -> Option<String> {
        let mut attempts = self.history.attempts.iter();
        let looping = attempts.find(|(id, attempts)| subject.is_new(id) && attempts.looping);
        looping.map(|(id, _)| format!("{id} keeps ending"))
    }

    /// The shares that every worker of the gateway serves by.
    pub(crate) fn served(&self, subject: &Subject<'_>) -> Fact<Served> {
        let table = &self.history.table;
        let seen = self.seen.as_ref().map(|seen| &seen.gateway);
        let (value, at) = match seen {
            Some(Fact::Known { value, at }) => (value, *at),
            Some(Fact::Missing { reason }) => {
                let reason = reason.clone();
                return Fact::Missing { reason };
            }
            None => {
                let reason = "nobody looked yet".into();
                return Fact::Missing { reason };
            }
        };
        if value.generation != table.generation {
            let reason = format!("it serves table {}", value.generation);
            return Fact::Missing { reason };
        }
        let split = table
            .pools
            .get(subject.name)
            .and_then(|pool| pool.split.as_ref());
        let served = split.filter(|split| split.release == subject.new);
        let weights = served.map_or(Weights::STABLE, weights);
        Fact::Known {
            value: Served {
                release: subject.new,
                weights,
            },
            at,
        }
    }

    /// The release is worse than the one before: it goes back.
    fn worse(
        &mut self,
        moving: &Moving,
        service: &ServiceName,
        why: &str,
        world: &mut impl World,
    ) -> Result<(), RecordFault> {
        let failure = Failure::Judged {
            service: service.clone(),
            why: why.to_owned(),
        };
        let release = moving.release;
        let end = ReleaseEnd::Failed {
            why: failure.to_string(),
        };
        self.record(
            world,
            &moving.by,
            vec![Event::ReleaseEnded { release, end }],
        )?;
        self.failed(release, failure, Evidence::default());
        Ok(())
    }

    /// Records what somebody orders of the releases on trial; the next look obeys.
    pub fn order_trials(
        &mut self,
        order: Order,
        by: &Actor,
        world: &mut impl World,
    ) -> Result<ReleaseNumber, Refusal> {
        let release = self.history.moving.ok_or(Refusal::Idle)?;
        if self.history.trials.is_empty() && self.history.flips.is_empty() {
            return Err(Refusal::NoTrial { release });
        }
        self.record(world, by, vec![Event::CanaryOrdered { order }])
            .map_err(Refusal::Record)?;
        Ok(release)
    }
}

/// A split as shares of the whole.
pub(crate) fn weights(split: &Split) -> Weights {
    Weights {
        stable: Share(WHOLE.saturating_sub(split.canary.0 + split.baseline.0)),
        baseline: split.baseline,
        canary: split.canary,
    }
}

/// All of the traffic.
pub(crate) const WHOLE: u64 = 10_000;

/// What a decision wants to run and to be served, whatever runs now.
fn goal(subject: &Subject<'_>, observed: &canary::Observed, decision: &canary::Decision) -> Goal {
    if decision.state.phase == Phase::Done {
        return Goal {
            canary: subject.replicas,
            baseline: 0,
            weights: Weights::of(Share(WHOLE), Baseline::Stable),
        };
    }
    let mut goal = Goal {
        canary: observed.canary.running,
        baseline: observed.baseline.running,
        weights: decision.report.weights,
    };
    for act in &decision.acts {
        match act {
            Act::Scale {
                side: Side::Canary,
                instances,
            } => goal.canary = *instances,
            Act::Scale {
                side: Side::Baseline,
                instances,
            } => goal.baseline = *instances,
            Act::Judge(_) | Act::Publish(_) | Act::Stop(_) | Act::Finish => {}
        }
    }
    goal
}

/// Whether a state differs in more than how long it held.
fn moved(before: &State, after: &State) -> bool {
    let still = |state: &State| {
        let mut state = state.clone();
        state.looked = Moment(0);
        match &mut state.phase {
            Phase::Starting { held } | Phase::Stage { held, .. } => *held = Held::new(Moment(0)),
            _ => {}
        }
        state
    };
    still(before) != still(after)
}
