//! Whether a share of requests is over a fixed limit by more than chance explains.
//!
//! The test is one-sided and may be asked after every request: for a limit `q` and shares `r > q`, the
//! likelihood ratio `(r/q)^hits × ((1-r)/(1-q))^(of-hits)` is, while the true share is at most `q`, a
//! non-negative supermartingale that begins at 1; so is a mean of several (Robbins 1970). By Ville's
//! inequality it ever reaches `1/alpha` with a chance of at most `alpha`.

/// The shares that are looked for, as multiples of the limit, in ascending order: near ones need many
/// requests, far ones are seen after a few.
const MULTIPLES: [f64; 6] = [1.5, 2.0, 3.0, 6.0, 20.0, 100.0];

/// No share that is looked for is above this: certainty is no hypothesis.
const LARGEST: f64 = 0.95;

/// Whether `hits` of `of` show a share above `limit` (a fraction), with a chance of at most `alpha` to
/// say so of a share that is at or below it, however often one looks.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
pub fn beyond(hits: u64, of: u64, limit: f64, alpha: f64) -> bool {
    if limit >= 1.0 || hits == 0 || of < hits {
        return false;
    }
    if limit <= 0.0 {
        return true;
    }
    let (hits, misses) = (hits as f64, (of - hits) as f64);
    let ratio = |multiple: f64| {
        let share = (limit * multiple).min(LARGEST.max(f64::midpoint(limit, 1.0)));
        hits * (share / limit).ln() + misses * ((1.0 - share) / (1.0 - limit)).ln()
    };
    let mean = mean_exp(MULTIPLES.iter().map(|multiple| ratio(*multiple)));
    mean >= -alpha.ln()
}

/// Logarithm of the mean of exponentials, without overflow.
#[expect(clippy::cast_precision_loss, reason = "a handful of terms")]
pub(crate) fn mean_exp(logs: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = logs.clone().count() as f64;
    let largest = logs.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    let sum: f64 = logs.map(|log| (log - largest).exp()).sum();
    largest + (sum / count).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_told_from_a_fault() {
        // One error of ten at a limit of 1 % happens to every tenth good release.
        assert!(!beyond(1, 10, 0.01, 0.01));
        assert!(!beyond(3, 120, 0.01, 0.01));
        assert!(beyond(81, 412, 0.01, 0.01));
        assert!(beyond(5, 10, 0.01, 0.01));
        assert!(beyond(95, 100, 0.5, 0.01));
        assert!(!beyond(50, 100, 0.5, 0.01));
        assert!(!beyond(0, 0, 0.01, 0.01));
        assert!(!beyond(7, 7, 1.0, 0.01));
    }

    #[test]
    fn looking_after_every_request_inflates_nothing() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut wrong = 0;
        for _ in 0..2000 {
            let mut hits = 0;
            let said = (1..=3000_u64).any(|of| {
                hits += u64::from(random.f64() < 0.02);
                beyond(hits, of, 0.02, 0.01)
            });
            wrong += u32::from(said);
        }
        assert!(wrong <= 20, "{wrong} of 2000 at the limit itself");
    }
}
