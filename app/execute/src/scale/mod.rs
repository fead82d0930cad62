//! Services whose count is left to what is measured: looked at when it is due, decided, recorded. The next
//! plan is made by the new count; one under way that was made by a lower one ends.
//!
//! What counts of a service are the instances of the release that serves, up to its count: neither what a
//! rollout starts beside them nor a release on trial. While a release replaces them or is frozen, the count
//! stands; while a canary is beside them it only grows, because that one takes load away from them.

mod advice;
mod gauge;
mod request;
mod view;

pub use advice::SizeAdvice;
pub use gauge::Figure;
pub(crate) use gauge::millicores;
pub use request::ScaleRefusal;
pub use view::ScaleView;

use crate::engine::Engine;
use crate::world::{RecordFault, World};
use advice::Records;
use gauge::{Place, Readings, Sample};
use mainstay_atoms::{Actor, InstanceId, Moment, ServiceName, Told, Wall};
use mainstay_plan::{Contents, Event, PlanEnd, ReleaseRecord, Step, reached};
use mainstay_rollout::canary::Phase;
use mainstay_spec::{Queue, Scale, Service};
use mainstay_workload::{
    Bounds, Floor, Override, ScaleRules, ScaleWhy, Scaled, Window, scale as decide,
};
use std::collections::BTreeMap;

/// What is known of services that are scaled beside what the ledger holds. A control plane that begins knows
/// none of it: it shrinks nothing before its window of recommendations is full again.
#[derive(Default)]
pub(crate) struct Scaling {
    groups: BTreeMap<ServiceName, Group>,
    records: Records,
    /// Counts with which a release would begin that is only looked at.
    pub(crate) assumed: BTreeMap<ServiceName, u32>,
}

/// One service.
#[derive(Default)]
struct Group {
    window: Window,
    /// When it was looked at last.
    looked: Option<Moment>,
    /// What was measured then; none: the next look says nothing of what came since.
    sample: Option<Sample>,
    /// What came of it.
    last: Option<Looked>,
}

/// What came of the last look at a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Looked {
    /// When.
    pub at: Wall,
    /// Why the count is what it is, in words.
    pub why: String,
    /// What was measured, a figure a target.
    pub figures: Vec<Figure>,
    /// A person had said how many.
    by_hand: bool,
}

impl Group {
    fn is_due(&self, every: std::time::Duration, hand: bool, now: Moment) -> bool {
        let over = self.last.as_ref().is_some_and(|last| last.by_hand) && !hand;
        let looked = self.looked.filter(|_| !over);
        // A clock that began anew lets nobody wait for what the old one said.
        looked.is_none_or(|looked| now < looked || now.since(looked) >= every)
    }
}

/// A service that is due, as it is when it is looked at.
struct Due {
    name: ServiceName,
    service: Service,
    scale: Scale,
    places: Vec<Place>,
    count: u32,
    /// It does not shrink now.
    grows_only: bool,
    /// How it reaches the store in which its queue is.
    store: Option<Told>,
    /// How much waits there, once that was said.
    waiting: Option<Result<u64, String>>,
}

impl Due {
    /// Asks how much waits; whether that is known, or nothing is to be asked.
    fn counts_queue(&mut self, world: &mut impl World) -> bool {
        let Some(queue) = &self.scale.queue else {
            return true;
        };
        self.waiting = match &self.store {
            Some(told) => world.waiting(told, &queue.waiting),
            None => Some(Err(format!("{} is no store", queue.store))),
        };
        self.waiting.is_some()
    }
}

/// Why a count does not follow all that is measured now.
pub(crate) struct Still {
    /// In words.
    pub(crate) why: String,
    /// It may grow.
    pub(crate) grows: bool,
}

impl Engine {
    /// How many instances of each service were decided last, for a plan.
    pub(crate) fn counts(&self) -> BTreeMap<ServiceName, u32> {
        let mut counts = self.history.counts.instances();
        counts.extend(self.scaling.assumed.clone());
        counts
    }

    /// Counts with which services of these contents begin that were not scaled before: as many as run.
    pub(crate) fn first_counts(&self, contents: &Contents) -> BTreeMap<ServiceName, u32> {
        let serving = self.serving_record();
        let before = |name: &ServiceName| {
            let serving = serving?;
            serving.contents.platform.services.get(name)
        };
        let first = |(name, service): (&ServiceName, &Service)| {
            let scale = service.scale.as_ref()?;
            let count = match before(name) {
                Some(before) if before.scale.is_some() => return None,
                Some(before) => scale.within(before.replicas),
                None => scale.min,
            };
            Some((name.clone(), count))
        };
        let services = contents.platform.services.iter();
        services.filter_map(first).collect()
    }

