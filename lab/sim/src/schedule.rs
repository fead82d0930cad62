//! One life under one seed: deploys, supersessions, aborts, rollbacks, kills, and then quiet.

use crate::stage::differs;
use crate::{Faults, World, contents, service, service_digests, with_stores};
use fastrand::Rng;
use mainstay_atoms::{Actor, ServiceName};
use mainstay_execute::{Engine, Phase, Ship, World as _};
use mainstay_plan::{Contents, Event, Failure, Limits, Step, Wait};
use mainstay_rollout::canary::Order;
use mainstay_spec::{Missed, Overlap};
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
    /// How many entries its ledger has.
    pub entries: usize,
    /// Every entry of its ledger, a line each, if a promise was broken.
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
    /// Draws how services are scaled; none: none is.
    scaling: Option<Rng>,
    /// Draws what people say of routes; none: nothing.
    pausing: Option<Rng>,
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
            scaling: None,
            pausing: None,
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
        self.until(most, at_rest)
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
        let (by, choice) = (self.by.clone(), self.rng.u32(0..15));
        let mut contents = draw(&mut self.rng, self.stores, version, choice);
        if let Some(mut rng) = self.scaling.take() {
            crate::scaling::draw(&mut rng, &mut contents);
            if rng.bool() {
                self.by_hand(&mut rng);
            }
            self.scaling = Some(rng);
        }
        if let Some(mut rng) = self.pausing.take() {
            self.pause_by_hand(&mut rng);
            self.pausing = Some(rng);
        }
        let Some((engine, world)) = self.engine() else {
            return;
        };
        // A refusal is an answer like any other.
        let _refusal = match choice {
            0 => engine.abort(&by, world).map(drop),
            1 | 2 => engine.roll_back(None, &by, world).map(drop),
            3 => engine.retry(&by, world).map(drop),
            10 => {
                let digest = ServiceName::new("digest").expect("a valid name");
                engine.ask_run(&digest, &by, world).map(drop)
            }
            12 => engine.order_trials(Order::Pause, &by, world).map(drop),
            13 => engine.order_trials(Order::Resume, &by, world).map(drop),
            14 => {
                let order = if version.is_multiple_of(2) {
                    Order::Promote
                } else {
                    Order::PromoteFully
                };
                engine.order_trials(order, &by, world).map(drop)
            }
            11 if engine.history().down => engine.come_up(&by, world),
            11 if version.is_multiple_of(2) => engine.go_down(&by, world),
            _ => {
                if choice == 4 {
                    world.bad.extend(service_digests(&contents).first());
                }
                if matches!(choice, 5 | 7) {
                    world.worse.extend(service_digests(&contents).last());
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
        self.world.faults = if self.rng.u32(0..4) == 0 {
            Faults::default()
        } else {
            chances(&mut self.rng)
        };
        if crate::scaling::is_scaled(seed) {
            self.scaling = Some(Rng::with_seed(seed ^ 0x5ca1e));
            self.world.load(seed, &crate::scaling::LOADED);
        }
        if crate::pausing::is_paused(seed) {
            self.pausing = Some(Rng::with_seed(seed ^ 0x9a05e));
        }
        for version in 0..self.rng.u32(2..6) {
            self.act(version);
            for _ in 0..self.rng.u32(1..160) {
                self.tick();
                self.sound();
                let wait = self.rng.u64(1..250);
                self.world.pass(wait);
            }
        }
        self.world.recover();
        self.converges();
        if self.stores && self.world.broken.is_empty() {
            crate::calm::keeps_time(&mut self);
        }
        self.replays();
        self.executed_as_planned();
        let plans = self.count_plans();
        let broken = !self.world.broken.is_empty();
        let trace = if broken { self.trace() } else { vec![] };
        Story {
            entries: self.world.entries().len(),
            trace,
            seed,
            broken: self.world.broken,
            lives: self.lives,
            plans,
        }
    }

    /// A plan of ours that the second mind refuses is a mistake of one of the two.
    fn sound(&mut self) {
        let refused = self.engine.as_ref().and_then(|engine| {
            let mut waits = engine.waits().map(|(wait, _)| wait);
            let refused =
                waits.find(|wait| matches!(wait, Wait::Effect { step, .. } if step == "check"));
            let failed = engine.failure().map(|(_, failure, _)| failure);
            let failed =
                failed.filter(|one| matches!(one, Failure::Effect { step, .. } if step == "check"));
            let refused = refused.map(ToString::to_string);
            refused.or(failed.map(ToString::to_string))
        });
        if let Some(why) = refused.filter(|_| self.world.broken.len() < 5) {
            self.world.broken.push(format!("a plan is refused: {why}"));
        }
    }

    /// When all faults are over it comes to rest: what is frozen waits for a person, who ships.
    fn converges(&mut self) {
        let by = self.by.clone();
        let down = self.engine().is_some_and(|(engine, world)| {
            engine.history().down && engine.come_up(&by, world).is_ok()
        });
        self.resume_by_hand();
        let frozen = |engine: &Engine| engine.history().frozen().is_some();
        // A person looks after those that ask for one: paused ones go on, and what is in doubt is given up.
        for order in [Order::Resume, Order::Abort] {
            let over = self.until(200_000, |engine, world| {
                frozen(engine) || at_rest(engine, world) || asks(engine)
            });
            if !over || !self.engine.as_ref().is_some_and(asks) {
                break;
            }
            if let Some((engine, world)) = self.engine() {
                // Where it has no effect the next order has.
                let _refusal = match order {
                    Order::Abort => engine.abort(&by, world).map(drop),
                    _ => engine.order_trials(order, &by, world).map(drop),
                };
            }
        }
        let rests = self.until(400_000, |engine, world| {
            frozen(engine) || at_rest(engine, world)
        });
        let stuck = if rests && self.engine.as_ref().is_some_and(frozen) {
            let contents = draw(&mut self.rng, self.stores, 99, 5);
            !self.ship(contents) || !self.settle(400_000)
        } else {
            !rests
        };
        self.sound();
        if stuck {
            let engine = self.engine.as_ref();
            let phase = engine.map(Engine::phase);
            let waits = engine.map(|engine| format!("{:?}", engine.waits().collect::<Vec<_>>()));
            let why = format!("it does not converge: {phase:?}, was down {down}, waits {waits:?}");
            self.world.broken.push(why);
        }
    }

    fn trace(&self) -> Vec<String> {
        let line = |entry: &mainstay_execute::Entry| {
            let (at, epoch) = (entry.at.0 % 1_000_000_000, entry.epoch);
            format!("{at} ms, control plane {epoch}: {}", told(&entry.event))
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

/// The world is exactly as the serving release says, and nothing is under way.
fn at_rest(engine: &Engine, world: &World) -> bool {
    let steady = matches!(engine.phase(), Phase::Steady | Phase::Empty);
    let record = engine.serving_record();
    steady
        && engine.under_way().is_none()
        && record.map_or(world.alive().is_empty(), |record| {
            differs(world, record).is_none()
        })
}

/// A release on trial stands still until a person speaks.
fn asks(engine: &Engine) -> bool {
    let mut waits = engine.waits().map(|(wait, _)| wait);
    waits.any(|wait| matches!(wait, Wait::Trial { seen, .. } if seen.starts_with("a person")))
}

/// How a release of `web` moves.
fn way(rng: &mut Rng, web: &mut mainstay_spec::Service) {
    match rng.u32(0..6) {
        0 | 1 => web.canary = Some(crate::platform::canary(rng.bool(), rng.bool())),
        2 => web.blue_green = Some(crate::platform::blue_green(rng.bool())),
        3 => web.recreate = rng.bool(),
        _ => {}
    }
}

/// Contents as somebody might ship them next.
fn draw(rng: &mut Rng, stores: bool, version: u32, choice: u32) -> Contents {
    let mut services = vec![
        ("web", service(rng.u32(1..4), &["api"])),
        ("api", service(2, &[])),
    ];
    if choice > 7 {
        services.push(("search", service(1, &["api"])));
    }
    way(rng, &mut services[0].1);
    let contents = contents(services, version);
    if !stores {
        return contents;
    }
    let mut contents = with_stores(contents, 1 << rng.u64(5..8));
    for job in contents.platform.jobs.values_mut() {
        let overlaps = [Overlap::Forbid, Overlap::Queue, Overlap::Replace];
        job.overlap = overlaps[rng.usize(0..3)];
        job.missed = [Missed::Run, Missed::Skip][usize::from(rng.u32(0..4) == 0)];
        job.at_least_once = rng.u32(0..4) == 0;
        job.retries = rng.u32(0..3);
        job.one_way = job.schedule.is_none() && rng.u32(0..4) == 0;
    }
    contents
}

fn chances(rng: &mut Rng) -> Faults {
    Faults {
        crash: rng.u32(0..3),
        unready: rng.u32(0..40),
        stubborn: rng.u32(0..200),
        gateway: rng.u32(0..8),
        disk: rng.u32(0..8),
        kill: rng.u32(0..15),
        slow: rng.u32(0..200),
        refuse: rng.u32(0..200),
        later: rng.u32(0..300),
        fail: rng.u32(0..200),
        hang: rng.u32(0..200),
        shim: rng.u32(0..6),
        reboot: rng.u32(0..4),
        clock: rng.u32(0..6),
        lie: rng.u32(0..600),
    }
}

/// An event in one line.
fn told(event: &Event) -> String {
    match event {
        Event::StepBegun { index, step, .. } => format!("step {index}: {step}"),
        Event::StepDone { index, .. } => format!("step {index} is done"),
        Event::JobStep { step } => match step {
            Step::Start { launch } => format!("beside: {step}, {:?}", launch.job),
            _ => format!("beside: {step}"),
        },
        Event::InstanceEnded { instance, exit, .. } => format!("{instance} ended: {exit}"),
        Event::ReleaseMade { release, of, .. } => format!("{release} is made, of {of:?}"),
        Event::PlanRecorded {
            plan,
            purpose,
            release,
            ..
        } => {
            let id = plan.0.short();
            format!("plan {id}: {purpose:?} {release:?}")
        }
        Event::PlanEnded { end, .. } => format!("the plan ends: {end:?}"),
        other => format!("{other:?}"),
    }
}
