//! Objectives: what was attained, what is left of the error budget, how fast it goes.

use mainstay_atoms::span;
use mainstay_faults::escaped;
use mainstay_server::api::{BurnStatus, ObjectiveStatus};
use std::time::Duration;

/// A line for each; nothing where there is none.
pub(crate) fn lines(objectives: &[ObjectiveStatus]) -> Vec<String> {
    let mut lines: Vec<String> = objectives.iter().map(line).collect();
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}

/// `web availability 99.9% over 30d: 99.960 % attained, 60.0 % of the error budget left, burns 2.0 (1h), 0.4 (6h)`.
fn line(one: &ObjectiveStatus) -> String {
    let stands = match (&one.why, one.attained) {
        (Some(why), _) => format!("not known: {}", escaped(why)),
        (None, None) => "not known yet".to_owned(),
        (None, Some(attained)) => format!(
            "{:.3} % attained{}{}",
            attained * 100.0,
            left(one),
            burns(&one.burns)
        ),
    };
    let (service, kind, text) = (&one.service, &one.kind, escaped(&one.objective));
    format!("  {service} {kind} {text}: {stands}")
}

fn left(one: &ObjectiveStatus) -> String {
    match one.budget_left {
        None => String::new(),
        Some(left) if left < 0.0 => {
            format!(", the error budget is used up {:.1} times", 1.0 - left)
        }
        Some(left) => format!(", {:.1} % of the error budget left", left * 100.0),
    }
}

fn burns(burns: &[BurnStatus]) -> String {
    let known = burns.iter().filter_map(|burn| {
        let window = span::format(Duration::from_millis(burn.window_ms));
        Some(format!("{:.1} ({window})", burn.rate?))
    });
    let known: Vec<String> = known.collect();
    if known.is_empty() {
        return String::new();
    }
    format!(", burns {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_said_and_what_is_not_too() {
        let burn = |window_ms, rate| BurnStatus {
            window_ms,
            rate,
            limit: 14.4,
        };
        let mut one = ObjectiveStatus {
            service: "web".into(),
            kind: "availability".into(),
            objective: "99.9% over 30d".into(),
            target: 0.999,
            window_ms: 2_592_000_000,
            attained: Some(0.9996),
            budget_left: Some(0.6),
            burns: vec![burn(3_600_000, Some(2.0)), burn(21_600_000, None)],
            why: None,
        };
        assert_eq!(
            lines(&[one.clone()])[1],
            "  web availability 99.9% over 30d: 99.960 % attained, 60.0 % of the error budget left, burns 2.0 (1h)"
        );
        one.budget_left = Some(-0.5);
        assert!(line(&one).contains("used up 1.5 times"), "{}", line(&one));
        one.why = Some("signals does not answer".into());
        assert!(line(&one).ends_with("not known: signals does not answer"));
        assert!(lines(&[]).is_empty());
    }
}
