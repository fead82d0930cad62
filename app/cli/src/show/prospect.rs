//! What will judge a release, before it begins.

use crate::terminal::mark;
use mainstay_server::api::{Judge, Prospect};

/// Lines of every service that is to earn its traffic.
pub(crate) fn lines(trials: &[Prospect]) -> Vec<String> {
    trials.iter().flat_map(of).collect()
}

fn of(trial: &Prospect) -> Vec<String> {
    let way = trial.way.replace('→', mark("→"));
    let mut lines = vec![format!("  {} earns its traffic by {way}", trial.service)];
    let widest = trial
        .judges
        .iter()
        .map(|judge| judge.condition.chars().count());
    let widest = widest.max().unwrap_or(0);
    for judge in &trial.judges {
        lines.push(line(trial, judge, widest));
    }
    if trial.judges.is_empty() {
        lines.push(format!(
            "  {} nothing judges it but whether it runs",
            mark("!")
        ));
    }
    lines
}

fn line(trial: &Prospect, judge: &Judge, widest: usize) -> String {
    let (sign, says) = match (&judge.needs, trial.per_second) {
        (Some(needs), _) if judge.in_time => (mark("·"), needs.clone()),
        (Some(needs), _) => ("!", format!("{needs}: it will stop and ask")),
        (None, None) => (mark("·"), "its traffic is not known yet".to_owned()),
        (None, Some(_)) => (mark("·"), "needs no number of requests".to_owned()),
    };
    format!(
        "    {sign} goes back if {:<widest$}  {says}",
        judge.condition
    )
}
