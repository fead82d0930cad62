//! Measurements of a release on trial: what is seen of it becomes a verdict.

use crate::engine::Engine;
use crate::sight::Came;
use crate::trial::Subject;
use crate::world::World;
use mainstay_atoms::{Moment, ReleaseNumber};
use mainstay_rollout::canary::Attempt;
use mainstay_rollout::{Condition, Grade, Judged, MetricRules, Run, RunRules, Sight, Verdict};
use std::collections::{BTreeMap, VecDeque};

/// One step's metrics.
pub(crate) struct Judging {
    release: ReleaseNumber,
    attempt: Attempt,
    rules: RunRules,
    run: Run,
    came: Came,
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
        let rules = judging
            .run
            .due(now)
            .filter_map(|name| judging.rules.get(name));
        let due: Vec<Condition> = rules
            .filter_map(|one| one.judged.abort_if.clone())
            .collect();
        self.count_up(&mut judging.came, subject, &due, world);
        for condition in &due {
            // Without a sight it stays due.
            let sight = self.sight(&mut judging.came, subject, condition, compared, world);
            if let Some(sight) = sight {
                let name = condition.to_string();
                judging.point(&name, &sight);
                judging.run.take(&judging.rules, &name, &sight, now);
            }
        }
        let verdict = judging.run.verdict(&judging.rules);
        self.trials.judging.insert(subject.name.clone(), judging);
        Some((attempt, verdict))
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
        came: Came::new(now, world.board()?),
        points: BTreeMap::new(),
    })
}

/// How each condition is measured.
pub(crate) fn rules(subject: &Subject<'_>) -> RunRules {
    let (conditions, every, least) = subject.judged_by();
    let rule = |condition: &Condition| {
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
