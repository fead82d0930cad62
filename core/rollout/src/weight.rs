//! Shares of traffic and the stages through which they rise.

use mainstay_atoms::Share;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

const WHOLE: u64 = 10_000;

/// What the canary is compared with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// Fresh instances of the stable release, started together with the canary and given as much
    /// traffic: what a cold start does to both is not held against one (Kayenta's advice).
    #[default]
    SameAge,
    /// The stable instances that serve already: sooner, and unfair to a canary that is still cold.
    Stable,
}

/// Shares of a service's traffic; together the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights {
    /// Of the stable release's own instances.
    pub stable: Share,
    /// Of the same-age baseline: instances of the stable release too.
    pub baseline: Share,
    /// Of the canary.
    pub canary: Share,
}

impl Weights {
    /// All to the stable release.
    pub const STABLE: Self = Self {
        stable: Share(WHOLE),
        baseline: Share(0),
        canary: Share(0),
    };

    /// So much to the canary. A same-age baseline gets as much, and at most half of the rest, so that the
    /// stable instances never fall idle before the canary has it all.
    pub fn of(canary: Share, baseline: Baseline) -> Self {
        let canary = canary.0.min(WHOLE);
        let rest = WHOLE - canary;
        let baseline = match baseline {
            Baseline::SameAge => canary.min(rest / 2),
            Baseline::Stable => 0,
        };
        Self {
            stable: Share(rest - baseline),
            baseline: Share(baseline),
            canary: Share(canary),
        }
    }

    /// The share that the canary is compared with.
    pub fn compared(self, baseline: Baseline) -> Share {
        match baseline {
            Baseline::SameAge => self.baseline,
            Baseline::Stable => self.stable,
        }
    }

    /// They add up to the whole.
    pub fn whole(self) -> bool {
        self.stable.0 + self.baseline.0 + self.canary.0 == WHOLE
    }
}

impl fmt::Display for Weights {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} canary, {} baseline, {} stable",
            self.canary, self.baseline, self.stable
        )
    }
}

/// One stage of a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// The canary's share.
    pub weight: Share,
    /// How long it is held at least; none: until a person promotes it.
    pub hold: Option<Duration>,
}

/// The stages of a canary, rising; all of the traffic comes after the last and is no stage of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Stage>", into = "Vec<Stage>")]
pub struct Stages(Vec<Stage>);

/// Why weights are no stages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleFault {
    /// There are none.
    #[error("a canary needs at least one step below 100%")]
    None,
    /// More than [`Stages::MOST`].
    #[error("{found} steps; {} are allowed", Stages::MOST)]
    TooMany {
        /// How many.
        found: usize,
    },
    /// One is over the whole.
    #[error("step {step} is {weight}, over 100%")]
    OverWhole {
        /// Which, from 1.
        step: usize,
        /// Its weight.
        weight: Share,
    },
    /// One is no more than the one before.
    #[error("step {step} is {weight}, not above {before} before it")]
    NotRising {
        /// Which, from 1.
        step: usize,
        /// Its weight.
        weight: Share,
        /// The weight before it.
        before: Share,
    },
}

/// How long a stage is held where nothing is said.
const HOLD: Duration = Duration::from_secs(300);

impl Stages {
    /// Most stages.
    pub const MOST: usize = 20;

    /// Stages in order. A last one of 100 % is what follows anyway and may be left out.
    pub fn new(mut stages: Vec<Stage>) -> Result<Self, ScheduleFault> {
        if stages.len() > Self::MOST {
            return Err(ScheduleFault::TooMany {
                found: stages.len(),
            });
        }
        let mut before = Share(0);
        for (at, stage) in stages.iter().enumerate() {
            let (step, weight) = (at + 1, stage.weight);
            if weight.0 > WHOLE {
                return Err(ScheduleFault::OverWhole { step, weight });
            }
            if weight <= before {
                return Err(ScheduleFault::NotRising {
                    step,
                    weight,
                    before,
                });
            }
            before = weight;
        }
        if before.0 == WHOLE {
            stages.pop();
        }
        if stages.is_empty() {
            return Err(ScheduleFault::None);
        }
        Ok(Self(stages))
    }

    /// A named preset, each stage held for 5 minutes: `5-25-50-100` and `10-25-50-100`, as the reference
    /// documents ask for them.
    pub fn preset(name: &str) -> Option<Self> {
        let first = match name {
            "5-25-50-100" => 5,
            "10-25-50-100" => 10,
            _ => return None,
        };
        Self::held([first, 25, 50], HOLD).ok()
    }

    /// Whole per cents, each held so long.
    pub fn held(
        weights: impl IntoIterator<Item = u64>,
        hold: Duration,
    ) -> Result<Self, ScheduleFault> {
        let stage = |weight| Stage {
            weight: Share(weight * 100),
            hold: Some(hold),
        };
        Self::new(weights.into_iter().map(stage).collect())
    }

    /// In order.
    pub fn all(&self) -> &[Stage] {
        &self.0
    }
}

impl From<Stages> for Vec<Stage> {
    fn from(stages: Stages) -> Self {
        stages.0
    }
}

impl TryFrom<Vec<Stage>> for Stages {
    type Error = ScheduleFault;
    fn try_from(stages: Vec<Stage>) -> Result<Self, ScheduleFault> {
        Self::new(stages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages(weights: &[u64]) -> Result<Stages, ScheduleFault> {
        Stages::held(weights.iter().copied(), HOLD)
    }

    #[test]
    fn steps_not_rising_are_refused() {
        assert_eq!(
            stages(&[5, 5]).unwrap_err().to_string(),
            "step 2 is 5%, not above 5% before it"
        );
        assert!(stages(&[25, 10]).is_err() && stages(&[0, 10]).is_err());
        assert_eq!(stages(&[]), Err(ScheduleFault::None));
        assert_eq!(stages(&[100]), Err(ScheduleFault::None));
        assert!(matches!(
            stages(&(1..=30).collect::<Vec<_>>()),
            Err(ScheduleFault::TooMany { found: 30 })
        ));
    }

    #[test]
    fn weights_over_100_are_refused() {
        assert_eq!(
            stages(&[50, 101]).unwrap_err().to_string(),
            "step 2 is 101%, over 100%"
        );
    }

    #[test]
    fn presets_are_those_of_the_documents() {
        let weights = |name| {
            let stages = Stages::preset(name).unwrap();
            let weights = stages.all().iter().map(|stage| stage.weight.0 / 100);
            weights.collect::<Vec<_>>()
        };
        assert_eq!(weights("5-25-50-100"), [5, 25, 50]);
        assert_eq!(weights("10-25-50-100"), [10, 25, 50]);
        assert_eq!(Stages::preset("1-2-3"), None);
    }

    #[test]
    fn weights_add_up_for_every_share() {
        for share in 0..=WHOLE {
            for baseline in [Baseline::SameAge, Baseline::Stable] {
                let weights = Weights::of(Share(share), baseline);
                assert!(
                    weights.whole() && weights.canary == Share(share),
                    "{weights}"
                );
                assert!(weights.stable >= weights.baseline);
            }
        }
    }
}
