//! What keeps alerts from being told: inhibition, intervals, silences.

use super::{Router, is_firing};
use crate::at::At;
use crate::route::Route;
use mainstay_metrics::{Labels, all_match};
use std::collections::BTreeSet;

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
        let members = self
            .clusters
            .get(group)
            .map(|cluster| cluster.members.iter());
        for labels in members.into_iter().flatten() {
            let Some(notice) = self.alerts.get(labels) else {
                continue;
            };
            if self.mute_on(route, labels, at).is_some() {
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
