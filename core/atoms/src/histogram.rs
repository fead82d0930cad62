//! Where a latency is counted: log-linear buckets, aligned with the ones that are shown.
//!
//! Each decade from 10 µs to 100 s is cut at 1, 2 and 5 and then evenly, so that no bucket is wider
//! than 6.25 % of its lower edge (its middle is within 3.2 % of any value in it) and every shown edge
//! is an edge here too.

use std::time::Duration;

/// The upper edges that are shown.
pub const SHOWN: [Duration; 15] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_mins(1),
];

const DECADES: usize = 7;
const STEPS: usize = 60;
/// How many buckets there are: one below 10 µs, the decades, one above 100 s.
pub const COUNT: usize = 1 + DECADES * STEPS + 1;

/// Steps of a decade that begins at 16 (so that edges are whole): first step, lower edge, step width.
const PARTS: [(usize, u64, u64); 3] = [(0, 16, 1), (16, 32, 2), (40, 80, 4)];

/// The bucket of a latency; an edge belongs to the bucket below it, as `le` wants.
pub fn bucket(latency: Duration) -> usize {
    let micros = u64::try_from(latency.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX);
    if micros <= 10 {
        return 0;
    }
    let mut unit = 10;
    let mut decade = 0;
    while micros > unit * 10 {
        unit *= 10;
        decade += 1;
        if decade == DECADES {
            return COUNT - 1;
        }
    }
    1 + decade * STEPS + step(micros, unit)
}

/// Step of a value in (unit, 10 × unit].
fn step(micros: u64, unit: u64) -> usize {
    let part = if micros <= 2 * unit {
        0
    } else if micros <= 5 * unit {
        1
    } else {
        2
    };
    let (first, lower, width) = PARTS[part];
    let above = 16 * micros - lower * unit;
    let place = (above - 1) / (width * unit);
    first + usize::try_from(place).unwrap_or(0)
}

/// The upper edge of a bucket; the last has none and gives the longest duration.
pub fn upper(bucket: usize) -> Duration {
    let Some(inner) = bucket.checked_sub(1) else {
        return Duration::from_micros(10);
    };
    if inner >= DECADES * STEPS {
        return Duration::MAX;
    }
    let unit = 10_u64.pow(u32::try_from(inner / STEPS).unwrap_or(0)) * 10;
    let place = inner % STEPS;
    let part = PARTS
        .iter()
        .rposition(|(first, ..)| *first <= place)
        .unwrap_or(0);
    let (first, lower, width) = PARTS[part];
    let edge = lower + width * u64::try_from(place - first + 1).unwrap_or(0);
    Duration::from_nanos(edge * unit * 1000 / 16)
}

/// The latency below which `share` (0 to 1) of the counted requests stayed: the middle of the bucket
/// in which that request lies. `None` when nothing was counted.
pub fn quantile(counts: &[u64], share: f64) -> Option<Duration> {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank needs no more than 53 bits"
    )]
    let rank = ((total as f64 * share.clamp(0.0, 1.0)).ceil() as u64).max(1);
    let mut seen = 0;
    let at = counts.iter().position(|count| {
        seen += count;
        seen >= rank
    })?;
    let lower = if at == 0 {
        Duration::ZERO
    } else {
        upper(at - 1)
    };
    let top = if at == COUNT - 1 { lower } else { upper(at) };
    Some(lower + (top.saturating_sub(lower)) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shown_edges_are_edges() {
        for edge in SHOWN {
            assert_eq!(
                bucket(edge) + 1,
                bucket(edge + Duration::from_micros(1)),
                "{edge:?}"
            );
            if edge <= Duration::from_secs(10) {
                assert_eq!(upper(bucket(edge)), edge);
            }
        }
    }

    #[test]
    fn a_quantile_is_within_a_twentieth() {
        let mut counts = vec![0; COUNT];
        for micros in 1..=10_000_u64 {
            counts[bucket(Duration::from_micros(micros))] += 1;
        }
        for (share, wanted) in [(0.5, 5_000.0), (0.99, 9_900.0), (1.0, 10_000.0)] {
            let found = quantile(&counts, share).unwrap().as_secs_f64() * 1e6;
            assert!((found / wanted - 1.0_f64).abs() < 0.05, "{share}: {found}");
        }
        assert_eq!(quantile(&[0; COUNT], 0.5), None);
    }

    proptest! {
        #[test]
        fn every_latency_lies_in_its_bucket(micros in 0_u64..200_000_000) {
            let latency = Duration::from_micros(micros);
            let at = bucket(latency);
            prop_assert!(at < COUNT && latency <= upper(at));
            prop_assert!(at == 0 || latency > upper(at - 1));
        }

        #[test]
        fn buckets_are_narrow(at in 2_usize..COUNT - 1) {
            let (low, high) = (upper(at - 1).as_secs_f64(), upper(at).as_secs_f64());
            prop_assert!(high / low <= 1.0626);
        }
    }
}
