//! What holds of releases on trial, and of what cannot overlap.

use super::Model;
use crate::Serving;
use crate::step::{Purpose, Step};
use mainstay_atoms::{ReleaseNumber, ServiceName};
use mainstay_routing::{Pool, Side, Split};
use std::collections::BTreeSet;

impl Model<'_> {
    /// What cannot overlap starts when no run with other contents is left.
    pub(super) fn alone(&mut self, launch: &mainstay_atoms::Launch) {
        let services = self.record.map(|record| &record.contents.platform.services);
        let service = services.and_then(|services| services.get(&launch.instance.service));
        if !service.is_some_and(|service| service.recreate) {
            return;
        }
        let other = self.runs.iter().find(|((id, _), one)| {
            let same = id.service == launch.instance.service;
            same && one.alive && one.contents != Some(launch.contents)
        });
        if let Some(((other, _), _)) = other {
            let message = format!("{} starts beside {other}", launch.instance);
            self.note("alone", message);
        }
    }

    /// Instances of a release that is on trial with this service, and its number.
    pub(super) fn tried(&self, service: &ServiceName) -> Option<(usize, ReleaseNumber)> {
        let record = self
            .record
            .filter(|_| self.plan.purpose == Purpose::Trial)?;
        let wanted = record.contents.platform.services.get(service)?;
        let way = wanted.canary.is_some() || wanted.blue_green.is_some();
        let tried = way || self.shares_out(service);
        let release = record.since.get(service).filter(|_| tried)?;
        Some((self.wanted(service, wanted) as usize, *release))
    }

    /// Whether the plan shares out the requests of a service.
    fn shares_out(&self, service: &ServiceName) -> bool {
        self.plan.steps.iter().any(|step| match step {
            Step::Publish(publish) => {
                let pool = publish.pools.get(service);
                pool.is_some_and(|pool| pool.as_ref().is_some_and(|pool| pool.split.is_some()))
            }
            _ => false,
        })
    }

    /// How many instances serve beside a release on trial: as many as the release before has, whatever this one
    /// and those that it overtook want.
    pub(super) fn beside(&self, service: &ServiceName) -> Option<usize> {
        let stable = self.stable.filter(|_| self.shares_out(service))?;
        let before = stable.contents.platform.services.get(service)?;
        Some(self.wanted(service, before) as usize)
    }

    /// Shares are parts of one whole, and whoever gets one is there.
    pub(super) fn split(&mut self, service: &ServiceName, pool: &Pool, split: &Split) {
        if split.canary.0 + split.baseline.0 > 10_000 {
            let message = format!("{service} shares out more than all of its requests");
            self.note("shares", message);
        }
        for (side, share) in [
            (Side::Canary, split.canary.0),
            (Side::Baseline, split.baseline.0),
        ] {
            let there = pool.backends.iter().any(|one| split.side(one) == side);
            if share > 0 && !there {
                let message = format!("{service} gives requests to a {side:?} that is not there");
                self.note("shares", message);
            }
        }
    }
}

pub(super) fn shared(serving: &Serving) -> BTreeSet<ServiceName> {
    let pools = serving.pools.iter();
    let shared = pools.filter(|(_, pool)| pool.split.is_some());
    shared.map(|(name, _)| name.clone()).collect()
}

/// The release whose trial is over without success: nobody misses its instances.
pub(super) fn over(
    serving: &Serving,
    name: &ServiceName,
    wanted: Option<&ReleaseNumber>,
) -> Option<ReleaseNumber> {
    let split = serving.pools.get(name)?.split.as_ref()?;
    (Some(&split.release) != wanted).then_some(split.release)
}
