//! The router: who is told of which alert, when, and whether it was accepted.
//!
//! Notices go in ([`Router::ingest`]), messages that are due come out ([`Router::due`]), and what came of them goes
//! in again ([`Router::done`]). Between `due` and the sending, the caller writes the state down
//! ([`Router::to_json`]): then a message is neither lost nor told twice under another id, wherever the process dies.

mod cluster;
mod delivery;
mod health;
mod log;
mod mute;
mod page;
mod reroute;
mod swap;
mod wire;

use crate::alert::Notice;
use crate::at::At;
use crate::duty::{Override, Page};
use crate::group::ALERT_NAME;
use crate::notification::{Notification, Reason, Told};
use crate::receiver::Channel;
use crate::route::{Route, Routing};
use crate::silence::Silences;
use cluster::Cluster;
use delivery::Delivery;
pub use delivery::Outcome;
pub use health::{CHANNEL_FAILING, Failing};
use log::{Entry, Key};
use mainstay_metrics::Labels;
pub use mute::Mute;
use mute::Sources;
pub use page::Acknowledged;
use page::Hears;
use std::collections::{BTreeMap, BTreeSet};
pub use swap::SwapFault;
pub use wire::RouterFault;

/// Most alerts that are held; what comes beyond is counted and not held.
pub const ALERTS_MAX: usize = 20_000;
/// How long the log remembers a group that is gone, in milliseconds, as in the field.
const LOG_KEPT_MS: i64 = 120 * 3_600_000;
/// How long an ended alert is owed to a channel that is silenced, in milliseconds.
const OWED_MS: i64 = 24 * 3_600_000;

/// Who is told of which alert, when, and whether it was accepted.
#[derive(Debug, Clone)]
pub struct Router {
    routing: Routing,
    /// Silences.
    pub silences: Silences,
    alerts: BTreeMap<Labels, Notice>,
    clusters: BTreeMap<String, Cluster>,
    log: BTreeMap<Key, Entry>,
    deliveries: BTreeMap<Key, Delivery>,
    /// Which delivery an id names.
    ids: BTreeMap<u64, Key>,
    failing: BTreeMap<(String, usize), Failing>,
    /// Pages by group and escalation.
    pages: BTreeMap<(String, String), Page>,
    acknowledged: BTreeMap<Labels, Acknowledged>,
    /// Overrides that were set by hand, by rotation.
    swaps: BTreeMap<String, Vec<Override>>,
    next_id: u64,
    refused: u64,
    /// Who keeps others silent, as of the last look.
    sources: Sources,
}

impl Router {
    /// A router that knows nothing yet.
    pub fn new(routing: Routing) -> Self {
        Self {
            routing,
            silences: Silences::default(),
            alerts: BTreeMap::new(),
            clusters: BTreeMap::new(),
            log: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            ids: BTreeMap::new(),
            failing: BTreeMap::new(),
            pages: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            swaps: BTreeMap::new(),
            next_id: 1,
            refused: 0,
            sources: Sources::default(),
        }
    }

    /// What it routes by.
    pub fn routing(&self) -> &Routing {
        &self.routing
    }

    /// Takes notices in.
    pub fn ingest(&mut self, notices: impl IntoIterator<Item = Notice>, at: At) {
        for notice in notices {
            self.take(notice, at);
        }
    }

    fn take(&mut self, mut notice: Notice, at: At) {
        let is_firing = is_firing(&notice, at);
        if let Some(known) = self.alerts.get(&notice.labels) {
            // An alert that goes on began when it was first heard of.
            let goes_on = is_firing && self::is_firing(known, at);
            if goes_on && known.starts_at.steady_ms < notice.starts_at.steady_ms {
                notice.starts_at = known.starts_at;
            }
        } else if !is_firing && !self.is_believed(&notice.labels) {
            return;
        } else if self.alerts.len() >= ALERTS_MAX {
            self.refused += 1;
            return;
        }
        // What nobody could hear of, such as the failure of the only receiver, is not held.
        if self.assign(&notice, at) {
            self.alerts.insert(notice.labels.clone(), notice);
        } else {
            self.alerts.remove(&notice.labels);
        }
    }

