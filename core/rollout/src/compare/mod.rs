//! Compares the error rate of a canary with that of its baseline, by a test that may be looked at after
//! every request.
//!
//! Two claims are weighed at once. *Worse*: the canary fails more than [`Zone::fair`] times as often as
//! the baseline. *No worse*: it fails less than [`Zone::unfair`] times as often. Each has an e-process: a
//! value that begins at 1 and, while the claim is false, is a non-negative supermartingale. It ever
//! reaches `1/α` with a chance of at most `α` (Ville 1939), so a decision taken the first time it does is
//! wrong with at most that chance, however often one looked (Robbins 1970; Johari et al. 2017; Howard et
//! al. 2021). Between the two rates neither error is bounded: that is the zone one is indifferent to.
//!
//! One look adds a block of requests, `n` of the canary with `x` errors and `m` of the baseline with `y`.
//! Under a ratio `r` an error is the canary's with the chance `s(r) = r·n / (r·n + m)`; the block multiplies
//! the evidence by `(s(r₁)/s(r₀))^x · ((1-s(r₁))/(1-s(r₀)))^y`. The rate itself cancels, so the baseline may
//! be as good or as bad as it likes and may change at any time: what hits both arms moves nothing. That
//! the mean of this factor is at most 1 for any Bernoulli rates `p` and at most `r₀·p` follows from
//! `1 + u ≤ e^u`; proof and figures are in `docs/verdicts.md`.

mod need;
mod zone;

pub use need::{Need, Traffic, need};
pub use zone::Zone;

use crate::beyond::mean_exp;
use crate::measure::{Doubt, Outcome};
use serde::{Deserialize, Serialize};

/// Chance that a canary as good as its baseline is ever aborted by the comparison.
pub const ALPHA: f64 = 0.01;
/// Chance that a canary with the regression to be seen is ever passed by the comparison.
pub const BETA: f64 = 0.01;

/// A block is weighed once both arms have so many requests: it depends on how many requests there were
/// and never on how they went, which is what the proof needs. Fewer would waste requests that meet none
/// of the other arm; more would delay the verdict on a canary that fails at once.
pub const BLOCK: u64 = 10;

/// Regressions that are looked for, as multiples of the least one, with the thousandths of the
/// evidence's weight that each is given: half for the least, which takes longest.
const SOUGHT: [(f64, u32); 5] = [
    (1.0, 500),
    (2.0, 125),
    (6.0, 125),
    (30.0, 125),
    (300.0, 125),
];

/// Steps that have evidence of their own; a release that gets worse only under more traffic is not
/// hidden behind how well it did before. Half of the weight is the first one's.
const STARTS: usize = 5;

/// Requests and errors of one arm, since the comparison began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arm {
    /// Requests.
    pub requests: u64,
    /// Those that failed.
    pub errors: u64,
}

impl Arm {
    /// Its error rate; none without requests.
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
    pub fn rate(self) -> Option<f64> {
        (self.requests > 0).then(|| self.errors as f64 / self.requests as f64)
    }

    /// What came since an earlier count. A count that fell means that the counter began anew, as with
    /// Prometheus' `rate`; more errors than requests are cut to the requests.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        let anew = self.requests < earlier.requests || self.errors < earlier.errors;
        let from = if anew { Self::default() } else { earlier };
        let requests = self.requests - from.requests;
        Self {
            requests,
            errors: (self.errors - from.errors).min(requests),
        }
    }

    fn add(self, more: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(more.requests),
            errors: self.errors.saturating_add(more.errors),
        }
    }
}

/// A logarithm in millionths: exact to compare and to write down. It is rounded towards less evidence.
type Micro = i64;

/// The evidence so far. It serialises; a lost one begins at nothing, which is never wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    zone: Zone,
    /// Last counts seen.
    seen: (Arm, Arm),
    /// Not yet weighed.
    open: (Arm, Arm),
    /// Weighed.
    done: (Arm, Arm),
    /// Evidence of worse: for each start, for each regression that is looked for.
    worse: Vec<[Micro; SOUGHT.len()]>,
    /// Evidence of no worse, relative to the baseline.
    no_worse: Micro,
}

