//! Channels that fail, and the alert that tells so over another one.

use super::Router;
use super::delivery::Delivery;
use super::log::Key;
use crate::alert::Notice;
use crate::at::At;
use crate::group::ALERT_NAME;
use crate::route::{GroupBy, Route};
use mainstay_metrics::Labels;
use std::collections::BTreeMap;

/// The alert's name.
pub const CHANNEL_FAILING: &str = "ChannelFailing";
/// How long a channel may fail before that is told, in milliseconds: most outages of a minute mend themselves.
const PATIENCE_MS: i64 = 60_000;
/// What the identity of routes to a stand-in begins with.
pub(crate) const INSTEAD: &str = "instead/";

/// What is known of a channel that fails.
#[derive(Debug, Clone, PartialEq)]
pub struct Failing {
    /// The receiver.
    pub receiver: String,
    /// Which of its channels, from zero.
    pub place: usize,
    /// What kind of channel.
    pub kind: String,
    /// Since when.
    pub since: At,
    /// How many attempts have failed since.
    pub attempts: u32,
    /// Why the last one did.
    pub why: String,
    /// Whether it will not take what it is sent.
    pub is_refusal: bool,
    /// Whether it has been told.
    pub is_told: bool,
}

impl Failing {
    /// Whether it is time to tell.
    pub(crate) fn is_due(&self, at: At) -> bool {
        !self.is_told && (self.is_refusal || at.since(self.since) >= PATIENCE_MS)
    }

    /// When it will be time to tell, in steady milliseconds.
    pub(crate) fn due_ms(&self) -> Option<i64> {
        let wait = if self.is_refusal { 0 } else { PATIENCE_MS };
        (!self.is_told).then(|| self.since.steady_ms.saturating_add(wait))
    }

    /// The notice about it.
    pub(crate) fn notice(&self, ended_at: Option<At>) -> Notice {
        let labels = Labels::new([
            (ALERT_NAME, CHANNEL_FAILING),
            ("receiver", self.receiver.as_str()),
            ("channel", &self.kind),
            ("place", &self.place.to_string()),
            ("severity", "critical"),
        ]);
        let summary = format!(
            "channel {} of receiver {} fails: {}",
            self.kind, self.receiver, self.why
        );
        let runbook = "Send a test with `mainstay alerts test`, then check address, key and network of the channel.";
        Notice {
            labels,
            annotations: BTreeMap::from([
                ("summary".to_owned(), summary),
                ("runbook".to_owned(), runbook.to_owned()),
            ]),
            value: f64::from(self.attempts),
            query: String::new(),
            starts_at: self.since,
            ended_at,
            expires_at: None,
        }
    }
}

/// The route of such an alert: straight to the stand-in.
pub(crate) fn route(receiver: &str) -> Route {
    Route {
        id: format!("{INSTEAD}{receiver}"),
        group_by: GroupBy::All,
        group_wait_ms: 0,
        ..Route::root(receiver)
    }
}

impl Router {
    pub(super) fn failed(
        &mut self,
        of: &Key,
        delivery: &Delivery,
        why: &str,
        is_refusal: bool,
        at: At,
    ) {
        let key = (of.receiver.clone(), of.place);
        let failing = self.failing.entry(key).or_insert_with(|| Failing {
            receiver: of.receiver.clone(),
            place: of.place,
            kind: delivery.notification.channel.kind.name().to_owned(),
            since: at,
            attempts: 0,
            why: String::new(),
            is_refusal: false,
            is_told: false,
        });
        failing.attempts = failing.attempts.saturating_add(1);
        failing.why = why.chars().take(300).collect();
        failing.is_refusal |= is_refusal;
    }

    pub(super) fn recovered(&mut self, key: &Key, at: At) {
        let Some(failing) = self.failing.remove(&(key.receiver.clone(), key.place)) else {
            return;
        };
        if failing.is_told {
            self.take(failing.notice(Some(at)), at);
        }
    }

    /// Makes alerts of channels that have failed for too long.
    pub(super) fn tell_of_failing(&mut self, at: At) {
        let mut notices = Vec::new();
        for failing in self
            .failing
            .values_mut()
            .filter(|failing| failing.is_due(at))
        {
            failing.is_told = true;
            notices.push(failing.notice(None));
        }
        self.ingest(notices, at);
    }

    /// Channels that fail at present.
    pub fn failing(&self) -> impl Iterator<Item = &Failing> {
        self.failing.values()
    }
}
