//! Measurements of a release on trial: what the gateway counted becomes a verdict.

use crate::engine::Engine;
use crate::trial::Subject;
use crate::world::World;
use mainstay_atoms::{Actor, InstanceId, Moment, ReleaseNumber, ServiceName};
use mainstay_rollout::canary::Attempt;
use mainstay_rollout::{
    Board, Condition, Grade, Judged, Metric, MetricRules, Reading, Run, RunRules, Sight, Tally,
    Trouble, Verdict,
};
use mainstay_workload::Attempts;
use std::collections::{BTreeMap, VecDeque};

/// One step's metrics.
pub(crate) struct Judging {
    release: ReleaseNumber,
    attempt: Attempt,
    rules: RunRules,
    run: Run,
    began: Moment,
    /// What was counted at the last look.
    last: Board,
    /// The gateway answered at the last look.
    counted: bool,
    /// What came since the step began: of the canary, and of what it is compared with.
    own: Tally,
    beside: Tally,
    /// The same of services that conditions name.
    others: BTreeMap<ServiceName, Tally>,
    /// Ends of the canary's processes, and of those it is compared with.
    ends: Ends,
    ends_beside: Ends,
    /// The run of a job that was asked for, by its condition.
    runs: BTreeMap<String, u32>,
    /// What each condition came to lately, oldest first.
    points: BTreeMap<String, VecDeque<f64>>,
}

/// Measurements that are shown of each condition.
const POINTS: usize = 20;

/// One condition of a trial, as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricView {
    /// The condition: `error_rate > 1%`.
    pub condition: String,
    /// How good it is.
    pub grade: Grade,
    /// The last figures, in words; empty before the first.
    pub seen: String,
    /// The last values in the base unit of the metric, oldest first.
    pub points: Vec<f64>,
}

impl Judging {
    pub(crate) fn is_of(&self, release: ReleaseNumber) -> bool {
        self.release == release
    }

    /// Every condition as it stands.
    pub(crate) fn view(&self) -> Vec<MetricView> {
        let metric = |(name, measured): (&String, &mainstay_rollout::Measured)| {
            let rules = self.rules.get(name)?;
            let points = self.points.get(name);
            Some(MetricView {
                condition: name.clone(),
                grade: measured.verdict(rules).grade,
                seen: measured.seen.clone(),
                points: points.map_or_else(Vec::new, |points| points.iter().copied().collect()),
            })
        };
        self.run.metrics.iter().filter_map(metric).collect()
    }

    fn point(&mut self, name: &str, sight: &Sight) {
        let points = self.points.entry(name.to_owned()).or_default();
        // JSON has no other numbers.
        points.extend(sight.own.value().filter(|value| value.is_finite()));
        while points.len() > POINTS {
            points.pop_front();
        }
    }
}

impl Engine {
    /// Takes the measurements that are due; the verdict of the step so far. `compared` says whether anything
    /// serves beside the release.
    pub(crate) fn measure(
        &mut self,
        subject: &Subject<'_>,
        attempt: Attempt,
        compared: bool,
        world: &mut impl World,
    ) -> Option<(Attempt, Verdict)> {
        let (now, _) = world.now();
        // What was seen of another release says nothing about this one.
        let known = self.trials.judging.remove(subject.name);
        let known = known.filter(|known| known.release == subject.new);
        let judging = match known {
            Some(judging) if judging.attempt == attempt => Some(judging),
            before => begin(subject, attempt, before.as_ref(), now, world),
        };
        let mut judging = judging?;
        let due: Vec<String> = judging.run.due(now).map(str::to_owned).collect();
        let rules = due.iter().filter_map(|name| judging.rules.get(name));
        let mut conditions = rules.filter_map(|rules| rules.judged.abort_if.as_ref());
        if conditions.any(|condition| !condition.metric.is_provided()) {
            self.count_up(&mut judging, subject, world);
        }
        for name in due {
            let condition = judging.rules.get(&name);
            let condition = condition.and_then(|rules| rules.judged.abort_if.clone());
            let Some(condition) = condition else { continue };
            // Without a sight it stays due.
            if let Some(sight) = self.sight(&mut judging, subject, &condition, compared, world) {
                judging.point(&name, &sight);
                judging.run.take(&judging.rules, &name, &sight, now);
            }
        }
        let verdict = judging.run.verdict(&judging.rules);
        self.trials.judging.insert(subject.name.clone(), judging);
        Some((attempt, verdict))
    }
}

/// Ends of processes by themselves.
#[derive(Debug, Default)]
struct Ends {
    /// Ends in a row of each instance, at the last look.
    seen: BTreeMap<InstanceId, u32>,
    /// Those before the first look are not counted.
    looked: bool,
    count: u32,
}

impl Ends {
    /// Takes in how often each of these instances has ended in a row.
    fn look(
        &mut self,
        attempts: &BTreeMap<InstanceId, Attempts>,
        ours: impl Fn(&InstanceId) -> bool,
    ) {
        for (id, attempts) in attempts.iter().filter(|(id, _)| ours(id)) {
            let ends = attempts.ends;
            let before = self.seen.insert(id.clone(), ends).unwrap_or(0);
            // After a steady time they are counted anew.
            let came = if ends < before { ends } else { ends - before };
            self.count = self
                .count
                .saturating_add(if self.looked { came } else { 0 });
        }
        self.looked = true;
    }

