//! Right-sizing: what a service should ask for, from what it used.

/// Fewest samples that say anything: an hour of one a minute.
pub const LEAST_SAMPLES: usize = 60;

/// Advice leaves this much above the 95th percentile, in per cent (the margin of Kubernetes' vertical
/// autoscaler).
const MARGIN: u64 = 15;

/// A difference of less than this share of what is asked for now is not worth a change, in per cent.
const WORTH: u64 = 20;

/// What should be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// It fits.
    Fits {
        /// The 95th percentile of use.
        p95: u64,
    },
    /// Ask for this much instead.
    Ask {
        /// The 95th percentile of use.
        p95: u64,
        /// What to ask for, in the unit of the samples.
        request: u64,
    },
    /// Too little is known.
    TooFew {
        /// Samples there are.
        have: usize,
        /// Samples it takes.
        need: usize,
    },
}

/// What should be asked for instead of `asked`, from samples of use in the same unit.
pub fn advise(used: &[u64], asked: u64) -> Advice {
    if used.len() < LEAST_SAMPLES {
        return Advice::TooFew {
            have: used.len(),
            need: LEAST_SAMPLES,
        };
    }
    let mut sorted = used.to_vec();
    sorted.sort_unstable();
    // Nearest rank: the smallest sample that 95 of 100 do not pass.
    let p95 = sorted[(sorted.len() * 95).div_ceil(100) - 1];
    let request = p95.saturating_mul(100 + MARGIN).div_ceil(100).max(1);
    if request.abs_diff(asked).saturating_mul(100) < asked.saturating_mul(WORTH) {
        Advice::Fits { p95 }
    } else {
        Advice::Ask { p95, request }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_comes_from_the_95th_percentile_with_a_margin() {
        let used: Vec<u64> = (1..=100).collect();
        assert_eq!(
            advise(&used, 400),
            Advice::Ask {
                p95: 95,
                request: 110
            }
        );
        assert_eq!(
            advise(&used, 50),
            Advice::Ask {
                p95: 95,
                request: 110
            }
        );
        assert_eq!(advise(&used, 120), Advice::Fits { p95: 95 });
        assert_eq!(
            advise(&used[..59], 120),
            Advice::TooFew { have: 59, need: 60 }
        );
        assert_eq!(advise(&[0; 60], 0), Advice::Ask { p95: 0, request: 1 });
    }
}
