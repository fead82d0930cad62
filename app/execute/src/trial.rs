//! Releases on trial: what the gateway counted becomes a verdict, and the verdict the next share.

use crate::engine::{Engine, Moving};
use crate::request::Refusal;
use crate::world::{Evidence, RecordFault, World};
use mainstay_atoms::{Actor, Fact, InstanceId, Moment, ReleaseNumber, ServiceName, Share};
use mainstay_plan::{
    Event, Failure, Goal, Pace, Plan, Purpose, ReleaseEnd, ReleaseRecord, Target, Trial, Wait,
};
use mainstay_rollout::canary::{self, Act, Attempt, Count, Order, Phase, Served, Side, State};
use mainstay_rollout::{
    Baseline, Board, Held, Judged, MetricRules, Run, RunRules, Sight, Tally, Verdict, Weights,
};
use mainstay_spec::Canary;
use std::collections::BTreeMap;

/// What is known of trials beside what the ledger holds: how long each step held, and the evidence so far.
#[derive(Default)]
pub(crate) struct Trials {
    states: BTreeMap<ServiceName, State>,
    judging: BTreeMap<ServiceName, Judging>,
}

/// One step's metrics.
struct Judging {
    attempt: Attempt,
    rules: RunRules,
    run: Run,
    began: Moment,
    /// What was counted at the last look.
    last: Board,
    /// What came since the step began: of the canary, and of what it is compared with.
    own: Tally,
    beside: Tally,
}

/// What a look at the trials came to.
enum Looked {
    /// What is wanted of each service, and what they wait for; nothing: no service is on trial.
    Goals(BTreeMap<ServiceName, Goal>, Vec<Wait>),
    /// The release has failed, and that is recorded.
    Failed,
}

/// A service on trial.
struct Subject<'a> {
    name: &'a ServiceName,
    canary: &'a Canary,
    /// The release of its new instances, and of those that serve.
    new: ReleaseNumber,
    old: ReleaseNumber,
    /// How many there are of each, in whole.
    replicas: u32,
    old_replicas: u32,
}

impl Subject<'_> {
    fn is_new(&self, id: &InstanceId) -> bool {
        id.service == *self.name && id.release == self.new
    }

    fn is_fresh(&self, id: &InstanceId) -> bool {
        let old = id.service == *self.name && id.release == self.old;
        old && id.ordinal > self.old_replicas
    }

    /// What the canary is compared with.
    fn is_compared(&self, id: &InstanceId) -> bool {
        let old = id.service == *self.name && id.release == self.old;
        old && (id.ordinal > self.old_replicas) == (self.canary.baseline == Baseline::SameAge)
    }

    fn wanted(&self, moving: &Moving) -> canary::Wanted {
        let services = &moving.record.contents.platform.services;
        let deadline = services
            .get(self.name)
            .map(|service| service.deploy.deadline);
        canary::Wanted {
            release: moving.release,
            stable: Some(self.old),
            instances: self.replicas,
            stages: self.canary.steps.clone(),
            baseline: self.canary.baseline,
            patience: self.canary.patience,
            bake: self.canary.bake,
            deadline: deadline.unwrap_or_default(),
        }
    }

    fn rules(&self) -> RunRules {
        let rule = |condition: &mainstay_rollout::Condition| {
            let judged = Judged {
                abort_if: Some(condition.clone()),
                pass_if: None,
            };
            let mut rules = MetricRules::new(judged);
            rules.interval = Some(self.canary.every);
            if condition.metric.by_request() {
                rules.min_samples = self.canary.least;
            }
            (condition.to_string(), rules)
        };
        self.canary.abort_if.iter().map(rule).collect()
    }
}

