//! One measurement: what was read, held against a condition.
//!
//! A measurement is successful, failed, inconclusive or an error (as in Argo Rollouts' analysis). What is
//! missing, not a number, or too little is inconclusive and never a success.

use crate::beyond::beyond;
use crate::condition::{Condition, Limit, Metric};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What was read of one side.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// So many of so many requests, since the step began. Exact tests apply to it.
    Counts {
        /// Requests of the kind that the metric counts: errors.
        hits: u64,
        /// All requests.
        of: u64,
    },
    /// A value that so many requests gave: a quantile in seconds.
    Sampled {
        /// In the base unit of the metric.
        value: f64,
        /// Requests behind it.
        samples: u64,
    },
    /// A value without requests behind it: memory, a query.
    Number(f64),
    /// There is no data.
    Nothing,
    /// It could not be read.
    Trouble(Trouble),
}

/// Why nothing could be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// No answer, with the reason in words.
    Away {
        /// `connection refused`.
        why: String,
    },
    /// No answer in time.
    Slow {
        /// How long was waited, in milliseconds.
        limit_ms: u64,
    },
    /// More bytes than are read.
    TooLong {
        /// How many are read.
        limit_bytes: usize,
    },
    /// The answer is not JSON.
    NotJson,
    /// The answer has nothing at the path.
    NothingThere {
        /// The path.
        path: String,
    },
    /// What stands there is not a number.
    NotNumeric {
        /// What stands there, its beginning.
        found: String,
    },
}

impl fmt::Display for Trouble {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away { why } => write!(out, "the provider is away: {why}"),
            Self::Slow { limit_ms } => write!(out, "the provider gave no answer in {limit_ms} ms"),
            Self::TooLong { limit_bytes } => {
                write!(out, "the answer is longer than {limit_bytes} bytes")
            }
            Self::NotJson => out.write_str("the answer is not JSON"),
            Self::NothingThere { path } => write!(out, "the answer has nothing at `{path}`"),
            Self::NotNumeric { found } => write!(out, "the answer `{found}` is not a number"),
        }
    }
}

/// Why a measurement says neither yes nor no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// There is no data.
    NoData,
    /// The value is not a number.
    NotANumber,
    /// Fewer requests than the metric wants.
    TooFew {
        /// How many there are.
        have: u64,
        /// How many it wants.
        need: u64,
    },
    /// Over the limit, by no more than chance explains.
    WithinChance {
        /// `3 of 120`.
        hits: u64,
        /// All requests.
        of: u64,
    },
    /// There is no baseline to compare with.
    NoBaseline,
    /// The baseline itself fails so often that a regression could not be seen in it.
    BaselineFails {
        /// Its errors.
        hits: u64,
        /// Its requests.
        of: u64,
    },
    /// The comparison has not seen enough yet.
    Undecided,
    /// Neither the condition to pass nor the one to abort holds.
    Neither,
    /// Nothing says what is good or bad.
    NoCondition,
    /// The run was stopped before anything was measured.
    NothingMeasured,
    /// What was bad is within its limit, and nothing was good.
    NothingGood,
    /// The limit is passed, not for as long as the condition says.
    NotLongEnough,
}

impl fmt::Display for Doubt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoData => out.write_str("there is no data"),
            Self::NotANumber => out.write_str("the value is not a number"),
            Self::TooFew { have, need } => write!(out, "{have} requests of the {need} wanted"),
            Self::WithinChance { hits, of } => {
                write!(out, "{hits} of {of} is over the limit, but within chance")
            }
            Self::NoBaseline => out.write_str("there is no baseline"),
            Self::BaselineFails { hits, of } => {
                write!(out, "the baseline itself fails: {hits} of {of}")
            }
            Self::Undecided => out.write_str("the comparison has not seen enough"),
            Self::Neither => out.write_str("neither condition holds"),
            Self::NoCondition => out.write_str("there is no condition"),
            Self::NothingMeasured => out.write_str("nothing was measured"),
            Self::NothingGood => out.write_str("nothing was good yet"),
            Self::NotLongEnough => out.write_str("over the limit, not for long enough yet"),
        }
    }
}

/// What one measurement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Good.
    Successful,
    /// Bad.
    Failed,
    /// Neither.
    Inconclusive(Doubt),
    /// Not measured.
    Error(Trouble),
}

/// What is good and what is bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// Bad when it holds.
    pub abort_if: Option<Condition>,
    /// Good when it holds.
    pub pass_if: Option<Condition>,
}

/// What was read of the release, and of the baseline where a condition needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// Of the release.
    pub own: Reading,
    /// Of the baseline.
    pub baseline: Option<Reading>,
}

impl Sight {
    /// Only the release was looked at.
    pub fn own(own: Reading) -> Self {
        Self {
            own,
            baseline: None,
        }
    }
}

