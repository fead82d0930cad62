//! One alert of a rule, from its first element to the last notice of its end.

use crate::at::At;
use mainstay_metrics::Labels;
use std::collections::BTreeMap;

/// How long a resolved alert is kept and sent again, in milliseconds: a lost notice is repaired in that time.
pub const RESOLVED_KEPT_MS: i64 = 15 * 60_000;

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its element is there, but not for long enough.
    Pending,
    /// It fires.
    Firing,
    /// Its element is gone.
    Resolved,
}

impl State {
    /// As the field names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "inactive",
        }
    }
}

/// One alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// What tells it from others; `alertname` is among them.
    pub labels: Labels,
    /// Texts for people, of the last evaluation that saw it.
    pub annotations: BTreeMap<String, String>,
    /// The element's value at the last evaluation that saw it.
    pub value: f64,
    /// Where it stands.
    pub state: State,
    /// When its element was first there.
    pub active_at: At,
    /// When it began to fire.
    pub fired_at: Option<At>,
    /// When it ended.
    pub resolved_at: Option<At>,
    /// Since when it fires without its element.
    pub kept_since: Option<At>,
    /// When a notice was last made.
    pub sent_at: Option<At>,
    /// Whether the last notice said that it fires: then its end is told, whatever happens in between.
    pub told_firing: bool,
}

impl Alert {
    /// A new alert, pending.
    pub(crate) fn new(
        labels: Labels,
        annotations: BTreeMap<String, String>,
        value: f64,
        at: At,
    ) -> Self {
        Self {
            labels,
            annotations,
            value,
            state: State::Pending,
            active_at: at,
            fired_at: None,
            resolved_at: None,
            kept_since: None,
            sent_at: None,
            told_firing: false,
        }
    }

    /// The element is there: fires when it has been for long enough. A `for` that was raised makes a firing
    /// alert wait again; that it fired has been told, so its end will be.
    pub(crate) fn seen(&mut self, for_ms: i64, at: At) {
        self.kept_since = None;
        self.hold(for_ms, at);
    }

    fn hold(&mut self, for_ms: i64, at: At) {
        let long_enough = at.since(self.active_at) >= for_ms;
        match self.state {
            State::Pending if long_enough => {
                self.state = State::Firing;
                self.fired_at.get_or_insert(at);
            }
            State::Firing if !long_enough => self.state = State::Pending,
            _ => {}
        }
    }

    /// The element is gone. Returns whether the alert is still known.
    pub(crate) fn missed(&mut self, keep_firing_for_ms: i64, at: At) -> bool {
        if self.state == State::Firing && keep_firing_for_ms > 0 {
            let since = *self.kept_since.get_or_insert(at);
            if at.since(since) < keep_firing_for_ms {
                return true;
            }
        }
        if self.state == State::Pending && !self.told_firing {
            return false;
        }
        if self.state == State::Resolved {
            return self
                .resolved_at
                .is_some_and(|resolved| at.since(resolved) <= RESOLVED_KEPT_MS);
        }
        self.state = State::Resolved;
        self.resolved_at = Some(at);
        true
    }

    /// Whether a notice is due: newly firing, newly resolved, or the last one is old.
    pub(crate) fn is_due(&self, resend_ms: i64, at: At) -> bool {
        let again = self.sent_at.is_none_or(|sent| at.since(sent) >= resend_ms);
        match self.state {
            State::Pending => false,
            State::Firing => !self.told_firing || again,
            State::Resolved => self.told_firing || again,
        }
    }
}

/// What a router is told of an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// What tells the alert from others.
    pub labels: Labels,
    /// Texts for people.
    pub annotations: BTreeMap<String, String>,
    /// The value that the rule saw last.
    pub value: f64,
    /// The rule's query; empty where the alert comes from elsewhere.
    pub query: String,
    /// Since when it is active.
    pub starts_at: At,
    /// When it ended; `None` while it fires.
    pub ended_at: Option<At>,
    /// When it ends by itself if nothing more is heard: only for alerts that others push. What our own rules
    /// fire ends when they say so.
    pub expires_at: Option<At>,
}
