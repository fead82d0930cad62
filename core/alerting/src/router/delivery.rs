//! One message on its way to one channel, until it is accepted or has become needless.

use crate::notification::Notification;
use mainstay_metrics::Labels;
use std::collections::BTreeSet;

/// The first wait after a failure, in milliseconds; it doubles.
const WAIT_FIRST_MS: i64 = 1000;
/// The longest wait between attempts, in milliseconds, as in the field.
const WAIT_MAX_MS: i64 = 60_000;

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The channel has taken it.
    Accepted,
    /// It was not taken, or nobody knows; it is tried again.
    Failed {
        /// Why.
        why: String,
        /// Whether it may have been taken all the same, as after a time-out.
        maybe_accepted: bool,
        /// How long the other side asks to wait, in milliseconds.
        wait_ms: Option<i64>,
    },
    /// The channel says that it will never take it; it is tried again when the group is looked at again.
    Refused {
        /// Why.
        why: String,
    },
}

/// A message on its way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Delivery {
    pub(crate) notification: Notification,
    pub(crate) firing: BTreeSet<Labels>,
    pub(crate) resolved: BTreeSet<Labels>,
    /// When it is tried next, in steady milliseconds; `None` while an attempt is under way.
    pub(crate) next_ms: Option<i64>,
    /// Whether the group changed while an attempt was under way.
    pub(crate) again: bool,
}

/// How long to wait after so many failures.
pub(crate) fn wait_ms(attempts: u32, asked_ms: Option<i64>) -> i64 {
    let doubled = WAIT_FIRST_MS.saturating_mul(
        1_i64
            .checked_shl(attempts.saturating_sub(1))
            .unwrap_or(i64::MAX),
    );
    let own = if attempts > 7 {
        WAIT_MAX_MS
    } else {
        doubled.min(WAIT_MAX_MS)
    };
    // Whoever asks for days is not obeyed: an alert is urgent.
    asked_ms.map_or(own, |asked| own.max(asked.clamp(0, 15 * 60_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute() {
        let waits: Vec<i64> = (1..=8).map(|attempts| wait_ms(attempts, None)).collect();
        assert_eq!(
            waits,
            [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]
        );
        assert_eq!(wait_ms(1, Some(5000)), 5000);
        assert_eq!(wait_ms(1000, Some(i64::MAX)), 900_000);
    }
}
