//! The routing tree, inhibition, and everything that says who hears of which alert and when.

use crate::duty::{Escalation, Rotation};
use crate::interval::TimeInterval;
use crate::receiver::{Receiver, Turn};
use mainstay_metrics::{Labels, Matcher, all_match};
use std::collections::BTreeMap;
use std::fmt;

/// How long a new group waits for more alerts, in milliseconds; the field's default.
pub const GROUP_WAIT_MS: i64 = 30_000;
/// How long a group waits between notices, in milliseconds; the field's default.
pub const GROUP_INTERVAL_MS: i64 = 5 * 60_000;
/// After how long an unchanged group is told again, in milliseconds; the field's default.
pub const REPEAT_INTERVAL_MS: i64 = 4 * 3_600_000;

/// By which labels alerts are grouped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupBy {
    /// All of them: every alert is a group.
    All,
    /// These.
    Labels(Vec<String>),
}

/// One node of the tree; what a child does not say is its parent's.
#[derive(Debug, Clone)]
pub struct Route {
    /// What tells it from other routes: the matchers on the way to it.
    pub id: String,
    /// Who is told.
    pub receiver: String,
    /// Which alerts it takes.
    pub matchers: Vec<Matcher>,
    /// Whether routes after it are looked at too.
    pub goes_on: bool,
    /// How alerts are grouped.
    pub group_by: GroupBy,
    /// How long a new group waits, in milliseconds.
    pub group_wait_ms: i64,
    /// How long a group waits between notices, in milliseconds.
    pub group_interval_ms: i64,
    /// After how long it is told again, in milliseconds.
    pub repeat_interval_ms: i64,
    /// Names of intervals in which it says nothing.
    pub mute: Vec<String>,
    /// Names of intervals outside of which it says nothing.
    pub active: Vec<String>,
    /// Its children, in order.
    pub routes: Vec<Route>,
}

impl Route {
    /// The root of a tree that tells one receiver of everything.
    pub fn root(receiver: &str) -> Self {
        Self {
            id: "{}".into(),
            receiver: receiver.into(),
            matchers: Vec::new(),
            goes_on: false,
            group_by: GroupBy::Labels(Vec::new()),
            group_wait_ms: GROUP_WAIT_MS,
            group_interval_ms: GROUP_INTERVAL_MS,
            repeat_interval_ms: REPEAT_INTERVAL_MS,
            mute: Vec::new(),
            active: Vec::new(),
            routes: Vec::new(),
        }
    }

    /// The routes that take an alert: depth first, the first match wins unless it goes on, and a route whose
    /// children do not match takes it itself.
    pub fn matching(&self, labels: &Labels) -> Vec<&Self> {
        if !all_match(&self.matchers, labels) {
            return Vec::new();
        }
        let mut found = Vec::new();
        for route in &self.routes {
            let matched = route.matching(labels);
            let is_done = !matched.is_empty() && !route.goes_on;
            found.extend(matched);
            if is_done {
                break;
            }
        }
        if found.is_empty() {
            found.push(self);
        }
        found
    }

    /// The labels by which an alert is grouped here.
    pub fn group_labels(&self, labels: &Labels) -> Labels {
        match &self.group_by {
            GroupBy::All => labels.clone(),
            GroupBy::Labels(names) => {
                labels.filtered(|label| names.iter().any(|name| **name == *label.name))
            }
        }
    }

    /// The tree's routes, itself first.
    pub fn all(&self) -> Vec<&Self> {
        let children = self.routes.iter().flat_map(Self::all);
        std::iter::once(self).chain(children).collect()
    }

    /// Gives every route below its identity; routes of one parent that look the same are told apart by place.
    pub(crate) fn identify(&mut self) {
        let parent = self.id.clone();
        for (place, route) in self.routes.iter_mut().enumerate() {
            let mut matchers: Vec<String> =
                route.matchers.iter().map(ToString::to_string).collect();
            matchers.sort();
            route.id = format!("{parent}/{{{}}}/{place}", matchers.join(","));
            route.identify();
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} → {}", self.id, self.receiver)
    }
}

/// One alert that fires keeps others silent.
#[derive(Debug, Clone)]
pub struct Inhibition {
    /// Alerts that keep others silent.
    pub source: Vec<Matcher>,
    /// Alerts that are kept silent.
    pub target: Vec<Matcher>,
    /// Labels whose values must be the same in both; one that is not there is empty.
    pub equal: Vec<String>,
}

impl Inhibition {
    /// Whether a firing alert keeps another one silent. One that is on both sides keeps nobody silent that is
    /// on both sides too, so none silences itself.
    pub fn silences(&self, source: &Labels, target: &Labels) -> bool {
        if !all_match(&self.target, target) || !all_match(&self.source, source) {
            return false;
        }
        if all_match(&self.source, target) && all_match(&self.target, source) {
            return false;
        }
        self.equal
            .iter()
            .all(|name| source.get(name) == target.get(name))
    }
}

