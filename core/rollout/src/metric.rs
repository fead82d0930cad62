//! One metric over time: measurements become a verdict, under limits.
//!
//! The rules are those of Argo Rollouts' analysis, with two exceptions that are argued in
//! `docs/verdicts.md`: a run that is stopped with nothing measured is inconclusive, and so is a metric that
//! nothing judges.

use crate::compare::{Arm, Compared, Zone};
use crate::condition::Limit;
use crate::measure::{Doubt, Judged, Outcome, Reading, Sight, measure};
use crate::verdict::{Grade, Verdict, Why};
use mainstay_atoms::Moment;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Measurements kept of a metric.
const KEPT: usize = 10;

/// An error is followed by another try this soon, or after the interval if that is shorter.
pub const ERROR_RETRY: Duration = Duration::from_secs(10);

/// How many are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Most {
    /// So many; one more breaks the limit.
    Of(u32),
    /// Any number.
    Unlimited,
}

impl Most {
    fn broken_by(self, count: u32) -> bool {
        matches!(self, Self::Of(most) if count > most)
    }
}

/// How a metric is measured and when it is decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// What is good and what is bad.
    pub judged: Judged,
    /// Time between measurements; none: one measurement.
    pub interval: Option<Duration>,
    /// Measurements to take; none with an interval: until the run is stopped. Errors use none up.
    pub count: Option<u32>,
    /// Wait before the first one.
    pub initial_delay: Duration,
    /// Failed measurements that are allowed.
    pub failure_limit: Most,
    /// Inconclusive measurements that are allowed.
    pub inconclusive_limit: Most,
    /// Errors in a row that are allowed.
    pub consecutive_error_limit: Most,
    /// Fewest requests that say anything.
    pub min_samples: u64,
    /// Measured and shown, never counted.
    pub dry_run: bool,
    /// Chance with which a share of requests that is at its limit may be called beyond it during the
    /// run, in thousandths of a per cent.
    pub alpha_e5: u32,
}

impl Rules {
    /// The defaults: every 10 s until stopped; no failure, any number of inconclusive measurements (the
    /// step's patience ends them), 4 errors in a row, 100 requests where requests are counted; 0.2 %, so
    /// that five steps stay within 1 %.
    pub fn new(judged: Judged) -> Self {
        let mut conditions = judged.abort_if.iter().chain(&judged.pass_if);
        let by_request = conditions.any(|condition| condition.metric.by_request());
        Self {
            judged,
            interval: Some(Duration::from_secs(10)),
            count: None,
            initial_delay: Duration::ZERO,
            failure_limit: Most::Of(0),
            inconclusive_limit: Most::Unlimited,
            consecutive_error_limit: Most::Of(4),
            min_samples: if by_request { 100 } else { 0 },
            dry_run: false,
            alpha_e5: 200,
        }
    }

    /// The limit of the comparison of counts that decides this metric, if it is one.
    fn zone(&self) -> Option<Zone> {
        let condition = self.judged.abort_if.as_ref()?;
        match condition.limit {
            Limit::Baseline(ratio) if condition.metric.counted() => Some(Zone::around(ratio)),
            _ => None,
        }
    }

    /// How many measurements decide it; none: until stopped.
    fn planned(&self) -> Option<u32> {
        self.count.or_else(|| self.interval.is_none().then_some(1))
    }
}

/// One measurement that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measurement {
    /// When.
    pub at: Moment,
    /// What it says, the condition's `for` aside.
    pub outcome: Outcome,
}

/// A metric under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// When the next measurement is due; none when it is decided.
    pub next: Option<Moment>,
    successful: u32,
    failed: u32,
    inconclusive: u32,
    errors_in_row: u32,
    /// Since when the condition to abort holds without a break.
    bad_since: Option<Moment>,
    /// The evidence against the baseline, for a ratio of counts.
    pub compared: Option<Compared>,
    /// What was read last, in words.
    pub seen: String,
    /// The last ten, oldest first.
    pub last: Vec<Measurement>,
    stopped: bool,
}

impl Measured {
    /// One that begins now.
    pub fn new(rules: &Rules, now: Moment) -> Self {
        Self {
            next: Some(now.after(rules.initial_delay)),
            successful: 0,
            failed: 0,
            inconclusive: 0,
            errors_in_row: 0,
            bad_since: None,
            compared: None,
            seen: String::new(),
            last: Vec::new(),
            stopped: false,
        }
    }

    /// One that begins with another step: limits count anew, the evidence of the comparison goes on.
    #[must_use]
    pub fn step(&self, rules: &Rules, now: Moment) -> Self {
        let mut compared = self.compared.clone();
        if let Some(compared) = &mut compared {
            compared.step();
        }
        Self {
            compared,
            ..Self::new(rules, now)
        }
    }

    /// A measurement is due.
    pub fn due(&self, now: Moment) -> bool {
        self.next.is_some_and(|next| next <= now)
    }

    /// Takes a measurement; none is taken before it is due or after the metric is decided.
    pub fn take(&mut self, rules: &Rules, sight: &Sight, now: Moment) {
        if !self.due(now) || self.stopped {
            return;
        }
        let mut conditions = rules.judged.abort_if.iter().chain(&rules.judged.pass_if);
        if let Some(condition) = conditions.next() {
            self.seen = sight.shown(&condition.metric);
        }
        let outcome = self.outcome(rules, sight);
        let outcome = self.lasting(rules, outcome, now);
        self.count(&outcome);
        let wait = match outcome {
            Outcome::Error(_) => rules.interval.unwrap_or(ERROR_RETRY).min(ERROR_RETRY),
            _ => rules.interval.unwrap_or_default(),
        };
        self.last.push(Measurement { at: now, outcome });
        self.last.drain(..self.last.len().saturating_sub(KEPT));
        let decided = self.verdict(rules).settled;
        self.next = (!decided).then(|| now.after(wait));
    }