    /// The same as events, to be recorded with the release.
    pub(crate) fn first_scaled(&self, contents: &Contents) -> Vec<Event> {
        let first = self.first_counts(contents).into_iter();
        let known = self.history.counts.instances();
        let services = &contents.platform.services;
        let told = |name: &ServiceName| {
            let least = services.get(name).map(|service| service.count(None));
            known.get(name).copied().or(least)
        };
        first
            .filter(|(name, count)| told(name) != Some(*count))
            .map(|(service, instances)| Event::Scaled {
                service,
                instances,
                why: "as many as when `scale` came".into(),
            })
            .collect()
    }

    /// Looks at every service that is due; whether a count has changed.
    pub(crate) fn scale(&mut self, world: &mut impl World) -> Result<bool, RecordFault> {
        self.note_use(world);
        let mut due = self.due(world);
        // One whose queue is still counted is looked at when that is known.
        due.retain_mut(|one| one.counts_queue(world));
        if due.is_empty() {
            return Ok(false);
        }
        let asked = |scale: &Scale| scale.requests.is_some() || scale.p95.is_some();
        let board = due.iter().any(|one| asked(&one.scale));
        let machine = |one: &&Due| one.scale.cpu.is_some() || one.scale.memory.is_some();
        let places = due.iter().filter(machine).flat_map(|one| &one.places);
        // One reading for all: each goes through every process of the machine.
        let readings = Readings {
            at: world.now().0,
            used: gauge::used(places, world),
            board: board.then(|| world.board()).flatten(),
        };
        let mut changed = false;
        for one in due {
            changed |= self.look_at_group(one, &readings, world)?;
        }
        Ok(changed)
    }

    fn due(&mut self, world: &impl World) -> Vec<Due> {
        let (now, wall) = world.now();
        let Some(record) = self.serving.as_ref() else {
            return vec![];
        };
        let services = &record.contents.platform.services;
        let groups = &mut self.scaling.groups;
        groups.retain(|name, _| services.get(name).is_some_and(|one| one.scale.is_some()));
        let mut due = Vec::new();
        for (name, service) in services {
            let Some(scale) = &service.scale else {
                continue;
            };
            let still = self.stands(name);
            if still.as_ref().is_some_and(|still| !still.grows) {
                if let Some(group) = self.scaling.groups.get_mut(name) {
                    group.sample = None;
                }
                continue;
            }
            let hand = self.history.counts.hand(name, wall).is_some();
            let group = self.scaling.groups.get(name);
            if group.is_none_or(|group| group.is_due(scale.every, hand, now)) {
                let decided = self.history.counts.decided.get(name);
                let count = service.count(decided.map(|count| count.instances));
                let store = |queue: &Queue| reached(&record.contents, name, &queue.store);
                due.push(Due {
                    store: scale.queue.as_ref().and_then(store),
                    waiting: None,
                    places: self.places(name, record, count),
                    name: name.clone(),
                    service: service.clone(),
                    scale: scale.clone(),
                    count,
                    grows_only: still.is_some(),
                });
            }
        }
        due
    }

    /// Why the count of a service stands now.
    pub(crate) fn stands(&self, name: &ServiceName) -> Option<Still> {
        let still = |why: String| Some(Still { why, grows: false });
        if self.history.down {
            return still("the platform is down".into());
        }
        if let Some(frozen) = self.history.frozen() {
            return still(format!("{} is frozen", frozen.release));
        }
        let moving = self.moving.as_ref().filter(|_| self.history.begun)?;
        if moving.record.since.get(name) != Some(&moving.release) {
            return None;
        }
        let release = moving.release;
        let state = self.trials.state(name);
        let state = state.filter(|state| state.release == release);
        if state.is_some_and(|state| matches!(state.phase, Phase::Stage { .. })) {
            let why = format!("{release} is on trial, so it grows and does not shrink");
            return Some(Still { why, grows: true });
        }
        still(format!("{release} is under way"))
    }

    /// The instances that count, by their place; one that is not there is not ready.
    fn places(&self, name: &ServiceName, record: &ReleaseRecord, count: u32) -> Vec<Place> {
        let Some(release) = record.since.get(name) else {
            return vec![];
        };
        let seen = self.seen.iter().flat_map(|seen| &seen.instances);
        let own: BTreeMap<u32, _> = seen
            .filter(|one| one.id.service == *name && one.id.release == *release && one.live)
            .map(|one| (one.id.ordinal, one))
            .collect();
        let place = |ordinal: u32| {
            let one = own.get(&ordinal);
            Place {
                id: InstanceId {
                    service: name.clone(),
                    release: *release,
                    ordinal,
                },
                generation: one.map(|one| one.generation),
                ready_since: one.and_then(|one| one.ready_since()),
            }
        };
        (1..=count).map(place).collect()
    }

