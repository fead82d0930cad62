//! Remarks about an answer: what its reader should know although the query did not fail.

use crate::fault::Span;
use mainstay_metrics::histogram::general;
use std::collections::BTreeMap;

/// How much a remark matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Part of the answer is missing or wrong.
    Warning,
    /// The answer may not be what was meant.
    Info,
}

/// One remark.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    /// How much it matters.
    pub level: Level,
    /// What it says, without its place.
    pub text: String,
    /// Which expression it is about.
    pub span: Span,
    repair: Option<Repair>,
}

/// What was repaired in classic histograms: which buckets, how much, when and how often.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Repair {
    pub(crate) first_ms: i64,
    pub(crate) last_ms: i64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
    pub(crate) difference: f64,
    pub(crate) samples: u64,
}

impl Annotation {
    /// As the HTTP API prints it: level, text, line and column.
    pub fn message(&self, query: &str) -> String {
        let level = match self.level {
            Level::Warning => "warning",
            Level::Info => "info",
        };
        let (line, column) = self.span.position(query);
        let repair = self.repair.map_or_else(String::new, |repair| {
            format!(
                ", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
                general(repair.lowest),
                general(repair.highest),
                two_digits(repair.difference),
                repair.samples,
                crate::calendar::rfc3339(repair.first_ms),
                crate::calendar::rfc3339(repair.last_ms)
            )
        });
        format!("PromQL {level}: {}{repair} ({line}:{column})", self.text)
    }
}

/// A number in two significant digits.
fn two_digits(value: f64) -> String {
    let rounded = format!("{value:.1e}").parse().unwrap_or(value);
    general(rounded)
}

/// All remarks, each text once.
#[derive(Debug, Default)]
pub(crate) struct Annotations {
    all: BTreeMap<(Level, String), Annotation>,
}

impl Annotations {
    pub(crate) fn add(&mut self, level: Level, text: String, span: Span) {
        self.all.entry((level, text.clone())).or_insert(Annotation {
            level,
            text,
            span,
            repair: None,
        });
    }

    pub(crate) fn repaired(&mut self, text: String, span: Span, repair: Repair) {
        let entry = self
            .all
            .entry((Level::Info, text.clone()))
            .or_insert(Annotation {
                level: Level::Info,
                text,
                span,
                repair: None,
            });
        let merged = entry.repair.map_or(repair, |before| Repair {
            first_ms: before.first_ms.min(repair.first_ms),
            last_ms: before.last_ms.max(repair.last_ms),
            lowest: before.lowest.min(repair.lowest),
            highest: before.highest.max(repair.highest),
            difference: before.difference.max(repair.difference),
            samples: before.samples + repair.samples,
        });
        entry.repair = Some(merged);
    }

    pub(crate) fn into_vec(self) -> Vec<Annotation> {
        self.all.into_values().collect()
    }
}

/// Adds for which metric a remark is, where that is known.
pub(crate) fn named(text: &str, metric: &str) -> String {
    if metric.is_empty() {
        text.to_owned()
    } else {
        format!(
            "{text} for metric name {}",
            mainstay_metrics::label::quoted(metric.as_bytes())
        )
    }
}

/// What a text about custom bounds or resets calls the operation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Joining {
    Addition,
    Subtraction,
    Aggregation,
}

impl Joining {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Addition => "addition",
            Self::Subtraction => "subtraction",
            Self::Aggregation => "aggregation",
        }
    }
}