/// What a comparison says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is worse.
    Worse,
    /// It is not.
    NoWorse,
    /// More requests are needed.
    Undecided,
    /// The baseline fails so often that the regression could not be seen in it.
    BaselineFails,
}

impl Compared {
    /// Nothing seen. The counts given are where the count begins.
    pub fn new(zone: Zone, canary: Arm, baseline: Arm) -> Self {
        Self {
            zone,
            seen: (canary, baseline),
            open: <(Arm, Arm)>::default(),
            done: <(Arm, Arm)>::default(),
            worse: vec![[0; SOUGHT.len()]],
            no_worse: 0,
        }
    }

    /// Takes a look: the counts of both arms up to now.
    pub fn look(&mut self, canary: Arm, baseline: Arm) {
        self.open.0 = self.open.0.add(canary.since(self.seen.0));
        self.open.1 = self.open.1.add(baseline.since(self.seen.1));
        self.seen = (canary, baseline);
        let (own, other) = self.open;
        if own.requests >= BLOCK && other.requests >= BLOCK {
            self.weigh(own, other);
            self.open = <(Arm, Arm)>::default();
        }
    }

    /// Another step begins: a regression that begins with it has evidence of its own.
    pub fn step(&mut self) {
        if self.worse.len() < STARTS {
            self.worse.push([0; SOUGHT.len()]);
        }
    }

    fn weigh(&mut self, own: Arm, other: Arm) {
        let factor = |from: f64, to: f64| logarithm(own, other, from, to);
        for (at, (multiple, _)) in SOUGHT.iter().enumerate() {
            let gain = factor(self.zone.fair(), self.zone.unfair() * multiple);
            for start in &mut self.worse {
                start[at] = start[at].saturating_add(gain);
            }
        }
        let gain = factor(self.zone.unfair(), self.zone.fair());
        self.no_worse = self.no_worse.saturating_add(gain);
        self.done = (self.done.0.add(own), self.done.1.add(other));
    }

    /// Requests and errors weighed so far, of the canary and of the baseline.
    pub fn counts(&self) -> (Arm, Arm) {
        self.done
    }

    /// Logarithm of the evidence that it is worse; [`Standing::Worse`] from `ln(1/ALPHA)` on.
    pub fn worse(&self) -> f64 {
        let weights = [0.5, 0.125, 0.125, 0.125, 0.125];
        let starts = (0..STARTS).map(|start| {
            let Some(logs) = self.worse.get(start) else {
                // A start that has not come yet holds its weight in cash.
                return f64::ln(weights[start]);
            };
            f64::ln(weights[start]) + sought(logs)
        });
        mean_exp(starts) + log_count(STARTS)
    }

    /// Logarithm of the evidence that it is no worse; [`Standing::NoWorse`] from `ln(2/BETA)` on.
    pub fn no_worse(&self) -> f64 {
        whole(self.no_worse).max(self.zone.harmless(self.done.0))
    }

    /// What can be said now. Worse is said only of a canary whose own rate is above the floor too:
    /// a ratio of next to nothing harms nobody.
    pub fn standing(&self) -> Standing {
        let (own, other) = self.done;
        let above = own
            .rate()
            .is_some_and(|rate| rate > self.zone.floor() * self.zone.fair());
        if above && self.worse() >= -ALPHA.ln() {
            return Standing::Worse;
        }
        if self.zone.blinded(other) {
            return Standing::BaselineFails;
        }
        if self.no_worse() >= -(BETA / 2.0).ln() {
            return Standing::NoWorse;
        }
        Standing::Undecided
    }

    /// The standing as a measurement.
    pub fn outcome(&self) -> Outcome {
        let baseline = self.done.1;
        match self.standing() {
            Standing::Worse => Outcome::Failed,
            Standing::NoWorse => Outcome::Successful,
            Standing::Undecided if self.seen.1.requests == 0 => {
                Outcome::Inconclusive(Doubt::NoBaseline)
            }
            Standing::Undecided => Outcome::Inconclusive(Doubt::Undecided),
            Standing::BaselineFails => Outcome::Inconclusive(Doubt::BaselineFails {
                hits: baseline.errors,
                of: baseline.requests,
            }),
        }
    }
}