    fn reading(&self) -> Reading {
        Reading::Number(f64::from(self.count))
    }
}

impl Engine {
    /// Adds what came since the last look.
    fn count_up(&self, judging: &mut Judging, subject: &Subject<'_>, world: &mut impl World) {
        let board = world.board();
        judging.counted = board.is_some();
        if let Some(board) = board {
            let came = board.since(&judging.last);
            let of = |ours: &dyn Fn(&InstanceId) -> bool| came.sum(subject.name, ours);
            judging.own.merge(&of(&|id| subject.is_new(id)));
            judging.beside.merge(&of(&|id| subject.is_compared(id)));
            let rules = judging.rules.values();
            let conditions = rules.filter_map(|rules| rules.judged.abort_if.as_ref());
            for service in conditions.filter_map(|condition| condition.of.as_ref()) {
                let tally = judging.others.entry(service.clone()).or_default();
                tally.merge(&came.sum(service, |_| true));
            }
            judging.last = board;
        }
        let attempts = &self.history.attempts;
        judging.ends.look(attempts, |id| subject.is_new(id));
        let compared = |id: &InstanceId| subject.is_compared(id);
        judging.ends_beside.look(attempts, compared);
    }

    /// What is read for a condition; none while nobody has answered yet.
    fn sight(
        &mut self,
        judging: &mut Judging,
        subject: &Subject<'_>,
        condition: &Condition,
        compared: bool,
        world: &mut impl World,
    ) -> Option<Sight> {
        let alone = |own| Sight {
            own,
            baseline: None,
        };
        let over = world.now().0.since(judging.began);
        let metric = &condition.metric;
        match (metric, &condition.of) {
            (Metric::Promql(_) | Metric::Http { .. }, _) => {
                let mut ready = self.alive().filter(|one| subject.is_new(&one.id));
                let address = ready.find_map(|one| one.address);
                let address = address.map_or_else(String::new, |address| address.to_string());
                let question = metric.about(subject.name, subject.new, &address);
                world.provided(&question).map(alone)
            }
            (Metric::Job(name), _) => self.job_exit(judging, name, world).map(alone),
            (Metric::Restarts, _) => Some(Sight {
                own: judging.ends.reading(),
                baseline: compared.then(|| judging.ends_beside.reading()),
            }),
            (_, Some(other)) if other != subject.name => {
                let counted = judging.others.get(other).filter(|_| judging.counted)?;
                Some(alone(counted.reading(metric, over)))
            }
            _ if !judging.counted => None,
            _ => Some(Sight {
                own: judging.own.reading(metric, over),
                baseline: compared.then(|| judging.beside.reading(metric, over)),
            }),
        }
    }

    /// The exit code of a run of a job, which is asked for first; none while it runs.
    fn job_exit(
        &mut self,
        judging: &mut Judging,
        name: &str,
        world: &mut impl World,
    ) -> Option<Reading> {
        let away = |why: String| Some(Reading::Trouble(Trouble::Away { why }));
        let Ok(job) = name.parse::<ServiceName>() else {
            return away(format!("`{name}` is not the name of a job"));
        };
        let Some(number) = judging.runs.get(name).copied() else {
            return match self.ask_run(&job, &Actor::itself(), world) {
                Ok(number) => {
                    judging.runs.insert(name.to_owned(), number);
                    None
                }
                Err(refusal) => away(refusal.to_string()),
            };
        };
        let runs = self.history.jobs.get(&job)?;
        let run = runs
            .kept
            .iter()
            .find(|run| run.instance.ordinal == number)?;
        let exit = run.end?.exit;
        judging.runs.remove(name);
        match exit.code {
            Some(code) => Some(Reading::Number(f64::from(code))),
            None => away(format!("{} {exit}", run.instance)),
        }
    }
}

/// The metrics of a step; none while the gateway does not say what it counted so far.
fn begin(
    subject: &Subject<'_>,
    attempt: Attempt,
    before: Option<&Judging>,
    now: Moment,
    world: &mut impl World,
) -> Option<Judging> {
    let rules = rules(subject);
    // Evidence of the steps before goes on, that of an earlier try does not.
    let before_run = before.filter(|before| before.attempt.number == attempt.number);
    Some(Judging {
        release: subject.new,
        attempt,
        run: match before_run {
            Some(before) => before.run.step(&rules, now),
            None => Run::new(&rules, now),
        },
        rules,
        began: now,
        last: world.board()?,
        counted: false,
        own: Tally::default(),
        beside: Tally::default(),
        others: BTreeMap::new(),
        ends: Ends::default(),
        ends_beside: Ends::default(),
        runs: BTreeMap::new(),
        points: BTreeMap::new(),
    })
}

/// How each condition is measured.
pub(crate) fn rules(subject: &Subject<'_>) -> RunRules {
    let (conditions, every, least) = subject.judged_by();
    let rule = |condition: &mainstay_rollout::Condition| {
        let judged = Judged {
            abort_if: Some(condition.clone()),
            pass_if: None,
        };
        let mut rules = MetricRules::new(judged);
        rules.interval = Some(every);
        if condition.metric.by_request() {
            rules.min_samples = least;
        }
        (condition.to_string(), rules)
    };
    conditions.iter().map(rule).collect()
}