    /// Whether any channel may believe that an alert fires.
    fn is_believed(&self, labels: &Labels) -> bool {
        self.groups_of(labels).iter().any(|group| {
            let entries = self.log.range(first_of(group)..);
            let mut entries = entries.take_while(|(key, _)| key.group == *group);
            entries.any(|(_, entry)| entry.believes(labels))
        })
    }

    /// The groups in which an alert belongs.
    fn groups_of(&self, labels: &Labels) -> Vec<String> {
        let routes = self.routes(labels);
        let keys = routes
            .iter()
            .map(|route| cluster::key(route, &route.group_labels(labels)));
        keys.collect()
    }

    fn routes(&self, labels: &Labels) -> Vec<Route> {
        if labels.get(ALERT_NAME) == CHANNEL_FAILING {
            // What is written down names a place; one that is none stands for no channel of that receiver.
            let place = labels.get("place").parse().unwrap_or(usize::MAX);
            let instead = self.routing.instead_of(labels.get("receiver"), place);
            return instead
                .map(|receiver| health::route(&receiver.name))
                .into_iter()
                .collect();
        }
        self.routing
            .route
            .matching(labels)
            .into_iter()
            .map(bare)
            .collect()
    }

    fn route(&self, id: &str) -> Option<Route> {
        if let Some(receiver) = id.strip_prefix(health::INSTEAD) {
            return Some(health::route(receiver));
        }
        self.routing
            .route
            .all()
            .into_iter()
            .find(|route| route.id == id)
            .map(bare)
    }

    /// Puts an alert into its groups; whether there is any.
    fn assign(&mut self, notice: &Notice, at: At) -> bool {
        let routes = self.routes(&notice.labels);
        let is_routed = !routes.is_empty();
        for route in routes {
            let labels = route.group_labels(&notice.labels);
            let key = cluster::key(&route, &labels);
            let cluster = self
                .clusters
                .entry(key)
                .or_insert_with(|| Cluster::new(&route, labels, at));
            cluster.add(&route, &notice.labels, notice.starts_at, at);
        }
        is_routed
    }

    /// The messages that are due, each under way from now on until [`Router::done`] says what came of it.
    pub fn due(&mut self, at: At) -> Vec<Notification> {
        self.tell_of_failing(at);
        self.sources = Sources::of(&self.routing, &self.alerts, at);
        let due = self
            .clusters
            .iter()
            .filter(|(_, cluster)| cluster.next_ms <= at.steady_ms);
        let due: Vec<String> = due.map(|(key, _)| key.clone()).collect();
        for key in due {
            self.flush(&key, at);
        }
        self.escalate(at);
        self.refresh(at);
        self.forget(at);
        let mut messages = Vec::new();
        for delivery in self.deliveries.values_mut() {
            if delivery.next_ms.is_some_and(|next| next <= at.steady_ms) {
                delivery.next_ms = None;
                messages.push(delivery.notification.clone());
            }
        }
        messages
    }

    /// Puts the content of messages that are tried again together anew: what ended or came back meanwhile is told
    /// as it is now.
    fn refresh(&mut self, at: At) {
        let stale = self.deliveries.iter().filter(|(_, delivery)| {
            let is_due = delivery.next_ms.is_some_and(|next| next <= at.steady_ms);
            is_due && delivery.notification.made_at != at
        });
        let stale: Vec<Key> = stale.map(|(key, _)| key.clone()).collect();
        for key in stale {
            self.after(&key, true, at);
        }
    }

