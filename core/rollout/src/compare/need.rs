//! How long a comparison needs at the present traffic.

use super::zone::Zone;
use super::{ALPHA, BETA, BLOCK, SOUGHT};
use mainstay_atoms::Share;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How sure the stated time is: this many standard deviations of the evidence (0.3 % of a normal tail;
/// evidence that was enough earlier counts too, so the true share that is late is smaller).
const SURE: f64 = 2.8;

/// No verdict is waited for longer than this.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// What a service sees at present.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Traffic {
    /// Requests a second, of all releases together.
    pub per_second: f64,
    /// The share of them that fails at present, as a fraction.
    pub error_rate: f64,
}

/// How long a verdict takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// So long, at least 99 times of 100.
    Within(Duration),
    /// Longer than a week, or for ever: too little traffic for this canary share.
    Unreachable,
}

/// The time after which, with a chance of at least 99 %, a canary with the regression to be seen has been
/// aborted and one as good as its baseline has passed; from the traffic, the share that goes to the canary
/// and the share that goes to the baseline. A service that fails less than the floor is taken to fail at the
/// floor: a rarer regression is not looked for.
///
/// The evidence is a sum of independent terms, one per error; its mean and variance per second follow from
/// the rates, and the time is the one at which the mean less `SURE` standard deviations reaches the
/// threshold (Wald 1945 gives the mean; the margin is ours and is checked by simulation).
pub fn need(zone: Zone, traffic: Traffic, canary: Share, baseline: Share) -> Need {
    let fraction = |share: Share| f64::from(u16::try_from(share.0.min(10_000)).unwrap_or(0)) / 1e4;
    let n = traffic.per_second * fraction(canary);
    let m = traffic.per_second * fraction(baseline);
    if !(n.is_finite() && m.is_finite() && n > 0.0 && m > 0.0) {
        return Need::Unreachable;
    }
    let rate = traffic.error_rate.clamp(zone.floor(), 1.0 / zone.unfair());
    let weight = f64::from(SOUGHT[0].1) / 1000.0 / 2.0;
    let bad = seconds(
        Pace::errors(n, m, rate, zone.unfair(), zone.fair(), zone.unfair()),
        -(ALPHA * weight).ln(),
    );
    // The good one is judged by the baseline or by its own rate, whichever is sooner.
    let threshold = -(BETA / 2.0).ln();
    let relative = seconds(
        Pace::errors(n, m, rate, 1.0, zone.unfair(), zone.fair()),
        threshold,
    );
    let harmless = seconds(Pace::own(n, rate, zone), threshold + 2_f64.ln());
    let slack = 2.0 * f64::from(u16::try_from(BLOCK).unwrap_or(u16::MAX)) / n.min(m);
    let total = bad.max(relative.min(harmless)) + slack;
    if !total.is_finite() || total > LONGEST.as_secs_f64() {
        return Need::Unreachable;
    }
    Need::Within(Duration::from_secs_f64(total.ceil()))
}

/// Mean and variance of the evidence, a second.
#[derive(Clone, Copy)]
struct Pace {
    mean: f64,
    variance: f64,
}

impl Pace {
    /// Of two arms with `n` and `m` requests a second, the true ratio `truth`, the evidence for `to`
    /// against `from`.
    fn errors(n: f64, m: f64, rate: f64, truth: f64, from: f64, to: f64) -> Self {
        let share = |ratio: f64| ratio * n / (ratio * n + m);
        let own = (share(to) / share(from)).ln();
        let other = ((1.0 - share(to)) / (1.0 - share(from))).ln();
        let (often, rarely) = (n * (rate * truth).min(1.0), m * rate);
        Self {
            mean: often * own + rarely * other,
            variance: often * own * own + rarely * other * other,
        }
    }

    /// Of the canary alone: that its rate is the floor and not the harmful one.
    fn own(n: f64, rate: f64, zone: Zone) -> Self {
        let (low, harm) = (zone.floor(), zone.harm());
        let hit = (low / harm).ln();
        let miss = ((1.0 - low) / (1.0 - harm)).ln();
        let mean = rate * hit + (1.0 - rate) * miss;
        Self {
            mean: n * mean,
            variance: n * rate * (1.0 - rate) * (hit - miss).powi(2),
        }
    }
}

/// When `mean·t − SURE·√(variance·t)` reaches a threshold; never, when the mean does not rise.
fn seconds(pace: Pace, threshold: f64) -> f64 {
    if pace.mean <= 0.0 {
        return f64::INFINITY;
    }
    let spread = SURE * pace.variance.sqrt();
    let root =
        (spread + (spread * spread + 4.0 * pace.mean * threshold).sqrt()) / (2.0 * pace.mean);
    root * root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(per_second: f64, error_rate: f64, canary: u64, baseline: u64) -> Option<u64> {
        let traffic = Traffic {
            per_second,
            error_rate,
        };
        match need(Zone::default(), traffic, Share(canary), Share(baseline)) {
            Need::Within(time) => Some(time.as_secs() / 60),
            Need::Unreachable => None,
        }
    }

    #[test]
    fn more_traffic_more_errors_and_larger_shares_are_sooner() {
        let base = minutes(10.0, 0.01, 500, 9500).unwrap();
        assert!(minutes(100.0, 0.01, 500, 9500).unwrap() * 9 <= base);
        assert!(minutes(10.0, 0.05, 500, 9500).unwrap() < base);
        assert!(minutes(10.0, 0.01, 5000, 5000).unwrap() < base);
        assert!(minutes(10.0, 0.01, 500, 500).unwrap() > base);
    }

    #[test]
    fn thresholds_nobody_can_reach_are_said() {
        assert_eq!(minutes(0.001, 0.001, 500, 9500), None);
        assert_eq!(minutes(0.0, 0.01, 500, 9500), None);
        assert_eq!(minutes(f64::NAN, 0.01, 500, 9500), None);
        assert_eq!(minutes(10.0, 0.01, 0, 9500), None);
    }
}
