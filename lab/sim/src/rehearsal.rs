//! A deploy before it is one: somebody's own next release, with one injury at a time.

use crate::{Schedule, service_digests};
use mainstay_atoms::{Actor, Digest, ReleaseNumber, ServiceName};
use mainstay_execute::{Engine, Phase};
use mainstay_plan::{Contents, Event, ReleaseState, Step};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;

/// Longest time for a release to come to its end, in simulated milliseconds: two hours.
const PATIENCE: u64 = 7_200_000;

/// How long what is injured for a while stays so: a minute.
const WHILE: u64 = 60_000;

/// What goes wrong in a rehearsal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Injury {
    /// Nothing.
    None,
    /// A new instance ends by itself, once.
    Crash,
    /// New instances of this service are never ready.
    NeverReady(ServiceName),
    /// The gateway is away for a minute, in the middle.
    GatewayAway,
    /// The control plane is killed in the middle.
    ControlPlane,
    /// The server of this store ends in the middle.
    Store(ServiceName),
    /// This job fails.
    Job(ServiceName),
    /// Nothing can be recorded for a minute, from the middle on.
    DiskFull,
    /// The machine goes down in the middle and comes back.
    Machine,
}

impl fmt::Display for Injury {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => out.write_str("nothing fails"),
            Self::Crash => out.write_str("a new instance crashes once"),
            Self::NeverReady(service) => write!(out, "{service} never gets ready"),
            Self::GatewayAway => out.write_str("the gateway is away for a minute"),
            Self::ControlPlane => out.write_str("the control plane is killed"),
            Self::Store(store) => write!(out, "{store} crashes"),
            Self::Job(job) => write!(out, "{job} fails"),
            Self::DiskFull => out.write_str("the disk is full for a minute"),
            Self::Machine => out.write_str("the machine goes down"),
        }
    }
}

/// How a rehearsal ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "end")]
pub enum Ending {
    /// The new release serves.
    Serves,
    /// It fails, and what served before serves.
    Back {
        /// Why it fails.
        why: String,
    },
    /// It fails after something that cannot be undone: a person has to decide.
    Frozen {
        /// Why it fails.
        why: String,
    },
    /// It comes to no rest, or breaks a promise.
    Stuck {
        /// What it waits for, or breaks.
        why: String,
    },
}

impl Ending {
    /// It serves, or it is as before.
    pub fn is_sound(&self) -> bool {
        matches!(self, Self::Serves | Self::Back { .. })
    }
}

/// One rehearsal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rehearsal {
    /// What went wrong.
    pub injury: Injury,
    /// How it ended.
    #[serde(flatten)]
    pub ending: Ending,
    /// The release that serves in the end.
    pub serving: Option<ReleaseNumber>,
    /// Every step that was done, in order.
    pub steps: Vec<String>,
}

/// Rehearses the release of `next` over what serves, once for each injury that can happen to it.
pub fn rehearse(serving: Option<&Contents>, next: &Contents) -> Vec<Rehearsal> {
    let injuries = injuries(serving, next).into_iter();
    injuries.map(|injury| play(serving, next, injury)).collect()
}

/// What a release of `next` changes: digests of services that did not run before.
fn changed(serving: Option<&Contents>, next: &Contents) -> BTreeSet<Digest> {
    let before: Vec<Digest> = serving.map(service_digests).unwrap_or_default();
    let after = service_digests(next).into_iter();
    after.filter(|digest| !before.contains(digest)).collect()
}

fn injuries(serving: Option<&Contents>, next: &Contents) -> Vec<Injury> {
    let platform = &next.platform;
    let changed = changed(serving, next);
    let own = |name: &&ServiceName| {
        next.digest_of(name)
            .is_some_and(|one| changed.contains(&one))
    };
    let moved: Vec<&ServiceName> = platform.services.keys().filter(own).collect();
    let mut injuries = vec![Injury::None];
    if !moved.is_empty() {
        injuries.push(Injury::Crash);
    }
    injuries.extend(moved.iter().map(|name| Injury::NeverReady((*name).clone())));
    injuries.extend([Injury::GatewayAway, Injury::ControlPlane]);
    let stores = platform.stores.iter();
    let stores = stores.filter(|(_, store)| store.server().is_some());
    injuries.extend(stores.map(|(name, _)| Injury::Store(name.clone())));
    let around = moved.iter().filter_map(|name| platform.services.get(*name));
    let around = around.flat_map(|service| service.before.iter().chain(&service.after));
    let around: BTreeSet<&ServiceName> = around.collect();
    injuries.extend(around.into_iter().map(|name| Injury::Job(name.clone())));
    injuries.extend([Injury::DiskFull, Injury::Machine]);
    injuries
}

