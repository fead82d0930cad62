//! A release on trial: its instances take a share of the traffic beside those of the release that serves.
//!
//! How large the share is and when it grows is decided by [`mainstay_rollout::canary`]; here it becomes steps.

use crate::decide::{Decider, Target};
use crate::draft::Started;
use crate::place::{Place, add, count, ready};
use crate::serving::Routes;
use crate::{Observed, ReleaseRecord};
use mainstay_atoms::{Cause, ReleaseNumber, ServiceName, Share};
use mainstay_rollout::Weights;
use mainstay_routing::{Backend, Pool, Route, Side, Split};
use mainstay_workload::{Instance, Wanted, census};
use std::collections::BTreeMap;

/// What is wanted of one service while its release is on trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Goal {
    /// Instances of the release that are to run.
    pub canary: u32,
    /// Fresh instances of the stable release that are to run beside its own.
    pub baseline: u32,
    /// Shares of the traffic.
    pub weights: Weights,
}

/// A release on trial.
#[derive(Debug, Clone)]
pub struct Trial<'a> {
    /// The release that serves.
    pub stable: ReleaseNumber,
    /// Its contents.
    pub record: &'a ReleaseRecord,
    /// The services whose traffic is shared.
    pub goals: BTreeMap<ServiceName, Goal>,
}

impl Trial<'_> {
    /// A service of the stable release with so many fresh instances more.
    fn wanted(&self, name: &ServiceName, fresh: u32, seen: &Observed) -> Option<Wanted> {
        let service = self.record.contents.platform.services.get(name)?;
        Some(Wanted {
            service: name.clone(),
            since: self.record.since.get(name).copied().unwrap_or(self.stable),
            contents: *self.record.digests.get(name)?,
            replicas: seen.count(name, service).saturating_add(fresh),
        })
    }
}

impl Decider<'_> {
    /// Brings a service to its shares: what is missing on either side starts, whoever is ready takes traffic,
    /// and what belongs to neither side leaves.
    pub(crate) fn share(
        &mut self,
        place: &Place<'_>,
        (goal, trial): (&Goal, &Trial<'_>),
        target: Target<'_>,
    ) {
        let Some(wanted) = trial.wanted(&place.name, goal.baseline, self.observed) else {
            return;
        };
        let seen = self.observed.instances.iter();
        let seen: Vec<Instance> = seen
            .filter(|one| one.id.service == place.name)
            .cloned()
            .collect();
        let stable = census(&wanted, &seen, &self.observed.attempts, self.now);
        self.wait_for(&place.census);
        self.wait_for(&stable);
        self.draft.retire(&place.census.dead, false);
        self.draft.retire(&stable.dead, false);
        for id in &stable.missing {
            // It takes traffic when a later look finds it ready.
            self.draft.start(trial.record, id);
        }
        if !place.census.missing.is_empty() {
            self.around(target, &place.service.before, Cause::Before);
        }
        let ids = place.census.missing.iter();
        let started: Vec<Started> = ids.filter_map(|id| self.start(target, id)).collect();
        let kept = place.census.kept.iter();
        for one in kept.filter(|one| one.ready_since().is_none()) {
            self.draft
                .await_ready(place.service, &one.id, one.generation);
        }
        for one in &started {
            self.draft
                .await_ready(place.service, &one.id, one.generation);
        }
        let mut pool = Pool {
            streams: place.service.stop.streams,
            backends: vec![],
            split: Some(split(place, goal, wanted.replicas - goal.baseline)),
        };
        // Those of the canary were awaited just now.
        place.census.kept.iter().for_each(|one| add(&mut pool, one));
        let others = stable.kept.iter();
        let others = others.filter(|one| one.ready_since().is_some());
        others.for_each(|one| add(&mut pool, one));
        let mut leaving = both(&place.census.old, &stable.old);
        // A release that this one overtakes may have replaced what served: its instances leave when that is back.
        let own = wanted.replicas - goal.baseline;
        let mut lacking = own.saturating_sub(count(&own_ready(&stable.kept, own)));
        leaving.retain(|one| {
            let stays = lacking > 0 && one.ready_since().is_some() && self.draft.in_table(one);
            if stays {
                lacking -= 1;
                add(&mut pool, one);
            }
            !stays
        });
        pool.backends
            .extend(started.iter().filter_map(|one| one.backend.clone()));
        pool.backends.sort_by(|a, b| a.instance.cmp(&b.instance));
        pool.split = pool.split.map(|split| present(split, &pool.backends));
        let routes = self.preview(place);
        self.draft
            .publish(BTreeMap::from([(place.name.clone(), Some(pool))]), routes);
        self.draft.retire(&leaving, false);
        self.draft.clear(&leaving);
        self.draft
            .clear(&both(&place.census.leftover, &stable.leftover));
        let starts = count(&started) + count(&stable.missing);
        self.line(place, starts, count(&leaving), ready(&stable.kept));
    }

    /// The routes of now, with the host under which the release is looked at before it has the traffic.
    fn preview(&self, place: &Place<'_>) -> Option<Routes> {
        let host = place.service.blue_green.as_ref()?.preview.clone()?;
        let mut routes = self.draft.serving.routes.clone();
        let route = Route {
            prefix: "/".into(),
            service: place.name.clone(),
            only: Some(place.wanted.since),
        };
        routes.domains.insert(host, vec![route]);
        Some(routes)
    }
}

/// Those of the release before that serve, without what was started to be compared with.
fn own_ready(kept: &[Instance], own: u32) -> Vec<&Instance> {
    let own = kept.iter().filter(|one| one.id.ordinal <= own);
    own.filter(|one| one.ready_since().is_some()).collect()
}

/// Those of neither side: what both censuses find.
fn both(ours: &[Instance], theirs: &[Instance]) -> Vec<Instance> {
    let both = ours.iter().filter(|one| theirs.contains(one));
    both.cloned().collect()
}

/// A side of which nobody is there has no share: it is given back once somebody is.
pub(crate) fn present(mut split: Split, backends: &[Backend]) -> Split {
    let there = |side: Side| backends.iter().any(|one| split.side(one) == side);
    let (canary, baseline) = (there(Side::Canary), there(Side::Baseline));
    if !canary {
        split.canary = Share::default();
    }
    if !baseline {
        split.baseline = Share::default();
    }
    split
}

/// How the requests of a service are shared.
fn split(place: &Place<'_>, goal: &Goal, fresh_above: u32) -> Split {
    let canary = place.service.canary.as_ref();
    Split {
        release: place.wanted.since,
        canary: goal.weights.canary,
        baseline: goal.weights.baseline,
        fresh_above,
        sticky: canary.is_some_and(|canary| canary.sticky),
        chosen: canary.map_or_else(Vec::new, |canary| canary.chosen.clone()),
        mirror: canary.map_or(Share::default(), |canary| canary.mirror),
    }
}
