//! A group of alerts of one route, and when it is looked at next.

use crate::at::At;
use crate::route::Route;
use mainstay_metrics::Labels;
use std::collections::BTreeSet;

/// Alerts of one route that share the labels by which it groups.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cluster {
    pub(crate) route: String,
    pub(crate) labels: Labels,
    pub(crate) members: BTreeSet<Labels>,
    /// When it is looked at next, in steady milliseconds.
    pub(crate) next_ms: i64,
    pub(crate) has_flushed: bool,
}

/// What tells a group from others: stays the same over restarts.
pub(crate) fn key(route: &Route, labels: &Labels) -> String {
    format!("{}:{labels}", route.id)
}

impl Cluster {
    pub(crate) fn new(route: &Route, labels: Labels, at: At) -> Self {
        Self {
            route: route.id.clone(),
            labels,
            members: BTreeSet::new(),
            next_ms: at.steady_ms.saturating_add(route.group_wait_ms),
            has_flushed: false,
        }
    }

    /// Takes an alert in; one that fires for longer than the wait already is not made to wait again.
    pub(crate) fn add(&mut self, route: &Route, labels: &Labels, starts_at: At, at: At) {
        self.members.insert(labels.clone());
        if !self.has_flushed && at.since(starts_at) > route.group_wait_ms {
            self.next_ms = self.next_ms.min(at.steady_ms);
        }
    }
}