/// The services of a release that are to earn their traffic: those that change and that serve already.
fn subjects<'a>(
    release: ReleaseNumber,
    record: &'a ReleaseRecord,
    (stable, serving): (ReleaseNumber, &'a ReleaseRecord),
) -> Vec<Subject<'a>> {
    let services = record.contents.platform.services.iter();
    let subject = |(name, service): (&'a ServiceName, &'a mainstay_spec::Service)| {
        let canary = service.canary.as_ref()?;
        let before = serving.contents.platform.services.get(name)?;
        let changes = record.since.get(name) == Some(&release);
        let shared = before.port.is_some() && before.replicas > 0 && service.replicas > 0;
        (changes && shared).then(|| Subject {
            name,
            canary,
            new: release,
            old: serving.since.get(name).copied().unwrap_or(stable),
            replicas: service.replicas,
            old_replicas: before.replicas,
        })
    };
    services.filter_map(subject).collect()
}

impl Engine {
    /// The next plan of the release that moves; none when it was judged and has failed.
    pub(crate) fn plan_moving(
        &mut self,
        moving: &Moving,
        world: &mut impl World,
    ) -> Result<Option<Plan>, RecordFault> {
        let (goals, waits) = if moving.pace == Pace::Rolling {
            match self.judge_trials(moving, world)? {
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
        world: &mut impl World,
    ) -> Result<Looked, RecordFault> {
        let serving = self.serving.clone().zip(self.history.serving);
        let Some((serving, stable)) = serving else {
            return Ok(Looked::Goals(BTreeMap::new(), vec![]));
        };
        let subjects = subjects(moving.release, &moving.record, (stable, &serving));
        let (mut goals, mut waits) = (BTreeMap::new(), Vec::new());
        let mut done = true;
        let orders = self.history.orders.clone();
        for subject in &subjects {
            let (goal, state) = self.look_at(subject, moving, &orders, &mut waits, world)?;
            if let Phase::Aborting { why } = &state.phase {
                self.worse(moving, subject.name, &why.to_string(), world)?;
                return Ok(Looked::Failed);
            }
            done &= state.phase == Phase::Done;
            goals.insert(subject.name.clone(), goal);
        }
        if done {
            // Together they come to serve.
            goals.clear();
        }
        Ok(Looked::Goals(goals, waits))
    }

    /// What the services of a release will want that are to be on trial.
    pub(crate) fn first_goals(&self, moving: &Moving) -> BTreeMap<ServiceName, Goal> {
        let serving = self.serving.as_ref().zip(self.history.serving);
        let subjects = serving
            .map(|(serving, stable)| subjects(moving.release, &moving.record, (stable, serving)));
        let goal = |subject: Subject<'_>| {
            let wanted = subject.wanted(moving);
            let observed = self.seen_of(&subject, None, &[]);
            let decision = canary::decide(&wanted, &observed, None, Moment(0));
            (subject.name.clone(), goal(&subject, &observed, &decision))
        };
        subjects.into_iter().flatten().map(goal).collect()
    }

    /// The state of one trial, taken further, and what it wants.
    fn look_at(
        &mut self,
        subject: &Subject<'_>,
        moving: &Moving,
        orders: &[Order],
        waits: &mut Vec<Wait>,
        world: &mut impl World,
    ) -> Result<(Goal, State), RecordFault> {
        let (now, _) = world.now();
        let wanted = subject.wanted(moving);
        let before = self.trial_state(subject.name, wanted.release);
        let verdict = before
            .as_ref()
            .and_then(|state| self.measure(subject, state, wanted.stages.all().len(), world));
        let observed = self.seen_of(subject, verdict, orders);
        let decision = canary::decide(&wanted, &observed, before.clone(), now);
        let state = decision.state.clone();
        if before.is_none_or(|before| moved(&before, &state)) || !orders.is_empty() {
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
        Ok((goal, state))
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
        let seen = self.seen.as_ref();
        let instances = seen.map_or(&[][..], |seen| seen.instances.as_slice());
        let alive = || instances.iter().filter(|one| one.runs() && one.live);
        let count = |ours: &dyn Fn(&InstanceId) -> bool| {
            alive()
                .filter(|one| ours(&one.id))
                .fold(Count::default(), |sum, one| Count {
                    running: sum.running + 1,
                    ready: sum.ready + u32::from(one.ready_since().is_some()),
                })
        };
        let of_service = alive().filter(|one| one.id.service == *subject.name);
        let attempts = &self.history.attempts;
        let looping = attempts
            .iter()
            .find(|(id, attempts)| subject.is_new(id) && attempts.looping);
        canary::Observed {
            canary: count(&|id| subject.is_new(id)),
            baseline: count(&|id| subject.is_fresh(id)),
            broken: looping.map(|(id, _)| format!("{id} keeps ending")),
            gateway: self.served(subject),
            verdict,
            running: of_service
                .map(|one| one.id.release)
                .filter(|release| *release != subject.old)
                .collect(),
            orders: orders.to_vec(),
        }
    }

    /// The shares that every worker of the gateway serves by.
    fn served(&self, subject: &Subject<'_>) -> Fact<Served> {
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
        let split = table.pools.get(subject.name).and_then(|pool| pool.split.as_ref());
        let served = split.filter(|split| split.release == subject.new);
        let weights = served.map_or(Weights::STABLE, |split| Weights {
            stable: Share(WHOLE.saturating_sub(split.canary.0 + split.baseline.0)),
            baseline: split.baseline,
            canary: split.canary,
        });
        Fact::Known {
            value: Served {
                release: subject.new,
                weights,
            },
            at,
        }
    }

    /// Takes the measurements that are due; the verdict of the step so far.
    fn measure(
        &mut self,
        subject: &Subject<'_>,
        state: &State,
        steps: usize,
        world: &mut impl World,
    ) -> Option<(Attempt, Verdict)> {
        let Phase::Stage {
            stage,
            judged: true,
            ..
        } = state.phase
        else {
            return None;
        };
        let (now, _) = world.now();
        let attempt = Attempt {
            number: state.number,
            stage,
        };
        let known = self.trials.judging.remove(subject.name);
        let judging = match known {
            Some(judging) if judging.attempt == attempt => Some(judging),
            before => begin(subject, attempt, before.as_ref(), now, world),
        };
        let mut judging = judging?;
        let due: Vec<String> = judging.run.due(now).map(str::to_owned).collect();
        if let (false, Some(board)) = (due.is_empty(), world.board()) {
            let came = board.since(&judging.last);
            let of = |ours: &dyn Fn(&InstanceId) -> bool| came.sum(subject.name, ours);
            judging.own.merge(&of(&|id| subject.is_new(id)));
            judging.beside.merge(&of(&|id| subject.is_compared(id)));
            judging.last = board;
            // With all of the traffic at the canary there is nothing beside it any longer.
            let beside = (stage < steps).then_some(&judging.beside);
            let over = now.since(judging.began);
            for name in due {
                let condition = judging.rules.get(&name);
                let condition = condition.and_then(|rules| rules.judged.abort_if.clone());
                let Some(metric) = condition.map(|condition| condition.metric) else {
                    continue;
                };
                let sight = Sight {
                    own: judging.own.reading(&metric, over),
                    baseline: beside.map(|beside| beside.reading(&metric, over)),
                };
                judging.run.take(&judging.rules, &name, &sight, now);
            }
        }
        let verdict = judging.run.verdict(&judging.rules);
        self.trials.judging.insert(subject.name.clone(), judging);
        Some((attempt, verdict))
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
        if self.history.trials.is_empty() {
            return Err(Refusal::NoTrial { release });
        }
        self.record(world, by, vec![Event::CanaryOrdered { order }])
            .map_err(Refusal::Record)?;
        Ok(release)
    }
}

const WHOLE: u64 = 10_000;

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

/// The metrics of a step; none while the gateway does not say what it counted so far.
fn begin(
    subject: &Subject<'_>,
    attempt: Attempt,
    before: Option<&Judging>,
    now: Moment,
    world: &mut impl World,
) -> Option<Judging> {
    let rules = subject.rules();
    // Evidence of the steps before goes on, that of an earlier try does not.
    let before_run = before.filter(|before| before.attempt.number == attempt.number);
    Some(Judging {
        attempt,
        run: match before_run {
            Some(before) => before.run.step(&rules, now),
            None => Run::new(&rules, now),
        },
        rules,
        began: now,
        last: world.board()?,
        own: Tally::default(),
        beside: Tally::default(),
    })
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
