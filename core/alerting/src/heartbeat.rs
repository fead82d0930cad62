//! The heartbeat: a sign that goes out as long as rules are evaluated, for somebody outside who misses it
//! ("dead man's switch"), and the alert that tells that it cannot go out.

use crate::alert::Notice;
use crate::at::At;
use crate::group::ALERT_NAME;
use crate::receiver::Secret;
use crate::router::Outcome;
use mainstay_metrics::Labels;
use std::collections::BTreeMap;

/// The name of the alert.
pub const HEARTBEAT_FAILING: &str = "HeartbeatFailing";

/// How many signs in a row must fail before that is told: one that is lost mends itself.
const FAILURES: u32 = 2;

/// Where the sign goes, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// The address.
    pub url: Secret,
    /// By which method.
    pub method: BeatMethod,
    /// From one sign to the next, in milliseconds.
    pub every_ms: i64,
}

/// By which method of HTTP the sign goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BeatMethod {
    /// With an empty body.
    #[default]
    Post,
    /// For whoever takes nothing else.
    Get,
}

/// The sign's state. It keeps nothing over a restart but the alert, which the router keeps.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    beat: Option<Beat>,
    /// When the next one goes out, in steady milliseconds.
    next_ms: i64,
    /// Whether one is under way.
    goes: bool,
    failures: u32,
    since: At,
    why: String,
}

impl Heartbeat {
    /// A heartbeat whose first sign goes out at once.
    pub fn new(beat: Option<Beat>, at: At) -> Self {
        Self {
            beat,
            next_ms: at.steady_ms,
            goes: false,
            failures: 0,
            since: at,
            why: String::new(),
        }
    }

    /// Goes on as another configuration says; one that stays the same keeps its time.
    pub fn change(&mut self, beat: Option<Beat>, at: At) {
        if self.beat != beat {
            *self = Self::new(beat, at);
        }
    }

    /// When it is to be looked at again, in steady milliseconds.
    pub fn next_at(&self) -> Option<i64> {
        (self.beat.is_some() && !self.goes).then_some(self.next_ms)
    }

    /// The sign that is to go out now; it is under way until [`Heartbeat::done`].
    pub fn due(&mut self, at: At) -> Option<Beat> {
        let beat = self.beat.clone()?;
        if self.goes || self.next_ms > at.steady_ms {
            return None;
        }
        self.goes = true;
        self.next_ms = at.steady_ms.saturating_add(beat.every_ms.max(1));
        Some(beat)
    }

    /// Takes in what came of the sign.
    pub fn done(&mut self, outcome: &Outcome, at: At) {
        self.goes = false;
        match outcome {
            Outcome::Accepted => (self.failures, self.why) = (0, String::new()),
            Outcome::Failed { why, .. } | Outcome::Refused { why } => {
                if self.failures == 0 {
                    self.since = at;
                }
                self.failures = self.failures.saturating_add(1);
                self.why = why.chars().take(300).collect();
            }
        }
    }

    /// The alert about it, if it is to be told; `fires` says whether it fires already. An alert that fires is ended
    /// by a sign that was taken, or because no more are asked for, and not because nobody knows.
    pub fn notice(&self, fires: bool, took: bool, at: At) -> Option<Notice> {
        let ends = fires && (took || self.beat.is_none());
        let begins = self.failures >= FAILURES;
        (ends || begins).then(|| Notice {
            labels: Labels::new([(ALERT_NAME, HEARTBEAT_FAILING), ("severity", "critical")]),
            annotations: BTreeMap::from([
                (
                    "summary".to_owned(),
                    format!("the heartbeat cannot be sent: {}", self.why),
                ),
                ("runbook".to_owned(), RUNBOOK.to_owned()),
            ]),
            value: f64::from(self.failures),
            query: String::new(),
            starts_at: self.since,
            ended_at: ends.then_some(at),
            expires_at: None,
        })
    }
}

const RUNBOOK: &str = "Whoever watches from outside will miss it soon. Check the address under `alerts.heartbeat`, \
                       and whether this machine reaches the outside at all.";

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Outcome {
        Outcome::Failed {
            why: "it answered 500".into(),
            maybe_accepted: false,
            wait_ms: None,
        }
    }

    fn beat() -> Beat {
        Beat {
            url: Secret::Inline("http://localhost/".into()),
            method: BeatMethod::Post,
            every_ms: 60_000,
        }
    }

    #[test]
    fn a_sign_goes_out_at_its_interval_and_never_two_at_once() {
        let mut heart = Heartbeat::new(Some(beat()), At::both(0));
        assert!(heart.due(At::both(0)).is_some(), "the first at once");
        assert!(heart.due(At::both(600_000)).is_none(), "one is under way");
        assert_eq!(heart.next_at(), None);
        heart.done(&Outcome::Accepted, At::both(1000));
        assert_eq!(heart.next_at(), Some(60_000));
        assert!(heart.due(At::both(59_999)).is_none());
        assert!(heart.due(At::both(60_000)).is_some());
        heart.done(&Outcome::Accepted, At::both(61_000));
        heart.change(Some(beat()), At::both(62_000));
        assert_eq!(heart.next_at(), Some(120_000), "the same goes on");
        heart.change(None, At::both(63_000));
        assert!(heart.due(At::both(900_000)).is_none());
    }

    #[test]
    fn two_failures_are_told_and_what_is_taken_ends_it() {
        let mut heart = Heartbeat::new(Some(beat()), At::both(0));
        heart.done(&failed(), At::both(0));
        assert!(heart.notice(false, false, At::both(0)).is_none());
        heart.done(&failed(), At::both(60_000));
        let notice = heart.notice(false, false, At::both(60_000)).unwrap();
        assert_eq!(notice.ended_at, None);
        assert_eq!(notice.starts_at, At::both(0));
        assert!(notice.annotations["summary"].contains("500"), "{notice:?}");
        heart.done(&Outcome::Accepted, At::both(120_000));
        let notice = heart.notice(true, true, At::both(120_000)).unwrap();
        assert_eq!(notice.ended_at, Some(At::both(120_000)));
        // After a restart nothing is known, and the alert stays until a sign was taken.
        let mut fresh = Heartbeat::new(Some(beat()), At::both(130_000));
        assert!(fresh.notice(true, false, At::both(130_000)).is_none());
        fresh.change(None, At::both(131_000));
        assert!(fresh.notice(true, false, At::both(131_000)).is_some());
    }
}
