//! The world as the engine sees it: the shipped trait, with kills and full disks.

use super::World;
use crate::kill::Kill;
use mainstay_atoms::{Digest, Fact, Generation, InstanceId, Moment, Told, Wall};
use mainstay_execute::{EffectFault, Entry, Evidence, Order, RecordFault, Seen, Used};
use mainstay_plan::{Event, GatewaySeen, Load};
use mainstay_rollout::{Board, Metric, Reading, Trouble};
use mainstay_routing::Table;
use mainstay_spec::Waiting;
use mainstay_workload::{Instance, Readiness, Running};
use std::collections::{BTreeMap, BTreeSet};

impl mainstay_execute::World for World {
    fn now(&self) -> (Moment, Wall) {
        (
            self.now,
            Wall((1_790_000_000_000 + self.now.0).saturating_add_signed(self.civil_ahead)),
        )
    }

    fn observe(&mut self) -> Seen {
        let now = self.now;
        let instances = self
            .processes
            .iter()
            .map(|((id, generation), process)| Instance {
                id: id.clone(),
                generation: *generation,
                contents: process.launch.contents,
                address: process.launch.address,
                started: process.started,
                running: match process.ended {
                    Some((exit, at)) => Running::Ended { exit, at },
                    None => Running::Yes { pid: 1 },
                },
                readiness: if let Some(since) = self.ready_since(process) {
                    Readiness::Ready { since }
                } else {
                    Readiness::NotReady {
                        seen: "503 from GET /ready".into(),
                    }
                },
                live: true,
                stop: process.stop.clone(),
                role: process.launch.role(),
            })
            .collect();
        let gateway = match (&self.table, self.gateway_back) {
            (_, Some(_)) => Fact::Missing {
                reason: "the gateway does not answer".into(),
            },
            (table, None) => {
                let mut load: BTreeMap<InstanceId, BTreeMap<Generation, Load>> = BTreeMap::new();
                for ((id, generation), process) in &self.processes {
                    let seen = Load {
                        in_flight: process.in_flight,
                        streams: 0,
                    };
                    load.entry(id.clone())
                        .or_default()
                        .insert(*generation, seen);
                }
                let generation = table
                    .as_ref()
                    .map_or(Generation(0), |table| table.generation);
                Fact::Known {
                    value: GatewaySeen {
                        generation,
                        pauses: table.as_ref().map_or(0, |table| table.pauses.number),
                        load,
                    },
                    at: now,
                }
            }
        };
        Seen { instances, gateway }
    }

    fn board(&mut self) -> Option<Board> {
        (self.gateway_back.is_none() && !self.chance(self.faults.gateway))
            .then(|| self.board.clone())
    }

    /// Without lies a release is as good as those beside it.
    fn provided(&mut self, _metric: &Metric) -> Option<Reading> {
        if !self.chance(self.faults.lie) {
            return Some(Reading::Number(0.5));
        }
        match self.rng.u32(0..12) {
            0..6 => None,
            6 => Some(Reading::Nothing),
            7 => Some(Reading::Number(f64::NAN)),
            8 => Some(Reading::Number(99.0)),
            9 => Some(Reading::Trouble(Trouble::NotJson)),
            _ => Some(Reading::Trouble(Trouble::Slow { limit_ms: 5_000 })),
        }
    }

    fn waiting(&mut self, told: &Told, _what: &Waiting) -> Option<Result<u64, String>> {
        if !self.chance(self.faults.lie) {
            return Some(self.waits(&told.login));
        }
        (self.rng.u32(0..4) == 0).then(|| Err("the store does not answer".into()))
    }

    fn used(&mut self, instances: &[InstanceId]) -> BTreeMap<InstanceId, Used> {
        self.used_now(instances)
    }

    fn firing(&mut self) -> Option<BTreeSet<String>> {
        self.alarms.firing.clone()
    }

    fn ports_taken(&mut self) -> BTreeSet<u16> {
        BTreeSet::new()
    }

    fn apply(&mut self, order: &Order<'_>) -> Result<(), EffectFault> {
        if order.epoch < self.epoch {
            return Err(EffectFault::Fenced("a later control plane".into()));
        }
        self.epoch = order.epoch;
        let gone = || EffectFault::Later("killed".into());
        if self.kill_here(order.step, Kill::BeforeEffect) {
            return Err(gone());
        }
        self.effect(order)?;
        if self.kill_here(order.step, Kill::BeforeOutcome) {
            Err(gone())
        } else {
            Ok(())
        }
    }

    fn pause(&mut self, table: &Table) -> Result<(), EffectFault> {
        World::pause(self, table)
    }

    fn record(&mut self, entries: Vec<Entry>) -> Result<(), RecordFault> {
        if self.killed || self.disk_full || self.chance(self.faults.disk) {
            return Err(RecordFault("no space left on device".into()));
        }
        let killed = || RecordFault("killed".into());
        for entry in entries {
            let done = matches!(entry.event, Event::StepDone { .. });
            let waited = self.last_begun.clone().filter(|step| done && step.waits());
            if waited.is_some_and(|step| self.kill_here(&step, Kill::BeforeOutcome)) {
                return Err(killed());
            }
            self.learn(&entry.event);
            self.learn_count(&entry.event);
            self.learn_act(&entry.event);
            self.learn_pause(&entry.event);
            if let Event::JobStep { step } = &entry.event {
                self.jobs_begun.push_back(step.clone());
                // As many as may be tried again at once.
                if self.jobs_begun.len() > 64 {
                    self.jobs_begun.pop_front();
                }
            }
            let begun = match &entry.event {
                Event::StepBegun { step, .. } => Some(step.clone()),
                _ => None,
            };
            if !self.forgets.is_some_and(|forgets| forgets(&entry.event)) {
                self.last_begun = begun.clone().or(self.last_begun.take());
                let mut entry = entry;
                if let Some(miswrites) = self.miswrites {
                    miswrites(&mut entry.event);
                }
                self.entries.push(entry);
            }
            let waits = begun.filter(mainstay_plan::Step::waits);
            if waits.is_some_and(|step| self.kill_here(&step, Kill::BeforeEffect)) {
                return Err(killed());
            }
            if done
                && let Some(step) = self.last_begun.clone()
                && self.kill_here(&step, Kill::AfterOutcome)
            {
                return Err(killed());
            }
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<Digest, RecordFault> {
        if self.disk_full || self.chance(self.faults.disk) {
            return Err(RecordFault("no space left on device".into()));
        }
        let digest = Digest::of(bytes);
        self.blobs.insert(digest, bytes.to_vec());
        Ok(digest)
    }

    fn fetch(&mut self, digest: Digest) -> Result<Vec<u8>, RecordFault> {
        self.blobs
            .get(&digest)
            .cloned()
            .ok_or_else(|| RecordFault("it is not there".into()))
    }

    fn evidence(&mut self, _: &InstanceId) -> Evidence {
        Evidence::default()
    }
}
