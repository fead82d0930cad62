//! The decision: what is wanted and what is seen become steps.

use crate::draft::{Draft, Started};
use crate::place::{Place, add, count, in_order, missing, ready, room, rules, unready_need};
use crate::report::{Report, ServiceLine, StoreAction, StoreLine, Wait};
use crate::serving::Routes;
use crate::step::Step;
use crate::trial::{Goal, Trial, present};
use crate::{Observed, ReleaseRecord};
use mainstay_atoms::{Cause, Fact, InstanceId, Moment, ReleaseNumber, Role, ServiceName};
use mainstay_rollout::{Counts, Turn, recreate, rolling};
use mainstay_routing::{Backend, Pool, Side};
use mainstay_workload::{Census, Instance, Running, Wanted, census};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The release that is to run.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Its number.
    pub release: ReleaseNumber,
    /// Its contents.
    pub record: &'a ReleaseRecord,
    /// Whether instances are replaced turn by turn or all together.
    pub pace: Pace,
    /// It serves already: what differs from it is drift, to be healed.
    pub serves: bool,
    /// Services whose traffic is shared with the release that serves, as long as the release is judged.
    pub trial: Option<&'a Trial<'a>>,
}

impl<'a> Target<'a> {
    /// What is wanted of a service that is on trial.
    fn goal(&self, name: &ServiceName) -> Option<(&'a Goal, &'a Trial<'a>)> {
        let trial = self.trial?;
        Some((trial.goals.get(name)?, trial))
    }
}

/// How fast instances are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// By the rules of the file.
    Rolling,
    /// All new ones together, then all old ones leave: the way back.
    AtOnce,
    /// Nobody is replaced in either direction: what ended by itself starts again in its place.
    Held,
}

/// What bounds a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest wait for a gateway to serve a table.
    pub acknowledge: Duration,
}

impl Default for Limits {
    /// Five minutes: a gateway that is away comes back, and a release need not fail for it.
    fn default() -> Self {
        Self {
            acknowledge: Duration::from_secs(300),
        }
    }
}

/// Steps and what was found on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// In order; empty when the world is as wanted, or only time can help.
    pub steps: Vec<Step>,
    /// Why, and what is waited for.
    pub report: Report,
}

/// Decides what to do so that `target` runs and nothing else does; no target: nothing runs. Total:
/// whatever is observed, the answer is steps or a wait, never an error. Deciding again after the
/// steps were done decides nothing.
pub fn decide(
    target: Option<Target<'_>>,
    observed: &Observed,
    limits: &Limits,
    now: Moment,
) -> Decision {
    let mut decider = Decider {
        draft: Draft::new(observed, limits),
        observed,
        report: Report::default(),
        now,
    };
    match target {
        Some(target) => decider.run(target),
        None => decider.stop_everything(),
    }
    Decision {
        steps: decider.draft.finish(),
        report: decider.report,
    }
}

pub(crate) struct Decider<'a> {
    pub(crate) draft: Draft<'a>,
    pub(crate) observed: &'a Observed,
    pub(crate) report: Report,
    pub(crate) now: Moment,
}

