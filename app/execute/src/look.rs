//! Looking: what is seen, which ends are new, and what contradicts the plan under way.

use crate::engine::Engine;
use crate::world::{RecordFault, Seen, World};
use mainstay_atoms::{Actor, Fact, Role};
use mainstay_plan::{Event, Observed, Purpose, Step};
use mainstay_workload::{Exit, Instance, Running};
use std::collections::BTreeSet;
use std::time::Duration;

impl Engine {
    pub(crate) fn look(&mut self, world: &mut impl World) {
        self.seen = Some(world.observe());
        self.complete_evidence(world);
    }

    /// Adds how the process of a failed release ended, once it has and before its traces are cleared.
    fn complete_evidence(&mut self, world: &mut impl World) {
        let (Some((id, generation)), Some(seen)) = (&self.ending, &self.seen) else {
            return;
        };
        let mut own = seen
            .instances
            .iter()
            .filter(|one| one.id == *id && one.generation == *generation);
        let found = own.next();
        if found.is_some_and(Instance::runs) {
            return;
        }
        let process = found.and_then(|_| world.evidence(id).process);
        if let Some((_, _, evidence)) = &mut self.failure {
            evidence.process = process.or_else(|| evidence.process.take());
            evidence.ended = true;
        }
        self.ending = None;
    }

    /// What is known now; ports that are taken are asked for where somebody is to start.
    pub(crate) fn observed(&mut self, world: &mut impl World) -> Observed {
        let seen = match &self.seen {
            Some(seen) => seen.clone(),
            None => world.observe(),
        };
        let stores = self.history.stores.iter();
        let stores = stores.filter(|(name, _)| world.keeps(name));
        Observed {
            stores: stores.map(|(name, order)| (name.clone(), *order)).collect(),
            instances: seen.instances,
            gateway: seen.gateway,
            ports_taken: BTreeSet::new(),
            serving: self.history.table.clone(),
            attempts: self.history.attempts.clone(),
            generation: self.history.generation,
            jobs: self.history.jobs.clone(),
            counts: self.counts(),
        }
    }

    /// Records instances that ended by themselves, once each.
    pub(crate) fn note_ends(&mut self, world: &mut impl World) -> Result<(), RecordFault> {
        let Some(seen) = &self.seen else {
            return Ok(());
        };
        let (now, _) = world.now();
        let events: Vec<Event> = seen
            .instances
            .iter()
            .filter_map(|one| match &one.running {
                Running::Ended { exit, at }
                    if !exit.asked || !one.live || one.role == Role::Job =>
                {
                    let new = self.is_new_end(one);
                    new.then(|| Event::InstanceEnded {
                        instance: one.id.clone(),
                        generation: one.generation,
                        exit: *exit,
                        ran_ms: milliseconds(at.since(one.started)),
                        ago_ms: milliseconds(now.since(*at)),
                    })
                }
                _ => None,
            })
            .collect();
        if events.is_empty() {
            Ok(())
        } else {
            self.record(world, &Actor::itself(), events)
        }
    }

    fn is_new_end(&self, one: &Instance) -> bool {
        if one.role == Role::Job {
            let runs = self.history.jobs.get(&one.id.service);
            let run = runs.and_then(|runs| runs.find(&one.id));
            return run.is_some_and(|run| run.end.is_none());
        }
        let known = self.history.ends.get(&one.id);
        known.is_none_or(|last| *last < one.generation)
    }

    /// The server of a store that the plan under way counts on and that has ended.
    pub(crate) fn store_lost(&self) -> Option<(&Instance, Exit)> {
        let run = self.run.as_ref()?;
        let left = run.plan.steps.get(run.next..)?;
        let seen = self.seen.as_ref()?;
        let ships = matches!(
            run.plan.purpose,
            Purpose::Deploy | Purpose::Trial | Purpose::Rollback
        );
        let counted = |one: &Instance, exit: Exit| match left.first() {
            // Its end fails this step.
            Some(Step::AwaitReady { instance, .. }) if *instance == one.id => false,
            // An earlier plan may have asked it to stop while this one was made; one that another has
            // taken the place of is not missed.
            Some(Step::Provision { order }) if order.store == one.id.service => {
                let mut servers = seen.instances.iter();
                !servers.any(|other| other.id.service == one.id.service && other.runs())
            }
            _ => !exit.asked && ships && !left.iter().any(|step| step.instance() == Some(&one.id)),
        };
        let stores = seen.instances.iter();
        let stores = stores.filter(|one| one.role == Role::Store);
        let mut ended = stores.filter_map(|one| match one.running {
            Running::Ended { exit, .. } => Some((one, exit)),
            Running::Yes { .. } => None,
        });
        ended.find(|(one, exit)| counted(one, *exit))
    }

    /// Something takes traffic that is gone or not ready, and the plan under way does not know.
    pub(crate) fn deviation(&self) -> Option<String> {
        let run = self.run.as_ref()?;
        let seen = self.seen.as_ref()?;
        if run.plan.purpose == Purpose::Down || matches!(seen.gateway, Fact::Missing { .. }) {
            return None;
        }
        let backends = self
            .history
            .table
            .pools
            .values()
            .flat_map(|pool| &pool.backends);
        // Looked up and not searched: a platform may have thousands.
        let works = |one: &&Instance| one.live && one.ready_since().is_some();
        let working: BTreeSet<_> = seen
            .instances
            .iter()
            .filter(works)
            .map(|one| (&one.id, one.generation))
            .collect();
        backends
            .filter(|backend| !working.contains(&(&backend.instance, backend.generation)))
            .map(|backend| format!("{} takes traffic and is not ready", backend.instance))
            .next()
    }
}

/// Nothing that a decision rests on differs.
pub(crate) fn same(before: Option<&Seen>, now: Option<&Seen>) -> bool {
    let key = |seen: &Seen| seen.gateway.known().map(|gateway| gateway.generation);
    before
        .zip(now)
        .is_some_and(|(before, now)| before.instances == now.instances && key(before) == key(now))
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
