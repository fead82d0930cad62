//! Reads the rows of the tables and plays them.

pub(crate) mod blue_green;
pub(crate) mod canary;
pub(crate) mod verdict;

use mainstay_rollout::{Doubt, Grade, Trouble, Verdict, Why};
use std::time::Duration;

/// A verdict by its word.
pub(crate) fn said(word: &str) -> Option<Verdict> {
    let (grade, settled, why) = match word {
        "good" => (Grade::Successful, false, Why::Measured { count: 3 }),
        "bad" => (Grade::Failed, true, Why::Failures { count: 1 }),
        "doubt" => (Grade::Inconclusive, true, Why::Doubt(Doubt::NoData)),
        "open" => (Grade::Inconclusive, false, Why::Doubt(Doubt::Undecided)),
        "trouble" => {
            let why = "connection refused".into();
            (Grade::Error, true, Why::Trouble(Trouble::Away { why }))
        }
        _ => return None,
    };
    Some(Verdict {
        grade,
        settled,
        metric: "errors".into(),
        why,
        seen: String::new(),
    })
}

pub(crate) fn seconds(text: &str) -> Duration {
    mainstay_atoms::span::parse(text).expect("a duration")
}

/// A list in a cell.
pub(crate) fn listed<T: ToString>(all: &[T]) -> String {
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    all.join("; ")
}