    /// Measures and decides one service, and records a count that is another than before.
    fn look_at_group(
        &mut self,
        due: Due,
        readings: &Readings,
        world: &mut impl World,
    ) -> Result<bool, RecordFault> {
        let (now, wall) = (readings.at, world.now().1);
        let Ok(bounds) = Bounds::new(due.scale.min, due.scale.max) else {
            return Ok(false);
        };
        let mut group = self.scaling.groups.remove(&due.name).unwrap_or_default();
        let sample = readings.of(&due.places);
        let before = group.sample.as_ref();
        let gauges = gauge::gauges(
            &due.scale,
            &due.service.size,
            &due.places,
            (before, &sample),
            due.waiting.as_ref(),
        );
        let hand = self.history.counts.hand(&due.name, wall);
        let rules = rules(&due.scale, bounds, hand);
        let named: Vec<_> = gauges
            .iter()
            .map(|one| (one.figure.metric.clone(), one.gauge.clone()))
            .collect();
        let scaled = decide(&rules, due.count, &named, &group.window, now, wall);
        let figures: Vec<Figure> = gauges.into_iter().map(|one| one.figure).collect();
        let why = told(&scaled, &figures);
        let changed = if due.grows_only {
            scaled.wanted > due.count
        } else {
            scaled.wanted != due.count
        };
        if scaled.wanted > due.count && self.is_stopping(&due.name, scaled.wanted) {
            // It grows as soon as that plan is over.
            self.scaling.groups.insert(due.name, group);
            return Ok(false);
        }
        if changed {
            self.rescale(&due, scaled.wanted, &why, world)?;
        }
        // What little is asked for beside a canary is no reason to shrink after it.
        if changed || !due.grows_only {
            group.window = scaled.window;
        }
        group.looked = Some(now);
        group.sample = Some(sample);
        group.last = Some(Looked {
            at: wall,
            why,
            figures,
            by_hand: rules.hand.is_some(),
        });
        self.scaling.groups.insert(due.name, group);
        Ok(changed)
    }

    /// The plan under way has asked one of the first so many instances of this service to stop: it may still look
    /// ready, and a plan that is made now would count on it. Only the end of this plan says that it is gone.
    fn is_stopping(&self, service: &ServiceName, first: u32) -> bool {
        let begun = self
            .run
            .iter()
            .flat_map(|run| run.plan.steps.iter().take(run.next + 1));
        let stops = |step: &Step| match step {
            Step::Stop { instance, .. } => {
                instance.service == *service && instance.ordinal <= first
            }
            _ => false,
        };
        begun.into_iter().any(stops)
    }

    /// Records a count. More than before are not to wait for a plan that was made without them, so that ends;
    /// fewer can wait, and a count that goes up and down holds no release up for ever.
    fn rescale(
        &mut self,
        due: &Due,
        instances: u32,
        why: &str,
        world: &mut impl World,
    ) -> Result<(), RecordFault> {
        let service = &due.name;
        let seen = format!("{instances} instances of {service} are wanted now");
        let mut events = if instances < due.count {
            vec![]
        } else {
            self.end_of_plan(PlanEnd::Deviated { seen })
        };
        events.push(Event::Scaled {
            service: service.clone(),
            instances,
            why: why.to_owned(),
        });
        self.record(world, &Actor::itself(), events)?;
        self.steady = false;
        Ok(())
    }
}

fn rules(scale: &Scale, bounds: Bounds, hand: Option<&Override>) -> ScaleRules {
    let floor = |floor: &mainstay_spec::Floor| Floor {
        begins: floor.begins.clone(),
        lasts: floor.lasts,
        least: floor.min,
    };
    ScaleRules {
        bounds,
        floors: scale.at.iter().map(floor).collect(),
        hand: hand.cloned(),
        settle: scale.settle,
    }
}

/// `growing by rate, 9 asked for (requests 120/s of 50/s)`; the figures alone where they are the reason.
fn told(scaled: &Scaled, figures: &[Figure]) -> String {
    let figures: Vec<String> = figures.iter().map(ToString::to_string).collect();
    let figures = figures.join(", ");
    match &scaled.why {
        ScaleWhy::Metrics { .. } => figures,
        why if figures.is_empty() => why.to_string(),
        why => format!("{why} ({figures})"),
    }
}
