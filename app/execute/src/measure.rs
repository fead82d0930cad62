//! Measurements of a release on trial: what the gateway counted becomes a verdict.

use crate::engine::Engine;
use crate::trial::Subject;
use crate::world::World;
use mainstay_atoms::{InstanceId, Moment};
use mainstay_rollout::canary::Attempt;
use mainstay_rollout::{Board, Judged, MetricRules, Run, RunRules, Sight, Tally, Verdict};

/// One step's metrics.
pub(crate) struct Judging {
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
            let beside = compared.then_some(&judging.beside);
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

/// How each condition is measured.
fn rules(subject: &Subject<'_>) -> RunRules {
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