/// Everything that says who hears of which alert and when.
#[derive(Debug, Clone)]
pub struct Routing {
    /// The tree.
    pub route: Route,
    /// Receivers by name.
    pub receivers: BTreeMap<String, Receiver>,
    /// Inhibitions.
    pub inhibitions: Vec<Inhibition>,
    /// Intervals by name.
    pub intervals: BTreeMap<String, Vec<TimeInterval>>,
    /// Who hears of a channel that fails; where nobody is named, the first other receiver.
    pub fallback: Option<String>,
    /// Rotations by name.
    pub rotations: BTreeMap<String, Rotation>,
    /// Escalations by name.
    pub escalations: BTreeMap<String, Escalation>,
}

impl Routing {
    /// One receiver for everything.
    pub fn single(receiver: Receiver) -> Self {
        Self {
            route: Route::root(&receiver.name),
            receivers: BTreeMap::from([(receiver.name.clone(), receiver)]),
            inhibitions: Vec::new(),
            intervals: BTreeMap::new(),
            fallback: None,
            rotations: BTreeMap::new(),
            escalations: BTreeMap::new(),
        }
    }

    /// Whether a route is mute at a point in civil time, and the interval that makes it so; an empty name
    /// stands for being outside of all intervals in which it is active.
    pub fn is_mute(&self, route: &Route, wall_ms: i64) -> Option<String> {
        let inside = |name: &String| {
            let intervals = self.intervals.get(name);
            intervals.is_some_and(|all| all.iter().any(|interval| interval.contains(wall_ms)))
        };
        if !route.active.is_empty() && !route.active.iter().any(inside) {
            return Some(String::new());
        }
        route.mute.iter().find(|name| inside(name)).cloned()
    }

    /// Who hears that a channel of this receiver fails: a receiver that has another channel than that one.
    pub fn instead_of(&self, receiver: &str, place: usize) -> Option<&Receiver> {
        let failing = self.receivers.get(receiver);
        let failing = failing.and_then(|one| one.channels.get(place));
        let helps = |other: &&Receiver| {
            let mut channels = other.channels.iter();
            other.name != receiver
                && channels.any(|one| failing.is_none_or(|failing| failing.kind != one.kind))
        };
        let named = self.fallback.as_ref();
        let named = named.and_then(|name| self.receivers.get(name));
        let mut others = self.receivers.values();
        named.filter(helps).or_else(|| others.find(helps))
    }

    /// Whether a channel's turn has come as far as rotations say: its person is on duty, or it needs nobody to be.
    pub fn is_on_duty(&self, turn: &Turn, wall_ms: i64) -> bool {
        turn.duty.as_ref().is_none_or(|(rotation, person)| {
            let rotation = self.rotations.get(rotation);
            rotation.and_then(|one| one.on_duty(wall_ms)) == Some(person)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::matchers;

    fn child(receiver: &str, text: &str, goes_on: bool, routes: Vec<Route>) -> Route {
        Route {
            matchers: matchers(text).unwrap(),
            goes_on,
            routes,
            ..Route::root(receiver)
        }
    }

    #[test]
    fn the_first_match_wins_unless_it_goes_on() {
        let mut root = Route::root("all");
        root.routes = vec![
            child("log", "severity=critical", true, Vec::new()),
            child(
                "db",
                "service=db",
                false,
                vec![child("dba", "severity=critical", false, Vec::new())],
            ),
            child("web", "service=~\"web|db\"", false, Vec::new()),
        ];
        root.identify();
        for (labels, receivers) in [
            (vec![("service", "db")], "db"),
            (vec![("service", "db"), ("severity", "critical")], "log dba"),
            (
                vec![("service", "web"), ("severity", "critical")],
                "log web",
            ),
            (vec![("severity", "critical")], "log"),
            (vec![("a", "b")], "all"),
        ] {
            let found: Vec<_> = root
                .matching(&Labels::new(labels))
                .iter()
                .map(|route| route.receiver.clone())
                .collect();
            assert_eq!(found.join(" "), receivers);
        }
        let ids: Vec<_> = root.all().iter().map(|route| route.id.clone()).collect();
        assert_eq!(ids[2], "{}/{service=\"db\"}/1");
    }

    #[test]
    fn an_alert_on_both_sides_silences_none_like_it() {
        let rule = Inhibition {
            source: matchers("severity=critical").unwrap(),
            target: matchers("severity=~\"warning|critical\"").unwrap(),
            equal: vec!["service".into(), "absent".into()],
        };
        let alert = |severity: &str, service: &str| {
            Labels::new([("severity", severity), ("service", service)])
        };
        assert!(rule.silences(&alert("critical", "a"), &alert("warning", "a")));
        assert!(!rule.silences(&alert("critical", "a"), &alert("warning", "b")));
        assert!(!rule.silences(&alert("critical", "a"), &alert("critical", "a")));
        assert!(!rule.silences(&alert("warning", "a"), &alert("warning", "a")));
    }
}