    /// When something is due next, in steady milliseconds.
    pub fn next_at(&self) -> Option<i64> {
        let clusters = self.clusters.values().map(|cluster| cluster.next_ms);
        let deliveries = self
            .deliveries
            .values()
            .filter_map(|delivery| delivery.next_ms);
        let failing = self.failing.values().filter_map(Failing::due_ms);
        let others = failing.chain(self.next_call());
        clusters.chain(deliveries).chain(others).min()
    }

    /// Looks at a group: what its channels do not know becomes a message.
    fn flush(&mut self, key: &str, at: At) {
        let Some(cluster) = self.clusters.get_mut(key) else {
            return;
        };
        cluster.has_flushed = true;
        let Some(route) = self.route(&self.clusters[key].route) else {
            self.clusters.remove(key);
            return;
        };
        if let Some(cluster) = self.clusters.get_mut(key) {
            cluster.next_ms = at.steady_ms.saturating_add(route.group_interval_ms.max(1));
        }
        let channels = self.channels(&route);
        for (place, channel) in channels.iter().enumerate() {
            self.consider(key, &route, place, channel, at);
        }
        self.settle(key, &route, &channels, at);
    }

    fn channels(&self, route: &Route) -> Vec<Channel> {
        let receiver = self.routing.receivers.get(&route.receiver);
        receiver
            .map(|receiver| receiver.channels.clone())
            .unwrap_or_default()
    }

    /// Whether one channel is to be told of a group, and makes the message.
    fn consider(&mut self, group: &str, route: &Route, place: usize, channel: &Channel, at: At) {
        self.consider_as(group, route, place, channel, None, at);
    }

    /// The same for a channel that hears what is said, and not what its turn is.
    fn consider_as(
        &mut self,
        group: &str,
        route: &Route,
        place: usize,
        channel: &Channel,
        hears: Option<Hears>,
        at: At,
    ) {
        let key = Key {
            group: group.to_owned(),
            receiver: route.receiver.clone(),
            place,
        };
        if let Some(delivery) = self
            .deliveries
            .get_mut(&key)
            .filter(|one| one.next_ms.is_none())
        {
            // An attempt is under way: two at a time could come in the wrong order.
            delivery.again = true;
            return;
        }
        let hears = hears.unwrap_or_else(|| self.hears(&key, channel, at));
        let (firing, resolved) = self.audible(group, route, at);
        if firing.is_empty() && resolved.is_empty() {
            // Everything is mute: what the channel believes stays as it is.
            return self.drop_waiting(&key);
        }
        let entry = self.log.get(&key);
        let send_resolved = channel.send_resolved;
        let repeat_ms = route.repeat_interval_ms;
        let reason = log::reason(entry, &firing, &resolved, send_resolved, repeat_ms, at);
        let reason = hears.reason(reason, !firing.is_empty());
        match reason {
            None => self.drop_waiting(&key),
            Some(_) if firing.is_empty() && !send_resolved => {
                self.drop_waiting(&key);
                self.record(&key, firing, resolved, at);
            }
            Some(reason) => {
                let resolved = if send_resolved {
                    resolved
                } else {
                    BTreeSet::new()
                };
                self.make(key, channel, (firing, resolved), reason, at);
            }
        }
    }

    /// Lets a message go that has become needless.
    fn drop_waiting(&mut self, key: &Key) {
        let Some(delivery) = self.deliveries.remove(key) else {
            return;
        };
        self.ids.remove(&delivery.notification.id);
        // A channel that failed once, and has nothing left to say, is not known to fail.
        let channel = (key.receiver.clone(), key.place);
        let is_untold = self
            .failing
            .get(&channel)
            .is_some_and(|failing| !failing.is_told);
        let mut others = self.deliveries.keys();
        if is_untold && !others.any(|one| one.receiver == key.receiver && one.place == key.place) {
            self.failing.remove(&channel);
        }
    }

