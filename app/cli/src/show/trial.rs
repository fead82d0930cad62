//! A release on trial: shares, what it is judged by, what comes next.

use crate::show::time;
use crate::terminal::{mark, utf8};
use mainstay_faults::escaped;
use mainstay_server::api::{TrialMetric, TrialStatus};

/// Cells of the bar of shares.
const BAR: u64 = 20;

/// All of the traffic, in hundredths of a percent.
const WHOLE: u64 = 10_000;

/// The heights of a sparkline, lowest first.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The lines of one service on trial.
pub(crate) fn lines(trial: &TrialStatus) -> Vec<String> {
    let mut lines = vec![
        format!(
            "{} {}  {}",
            trial.service,
            trial.release,
            escaped(&trial.stands)
        ),
        shares(trial),
    ];
    let width = trial
        .metrics
        .iter()
        .map(|metric| metric.condition.chars().count());
    let width = width.max().unwrap_or(0);
    lines.extend(trial.metrics.iter().map(|metric| judged(metric, width)));
    lines.push(next(trial));
    lines
}

/// `traffic     v42 75% ███████████████░░░░░ v45 25%`.
fn shares(trial: &TrialStatus) -> String {
    let (full, empty) = if utf8() { ("█", "░") } else { ("#", ".") };
    let new = (trial.canary * BAR).div_ceil(WHOLE).min(BAR);
    let old = usize::try_from(BAR - new).unwrap_or(0);
    let stable = trial
        .stable
        .map_or("before".into(), |release| release.to_string());
    let fresh = if trial.baseline > 0 {
        format!(", {} of it fresh", percent(trial.baseline))
    } else {
        String::new()
    };
    format!(
        "  traffic  {stable} {}{fresh} {}{} {} {}",
        percent(WHOLE.saturating_sub(trial.canary)),
        full.repeat(old),
        empty.repeat(usize::try_from(new).unwrap_or(0)),
        trial.release,
        percent(trial.canary)
    )
}

fn percent(share: u64) -> String {
    match share % 100 {
        0 => format!("{} %", share / 100),
        part => format!("{}.{part:02} %", share / 100),
    }
}

/// `✓ error_rate > 1%  ▁▁▂▁▁▁  0.1 % of 412 requests`.
fn judged(metric: &TrialMetric, width: usize) -> String {
    let state = match metric.grade.as_str() {
        "successful" => "✓",
        "failed" => "✗",
        _ => "·",
    };
    let seen = if metric.seen.is_empty() {
        "nothing measured yet"
    } else {
        &metric.seen
    };
    let name = &metric.condition;
    let line = spark(&metric.points);
    format!(
        "  {} {name:<width$}  {line}  {} ({})",
        mark(state),
        escaped(seen),
        metric.grade
    )
}

/// The values as heights between the least and the most; a flat line lies at the bottom.
fn spark(points: &[f64]) -> String {
    if !utf8() {
        return String::new();
    }
    let least = points.iter().copied().fold(f64::INFINITY, f64::min);
    let most = points.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let top = HEIGHTS.len() - 1;
    let height = |value: &f64| {
        let part = (value - least) / (most - least);
        // The first threshold above the value; nothing is above what is not a number.
        let at = (1..=top).filter(|step| {
            let steps = u32::try_from(top).unwrap_or(1);
            let step = u32::try_from(*step).unwrap_or(0);
            part >= f64::from(step) / f64::from(steps)
        });
        HEIGHTS[at.count()]
    };
    points.iter().map(height).collect()
}

fn next(trial: &TrialStatus) -> String {
    let step = match (trial.step, trial.steps) {
        (Some(at), Some(of)) => format!("step {at} of {of}"),
        _ => String::new(),
    };
    let held = match (trial.held_ms, trial.hold_ms) {
        (Some(held), Some(hold)) => format!("held {} of {}", time::span(held), time::span(hold)),
        _ => String::new(),
    };
    let parts = [step, held, "`promote` `pause` `abort`".into()];
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    format!("  next     {}", parts.collect::<Vec<_>>().join(" · "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial() -> TrialStatus {
        TrialStatus {
            service: "web".parse().unwrap(),
            release: "v45".parse().unwrap(),
            stable: Some("v42".parse().unwrap()),
            stands: "is judged at step 2".into(),
            canary: 2_550,
            baseline: 0,
            step: Some(2),
            steps: Some(4),
            held_ms: Some(72_000),
            hold_ms: Some(300_000),
            metrics: vec![],
        }
    }

    #[test]
    fn shares_are_exact_and_steps_count_from_one() {
        let lines = lines(&trial());
        assert!(lines[1].contains("v42 74.50 %"), "{}", lines[1]);
        assert!(lines[1].ends_with("v45 25.50 %"), "{}", lines[1]);
        let next = lines.last().unwrap();
        assert!(next.contains("step 2 of 4"), "{next}");
    }
}
