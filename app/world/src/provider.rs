//! What queries and addresses say of a release, asked beside everything else.

use crate::beside::Beside;
use mainstay_rollout::{ANSWER_BYTES, Metric, Reading, Trouble, answer};
use mainstay_signals_io::{Client, PageFault, Reading as Queried, page};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Questions under way.
pub(crate) struct Providers {
    signals: PathBuf,
    asked: Beside<Metric, Reading>,
}

impl Providers {
    /// Queries go to the signals process behind this socket.
    pub(crate) fn new(signals: &Path) -> Self {
        Self {
            signals: signals.to_owned(),
            asked: Beside::new(),
        }
    }

    /// The answer to a question, once it is there; the first call asks, and one after the answer again.
    pub(crate) fn ask(&mut self, metric: &Metric) -> Option<Reading> {
        let signals = &self.signals;
        let answer = self.asked.ask(metric, || {
            let (question, signals) = (metric.clone(), signals.clone());
            move || reading(&question, &signals)
        })?;
        Some(answer.unwrap_or_else(|why| away(&why)))
    }
}

fn away(why: &str) -> Reading {
    Reading::Trouble(Trouble::Away { why: why.into() })
}

fn reading(question: &Metric, signals: &Path) -> Reading {
    match question {
        Metric::Promql(query) => queried(Client::new(signals, PATIENCE).query(query)),
        Metric::Http { url, path } => match page(url, PATIENCE, ANSWER_BYTES) {
            Ok(body) => answer(&body, path),
            Err(PageFault::Slow(limit)) => Reading::Trouble(Trouble::Slow {
                limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
            }),
            Err(PageFault::Long(limit_bytes)) => Reading::Trouble(Trouble::TooLong { limit_bytes }),
            Err(fault) => away(&fault.to_string()),
        },
        _ => Reading::Nothing,
    }
}

/// One value is a number; of several none is the one that was meant.
fn queried(seen: Queried) -> Reading {
    match seen {
        Queried::NoData => Reading::Nothing,
        Queried::Away { why } => away(&why),
        Queried::Values(values) => match values.as_slice() {
            [(_, value)] => Reading::Number(*value),
            many => Reading::Trouble(Trouble::NotNumeric {
                found: format!("{} series", many.len()),
            }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_values_none_is_taken() {
        let value = |value| (vec![], value);
        assert_eq!(queried(Queried::NoData), Reading::Nothing);
        let one = queried(Queried::Values(vec![value(0.5)]));
        assert_eq!(one, Reading::Number(0.5));
        let two = queried(Queried::Values(vec![value(0.5), value(0.0)]));
        assert!(matches!(two, Reading::Trouble(_)));
    }
}
