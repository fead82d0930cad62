//! Which ratios must be told apart, and below which rate a difference harms nobody.

use super::Arm;
use crate::beyond::mean_exp;
use crate::condition::Ratio;
use mainstay_atoms::Share;
use serde::{Deserialize, Serialize};

/// Half the width of the zone around a limit, as a factor: the limit 2 tells 1.33 from 3.
const WIDTH: f64 = 1.5;

/// Error rates are told apart down to this one: 0.1 %.
const FLOOR: Share = Share(10);

/// The zone around a limit such as `2 × baseline`. A canary up to two thirds of the limit (and one that
/// is as good as its baseline in any case) is *fair*; one from one and a half times the limit on is
/// *unfair*. What lies between may be decided either way: no test with bounded time can do better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// The limit as written.
    pub limit: Ratio,
    /// A baseline below this rate counts as this rate when no harm is to be shown.
    pub floor: Share,
}

impl Default for Zone {
    /// Around `2 × baseline`: a three-fold regression is to be seen.
    fn default() -> Self {
        Self::around(Ratio(2000))
    }
}

impl Zone {
    /// Around this limit, with a floor of 0.1 %.
    pub fn around(limit: Ratio) -> Self {
        Self {
            limit,
            floor: FLOOR,
        }
    }

    /// The highest ratio that counts as no worse; at least 1.
    pub fn fair(self) -> f64 {
        (self.limit.value() / WIDTH).max(1.0)
    }

    /// The lowest ratio that is to be seen.
    pub fn unfair(self) -> f64 {
        self.limit.value().max(1.0) * WIDTH
    }

    /// The floor as a fraction; at least one in a million.
    #[expect(clippy::cast_precision_loss, reason = "hundredths of a per cent")]
    pub fn floor(self) -> f64 {
        (self.floor.0 as f64 / 10_000.0).clamp(1e-6, 0.1)
    }

    /// The rate at which a canary harms though its baseline has no errors: the floor's regression.
    pub(super) fn harm(self) -> f64 {
        (self.floor() * self.unfair()).min(0.5)
    }

    /// The baseline fails so often that so many times as often is impossible.
    #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
    pub(super) fn blinded(self, baseline: Arm) -> bool {
        baseline.errors >= 5 && baseline.errors as f64 * self.unfair() >= baseline.requests as f64
    }

    /// Logarithm of the evidence that the canary fails less often than [`Zone::harm`], whatever its
    /// baseline does: the mean of the likelihood ratios of two smaller rates.
    #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
    pub(super) fn harmless(self, canary: Arm) -> f64 {
        let hits = canary.errors as f64;
        let misses = canary.requests.saturating_sub(canary.errors) as f64;
        let harm = self.harm();
        let toward =
            |rate: f64| hits * (rate / harm).ln() + misses * ((1.0 - rate) / (1.0 - harm)).ln();
        let rates = [self.floor() / 4.0, self.floor()];
        mean_exp(rates.into_iter().map(toward))
    }
}
