//! The verdict over all metrics of a run: the worst one.

use crate::measure::{Doubt, Sight, Trouble};
use crate::metric::{Measured, Rules};
use mainstay_atoms::Moment;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// How good; the greater the worse (Argo Rollouts ranks them so).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Evidence that it is good.
    Successful,
    /// No evidence either way.
    Inconclusive,
    /// It could not be measured.
    Error,
    /// Evidence that it is bad.
    Failed,
}

impl fmt::Display for Grade {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Successful => "successful",
            Self::Inconclusive => "inconclusive",
            Self::Error => "error",
            Self::Failed => "failed",
        })
    }
}

/// What a grade rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// So many measurements were good.
    Measured {
        /// How many.
        count: u32,
    },
    /// So many measurements were bad.
    Failures {
        /// How many.
        count: u32,
    },
    /// It says neither yes nor no.
    Doubt(Doubt),
    /// It could not be measured.
    Trouble(Trouble),
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Measured { count } => write!(out, "{count} good"),
            Self::Failures { count } => write!(out, "{count} bad"),
            Self::Doubt(doubt) => write!(out, "{doubt}"),
            Self::Trouble(trouble) => write!(out, "{trouble}"),
        }
    }
}

/// A verdict, on a metric or on a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How good; while open: what it would be if the run were stopped now.
    pub grade: Grade,
    /// It changes no more.
    pub settled: bool,
    /// The metric that it rests on; empty on a metric's own verdict and on a run without metrics.
    pub metric: String,
    /// What it rests on.
    pub why: Why,
    /// The last figures, in words: `19.7 % of 412 requests (baseline 0.0 % of 398 requests)`; empty when
    /// nothing was read.
    pub seen: String,
}

impl Verdict {
    pub(crate) fn settled(grade: Grade, why: Why) -> Self {
        Self {
            grade,
            settled: true,
            metric: String::new(),
            why,
            seen: String::new(),
        }
    }

    pub(crate) fn open((grade, why): (Grade, Why)) -> Self {
        Self {
            settled: false,
            ..Self::settled(grade, why)
        }
    }

    /// Nothing has been looked at.
    pub fn nothing() -> Self {
        Self::open((Grade::Inconclusive, Why::Doubt(Doubt::NothingMeasured)))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = if self.settled { "" } else { " so far" };
        write!(out, "{}{open}", self.grade)?;
        if !self.metric.is_empty() {
            write!(out, ": {}", self.metric)?;
        }
        write!(out, ": {}", self.why)?;
        if self.seen.is_empty() {
            return Ok(());
        }
        write!(out, "; {}", self.seen)
    }
}

/// The metrics of one step, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Under way or decided.
    pub metrics: BTreeMap<String, Measured>,
}

/// The rules of a run, by the metrics' names.
pub type RunRules = BTreeMap<String, Rules>;

impl Run {
    /// A run that begins now.
    pub fn new(rules: &RunRules, now: Moment) -> Self {
        let metrics = rules.iter();
        let metrics = metrics.map(|(name, rules)| (name.clone(), Measured::new(rules, now)));
        Self {
            metrics: metrics.collect(),
        }
    }

    /// The run of the next step; comparisons keep their evidence.
    #[must_use]
    pub fn step(&self, rules: &RunRules, now: Moment) -> Self {
        let next = |(name, rules): (&String, &Rules)| {
            let metric = match self.metrics.get(name) {
                Some(metric) => metric.step(rules, now),
                None => Measured::new(rules, now),
            };
            (name.clone(), metric)
        };
        Self {
            metrics: rules.iter().map(next).collect(),
        }
    }

    /// Names of the metrics that are to be measured now.
    pub fn due(&self, now: Moment) -> impl Iterator<Item = &str> {
        let metrics = self.metrics.iter();
        metrics.filter_map(move |(name, metric)| metric.due(now).then_some(name.as_str()))
    }

    /// Takes a measurement. A metric that is decided badly ends its siblings.
    pub fn take(&mut self, rules: &RunRules, name: &str, sight: &Sight, now: Moment) {
        let (Some(metric), Some(own)) = (self.metrics.get_mut(name), rules.get(name)) else {
            return;
        };
        metric.take(own, sight, now);
        let verdict = metric.verdict(own);
        if !own.dry_run && verdict.settled && verdict.grade > Grade::Successful {
            self.stop();
        }
    }

    /// Ends the run.
    pub fn stop(&mut self) {
        for metric in self.metrics.values_mut() {
            metric.stop();
        }
    }

    /// The verdict: the worst of all metrics that count. Settled when every one of them is, or when one
    /// is settled and not successful. A run in which nothing counts is inconclusive.
    pub fn verdict(&self, rules: &RunRules) -> Verdict {
        let counted = rules.iter().filter(|(_, rules)| !rules.dry_run);
        let verdicts = counted.map(|(name, rules)| {
            let verdict = match self.metrics.get(name) {
                Some(metric) => metric.verdict(rules),
                None => Verdict::nothing(),
            };
            Verdict {
                metric: name.clone(),
                ..verdict
            }
        });
        let verdicts: Vec<Verdict> = verdicts.collect();
        let broken = verdicts
            .iter()
            .filter(|verdict| verdict.settled && verdict.grade > Grade::Successful);
        if let Some(worst) = broken.max_by_key(|verdict| verdict.grade) {
            return worst.clone();
        }
        let settled = verdicts.iter().all(|verdict| verdict.settled);
        match verdicts.into_iter().max_by_key(|verdict| verdict.grade) {
            Some(worst) => Verdict { settled, ..worst },
            None => Verdict::nothing(),
        }
    }
}
