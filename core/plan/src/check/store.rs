//! What must hold of stores, of those who use them, and of jobs before a release.

use super::Model;
use crate::Observed;
use crate::step::{Plan, Purpose, Step};
use mainstay_atoms::{Cause, Digest, InstanceId, Launch, Role, ServiceName};
use std::collections::BTreeSet;

/// Stores that the plan provisions.
pub(super) fn provisioned(plan: &Plan) -> BTreeSet<ServiceName> {
    let store = |step: &Step| match step {
        Step::Provision { order } => Some(order.store.clone()),
        _ => None,
    };
    plan.steps.iter().filter_map(store).collect()
}

/// Jobs that have succeeded before the plan's release already.
pub(super) fn succeeded(plan: &Plan, observed: &Observed) -> BTreeSet<ServiceName> {
    let mut names = BTreeSet::new();
    for (name, runs) in &observed.jobs {
        let own = |run: &&crate::Run| {
            let before = run.job.cause == Cause::Before && run.release == plan.release;
            before && run.end.is_some_and(|end| end.exit.succeeded())
        };
        if runs.kept.iter().any(|run| own(&run)) {
            names.insert(name.clone());
        }
    }
    names
}

impl Model<'_> {
    /// Only a server that is ready lets anybody in.
    pub(super) fn provision(&mut self, store: &ServiceName) {
        self.closed.remove(store);
        if !self.store_is_ready(store) {
            let message = format!("{store} is provisioned before it is ready");
            self.note("store_ready", message);
        }
    }

    /// The first instances of a release start after the jobs that stand before it.
    pub(super) fn comes_after(&mut self, launch: &Launch) {
        let forward = matches!(self.plan.purpose, Purpose::Deploy | Purpose::Trial);
        let Some(record) = self.record.filter(|_| forward) else {
            return;
        };
        let id = &launch.instance;
        let service = record.contents.platform.services.get(&id.service);
        let new = Some(id.release) == self.plan.release;
        let jobs = service.filter(|_| new).into_iter();
        let mut jobs = jobs.flat_map(|service| &service.before);
        if let Some(job) = jobs.find(|job| !self.succeeded.contains(*job)) {
            let message = format!("{id} starts before {job} has succeeded");
            self.note("before", message);
        }
    }

    pub(super) fn store_is_ready(&self, store: &ServiceName) -> bool {
        let mut runs = self.runs.iter();
        runs.any(|((id, _), one)| id.service == *store && one.alive && one.ready && !one.asked)
    }

    /// A server has its data to itself and finds it prepared.
    pub(super) fn server(&mut self, launch: &Launch) {
        let name = &launch.instance.service;
        let other = self
            .runs
            .iter()
            .any(|((id, _), one)| id.service == *name && one.alive);
        if other {
            let message = format!("{name} gets a second server on its data");
            self.note("one_server", message);
        }
        if !self.prepared.contains(name) {
            let message = format!("the server of {name} starts before {name} is prepared");
            self.note("prepared", message);
        }
    }

    /// Who is told of a store while a release moves finds it ready.
    pub(super) fn told(&mut self, launch: &Launch) {
        if !matches!(self.plan.purpose, Purpose::Deploy | Purpose::Rollback) {
            return;
        }
        let away: Vec<ServiceName> = launch
            .told
            .values()
            .filter(|told| told.address.is_some() && !self.store_is_ready(&told.store))
            .map(|told| told.store.clone())
            .collect();
        let told = launch.told.values().map(|told| &told.store);
        let closed: BTreeSet<_> = told.filter(|store| self.closed.contains(*store)).collect();
        for store in closed {
            let message = format!("{} starts before {store} lets it in", launch.instance);
            self.note("provisioned", message);
        }
        for store in away {
            let message = format!("{} starts before {store} is ready", launch.instance);
            self.note("store_ready", message);
        }
    }

    /// A store stops only for what its own keys say, or with everything.
    pub(super) fn store_stops(&mut self, instance: &InstanceId, contents: Option<Digest>) {
        let down = self.plan.purpose == Purpose::Down;
        let mut others = self.runs.iter().filter(|(_, one)| one.alive);
        let user = others.find(|(_, one)| down && one.role != Role::Store);
        if let Some(user) = user.map(|((id, _), _)| id.clone()) {
            let message = format!("{instance} is stopped before {user}");
            self.note("stores_last", message);
        }
        let wanted = self.record.filter(|_| !down);
        let kept = wanted.and_then(|record| record.digests.get(&instance.service));
        if kept.is_some() && kept.copied() == contents {
            let message = format!("{instance} is stopped though nothing of the store changes");
            self.note("store_stays", message);
        }
    }
}