fn play(serving: Option<&Contents>, next: &Contents, injury: Injury) -> Rehearsal {
    let mut schedule = Schedule::new(1);
    let mut ready = true;
    if let Some(serving) = serving {
        ready = ship(&mut schedule, serving) && schedule.settle(PATIENCE);
    }
    let skip = schedule.world.entries().len();
    let ending = if ready && ship(&mut schedule, next) {
        injure(&mut schedule, serving, next, &injury);
        end(&mut schedule)
    } else {
        let why = "what serves does not come to rest".into();
        Ending::Stuck { why }
    };
    let steps = schedule.world.entries()[skip..].iter();
    let steps = steps.filter_map(|entry| match &entry.event {
        Event::StepBegun { step, .. } => Some(step.to_string()),
        _ => None,
    });
    let steps = steps.collect();
    let engine = schedule.engine().map(|(engine, _)| engine);
    Rehearsal {
        injury,
        ending,
        serving: engine.and_then(|engine| engine.history().serving),
        steps,
    }
}

fn ship(schedule: &mut Schedule, contents: &Contents) -> bool {
    let ship = mainstay_execute::Ship {
        contents: contents.clone(),
        reason: "a rehearsal".into(),
        by: Actor("rehearsal".into()),
        confirmed: true,
    };
    let engine = schedule.engine();
    engine.is_some_and(|(engine, world)| engine.ship(ship, world).is_ok())
}

fn injure(schedule: &mut Schedule, serving: Option<&Contents>, next: &Contents, injury: &Injury) {
    match injury {
        Injury::None => {}
        Injury::Crash => {
            let changed = changed(serving, next);
            let new = |step: &Step| match step {
                Step::Start { launch } if changed.contains(&launch.contents) => {
                    Some(launch.instance.service.clone())
                }
                _ => None,
            };
            let began = schedule.until(PATIENCE, |_, world| {
                world.applied.last().and_then(new).is_some()
            });
            let name = schedule.world.applied.last().and_then(new);
            if let Some(name) = name.filter(|_| began) {
                schedule.world.crash_newest(&name);
            }
        }
        Injury::NeverReady(service) => {
            let digest = next.digest_of(service);
            schedule.world.bad.extend(digest);
        }
        Injury::Job(job) => drop(schedule.world.failing.insert(job.clone())),
        Injury::GatewayAway => {
            half_way(schedule);
            schedule.world.gateway_away(WHILE);
        }
        Injury::ControlPlane => {
            half_way(schedule);
            schedule.world.killed = true;
        }
        Injury::Store(store) => {
            half_way(schedule);
            schedule.world.crash(store.as_str());
        }
        Injury::DiskFull => {
            half_way(schedule);
            schedule.world.disk_full = true;
            schedule.until(WHILE, |_, _| false);
            schedule.world.disk_full = false;
        }
        Injury::Machine => {
            half_way(schedule);
            schedule.world.reboot();
        }
    }
}

fn half_way(schedule: &mut Schedule) {
    schedule.until(PATIENCE, |engine, _| {
        let moving = engine.history().moving.is_some();
        let under_way = engine.under_way();
        !moving || under_way.is_some_and(|(plan, next)| next * 2 >= plan.steps.len())
    });
}

fn end(schedule: &mut Schedule) -> Ending {
    let over = schedule.until(PATIENCE, |engine, _| engine.history().moving.is_none());
    let frozen = |engine: &Engine| engine.history().frozen().is_some();
    let mut why = String::new();
    let mut stopped = false;
    if let Some((engine, _)) = schedule.engine() {
        let failure = engine.failure().map(|(_, failure, _)| failure.to_string());
        let last = engine.history().releases.values().next_back();
        why = failure.or_else(|| last.map(ended)).unwrap_or_default();
        stopped = frozen(engine);
    }
    let broken = schedule.world.broken.first().cloned();
    if let Some(why) = broken {
        return Ending::Stuck { why };
    }
    if over && stopped {
        return Ending::Frozen { why };
    }
    if !over || !schedule.settle(PATIENCE) {
        let why = schedule.engine().map(|(engine, _)| waits(engine));
        let why = why.unwrap_or_else(|| "nothing can be recorded".into());
        return Ending::Stuck { why };
    }
    let Some((engine, _)) = schedule.engine() else {
        return Ending::Serves;
    };
    let last = engine.history().releases.values().next_back();
    match last.map(|made| &made.state) {
        Some(ReleaseState::Serving) => Ending::Serves,
        _ => Ending::Back { why },
    }
}

fn ended(made: &mainstay_plan::Release) -> String {
    match &made.state {
        ReleaseState::Ended {
            end: mainstay_plan::ReleaseEnd::Failed { why },
        } => why.clone(),
        _ => String::new(),
    }
}

fn waits(engine: &Engine) -> String {
    let waits: Vec<String> = engine.waits().map(|(wait, _)| wait.to_string()).collect();
    let down = engine.phase() == Phase::Down;
    if down {
        return "it is going down".into();
    }
    waits.join(", ")
}
