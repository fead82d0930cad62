//! Conditions by which a release is judged: `error_rate(web) > 1% for 1m`, `p95 > 2 × baseline`.
//!
//! A condition is a metric, a comparison and a limit; every part has its place in the user's text. The
//! language has no operators beyond that: what is more is said in a query.

mod metric;
mod parse;
mod token;

pub use metric::{Argument, Level, Metric, Unit};

use mainstay_atoms::{ServiceName, span};
use mainstay_faults::{Fault, Place};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Condition {
    /// What is measured.
    pub metric: Metric,
    /// Of which service; of the one that is released, when none is named.
    pub of: Option<ServiceName>,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub limit: Limit,
    /// How long it must hold without a break before it counts; zero: at once.
    pub lasting: Duration,
}

/// The direction of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
}

impl Comparison {
    /// Whether a value stands to a limit as this says; never for what is not a number.
    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
        }
    }

    /// Larger values make it hold.
    pub fn rising(self) -> bool {
        matches!(self, Self::Above | Self::AtLeast)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::AtMost => "<=",
        })
    }
}

/// What a metric is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// A fixed level.
    Level(Level),
    /// So many times what the baseline shows.
    Baseline(Ratio),
}

/// A ratio in thousandths; 1 to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ratio(pub u32);

impl Ratio {
    /// As a number.
    pub fn value(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.value())
    }
}

impl Condition {
    /// Reads a condition. `at` is where its text begins in the user's file; every fault points at the
    /// part that it means. Total for any text; a text of more than 1,024 bytes is refused.
    pub fn parse(text: &str, at: &Place) -> Result<Self, Box<Fault>> {
        parse::condition(text, at)
    }

    /// Whether it compares with the baseline.
    pub fn needs_baseline(&self) -> bool {
        matches!(self.limit, Limit::Baseline(_))
    }
}

impl fmt::Display for Condition {
    /// The form that [`Condition::parse`] reads.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.metric.written(self.of.as_ref(), out)?;
        write!(out, " {} ", self.comparison)?;
        match &self.limit {
            Limit::Level(level) => write!(out, "{level}")?,
            Limit::Baseline(ratio) => write!(out, "{ratio} × baseline")?,
        }
        if self.lasting.is_zero() {
            return Ok(());
        }
        write!(out, " for {}", span::format(self.lasting))
    }
}

impl From<Condition> for String {
    fn from(condition: Condition) -> Self {
        condition.to_string()
    }
}

impl TryFrom<String> for Condition {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let at = Place {
            file: String::new(),
            line: 1,
            column: 1,
            width: 1,
        };
        Self::parse(&text, &at).map_err(|fault| fault.message)
    }
}