fn sought(logs: &[Micro; SOUGHT.len()]) -> f64 {
    let terms = SOUGHT.iter().zip(logs);
    let terms = terms.map(|((_, weight), log)| f64::ln(f64::from(*weight) / 1000.0) + whole(*log));
    mean_exp(terms) + log_count(SOUGHT.len())
}

/// Turns the logarithm of a mean into that of a sum.
#[expect(clippy::cast_precision_loss, reason = "a handful of terms")]
fn log_count(count: usize) -> f64 {
    f64::ln(count as f64)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "evidence stays far below 2^53 millionths"
)]
fn whole(micro: Micro) -> f64 {
    micro as f64 / 1e6
}

/// Logarithm of the likelihood ratio of two ratios, given which of the errors were the canary's.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "counts of a block; a cast of a float to an integer saturates"
)]
fn logarithm(own: Arm, other: Arm, from: f64, to: f64) -> Micro {
    let (n, m) = (own.requests as f64, other.requests as f64);
    let share = |ratio: f64| ratio * n / (ratio * n + m);
    let gain = own.errors as f64 * (share(to) / share(from)).ln()
        + other.errors as f64 * ((1.0 - share(to)) / (1.0 - share(from))).ln();
    (gain * 1e6).floor() as Micro
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(requests: u64, errors: u64) -> Arm {
        Arm { requests, errors }
    }

    fn after(canary: Arm, baseline: Arm) -> Standing {
        let mut compared = Compared::new(Zone::default(), Arm::default(), Arm::default());
        compared.look(canary, baseline);
        compared.standing()
    }

    #[test]
    fn the_walk_is_decided_as_it_says() {
        assert_eq!(after(arm(412, 81), arm(398, 0)), Standing::Worse);
        assert_eq!(after(arm(12, 12), arm(200, 0)), Standing::Worse);
        assert_eq!(after(arm(412, 0), arm(398, 0)), Standing::Undecided);
        assert_eq!(after(arm(3000, 0), arm(3000, 0)), Standing::NoWorse);
        assert_eq!(after(arm(0, 0), arm(0, 0)), Standing::Undecided);
    }

    #[test]
    fn baseline_itself_failing_says_nothing() {
        assert_eq!(after(arm(400, 200), arm(400, 200)), Standing::BaselineFails);
        let mut compared = Compared::new(Zone::default(), Arm::default(), Arm::default());
        compared.look(arm(400, 200), arm(400, 200));
        assert!(matches!(
            compared.outcome(),
            Outcome::Inconclusive(Doubt::BaselineFails { hits: 200, of: 400 })
        ));
    }

    #[test]
    fn both_versions_failing_alike_aborts_nothing() {
        // A database away for a minute fails every request of both arms, in the middle of good ones.
        let mut compared = Compared::new(Zone::default(), Arm::default(), Arm::default());
        compared.look(arm(500, 2), arm(5000, 20));
        compared.look(arm(560, 62), arm(5600, 620));
        assert_ne!(compared.standing(), Standing::Worse);
    }

    #[test]
    fn a_counter_that_begins_anew_takes_nothing_back() {
        let mut compared = Compared::new(Zone::default(), Arm::default(), Arm::default());
        compared.look(arm(100, 1), arm(100, 1));
        compared.look(arm(40, 1), arm(50, 0));
        assert_eq!(compared.counts(), (arm(140, 2), arm(150, 1)));
    }

    #[test]
    fn a_later_step_has_evidence_of_its_own() {
        let mut compared = Compared::new(Zone::default(), Arm::default(), Arm::default());
        compared.look(arm(20_000, 200), arm(20_000, 200));
        let mut stepped = compared.clone();
        stepped.step();
        for compared in [&mut compared, &mut stepped] {
            compared.look(arm(20_400, 240), arm(20_400, 204));
        }
        assert_eq!(compared.standing(), Standing::NoWorse);
        assert_eq!(stepped.standing(), Standing::Worse);
    }
}
