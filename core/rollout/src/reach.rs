//! Whether a metric can be decided at all at the present traffic: said before a deploy begins.

use crate::compare::{Need, Traffic, Zone, need};
use crate::condition::Limit;
use crate::metric::Rules;
use crate::weight::{Baseline, Weights};
use mainstay_atoms::{Share, span};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// How long a metric needs where the canary has its smallest share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// That share.
    pub weight: Share,
    /// Requests a second to the canary, in thousandths.
    pub canary_milli_per_second: u64,
    /// The time it needs.
    pub need: Need,
    /// The longest that the stage waits for a verdict.
    pub patience: Duration,
}

impl Reach {
    /// It can be decided in time; else it is worth a warning with these numbers.
    pub fn in_time(&self) -> bool {
        matches!(self.need, Need::Within(time) if time <= self.patience)
    }
}

impl fmt::Display for Reach {
    #[expect(clippy::cast_precision_loss, reason = "requests a second")]
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = rate(self.canary_milli_per_second as f64 / 1000.0);
        write!(out, "at {rate} requests/s to the canary ({}) ", self.weight)?;
        match self.need {
            Need::Within(time) => write!(out, "a verdict takes up to {}", span::format(time))?,
            Need::Unreachable => out.write_str("there is never a verdict")?,
        }
        if self.in_time() {
            return Ok(());
        }
        write!(out, ", and a step waits {}", span::format(self.patience))
    }
}

/// A rate with about two digits that say something.
fn rate(per_second: f64) -> String {
    let digits = match per_second {
        10.0.. => 0,
        0.1.. => 1,
        _ => 3,
    };
    let text = format!("{per_second:.digits$}");
    match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => text,
    }
}

/// How long a metric needs where the canary has this share; none for one that does not count requests.
pub fn reach(
    rules: &Rules,
    traffic: Traffic,
    weight: Share,
    baseline: Baseline,
    patience: Duration,
) -> Option<Reach> {
    let condition = rules
        .judged
        .abort_if
        .as_ref()
        .or(rules.judged.pass_if.as_ref())?;
    if !condition.metric.by_request() {
        return None;
    }
    let weights = Weights::of(weight, baseline);
    #[expect(clippy::cast_precision_loss, reason = "hundredths of a per cent")]
    let canary = traffic.per_second.max(0.0) * weight.0 as f64 / 1e4;
    let need = match condition.limit {
        Limit::Baseline(ratio) if condition.metric.counted() => need(
            Zone::around(ratio),
            traffic,
            weights.canary,
            weights.compared(baseline),
        ),
        _ => samples(rules.min_samples, canary),
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast saturates"
    )]
    let canary_milli_per_second = (canary * 1000.0).round() as u64;
    Some(Reach {
        weight,
        canary_milli_per_second,
        need,
        patience,
    })
}

/// The time in which the fewest requests have come.
#[expect(clippy::cast_precision_loss, reason = "a count of samples")]
fn samples(least: u64, per_second: f64) -> Need {
    let seconds = (least as f64 / per_second).ceil();
    if seconds.is_finite() && seconds <= 7.0 * 86_400.0 {
        Need::Within(Duration::from_secs_f64(seconds))
    } else {
        Need::Unreachable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Judged;

    fn at(condition: &str, per_second: f64) -> Reach {
        let judged = Judged {
            abort_if: Some(condition.to_owned().try_into().unwrap()),
            pass_if: None,
        };
        let traffic = Traffic {
            per_second,
            error_rate: 0.01,
        };
        let patience = Duration::from_secs(1800);
        reach(
            &MetricRules::new(judged),
            traffic,
            Share(500),
            Baseline::Stable,
            patience,
        )
        .unwrap()
    }
    use Rules as MetricRules;

    #[test]
    fn a_rate_is_read_at_a_glance() {
        let rates = [5.001, 0.05, 0.025, 12.34, 100.0, 2.5, 0.0].map(rate);
        assert_eq!(rates, ["5", "0.05", "0.025", "12", "100", "2.5", "0"]);
    }

    #[test]
    fn thresholds_nobody_can_reach_at_this_traffic_are_said_with_numbers() {
        let slow = at("p95 > 400ms", 0.5);
        assert!(!slow.in_time());
        assert_eq!(
            slow.to_string(),
            "at 0.025 requests/s to the canary (5%) a verdict takes up to 1h6m40s, and a step waits 30m"
        );
        assert!(at("p95 > 400ms", 50.0).in_time());
        assert!(at("error_rate > 2 × baseline", 200.0).in_time());
        assert!(!at("error_rate > 2 × baseline", 3.0).in_time());
        assert!(!at("p95 > 400ms", 0.0).in_time());
    }
}
