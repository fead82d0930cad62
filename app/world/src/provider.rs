//! What queries and addresses say of a release, asked beside everything else.

use mainstay_rollout::{ANSWER_BYTES, Metric, Reading, Trouble, answer};
use mainstay_signals_io::{Client, PageFault, Reading as Queried, page};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer to a question that is older than this was asked for something that is over.
const STALE: Duration = Duration::from_secs(15);

/// Questions under way, each by a thread of its own.
pub(crate) struct Providers {
    signals: PathBuf,
    asking: BTreeMap<Metric, Asking>,
}

struct Asking {
    since: Instant,
    answer: Receiver<Reading>,
}

impl Providers {
    /// Queries go to the signals process behind this socket.
    pub(crate) fn new(signals: &Path) -> Self {
        Self {
            signals: signals.to_owned(),
            asking: BTreeMap::new(),
        }
    }

    /// The answer to a question, once it is there; the first call asks, and one after the answer again.
    pub(crate) fn ask(&mut self, metric: &Metric) -> Option<Reading> {
        self.asking
            .retain(|_, asking| asking.since.elapsed() < STALE);
        let Some(asking) = self.asking.get(metric) else {
            return self.begin(metric);
        };
        let reading = match asking.answer.try_recv() {
            Err(TryRecvError::Empty) => return None,
            Ok(reading) => reading,
            Err(TryRecvError::Disconnected) => away("the question was cut off"),
        };
        self.asking.remove(metric);
        Some(reading)
    }

    fn begin(&mut self, metric: &Metric) -> Option<Reading> {
        let (said, answer) = mpsc::sync_channel(1);
        let (question, signals) = (metric.clone(), self.signals.clone());
        let thread = thread::Builder::new().name("provider".into());
        // Nobody is there to hear it when the engine has lost interest.
        let thread = thread.spawn(move || drop(said.send(reading(&question, &signals))));
        if let Err(fault) = thread {
            return Some(away(&fault.to_string()));
        }
        let since = Instant::now();
        self.asking.insert(metric.clone(), Asking { since, answer });
        None
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

    #[test]
    fn a_question_is_asked_once_and_answered_once() {
        let mut providers = Providers::new(Path::new("/nonexistent/signals"));
        let question = Metric::Promql("up".into());
        assert_eq!(providers.ask(&question), None);
        let deadline = Instant::now() + Duration::from_secs(10);
        let reading = loop {
            if let Some(reading) = providers.ask(&question) {
                break reading;
            }
            assert!(Instant::now() < deadline);
            thread::yield_now();
        };
        assert!(matches!(reading, Reading::Trouble(Trouble::Away { .. })));
        assert!(providers.asking.is_empty());
    }
}