    fn make(
        &mut self,
        key: Key,
        channel: &Channel,
        (firing, resolved): (BTreeSet<Labels>, BTreeSet<Labels>),
        reason: Reason,
        at: At,
    ) {
        let old = self.deliveries.remove(&key);
        let unchanged = old
            .as_ref()
            .filter(|old| old.firing == firing && old.resolved == resolved);
        let id = unchanged.map_or(self.next_id, |old| old.notification.id);
        if id == self.next_id {
            self.next_id += 1;
        }
        let told = |set: &BTreeSet<Labels>, is_firing| -> Vec<Told> {
            let found = set.iter().filter_map(|labels| self.alerts.get(labels));
            found
                .map(|notice| Told {
                    notice: notice.clone(),
                    is_firing,
                })
                .collect()
        };
        let alerts = [told(&firing, true), told(&resolved, false)].concat();
        let notification = Notification {
            id,
            receiver: key.receiver.clone(),
            place: key.place,
            channel: channel.clone(),
            group_key: key.group.clone(),
            group_labels: self
                .clusters
                .get(&key.group)
                .map(|cluster| cluster.labels.clone())
                .unwrap_or_default(),
            alerts: unchanged.map_or(alerts, |old| old.notification.alerts.clone()),
            reason,
            made_at: unchanged.map_or(at, |old| old.notification.made_at),
            attempts: old.as_ref().map_or(0, |old| old.notification.attempts),
        };
        if let Some(old) = &old {
            self.ids.remove(&old.notification.id);
        }
        self.ids.insert(id, key.clone());
        let delivery = Delivery {
            notification,
            firing,
            resolved,
            // New content does not shorten the wait for a channel that fails.
            next_ms: old.and_then(|old| old.next_ms).or(Some(at.steady_ms)),
            again: false,
        };
        self.deliveries.insert(key, delivery);
    }

    /// Says what came of a message.
    pub fn done(&mut self, id: u64, outcome: &Outcome, at: At) {
        let Some(key) = self.ids.remove(&id) else {
            return;
        };
        let Some(mut delivery) = self.deliveries.remove(&key) else {
            return;
        };
        let again = delivery.again;
        match outcome {
            Outcome::Accepted => {
                self.recovered(&key, at);
                let made_at = delivery.notification.made_at;
                self.record(&key, delivery.firing, delivery.resolved, made_at);
            }
            Outcome::Failed {
                why,
                maybe_accepted,
                wait_ms,
            } => {
                if *maybe_accepted {
                    let entry = self.log.entry(key.clone()).or_default();
                    entry.doubt(&delivery.firing, &delivery.resolved);
                }
                self.failed(&key, &delivery, why, false, at);
                delivery.notification.attempts += 1;
                let wait = delivery::wait_ms(delivery.notification.attempts, *wait_ms);
                delivery.next_ms = Some(at.steady_ms.saturating_add(wait));
                delivery.again = false;
                self.ids.insert(id, key.clone());
                self.deliveries.insert(key.clone(), delivery);
            }
            Outcome::Refused { why } => {
                self.failed(&key, &delivery, why, true, at);
                delivery.notification.attempts += 1;
                let route = self
                    .clusters
                    .get(&key.group)
                    .and_then(|cluster| self.route(&cluster.route));
                let wait = route.map_or(60_000, |route| route.group_interval_ms);
                delivery.next_ms = Some(at.steady_ms.saturating_add(wait));
                delivery.again = false;
                self.ids.insert(id, key.clone());
                self.deliveries.insert(key.clone(), delivery);
            }
        }
        if again {
            self.sources = Sources::of(&self.routing, &self.alerts, at);
        }
        self.after(&key, again, at);
    }

    /// What waited for an attempt to end.
    fn after(&mut self, key: &Key, again: bool, at: At) {
        let Some(route) = self
            .clusters
            .get(&key.group)
            .and_then(|cluster| self.route(&cluster.route))
        else {
            return;
        };
        let channels = self.channels(&route);
        if let Some(channel) = channels.get(key.place).filter(|_| again) {
            self.consider(&key.group, &route, key.place, channel, at);
        }
        self.settle(&key.group, &route, &channels, at);
    }

