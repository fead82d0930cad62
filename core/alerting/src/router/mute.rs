//! What keeps alerts from being told: inhibition, intervals, silences.

use super::{Router, is_firing};
use crate::alert::Notice;
use crate::at::At;
use crate::route::{Inhibition, Route, Routing};
use mainstay_metrics::{Labels, all_match};
use std::collections::{BTreeMap, BTreeSet};

/// Why an alert is not told at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mute {
    /// Another alert, with these labels, keeps it silent.
    Inhibited(Labels),
    /// The route's interval of this name; empty where it is outside of all in which it is active.
    Interval(String),
    /// The silence of this name.
    Silenced(String),
}

impl Router {
    /// The alerts of a group that may be told now: firing and ended ones.
    pub(super) fn audible(
        &self,
        group: &str,
        route: &Route,
        at: At,
    ) -> (BTreeSet<Labels>, BTreeSet<Labels>) {
        let (mut firing, mut resolved) = (BTreeSet::new(), BTreeSet::new());
        if self.routing.is_mute(route, at.wall_ms).is_some() {
            return (firing, resolved);
        }
        let members = self
            .clusters
            .get(group)
            .map(|cluster| cluster.members.iter());
        for labels in members.into_iter().flatten() {
            let Some(notice) = self.alerts.get(labels) else {
                continue;
            };
            if self.sources.silence(&self.routing, labels)
                || self.silences.of(labels, at.wall_ms).is_some()
            {
                continue;
            }
            if is_firing(notice, at) {
                firing.insert(labels.clone());
            } else {
                resolved.insert(labels.clone());
            }
        }
        (firing, resolved)
    }

    fn mute_on(&self, route: &Route, labels: &Labels, at: At) -> Option<Mute> {
        self.inhibited(labels, at)
            .map(Mute::Inhibited)
            .or_else(|| self.routing.is_mute(route, at.wall_ms).map(Mute::Interval))
            .or_else(|| {
                let silence = self.silences.of(labels, at.wall_ms);
                silence.map(|silence| Mute::Silenced(silence.id.clone()))
            })
    }

    /// Why an alert is not told at present on its first route, where it is not.
    pub fn mute(&self, labels: &Labels, at: At) -> Option<Mute> {
        let routes = self.routes(labels);
        self.mute_on(routes.first()?, labels, at)
    }

    fn inhibited(&self, labels: &Labels, at: At) -> Option<Labels> {
        if self.routing.inhibitions.is_empty() {
            return None;
        }
        let rules = self.routing.inhibitions.iter();
        let rules: Vec<_> = rules
            .filter(|rule| all_match(&rule.target, labels))
            .collect();
        let firing = self
            .alerts
            .iter()
            .filter(|(_, notice)| is_firing(notice, at));
        let mut sources = firing.map(|(source, _)| source);
        sources
            .find(|source| rules.iter().any(|rule| rule.silences(source, labels)))
            .cloned()
    }
}

/// Firing alerts that keep others silent, by rule and by the labels that must be the same: looked up instead of
/// compared one by one.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources(Vec<Firing>);

/// The values of a rule's `equal` labels.
#[derive(Debug, Clone, Default)]
struct Firing {
    any: BTreeSet<Vec<String>>,
    /// Those of alerts that the rule would not keep silent themselves.
    one_sided: BTreeSet<Vec<String>>,
}

fn values(rule: &Inhibition, labels: &Labels) -> Vec<String> {
    let names = rule.equal.iter();
    names.map(|name| labels.get(name).to_owned()).collect()
}

impl Sources {
    pub(super) fn of(routing: &Routing, alerts: &BTreeMap<Labels, Notice>, at: At) -> Self {
        let rules = routing.inhibitions.iter().map(|rule| {
            let mut found = Firing::default();
            let firing = alerts.iter().filter(|(_, notice)| is_firing(notice, at));
            for (labels, _) in firing.filter(|(labels, _)| all_match(&rule.source, labels)) {
                let values = values(rule, labels);
                if !all_match(&rule.target, labels) {
                    found.one_sided.insert(values.clone());
                }
                found.any.insert(values);
            }
            found
        });
        Self(rules.collect())
    }

    /// Whether one of them keeps an alert silent.
    fn silence(&self, routing: &Routing, labels: &Labels) -> bool {
        routing
            .inhibitions
            .iter()
            .zip(&self.0)
            .any(|(rule, firing)| {
                if !all_match(&rule.target, labels) {
                    return false;
                }
                let two_sided = all_match(&rule.source, labels);
                let sources = if two_sided {
                    &firing.one_sided
                } else {
                    &firing.any
                };
                sources.contains(&values(rule, labels))
            })
    }
}
