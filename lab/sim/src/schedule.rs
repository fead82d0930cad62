//! One life under one seed: deploys, supersessions, aborts, rollbacks, kills, and then quiet.

use crate::{Faults, World, contents, service};
use fastrand::Rng;
use mainstay_atoms::{Actor, InstanceId};
use mainstay_execute::{Engine, Phase, Ship, World as _};
use mainstay_plan::{Contents, Event, Limits};
use std::collections::{BTreeMap, BTreeSet};

/// What happened in a life.
#[derive(Debug)]
pub struct Story {
    /// Its seed.
    pub seed: u64,
    /// Promises that were broken; empty when all is well.
    pub broken: Vec<String>,
    /// How many control planes it took.
    pub lives: u64,
    /// How many plans were recorded.
    pub plans: usize,
    /// Every entry of its ledger, a line each.
    pub trace: Vec<String>,
}

/// An engine in a world, revived whenever it is killed.
pub struct Schedule {
    /// The world.
    pub world: World,
    engine: Option<Engine>,
    rng: Rng,
    lives: u64,
    by: Actor,
}

impl Schedule {
    /// A fresh platform under a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            world: World::new(seed),
            engine: None,
            rng: Rng::with_seed(seed ^ 0x5eed),
            lives: 0,
            by: Actor("tester".into()),
        }
    }

    /// The engine, started anew from the ledger if it was killed; none while the disk is full.
    pub fn engine(&mut self) -> Option<(&mut Engine, &mut World)> {
        if self.world.killed {
            self.engine = None;
            self.world.killed = false;
        }
        if self.engine.is_none() {
            let history = self.world.history();
            let started = Engine::start(history, Limits::default(), (1, "0"), &mut self.world);
            self.lives += u64::from(started.is_ok());
            self.engine = started.ok();
        }
        self.engine.as_mut().map(|engine| (engine, &mut self.world))
    }

    /// Ticks until the world is steady or `most` milliseconds have passed; true when steady.
    pub fn settle(&mut self, most: u64) -> bool {
        let mut passed = 0;
        while passed < most {
            self.tick();
            let quiet = !self.world.killed
                && self.engine.as_ref().is_some_and(|engine| {
                    matches!(engine.phase(), Phase::Steady | Phase::Empty)
                        && engine.under_way().is_none()
                });
            if quiet && self.in_place() {
                return true;
            }
            let wait = self.rng.u64(1..120);
            self.world.pass(wait);
            passed += wait;
        }
        false
    }

    /// One tick.
    pub fn tick(&mut self) {
        if let Some((engine, world)) = self.engine() {
            engine.tick(world);
        }
    }

    /// Ships these contents, if the engine takes them.
    pub fn ship(&mut self, contents: Contents) -> bool {
        let ship = Ship {
            contents,
            reason: "a change".into(),
            by: self.by.clone(),
            confirmed: false,
        };
        self.engine()
            .is_some_and(|(engine, world)| engine.ship(ship, world).is_ok())
    }

    /// Exactly what the serving release says runs and takes traffic.
    pub fn in_place(&mut self) -> bool {
        let Some(engine) = &self.engine else {
            return false;
        };
        let mut due: BTreeSet<InstanceId> = BTreeSet::new();
        if let (Some(record), Some(serving)) = (engine.serving_record(), engine.history().serving) {
            for (name, service) in &record.contents.platform.services {
                let release = record.since.get(name).copied().unwrap_or(serving);
                due.extend((1..=service.replicas).map(|ordinal| InstanceId {
                    service: name.clone(),
                    release,
                    ordinal,
                }));
            }
        }
        let alive: BTreeSet<InstanceId> =
            self.world.alive().into_keys().map(|(id, _)| id).collect();
        let pools = self
            .world
            .table()
            .into_iter()
            .flat_map(|table| table.services.values());
        let routed: BTreeSet<InstanceId> = pools
            .flat_map(|pool| &pool.backends)
            .map(|one| one.instance.clone())
            .collect();
        alive == due && routed == due
    }

    fn act(&mut self, version: u32) {
        let (by, choice) = (self.by.clone(), self.rng.u32(0..10));
        let replicas = self.rng.u32(1..4);
        let Some((engine, world)) = self.engine() else {
            return;
        };
        // A refusal is an answer like any other.
        let _refusal = match choice {
            0 => engine.abort(&by, world).map(drop),
            1 | 2 => engine.roll_back(None, &by, world).map(drop),
            3 => engine.retry(&by, world).map(drop),
            _ => {
                let mut services = vec![
                    ("web", service(replicas, &["api"])),
                    ("api", service(2, &[])),
                ];
                if choice > 7 {
                    services.push(("search", service(1, &["api"])));
                }
                let contents = contents(services, version);
                if choice == 4 {
                    world.bad.extend(
                        contents.service_digest(
                            contents
                                .platform
                                .services
                                .keys()
                                .next()
                                .expect("there are services"),
                        ),
                    );
                }
                let ship = Ship {
                    contents,
                    reason: "a change".into(),
                    by,
                    confirmed: choice % 2 == 0,
                };
                engine.ship(ship, world).map(drop)
            }
        };
    }

    /// Lives one whole life.
    pub fn live(mut self, seed: u64) -> Story {
        let faults = Faults {
            crash: self.rng.u32(0..3),
            unready: self.rng.u32(0..40),
            stubborn: self.rng.u32(0..200),
            gateway: self.rng.u32(0..8),
            disk: self.rng.u32(0..8),
            kill: self.rng.u32(0..15),
        };
        self.world.faults = if self.rng.u32(0..4) == 0 {
            Faults::default()
        } else {
            faults
        };
        for version in 0..self.rng.u32(2..6) {
            self.act(version);
            for _ in 0..self.rng.u32(1..160) {
                self.tick();
                let wait = self.rng.u64(1..250);
                self.world.pass(wait);
            }
        }
        self.world.recover();
        if !self.settle(400_000) {
            let phase = self.engine.as_ref().map(Engine::phase);
            let waits = self
                .engine
                .as_ref()
                .map(|engine| format!("{:?}", engine.waits()));
            self.world
                .broken
                .push(format!("it does not converge: {phase:?}, waits {waits:?}"));
        }
        self.executed_as_planned();
        let plans = self.count_plans();
        let trace = self.trace();
        Story {
            trace,
            seed,
            broken: self.world.broken,
            lives: self.lives,
            plans,
        }
    }

    fn trace(&self) -> Vec<String> {
        let line = |entry: &mainstay_execute::Entry| {
            let what = match &entry.event {
                Event::StepBegun { index, step, .. } => format!("step {index}: {step}"),
                other => format!("{other:?}"),
            };
            format!(
                "{} ms, control plane {}: {what}",
                entry.at.0 % 1_000_000_000,
                entry.epoch
            )
        };
        self.world.entries().iter().map(line).collect()
    }

    fn count_plans(&self) -> usize {
        let plan = |event: &Event| matches!(event, Event::PlanRecorded { .. });
        self.world
            .entries()
            .iter()
            .filter(|entry| plan(&entry.event))
            .count()
    }

    /// Every step that was begun is the step of that place in its plan, and places follow each other.
    fn executed_as_planned(&mut self) {
        let mut plans = BTreeMap::new();
        let entries = self.world.entries().to_vec();
        for entry in &entries {
            match &entry.event {
                Event::PlanRecorded { plan, .. } => {
                    let bytes = self.world.fetch(plan.0).unwrap_or_default();
                    let kept = serde_json::from_slice::<mainstay_plan::Plan>(&bytes).ok();
                    plans.insert(*plan, (kept, 0));
                }
                Event::StepBegun { plan, index, step } => {
                    let fits = plans.get_mut(plan).is_some_and(|(kept, next)| {
                        let same = kept
                            .as_ref()
                            .is_some_and(|kept| kept.steps.get(*index) == Some(step));
                        let follows = *index == *next || *index + 1 == *next;
                        *next = index + 1;
                        same && follows
                    });
                    if !fits {
                        self.world
                            .broken
                            .push(format!("`{step}` was not planned there"));
                    }
                }
                _ => {}
            }
        }
    }
}