    fn outcome(&mut self, rules: &Rules, sight: &Sight) -> Outcome {
        let alpha = f64::from(rules.alpha_e5.clamp(1, 100_000)) / 1e5;
        let Some(zone) = rules.zone() else {
            return measure(&rules.judged, sight, rules.min_samples, alpha);
        };
        let (own, baseline) = match (arm(&sight.own), sight.baseline.as_ref().map(arm)) {
            (Ok(own), Some(Ok(baseline))) => (own, baseline),
            (Err(outcome), _) => return outcome,
            (_, Some(Err(Outcome::Error(trouble)))) => return Outcome::Error(trouble),
            // The bake has no baseline any longer: what was seen beside it stands.
            (Ok(_), _) => return self.without_baseline(),
        };
        let begun = self
            .compared
            .get_or_insert_with(|| Compared::new(zone, Arm::default(), Arm::default()));
        begun.look(own, baseline);
        begun.outcome()
    }

    fn without_baseline(&self) -> Outcome {
        match self.compared.as_ref().map(Compared::outcome) {
            Some(seen @ (Outcome::Successful | Outcome::Failed)) => seen,
            _ => Outcome::Inconclusive(Doubt::NoBaseline),
        }
    }

    /// A bad measurement counts once the condition held for its `for`; until then it says nothing.
    fn lasting(&mut self, rules: &Rules, outcome: Outcome, now: Moment) -> Outcome {
        let lasting = rules.judged.abort_if.as_ref().map(|bad| bad.lasting);
        if outcome != Outcome::Failed {
            self.bad_since = None;
            return outcome;
        }
        let since = *self.bad_since.get_or_insert(now);
        if now.since(since) < lasting.unwrap_or_default() {
            return Outcome::Inconclusive(Doubt::NotLongEnough);
        }
        outcome
    }

    fn count(&mut self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Successful => &mut self.successful,
            Outcome::Failed => &mut self.failed,
            Outcome::Inconclusive(_) => &mut self.inconclusive,
            Outcome::Error(_) => {
                self.errors_in_row = self.errors_in_row.saturating_add(1);
                return;
            }
        };
        *counter = counter.saturating_add(1);
        self.errors_in_row = 0;
    }

    /// No more is measured: the step is over, or a sibling is decided.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.next = None;
    }

    /// What it says. Failure is asked first, then errors, then doubt.
    pub fn verdict(&self, rules: &Rules) -> Verdict {
        Verdict {
            seen: self.seen.clone(),
            ..self.graded(rules)
        }
    }

    fn graded(&self, rules: &Rules) -> Verdict {
        let taken = self.successful.saturating_add(self.failed);
        let taken = taken.saturating_add(self.inconclusive);
        if rules.failure_limit.broken_by(self.failed) {
            return Verdict::settled(Grade::Failed, Why::Failures { count: self.failed });
        }
        if rules.consecutive_error_limit.broken_by(self.errors_in_row) {
            return Verdict::settled(Grade::Error, self.last_trouble());
        }
        if rules.inconclusive_limit.broken_by(self.inconclusive) {
            return Verdict::settled(Grade::Inconclusive, self.last_doubt());
        }
        let complete = rules.planned().is_some_and(|planned| taken >= planned);
        if !(complete || self.stopped) {
            return Verdict::open(self.so_far());
        }
        let so_far = self.so_far();
        Verdict::settled(so_far.0, so_far.1)
    }

    /// What it would say if it were stopped now: the newest measurement, and success only where
    /// something succeeded.
    fn so_far(&self) -> (Grade, Why) {
        match self.last.last().map(|last| &last.outcome) {
            None => (Grade::Inconclusive, Why::Doubt(Doubt::NothingMeasured)),
            Some(Outcome::Inconclusive(doubt)) => (Grade::Inconclusive, Why::Doubt(doubt.clone())),
            Some(Outcome::Error(trouble)) => (Grade::Inconclusive, Why::Trouble(trouble.clone())),
            Some(_) if self.successful == 0 => {
                (Grade::Inconclusive, Why::Doubt(Doubt::NothingGood))
            }
            Some(_) => (
                Grade::Successful,
                Why::Measured {
                    count: self.successful,
                },
            ),
        }
    }

    fn last_trouble(&self) -> Why {
        let mut troubles = self
            .last
            .iter()
            .rev()
            .filter_map(|last| match &last.outcome {
                Outcome::Error(trouble) => Some(Why::Trouble(trouble.clone())),
                _ => None,
            });
        troubles.next().unwrap_or(Why::Doubt(Doubt::NoData))
    }

    fn last_doubt(&self) -> Why {
        let mut doubts = self
            .last
            .iter()
            .rev()
            .filter_map(|last| match &last.outcome {
                Outcome::Inconclusive(doubt) => Some(Why::Doubt(doubt.clone())),
                _ => None,
            });
        doubts.next().unwrap_or(Why::Doubt(Doubt::NoData))
    }
}

fn arm(reading: &Reading) -> Result<Arm, Outcome> {
    match reading {
        Reading::Counts { hits, of } => Ok(Arm {
            requests: *of,
            errors: *hits,
        }),
        Reading::Trouble(trouble) => Err(Outcome::Error(trouble.clone())),
        _ => Err(Outcome::Inconclusive(Doubt::NoData)),
    }
}
