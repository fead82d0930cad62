//! One life under one seed: deploys, supersessions, aborts, rollbacks, kills, and then quiet.

use crate::stage::differs;
use crate::{Faults, World, contents, service, with_stores};
use fastrand::Rng;
use mainstay_atoms::Actor;
use mainstay_execute::{Engine, Phase, Ship, World as _};
use mainstay_plan::{Contents, Event, Limits};
use std::collections::BTreeMap;

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
    /// Whether its platform has stores and jobs.
    stores: bool,
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
            stores: seed.is_multiple_of(2),
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
        self.until(most, |engine, world| {
            let steady = matches!(engine.phase(), Phase::Steady | Phase::Empty);
            let record = engine.serving_record();
            steady
                && engine.under_way().is_none()
                && record.map_or(world.alive().is_empty(), |record| {
                    differs(world, record).is_none()
                })
        })
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

    /// Ticks until `over` says so or `most` milliseconds have passed; true when it said so.
    pub fn until(&mut self, most: u64, over: impl Fn(&Engine, &World) -> bool) -> bool {
        let mut passed = 0;
        while passed < most {
            self.tick();
            let alive = !self.world.killed;
            let engine = self.engine.as_ref().filter(|_| alive);
            if engine.is_some_and(|engine| over(engine, &self.world)) {
                return true;
            }
            let wait = self.rng.u64(1..120);
            self.world.pass(wait);
            passed += wait;
        }
        false
    }

    /// Exactly what the serving release says runs and takes traffic.
    pub fn in_place(&self) -> bool {
        let record = self.engine.as_ref().and_then(Engine::serving_record);
        match record {
            Some(record) => differs(&self.world, record).is_none(),
            None => self.world.alive().is_empty(),
        }
    }

    /// A replay of the ledger knows what the engine knows that wrote it.
    fn replays(&mut self) {
        let replay = self.world.history();
        if self
            .engine
            .as_ref()
            .is_some_and(|engine| *engine.history() != replay)
        {
            let broken = &mut self.world.broken;
            broken.push("a replay of the ledger differs from what the engine knows".into());
        }
    }

    fn act(&mut self, version: u32) {
        let (by, choice) = (self.by.clone(), self.rng.u32(0..10));
        let replicas = self.rng.u32(1..4);
        let (stores, memory) = (self.stores, 1 << self.rng.u64(5..8));
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
                let mut contents = contents(services, version);
                if stores {
                    contents = with_stores(contents, memory);
                }
                if choice == 4 {
                    world.bad.extend(
                        contents.digest_of(
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
                .map(|engine| format!("{:?}", engine.waits().collect::<Vec<_>>()));
            self.world
                .broken
                .push(format!("it does not converge: {phase:?}, waits {waits:?}"));
        }
        self.replays();
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