impl Decider<'_> {
    fn run(&mut self, target: Target<'_>) {
        let places = self.places(target);
        let routes = Routes::of(&target.record.contents);
        // What serves has passed them.
        self.draft.smoke = !target.serves;
        if !target.serves {
            self.await_runs(target);
        }
        self.correct(&places, target, &routes);
        if target.pace == Pace::Held {
            return self.hold(&places, target);
        }
        self.stores(target);
        match target.pace {
            Pace::AtOnce if !target.serves => self.replace_at_once(&places, target, &routes),
            _ => {
                let mut judged = true;
                // Load does not wait for what the release does elsewhere.
                let scales = |place: &&Place<'_>| {
                    place.service.scale.is_some() && place.wanted.since != target.release
                };
                let others = places.iter().filter(|place| !scales(place));
                for place in places.iter().filter(scales).chain(others) {
                    if let Some(shared) = target.goal(&place.name) {
                        judged = false;
                        self.share(place, shared, target);
                    } else {
                        self.converge(place, &places, target);
                    }
                }
                if judged {
                    self.settle(&places, target, routes);
                }
            }
        }
    }

    /// The services of the target, needed ones first.
    fn places<'t>(&self, target: Target<'t>) -> Vec<Place<'t>> {
        let services = &target.record.contents.platform.services;
        in_order(services)
            .into_iter()
            .filter_map(|name| {
                let service = services.get(&name)?;
                let wanted = Wanted {
                    service: name.clone(),
                    since: target
                        .record
                        .since
                        .get(&name)
                        .copied()
                        .unwrap_or(target.release),
                    contents: *target.record.digests.get(&name)?,
                    replicas: match target.goal(&name) {
                        Some((goal, _)) => goal.canary,
                        None => self.observed.count(&name, service),
                    },
                };
                let seen: Vec<Instance> = self
                    .observed
                    .instances
                    .iter()
                    .filter(|one| one.id.service == name)
                    .cloned()
                    .collect();
                let census = census(&wanted, &seen, &self.observed.attempts, self.now);
                Some(Place {
                    name,
                    service,
                    wanted,
                    census,
                })
            })
            .collect()
    }

    /// First of all the table is made true: whoever is gone or not ready takes no traffic, whoever is
    /// ready does, and addresses that new instances need are answered.
    fn correct(&mut self, places: &[Place<'_>], target: Target<'_>, routes: &Routes) {
        if !self.gateway_follows() && target.serves && self.gateway_away() {
            return;
        }
        let behind = !self.gateway_follows();
        let mut pools: BTreeMap<ServiceName, Option<Pool>> = BTreeMap::new();
        for (name, pool) in &self.observed.serving.pools {
            let place = places.iter().find(|place| place.name == *name);
            let since = place.map(|place| place.wanted.since);
            // A trial that is over without success: its release leaves at once, and nothing is shared any more.
            let over = pool
                .split
                .as_ref()
                .filter(|split| Some(split.release) != since);
            let canary = |one: &Backend| over.is_some_and(|split| split.side(one) == Side::Canary);
            let tried = pool.backends.iter().filter(|one| canary(one));
            let tried = tried.map(|one| (one.instance.clone(), one.generation));
            self.draft.tried.extend(tried);
            let backends = pool.backends.iter();
            let backends = backends.filter(|one| self.ready(one) && !canary(one));
            let backends: Vec<Backend> = backends.cloned().collect();
            let split = pool.split.clone().filter(|_| over.is_none());
            let pool = Pool {
                streams: pool.streams,
                split: split.map(|split| present(split, &backends)),
                backends,
            };
            pools.insert(name.clone(), Some(pool));
        }
        for place in places {
            // A canary that is ready takes its share, and no more, from the table that gives it one.
            if place.service.port.is_none() || target.goal(&place.name).is_some() {
                continue;
            }
            let pool = pools
                .entry(place.name.clone())
                .or_default()
                .get_or_insert_with(|| Pool {
                    streams: place.service.stop.streams,
                    backends: vec![],
                    split: None,
                });
            for instance in place
                .census
                .kept
                .iter()
                .filter(|one| one.ready_since().is_some())
            {
                add(pool, instance);
            }
        }
        let mut wide = self.observed.serving.routes.widened(routes);
        if target.serves {
            // Ports of a release that failed were perhaps never listened on: with them no table is taken.
            wide.public.clone_from(&routes.public);
        }
        if behind && self.observed.serving.generation.0 > 0 {
            self.draft.announce(pools, Some(wide));
        } else {
            self.draft.publish(pools, Some(wide));
        }
    }

    /// The gateway serves from what was published last, so whoever left that table is left alone.
    pub(crate) fn gateway_follows(&self) -> bool {
        let published = self.observed.serving.generation;
        self.observed
            .gateway
            .known()
            .map_or(published.0 == 0, |seen| seen.generation == published)
    }

    /// The gateway is not seen; says so.
    fn gateway_away(&mut self) -> bool {
        let Fact::Missing { reason } = &self.observed.gateway else {
            return false;
        };
        let (generation, seen) = (self.observed.serving.generation, reason.clone());
        self.report.waits.push(Wait::Gateway { generation, seen });
        true
    }

    fn ready(&self, backend: &Backend) -> bool {
        self.observed
            .run(&backend.instance, backend.generation)
            .is_some_and(|instance| instance.live && instance.ready_since().is_some())
    }

    /// Brings one service to what is wanted.
    pub(crate) fn converge(&mut self, place: &Place<'_>, places: &[Place<'_>], target: Target<'_>) {
        let replaced = place
            .census
            .old
            .iter()
            .any(|instance| self.serves(instance) || self.draft.in_table(instance));
        // What cannot overlap leaves first, whoever it serves.
        let alone = place.service.recreate && !place.census.old.is_empty();
        self.wait_for(&place.census);
        if target.serves && self.observed.gateway.known().is_none() {
            // Nobody is stopped while it cannot be proven that nobody sends it requests.
            if !replaced && !alone {
                self.start_missing(place, target);
            }
            return;
        }
        self.draft.retire(&place.census.dead, false);
        if target.serves && !replaced && !alone {
            self.heal(place, places, target);
        } else {
            self.roll(place, target);
        }
        self.draft.clear(&place.census.leftover);
    }

    pub(crate) fn wait_for(&mut self, census: &Census) {
        for instance in &census.kept {
            if let mainstay_workload::Readiness::NotReady { seen } = &instance.readiness {
                self.report.waits.push(Wait::Ready {
                    instance: instance.id.clone(),
                    seen: seen.clone(),
                });
            }
        }
        for (id, due) in &census.later {
            let found = self.observed.instances.iter().find(|one| one.id == *id);
            let exit = found.and_then(|one| match &one.running {
                Running::Ended { exit, .. } => Some(*exit),
                Running::Yes { .. } => None,
            });
            self.report.waits.push(Wait::Restart {
                instance: id.clone(),
                exit: exit.unwrap_or_default(),
                ends: self
                    .observed
                    .attempts
                    .get(id)
                    .map_or(0, |attempts| attempts.ends),
                due: *due,
            });
        }
    }

    /// What is missing starts; it takes traffic when a later look finds it ready. What is too much
    /// leaves.
    fn heal(&mut self, place: &Place<'_>, places: &[Place<'_>], target: Target<'_>) {
        let asleep = place.census.kept.is_empty() && !place.census.missing.is_empty();
        let store = self.unready_store(&place.service.needs, target);
        if let Some(needs) = unready_need(place, places).or(store.filter(|_| asleep)) {
            let service = place.name.clone();
            self.report.waits.push(Wait::Needs { service, needs });
            return;
        }
        let started = self.start_missing(place, target);
        self.draft.retire(&place.census.old, true);
        self.draft.clear(&place.census.old);
        self.line(
            place,
            started,
            count(&place.census.old),
            ready(&place.census.kept),
        );
    }

    /// Starts what is missing, as far as instances that still have to leave allow.
    fn start_missing(&mut self, place: &Place<'_>, target: Target<'_>) -> u32 {
        let ids = place.census.missing.iter().take(room(place));
        ids.map(|id| u32::from(self.start(target, id).is_some()))
            .sum()
    }

    /// Turn by turn: start, ready, table, acknowledged, drained, stopped.
    fn roll(&mut self, place: &Place<'_>, target: Target<'_>) {
        let counts = self.counts(place);
        let kept = &place.census.kept;
        let whole =
            counts.old_ready + counts.old_unready == 0 && counts.kept >= place.wanted.replicas;
        if target.trial.is_some() && whole && kept.iter().all(|one| self.serves(one)) {
            // It has come as far as it can while others are on trial, and is not asked again at every look.
            return;
        }
        let mut leaving = self.leaving(place);
        let mut missing = missing(place).into_iter();
        self.await_kept(place);
        let turns = if place.service.recreate {
            recreate(place.wanted.replicas, counts)
        } else {
            rolling(rules(place), counts)
        };
        let replaces = turns.iter().any(|turn| turn.start > 0);
        if replaces && !target.serves && target.pace == Pace::Rolling {
            self.around(target, &place.service.before, Cause::Before);
        }
        let mut least = counts.kept + counts.old_ready;
        let mut pool_size = least;
        let (mut starts, mut leaves) = (0, 0);
        for (index, turn) in turns.iter().enumerate() {
            let started = self.start_turn(place, target, *turn, &mut missing);
            let left: Vec<Instance> = leaving
                .drain(..leaving.len().min(turn.leave as usize))
                .collect();
            self.shift(place, &started, &left);
            self.draft.retire(&left, index + 1 == turns.len());
            let served = left.iter().filter(|one| self.serves(one)).count();
            pool_size = (pool_size + turn.start).saturating_sub(u32::try_from(served).unwrap_or(0));
            least = least.min(pool_size);
            starts += turn.start;
            leaves += turn.leave;
        }
        if turns.is_empty() {
            self.shift(place, &[], &[]);
        }
        self.draft.clear(&place.census.old);
        self.line(place, starts, leaves, least);
    }

    pub(crate) fn counts(&self, place: &Place<'_>) -> Counts {
        let serving = place.census.old.iter().filter(|one| self.serves(one));
        let serving = serving.count();
        Counts {
            kept: count(&place.census.kept),
            old_unready: count(&place.census.old) - u32::try_from(serving).unwrap_or(u32::MAX),
            old_ready: u32::try_from(serving).unwrap_or(u32::MAX),
        }
    }

    /// It is ready and does its work: it takes traffic, or is of a kind that takes none.
    fn serves(&self, instance: &Instance) -> bool {
        let works = instance.address.is_none() || self.draft.in_table(instance);
        works && instance.live && instance.ready_since().is_some()
    }

    /// Old instances in the order in which they leave: those that serve nobody first.
    fn leaving(&self, place: &Place<'_>) -> Vec<Instance> {
        let mut old = place.census.old.clone();
        old.sort_by_key(|one| (self.serves(one), one.id.clone()));
        old
    }

    pub(crate) fn await_kept(&mut self, place: &Place<'_>) {
        for instance in &place.census.kept {
            self.draft
                .await_ready(place.service, &instance.id, instance.generation);
        }
    }

    pub(crate) fn start(&mut self, target: Target<'_>, id: &InstanceId) -> Option<Started> {
        let started = self.draft.start(target.record, id);
        if started.is_none() {
            self.report.waits.push(Wait::Port {
                instance: id.clone(),
            });
        }
        started
    }

    fn start_turn(
        &mut self,
        place: &Place<'_>,
        target: Target<'_>,
        turn: Turn,
        missing: &mut impl Iterator<Item = InstanceId>,
    ) -> Vec<Started> {
        let ids: Vec<InstanceId> = missing.take(turn.start as usize).collect();
        let started: Vec<Started> = ids.iter().filter_map(|id| self.start(target, id)).collect();
        for one in &started {
            self.draft
                .await_ready(place.service, &one.id, one.generation);
        }
        started
    }

    /// The pool of a service with these runs added and those taken out.
    pub(crate) fn shifted(
        &self,
        place: &Place<'_>,
        started: &[Started],
        left: &[Instance],
    ) -> Pool {
        let before = self.draft.serving.pools.get(&place.name);
        let mut pool = Pool {
            streams: place.service.stop.streams,
            backends: before.map(|pool| pool.backends.clone()).unwrap_or_default(),
            split: None,
        };
        for instance in &place.census.kept {
            add(&mut pool, instance);
        }
        for backend in started.iter().filter_map(|one| one.backend.clone()) {
            pool.backends.retain(|one| one.instance != backend.instance);
            pool.backends.push(backend);
        }
        pool.backends.retain(|backend| {
            !left
                .iter()
                .any(|one| one.id == backend.instance && one.generation == backend.generation)
        });
        pool.backends.sort_by(|a, b| a.instance.cmp(&b.instance));
        pool
    }

    fn shift(&mut self, place: &Place<'_>, started: &[Started], left: &[Instance]) {
        if place.service.port.is_some() {
            let pool = self.shifted(place, started, left);
            self.draft
                .publish(BTreeMap::from([(place.name.clone(), Some(pool))]), None);
        }
    }

    /// Last: the exact routes, services that are no longer wanted, and the release serves.
    pub(crate) fn settle(&mut self, places: &[Place<'_>], target: Target<'_>, routes: Routes) {
        let stores = target.record.contents.platform.stores.iter();
        let stores = stores.filter(|(_, store)| store.server().is_some());
        let wanted: BTreeSet<&ServiceName> = (places.iter().map(|place| &place.name))
            .chain(stores.map(|(name, _)| name))
            .collect();
        let gateway_seen = self.observed.gateway.known().is_some();
        if gateway_seen || !target.serves {
            let served = |name: &ServiceName| {
                places
                    .iter()
                    .any(|place| place.name == *name && place.service.port.is_some())
            };
            let gone = self.draft.serving.pools.keys().filter(|name| !served(name));
            let gone = gone.map(|name| (name.clone(), None)).collect();
            self.draft.publish(gone, Some(routes));
        }
        if !target.serves {
            if target.pace == Pace::Rolling {
                for place in places {
                    let moved = place.wanted.since == target.release;
                    let after = if moved { &place.service.after[..] } else { &[] };
                    self.around(target, after, Cause::After);
                }
            }
            self.draft.steps.push(Step::Serve {
                release: target.release,
            });
        }
        if target.serves && !gateway_seen {
            return;
        }
        let (running, ended): (Vec<_>, Vec<_>) = self
            .observed
            .instances
            .iter()
            .filter(|one| one.role != Role::Job && !wanted.contains(&one.id.service))
            .cloned()
            .partition(Instance::runs);
        self.retire_in_order(&running);
        self.draft.clear(&ended);
        self.removed_lines(&running);
    }

    fn removed_lines(&mut self, running: &[Instance]) {
        let mut leaving: BTreeMap<&ServiceName, u32> = BTreeMap::new();
        for instance in running {
            if instance.role == Role::Store {
                self.report.stores.push(StoreLine {
                    store: instance.id.service.clone(),
                    action: StoreAction::Detach,
                });
            } else {
                *leaving.entry(&instance.id.service).or_default() += 1;
            }
        }
        let lines = leaving.into_iter().map(|(service, leave)| ServiceLine {
            service: service.clone(),
            since: None,
            start: 0,
            leave,
            least_ready: 0,
        });
        self.report.services.extend(lines);
    }

    pub(crate) fn line(&mut self, place: &Place<'_>, start: u32, leave: u32, least_ready: u32) {
        if start + leave > 0 {
            self.report.services.push(ServiceLine {
                service: place.name.clone(),
                since: Some(place.wanted.since),
                start,
                leave,
                least_ready,
            });
        }
    }
}
