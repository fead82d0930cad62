//! Services that are scaled, from outside: the load that comes to them, what their instances use of the
//! machine for it, and what is promised about their counts.

use super::{Run, World};
use fastrand::Rng;
use mainstay_atoms::{Bytes, InstanceId, Moment, ServiceName, Wall, histogram};
use mainstay_execute::Used;
use mainstay_plan::Event;
use mainstay_rollout::{Class, Origin};
use mainstay_spec::Scale;
use std::collections::BTreeMap;
use std::time::Duration;

/// What one request costs an instance.
const COST: Duration = Duration::from_millis(10);

/// What every instance uses of memory, and how much more a second of load.
const MEMORY: u64 = 50 << 20;

/// Requests a second that come by turns.
const RATES: [u64; 6] = [0, 5, 20, 60, 90, 150];

/// Load that changes by itself, and what it costs.
#[derive(Default)]
pub(super) struct Loads {
    /// Under which it changes; none: no load comes.
    rng: Option<Rng>,
    /// It stays as it is from here on.
    pub(super) calm: bool,
    next: Moment,
    /// Requests a second of each service, and thousandths of one that are due.
    rates: BTreeMap<ServiceName, (u64, u64)>,
    spent: BTreeMap<Run, Duration>,
    /// What waits for each service; none: nobody can count it.
    queues: BTreeMap<ServiceName, Option<u64>>,
}

/// What is known of counts from what was recorded.
#[derive(Default)]
pub(super) struct Counted {
    /// What was decided last.
    pub(super) counts: BTreeMap<ServiceName, u32>,
    /// Growths by what was measured, since a release came to serve.
    grown: Vec<(ServiceName, Moment, u32)>,
    hands: BTreeMap<ServiceName, (u32, Wall)>,
}

impl World {
    /// Lets load come to these services that changes every few seconds.
    pub fn load(&mut self, seed: u64, services: &[&str]) {
        self.loads.rng = Some(Rng::with_seed(seed));
        for name in services {
            let name = ServiceName::new(*name).expect("a valid name");
            self.loads.rates.insert(name, (0, 0));
        }
    }

    /// Lets load come that stays as it is: requests a second.
    pub fn steady_load(&mut self, service: &str, rate: u64) {
        self.load(1, &[service]);
        self.loads.calm = true;
        for one in self.loads.rates.values_mut() {
            one.0 = rate;
        }
    }

    /// So much waits for a service from now on; none: nobody can count it.
    pub fn queue(&mut self, service: &str, waits: Option<u64>) {
        let name = ServiceName::new(service).expect("a valid name");
        self.loads.queues.insert(name, waits);
    }

    /// What waits for a service that asks, as far as it can be counted.
    pub(super) fn waits(&self, service: &ServiceName) -> Result<u64, String> {
        match self.loads.queues.get(service) {
            Some(None) => Err("the store does not answer".into()),
            Some(Some(waits)) => Ok(*waits),
            None => Ok(self.loads.rates.get(service).map_or(0, |(rate, _)| *rate)),
        }
    }

    /// What the last table sends to those who are alive, evenly.
    pub(super) fn loaded(&mut self, milliseconds: u64) {
        let Some(rng) = &mut self.loads.rng else {
            return;
        };
        if !self.loads.calm && self.now >= self.loads.next {
            self.loads.next = Moment(self.now.0 + rng.u64(500..6_000));
            for one in self.loads.rates.values_mut() {
                one.0 = RATES[rng.usize(0..RATES.len())];
            }
        }
        if self.gateway_back.is_some() {
            return;
        }
        for (name, (rate, due)) in &mut self.loads.rates {
            *due += *rate * milliseconds;
            let count = *due / 1000;
            *due %= 1000;
            let pool = self
                .table
                .as_ref()
                .and_then(|table| table.services.get(name));
            let backends = pool.filter(|pool| pool.split.is_none());
            let backends = backends.map_or(&[][..], |pool| pool.backends.as_slice());
            let alive: Vec<Run> = backends
                .iter()
                .map(|one| (one.instance.clone(), one.generation))
                .filter(|run| {
                    self.processes
                        .get(run)
                        .is_some_and(|one| one.ended.is_none())
                })
                .collect();
            let able = alive.len() as u64;
            for (place, run) in alive.into_iter().enumerate() {
                let place = place as u64;
                let own = (count + able - 1 - place) / able;
                let origin = Origin {
                    route: "localhost/".into(),
                    instance: run.0.clone(),
                };
                let tally = self.board.tallies.entry(origin).or_default();
                *tally.classes.entry(Class::Good).or_default() += own;
                let bucket = histogram::bucket(Duration::from_millis(5));
                tally.latencies.add_bucket(bucket, own);
                let spent = self.loads.spent.entry(run).or_default();
                *spent += COST * u32::try_from(own).unwrap_or(u32::MAX);
            }
        }
    }

