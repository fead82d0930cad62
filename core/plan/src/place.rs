//! A service with its instances sorted, and what can be said of it alone.

use crate::draft::backend;
use mainstay_atoms::{InstanceId, ServiceName};
use mainstay_rollout::Rules;
use mainstay_routing::Pool;
use mainstay_spec::{Amount, Service};
use mainstay_workload::{Census, Instance, Wanted};
use std::collections::{BTreeMap, BTreeSet};

/// A service of the target with its instances sorted.
pub(crate) struct Place<'a> {
    pub(crate) name: ServiceName,
    pub(crate) service: &'a Service,
    pub(crate) wanted: Wanted,
    pub(crate) census: Census,
}

/// A service of which nothing runs starts after what it needs.
pub(crate) fn unready_need(place: &Place<'_>, places: &[Place<'_>]) -> Option<ServiceName> {
    let asleep = place.census.kept.is_empty() && !place.census.missing.is_empty();
    let unready = |need: &&ServiceName| {
        places
            .iter()
            .any(|other| other.name == **need && ready(&other.census.kept) == 0)
    };
    place
        .service
        .needs
        .iter()
        .filter(|_| asleep)
        .find(unready)
        .cloned()
}

pub(crate) fn add(pool: &mut Pool, instance: &Instance) {
    let Some(address) = instance.address else {
        return;
    };
    pool.backends.retain(|one| one.instance != instance.id);
    pool.backends
        .push(backend(&instance.id, instance.generation, address));
    pool.backends.sort_by(|a, b| a.instance.cmp(&b.instance));
}

/// Ids to start when a release moves: those that are missing, and those that ended.
pub(crate) fn missing(place: &Place<'_>) -> Vec<InstanceId> {
    let census = &place.census;
    let dead = census.dead.iter().map(|instance| instance.id.clone());
    let mut ids = census.missing.clone();
    ids.extend(census.later.iter().map(|(id, _)| id.clone()));
    ids.extend(dead);
    ids.sort();
    ids
}

pub(crate) fn rules(place: &Place<'_>) -> Rules {
    let replicas = place.wanted.replicas;
    let rolling = &place.service.deploy;
    let up = match rolling.surge {
        Amount::Count(count) => count,
        Amount::Share(share) => share.of_rounded_up(replicas),
    };
    let down = match rolling.unavailable {
        Amount::Count(count) => count.min(replicas),
        Amount::Share(share) => share.of_rounded_down(replicas),
    };
    Rules {
        wanted: replicas,
        surge: up,
        unavailable: down,
    }
}

/// How many more instances may start while others still have to leave.
pub(crate) fn room(place: &Place<'_>) -> usize {
    let (census, rules) = (&place.census, rules(place));
    let alive = count(&census.kept) + count(&census.old) + count(&census.dead);
    // Rules that allow nothing allow one more, as in a rolling update.
    let stuck = rules.surge + rules.unavailable == 0;
    let most = rules.wanted + rules.surge + u32::from(stuck);
    most.saturating_sub(alive) as usize
}

pub(crate) fn ready(instances: &[Instance]) -> u32 {
    let ready = instances
        .iter()
        .filter(|one| one.ready_since().is_some())
        .count();
    u32::try_from(ready).unwrap_or(u32::MAX)
}

pub(crate) fn count<T>(things: &[T]) -> u32 {
    u32::try_from(things.len()).unwrap_or(u32::MAX)
}

/// Service names, each after what it needs; a cycle (which the file cannot have) ends in name order.
pub(crate) fn in_order(services: &BTreeMap<ServiceName, Service>) -> Vec<ServiceName> {
    let mut order: Vec<ServiceName> = Vec::with_capacity(services.len());
    let mut placed: BTreeSet<&ServiceName> = BTreeSet::new();
    while order.len() < services.len() {
        let before = order.len();
        for (name, service) in services {
            let free = service
                .needs
                .iter()
                .all(|need| placed.contains(need) || !services.contains_key(need));
            if free && placed.insert(name) {
                order.push(name.clone());
            }
        }
        if order.len() == before {
            let rest = services
                .keys()
                .filter(|name| !placed.contains(name))
                .cloned();
            order.extend(rest.collect::<Vec<_>>());
        }
    }
    order
}
