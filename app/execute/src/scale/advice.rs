//! Right-sizing: what instances used lately, and what a service should ask for by it.

use super::gauge::{self, Place};
use crate::engine::Engine;
use crate::world::{Used, World};
use mainstay_atoms::{Bytes, Generation, InstanceId, Millicores, Moment, ServiceName, Size};
use mainstay_workload::{Advice, advise};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// From one reading to the next.
const EVERY: Duration = Duration::from_mins(1);

/// Readings that are kept of a service: twelve hours, 16 bytes each.
const KEPT: usize = 720;

/// What services used lately. It is not kept over a restart of the control plane.
#[derive(Default)]
pub(super) struct Records {
    at: Option<Moment>,
    before: BTreeMap<InstanceId, (Generation, Used)>,
    kept: BTreeMap<ServiceName, Record>,
}

/// The most that any instance of one service used, a reading each, oldest first.
#[derive(Default)]
struct Record {
    millicores: VecDeque<u64>,
    bytes: VecDeque<u64>,
}

/// What one part of a service's `size` should be, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeAdvice {
    /// `cpu` or `memory`.
    pub part: String,
    /// What 95 of 100 readings do not pass: `120m`, `100Mi`.
    pub used: String,
    /// What is asked for now.
    pub asked: String,
    /// What to ask for instead; none: it fits.
    pub ask: Option<String>,
    /// Readings that it rests on.
    pub readings: usize,
}

fn keep(readings: &mut VecDeque<u64>, most: Option<u64>) {
    readings.extend(most);
    while readings.len() > KEPT {
        readings.pop_front();
    }
}

impl Engine {
    /// Takes a reading of everything that runs by the serving release, once a minute.
    pub(super) fn note_use(&mut self, world: &mut impl World) {
        let (now, _) = world.now();
        let records = &self.scaling.records;
        let calm = |at: Moment| now >= at && now.since(at) < EVERY;
        if records.at.is_some_and(calm) || self.history.down {
            return;
        }
        let Some(record) = &self.serving else { return };
        let services = &record.contents.platform.services;
        let sized = |name: &ServiceName| services.get(name).is_some_and(|one| is_sized(&one.size));
        let seen = self.seen.iter().flat_map(|seen| &seen.instances);
        let places: Vec<Place> = seen
            .filter(|one| one.ready_since().is_some() && sized(&one.id.service))
            .map(|one| Place {
                id: one.id.clone(),
                generation: Some(one.generation),
                ready_since: one.ready_since(),
            })
            .collect();
        let used = gauge::used(places.iter(), world);
        let over = records.at.map_or(Duration::ZERO, |at| now.since(at));
        let mut most: BTreeMap<ServiceName, [Option<u64>; 2]> = BTreeMap::new();
        for (id, reading) in &used {
            let millicores = gauge::millicores(records.before.get(id), Some(reading), over);
            let [cpu, memory] = most.entry(id.service.clone()).or_default();
            *cpu = (*cpu).max(millicores);
            *memory = (*memory).max(Some(reading.1.memory.0));
        }
        let records = &mut self.scaling.records;
        records.kept.retain(|name, _| sized(name));
        for (name, [cpu, memory]) in most {
            let record = records.kept.entry(name).or_default();
            keep(&mut record.millicores, cpu);
            keep(&mut record.bytes, memory);
        }
        (records.at, records.before) = (Some(now), used);
    }

    /// What a service should ask for, by what it used; nothing while too little is known.
    pub fn size_advice(&self, name: &ServiceName) -> Vec<SizeAdvice> {
        let platform = self.serving.as_ref().map(|one| &one.contents.platform);
        let service = platform.and_then(|platform| platform.services.get(name));
        let Some((service, record)) = service.zip(self.scaling.records.kept.get(name)) else {
            return vec![];
        };
        let size = &service.size;
        let cpu = size.cpu.map(|cpu| cpu.request.0);
        let memory = size.memory.map(|memory| memory.request.0);
        let cores = |value: u64| Millicores(value).to_string();
        let parts = [
            part("cpu", &record.millicores, cpu, cores),
            part("memory", &record.bytes, memory, mebibytes),
        ];
        parts.into_iter().flatten().collect()
    }
}

fn is_sized(size: &Size) -> bool {
    size.cpu.is_some() || size.memory.is_some()
}

/// In whole mebibytes, rounded up.
fn mebibytes(value: u64) -> String {
    const MEBIBYTE: u64 = 1 << 20;
    Bytes(value.div_ceil(MEBIBYTE).saturating_mul(MEBIBYTE)).to_string()
}

fn part(
    part: &str,
    readings: &VecDeque<u64>,
    asked: Option<u64>,
    tell: impl Fn(u64) -> String,
) -> Option<SizeAdvice> {
    let asked = asked?;
    let used: Vec<u64> = readings.iter().copied().collect();
    let (p95, ask) = match advise(&used, asked) {
        Advice::TooFew { .. } => return None,
        Advice::Fits { p95 } => (p95, None),
        Advice::Ask { p95, request } => (p95, Some(tell(request))),
    };
    Some(SizeAdvice {
        part: part.into(),
        used: tell(p95),
        asked: tell(asked),
        ask,
        readings: used.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(readings: usize, used: u64, asked: u64) -> Option<SizeAdvice> {
        let readings = (0..readings).map(|_| used).collect();
        part("memory", &readings, Some(asked), mebibytes)
    }

    #[test]
    fn an_hour_of_readings_says_what_to_ask_for() {
        assert_eq!(advice(59, 100 << 20, 512 << 20), None);
        let large = advice(60, 100 << 20, 512 << 20).unwrap();
        let words = (large.used.as_str(), large.asked.as_str());
        assert_eq!(words, ("100Mi", "512Mi"));
        assert_eq!(large.ask.as_deref(), Some("115Mi"));
        assert_eq!(advice(60, 100 << 20, 128 << 20).unwrap().ask, None);
        assert_eq!(part("cpu", &VecDeque::new(), None, mebibytes), None);
    }

    #[test]
    fn the_oldest_readings_are_forgotten() {
        let mut readings = VecDeque::new();
        for reading in 0..KEPT as u64 + 5 {
            keep(&mut readings, Some(reading));
        }
        keep(&mut readings, None);
        assert_eq!((readings.len(), readings.front()), (KEPT, Some(&5)));
    }
}