    /// What these use; the machine cannot always say.
    pub(super) fn used_now(&mut self, ids: &[InstanceId]) -> BTreeMap<InstanceId, Used> {
        let mut used = BTreeMap::new();
        for id in ids {
            let mut runs = self.processes.iter();
            let run = runs.find(|((one, _), process)| one == id && process.ended.is_none());
            let Some(run) = run.map(|(run, _)| run.clone()) else {
                continue;
            };
            if self.chance(self.faults.later) {
                continue;
            }
            let spent = self.loads.spent.get(&run).copied().unwrap_or_default();
            let reading = Used {
                cpu: spent,
                memory: Bytes(MEMORY + u64::try_from(spent.as_millis()).unwrap_or(0)),
            };
            used.insert(id.clone(), reading);
        }
        used
    }

    /// How many instances of a service were decided last.
    pub(crate) fn counts(&self) -> &BTreeMap<ServiceName, u32> {
        &self.counted.counts
    }

    /// How the service that serves is scaled.
    fn scale_of(&self, name: &ServiceName) -> Option<Scale> {
        let (_, record) = self.promised.serving.as_ref()?;
        let service = record.contents.platform.services.get(name)?;
        service.scale.clone()
    }

    /// Counts stay within bounds, follow what a person set, grow by rate, and shrink by the window.
    pub(super) fn learn_count(&mut self, event: &Event) {
        match event {
            Event::Scaled {
                service,
                instances,
                why,
            } => {
                if why.starts_with("as many") {
                    self.counted.grown.retain(|(name, ..)| name != service);
                } else {
                    self.count_holds(service, *instances);
                }
                self.counted.counts.insert(service.clone(), *instances);
            }
            Event::ScaleSet {
                service,
                instances,
                until,
            } => {
                let hand = (*instances, *until);
                self.counted.hands.insert(service.clone(), hand);
            }
            Event::ScaleFreed { service } => drop(self.counted.hands.remove(service)),
            Event::StepBegun {
                step: mainstay_plan::Step::Serve { .. },
                ..
            } => self.counted.grown.clear(),
            _ => {}
        }
    }

    fn count_holds(&mut self, name: &ServiceName, now: u32) {
        let Some(scale) = self.scale_of(name) else {
            return self.breaks(&format!("{name} has a fixed count and is scaled"));
        };
        if self.promised.down {
            self.breaks(&format!("{name} is scaled while everything is down"));
        }
        if scale.within(now) != now {
            let (min, max) = (scale.min, scale.max);
            self.breaks(&format!("{now} of {name} are out of {min} to {max}"));
        }
        let before = self.counted.counts.get(name).copied();
        let before = scale.within(before.unwrap_or(scale.min));
        let (_, wall) = mainstay_execute::World::now(self);
        let hand = self.counted.hands.get(name);
        if let Some((hand, _)) = hand.filter(|(_, until)| wall < *until) {
            let due = scale.within(*hand);
            if now != due {
                self.breaks(&format!("{name} has {now}, and {due} were set by hand"));
            }
        } else if now > before {
            let most = before.saturating_mul(2).max(before + 4).max(scale.min);
            if now > most {
                self.breaks(&format!("{name} grows from {before} to {now} at once"));
            }
            self.counted.grown.push((name.clone(), self.now, now));
        } else {
            let recent = |at: Moment| self.now.since(at) < scale.settle;
            let mut grown = self.counted.grown.iter();
            let higher = grown.find(|(one, at, count)| {
                one == name && recent(*at) && (*count).min(scale.max) > now
            });
            if let Some((_, at, count)) = higher {
                let ago = self.now.since(*at).as_millis();
                let what = format!("{name} shrinks to {now}, {count} were asked for {ago} ms ago");
                self.breaks(&what);
            }
        }
    }
}