impl Sight {
    /// What was seen, in words: `19.7 % of 412 requests (baseline 0.0 % of 398 requests)`.
    pub fn shown(&self, metric: &Metric) -> String {
        let own = self.own.shown(metric);
        match &self.baseline {
            Some(baseline) => format!("{own} (baseline {})", baseline.shown(metric)),
            None => own,
        }
    }
}

impl Reading {
    /// As a number in the base unit of its metric, where there is one.
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Counts { of: 0, .. } | Self::Nothing | Self::Trouble(_) => None,
            Self::Counts { hits, of } => Some(ratio(*hits, *of)),
            Self::Sampled { value, .. } | Self::Number(value) => Some(*value),
        }
    }

    fn shown(&self, metric: &Metric) -> String {
        match self {
            Self::Counts { of: 0, .. } => "no requests".into(),
            Self::Counts { hits, of } => {
                format!("{:.1} % of {of} requests", ratio(*hits, *of) * 100.0)
            }
            Self::Sampled { value, samples } => {
                format!("{} of {samples} requests", metric.unit().shown(*value))
            }
            Self::Number(value) => metric.unit().shown(*value),
            Self::Nothing => "no data".into(),
            Self::Trouble(trouble) => trouble.to_string(),
        }
    }
}

/// Says what one reading means. Only `abort_if`: it fails when that holds and succeeds else. Only
/// `pass_if`: it succeeds when that holds and fails else. Both: failure wins, and neither is
/// inconclusive. None: inconclusive.
///
/// `least` is the fewest requests that say anything, `alpha` the chance with which a share of requests
/// at its limit may be called beyond it, however often this is asked (see [`beyond`]).
pub fn measure(judged: &Judged, sight: &Sight, least: u64, alpha: f64) -> Outcome {
    let ask = |condition: &Condition| holds(condition, sight, least, alpha);
    match (&judged.abort_if, &judged.pass_if) {
        (None, None) => Outcome::Inconclusive(Doubt::NoCondition),
        (Some(bad), None) => said(ask(bad), Outcome::Failed, Outcome::Successful),
        (None, Some(good)) => said(ask(good), Outcome::Successful, Outcome::Failed),
        (Some(bad), Some(good)) => match ask(bad) {
            Answer::Yes => Outcome::Failed,
            Answer::No => said(
                ask(good),
                Outcome::Successful,
                Outcome::Inconclusive(Doubt::Neither),
            ),
            other => said(other, Outcome::Failed, Outcome::Failed),
        },
    }
}

enum Answer {
    Yes,
    No,
    Doubt(Doubt),
    Trouble(Trouble),
}

fn said(answer: Answer, yes: Outcome, no: Outcome) -> Outcome {
    match answer {
        Answer::Yes => yes,
        Answer::No => no,
        Answer::Doubt(doubt) => Outcome::Inconclusive(doubt),
        Answer::Trouble(trouble) => Outcome::Error(trouble),
    }
}

fn holds(condition: &Condition, sight: &Sight, least: u64, alpha: f64) -> Answer {
    let own = match value(&sight.own, least) {
        Ok(own) => own,
        Err(answer) => return answer,
    };
    let limit = match &condition.limit {
        Limit::Level(level) => level.value(),
        Limit::Baseline(ratio) => match baseline(sight, least) {
            Ok(baseline) => ratio.value() * baseline,
            Err(answer) => return answer,
        },
    };
    if !condition.comparison.holds(own, limit) {
        return Answer::No;
    }
    match sight.own {
        // A share of requests is over its limit only when chance does not explain it.
        Reading::Counts { hits, of }
            if condition.comparison.rising() && !beyond(hits, of, limit, alpha) =>
        {
            Answer::Doubt(Doubt::WithinChance { hits, of })
        }
        _ => Answer::Yes,
    }
}

fn baseline(sight: &Sight, least: u64) -> Result<f64, Answer> {
    match &sight.baseline {
        None | Some(Reading::Nothing) => Err(Answer::Doubt(Doubt::NoBaseline)),
        Some(reading) => value(reading, least),
    }
}

fn value(reading: &Reading, least: u64) -> Result<f64, Answer> {
    let (value, samples) = match reading {
        Reading::Counts { hits, of } => (ratio(*hits, *of), Some(*of)),
        Reading::Sampled { value, samples } => (*value, Some(*samples)),
        Reading::Number(value) => (*value, None),
        Reading::Nothing => return Err(Answer::Doubt(Doubt::NoData)),
        Reading::Trouble(trouble) => return Err(Answer::Trouble(trouble.clone())),
    };
    match samples {
        Some(0) => Err(Answer::Doubt(Doubt::NoData)),
        Some(have) if have < least => Err(Answer::Doubt(Doubt::TooFew { have, need: least })),
        _ if !value.is_finite() => Err(Answer::Doubt(Doubt::NotANumber)),
        _ => Ok(value),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no 53 bits")]
fn ratio(hits: u64, of: u64) -> f64 {
    hits as f64 / of as f64
}
