//! A probe's last answer in words.

use crate::clock;
use mainstay_process_io::{Answer, ProbeFact, ProbeSide};

/// Most of a body that one line shows.
const LINE: usize = 120;

/// In one line: `503 from GET http://127.0.0.1:21043/ready, 14 times in a row`.
pub(crate) fn line(probe: &ProbeFact) -> String {
    let Some(side) = &probe.readiness else {
        return "it runs".into();
    };
    let Some(answer) = &side.answer else {
        return format!("no answer yet to {}", side.request);
    };
    let times = if side.repeated > 1 {
        format!(", {} times in a row", side.repeated)
    } else {
        String::new()
    };
    format!("{} from {}{times}", answer, side.request)
}

/// Request, count and the last answer with what it said, a line each.
pub(crate) fn evidence(probe: &ProbeFact) -> Vec<String> {
    let Some(ProbeSide {
        request,
        answer: Some(answer),
        answered,
        repeated,
        ..
    }) = &probe.readiness
    else {
        return vec![];
    };
    let age = clock::wall().0.saturating_sub(answered.0);
    let first = format!(
        "{request}, {repeated} times; the last answer, {}.{} s ago:",
        age / 1000,
        age % 1000 / 100
    );
    let text = match answer {
        Answer::Status { body, .. } => body.as_str(),
        Answer::Exit { output, .. } => output.as_str(),
        _ => "",
    };
    let mut lines = text.lines();
    let start = format!("{} {}", answer, lines.next().unwrap_or_default());
    let cut = |line: &str| line.chars().take(LINE).collect::<String>();
    std::iter::once(first)
        .chain(std::iter::once(cut(start.trim_end())))
        .chain(lines.take(8).map(cut))
        .collect()
}