    fn record(&mut self, key: &Key, firing: BTreeSet<Labels>, resolved: BTreeSet<Labels>, at: At) {
        let entry = Entry {
            firing,
            resolved,
            maybe: BTreeSet::new(),
            maybe_ended: BTreeSet::new(),
            at: Some(at),
        };
        self.log.insert(key.clone(), entry);
    }

    /// Whether a message about a group is on its way.
    fn delivers(&self, group: &str) -> bool {
        let next = self.deliveries.range(first_of(group)..).next();
        next.is_some_and(|(key, _)| key.group == group)
    }

    /// Lets alerts go that have ended and are owed to nobody, and the group when it is empty.
    fn settle(&mut self, group: &str, route: &Route, channels: &[Channel], at: At) {
        let Some(cluster) = self.clusters.get(group) else {
            return;
        };
        if !cluster.has_flushed || self.delivers(group) {
            return;
        }
        let owes = |labels: &Labels| {
            channels.iter().enumerate().any(|(place, channel)| {
                let key = Key {
                    group: group.to_owned(),
                    receiver: route.receiver.clone(),
                    place,
                };
                channel.send_resolved
                    && self
                        .log
                        .get(&key)
                        .is_some_and(|entry| entry.believes(labels))
            })
        };
        let goes = |labels: &&Labels| match self.alerts.get(*labels) {
            None => true,
            Some(notice) if is_firing(notice, at) => false,
            Some(notice) => {
                let ended = notice.ended_at.or(notice.expires_at);
                !owes(labels) || ended.is_some_and(|ended| at.since(ended) > OWED_MS)
            }
        };
        let gone: Vec<Labels> = cluster.members.iter().filter(goes).cloned().collect();
        if let Some(cluster) = self.clusters.get_mut(group) {
            for labels in &gone {
                cluster.members.remove(labels);
            }
            if cluster.members.is_empty() {
                self.clusters.remove(group);
            }
        }
        for labels in gone {
            let groups = self.groups_of(&labels);
            let mut clusters = groups.iter().filter_map(|group| self.clusters.get(group));
            if !clusters.any(|cluster| cluster.members.contains(&labels)) {
                self.alerts.remove(&labels);
            }
        }
    }

    /// Lets go what is of no use any more.
    fn forget(&mut self, at: At) {
        self.silences.forget(at.wall_ms);
        self.forget_taken(at);
        self.forget_swaps(at.wall_ms);
        let clusters = &self.clusters;
        self.log.retain(|key, entry| {
            let is_recent = entry.at.is_some_and(|told| at.since(told) < LOG_KEPT_MS);
            clusters.contains_key(&key.group) || is_recent
        });
    }

    /// Whether an alert of this name fires.
    pub fn fires(&self, name: &str, at: At) -> bool {
        let firing = |one: &Notice| one.labels.get(ALERT_NAME) == name && is_firing(one, at);
        self.alerts.values().any(firing)
    }

    /// Alerts that are held, by labels.
    pub fn alerts(&self) -> impl Iterator<Item = &Notice> {
        self.alerts.values()
    }

    /// How many alerts were not held because there were too many.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

/// A route without its children.
fn bare(route: &Route) -> Route {
    Route {
        routes: Vec::new(),
        ..route.clone()
    }
}

/// The least key of a group.
fn first_of(group: &str) -> Key {
    Key {
        group: group.to_owned(),
        receiver: String::new(),
        place: 0,
    }
}

fn is_firing(notice: &Notice, at: At) -> bool {
    notice.ended_at.is_none()
        && notice
            .expires_at
            .is_none_or(|ends| ends.steady_ms > at.steady_ms)
}

#[cfg(test)]
#[path = "router_test.rs"]
mod tests;
