//! Pages: who of an escalation is called when, until somebody takes the alerts.
//!
//! A page is one group of alerts at one escalation. It begins with the group's first message, calls level after
//! level, and rests as soon as every alert of the group that fires was acknowledged; an alert that comes anew
//! begins it again, at once. A group that nobody may hear of, being silenced or mute, calls nobody.

use super::log::{Entry, Key};
use super::{Router, is_firing};
use crate::at::At;
use crate::duty::Page;
use crate::group::ALERT_NAME;
use crate::notification::Reason;
use crate::receiver::Channel;
use crate::route::Route;
use mainstay_metrics::Labels;
use std::collections::{BTreeMap, BTreeSet};

/// Somebody has taken an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// Who.
    pub by: String,
    /// When.
    pub at: At,
}

/// What one channel hears of a group at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hears {
    /// Everything.
    All,
    /// Everything, and now also what it knows: it is called again.
    Called,
    /// That what it was told of has ended: it is no longer its turn.
    Ends,
    /// Nothing: its turn has not come.
    Nothing,
}

impl Hears {
    /// The reason for a message, as far as this channel hears of it.
    pub(super) fn reason(self, reason: Option<Reason>, fires: bool) -> Option<Reason> {
        match self {
            Self::All => reason,
            Self::Called => reason.or(fires.then_some(Reason::Unanswered)),
            Self::Ends => {
                reason.filter(|one| matches!(one, Reason::AllResolved | Reason::SomeResolved))
            }
            Self::Nothing => None,
        }
    }
}

impl Router {
    /// Somebody takes every alert of a name that fires: nobody further is called for them. What was taken, by
    /// labels; empty where none of that name fires.
    pub fn acknowledge(&mut self, alert: &str, by: &str, at: At) -> Vec<Labels> {
        let named = |labels: &&Labels| labels.get(ALERT_NAME) == alert;
        let firing = self.alerts.values().filter(|one| is_firing(one, at));
        let taken: Vec<Labels> = firing
            .map(|notice| &notice.labels)
            .filter(named)
            .cloned()
            .collect();
        for labels in &taken {
            let by = by.to_owned();
            self.acknowledged
                .entry(labels.clone())
                .or_insert(Acknowledged { by, at });
        }
        taken
    }

    /// Alerts that somebody has taken, by labels.
    pub fn acknowledged(&self) -> &BTreeMap<Labels, Acknowledged> {
        &self.acknowledged
    }

    /// Names of alerts that fire, each once.
    pub fn firing_names(&self, at: At) -> BTreeSet<String> {
        let firing = self.alerts.values().filter(|one| is_firing(one, at));
        firing
            .map(|one| one.labels.get(ALERT_NAME).to_owned())
            .collect()
    }

    /// What a channel hears of a group, by its turn.
    pub(super) fn hears(&self, key: &Key, channel: &Channel, at: At) -> Hears {
        let turn = &channel.turn;
        if turn.level.is_none() && turn.duty.is_none() {
            return Hears::All;
        }
        let knows = |entry: &Entry| !entry.firing.is_empty() || !entry.maybe.is_empty();
        let knows = self.log.get(key).is_some_and(knows);
        let on_duty = self.routing.is_on_duty(turn, at.wall_ms);
        let (is_called, is_taken) = match &turn.level {
            None => (true, false),
            Some((escalation, level)) => {
                let page = self.pages.get(&(key.group.clone(), escalation.clone()));
                let called = page.is_some_and(|page| page.called as usize > *level);
                (called, page.is_some_and(|page| page.taken.is_some()))
            }
        };
        let again = self
            .deliveries
            .get(key)
            .is_some_and(|one| one.notification.reason == Reason::Unanswered);
        match (knows, on_duty && is_called) {
            (true, true) if again && !is_taken => Hears::Called,
            (true, true) => Hears::All,
            (true, false) => Hears::Ends,
            (false, true) if !is_taken => Hears::All,
            (false, _) => Hears::Nothing,
        }
    }

    /// Calls the levels whose time has come.
    pub(super) fn escalate(&mut self, at: At) {
        let clusters = &self.clusters;
        self.pages
            .retain(|(group, _), _| clusters.contains_key(group));
        if self.routing.escalations.is_empty() {
            return;
        }
        let flushed = self.clusters.iter().filter(|(_, one)| one.has_flushed);
        let groups: Vec<(String, String)> = flushed
            .map(|(key, one)| (key.clone(), one.route.clone()))
            .collect();
        for (group, route) in groups {
            let Some(route) = self.route(&route) else {
                continue;
            };
            let channels = self.channels(&route);
            let levels = channels.iter().filter_map(|one| one.turn.level.as_ref());
            let names: BTreeSet<String> = levels.map(|(name, _)| name.clone()).collect();
            for name in names {
                self.page(&group, &route, &name, &channels, at);
            }
        }
    }

    /// Takes one page further.
    fn page(&mut self, group: &str, route: &Route, name: &str, channels: &[Channel], at: At) {
        let key = (group.to_owned(), name.to_owned());
        let (firing, _) = self.audible(group, route, at);
        let escalation = self.routing.escalations.get(name).cloned();
        let Some(escalation) = escalation.filter(|_| !firing.is_empty()) else {
            self.pages.remove(&key);
            return;
        };
        let mut page = self.pages.remove(&key).unwrap_or_else(|| Page::begin(at));
        let is_taken = firing
            .iter()
            .all(|labels| self.acknowledged.contains_key(labels));
        if is_taken {
            page.take(at);
        } else if page.taken.is_some() {
            page = Page::begin(at);
        }
        let mut called = Vec::new();
        while let Some(level) = escalation.call(&mut page, at) {
            let wanted = Some((name.to_owned(), level));
            let places = channels.iter().enumerate().filter(|(_, one)| {
                one.turn.level == wanted && self.routing.is_on_duty(&one.turn, at.wall_ms)
            });
            let before = called.len();
            called.extend(places.map(|(place, _)| place));
            if called.len() == before {
                escalation.pass_over(&mut page);
            }
        }
        self.pages.insert(key, page);
        for place in called {
            if let Some(channel) = channels.get(place) {
                self.consider_as(group, route, place, channel, Some(Hears::Called), at);
            }
        }
    }

    /// When the next level is called, in steady milliseconds.
    pub(super) fn next_call(&self) -> Option<i64> {
        let pages = self.pages.iter();
        pages
            .filter_map(|((_, name), page)| self.routing.escalations.get(name)?.next_at(page))
            .min()
    }

    /// Lets go of what was taken and has ended.
    pub(super) fn forget_taken(&mut self, at: At) {
        let alerts = &self.alerts;
        self.acknowledged
            .retain(|labels, _| alerts.get(labels).is_some_and(|one| is_firing(one, at)));
    }
}

#[cfg(test)]
#[path = "page_test.rs"]
mod tests;
