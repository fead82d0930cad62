//! Lives with services whose count follows what is measured.

use crate::Schedule;
use fastrand::Rng;
use mainstay_atoms::{Bytes, Millicores, Range, ServiceName, Share, Size};
use mainstay_plan::Contents;
use mainstay_spec::{Queue, Scale, Service, Waiting};
use std::time::Duration;

/// Services that load comes to.
pub(crate) const LOADED: [&str; 2] = ["web", "api"];

/// Every third life has such services; those of seeds that are kept for what they found have none.
pub(crate) fn is_scaled(seed: u64) -> bool {
    seed % 3 == 1
}

/// Leaves the count of a service to its load: each instance is to answer twenty requests a second.
pub fn by_load(service: &mut Service, (min, max): (u32, u32)) {
    service.replicas = min;
    service.scale = Some(Scale {
        min,
        max,
        cpu: None,
        memory: None,
        requests: Some(20_000),
        p95: None,
        queue: None,
        every: Duration::from_secs(1),
        settle: Duration::from_secs(5),
        warm_up: Duration::from_secs(1),
        at: vec![],
    });
}

/// Leaves the count to what waits in a store that the service needs: each instance is to have twenty of it.
pub fn by_queue(service: &mut Service, store: &ServiceName, bounds: (u32, u32)) {
    by_load(service, bounds);
    if let Some(scale) = &mut service.scale {
        scale.requests = None;
        scale.queue = Some(Queue {
            store: store.clone(),
            waiting: Waiting::Key("jobs".into()),
            per: 20,
        });
    }
}

/// Leaves counts of these contents to what is measured, of some of them and in one way or another.
pub(crate) fn draw(rng: &mut Rng, contents: &mut Contents) {
    for name in LOADED {
        let name = ServiceName::new(name).expect("a valid name");
        let Some(service) = contents.platform.services.get_mut(&name) else {
            continue;
        };
        if rng.u32(0..3) == 0 {
            continue;
        }
        let min = rng.u32(1..3);
        let bounds = (min, min + rng.u32(0..5));
        let stores = &contents.platform.stores;
        let store = service.needs.iter().find(|need| stores.contains_key(*need));
        if let Some(store) = store.cloned().filter(|_| rng.bool()) {
            by_queue(service, &store, bounds);
            continue;
        }
        by_load(service, bounds);
        let Some(scale) = &mut service.scale else {
            continue;
        };
        if rng.bool() {
            scale.cpu = Some(Share(2_500));
            scale.requests = scale.requests.filter(|_| rng.bool());
            scale.memory = rng.bool().then_some(Share(8_000));
        }
        scale.p95 = rng.bool().then_some(Duration::from_millis(50));
        scale.warm_up = Duration::from_secs(rng.u64(0..3));
        service.size = Size {
            cpu: Some(Range::exactly(Millicores(1000))),
            memory: Some(Range::exactly(Bytes(1 << 30))),
            ..Size::default()
        };
    }
}

impl Schedule {
    /// A person says how many run, or leaves it to what is measured again.
    pub(crate) fn by_hand(&mut self, rng: &mut Rng) {
        let by = mainstay_atoms::Actor("tester".into());
        let name = LOADED[rng.usize(0..LOADED.len())];
        let name = ServiceName::new(name).expect("a valid name");
        let (count, lasts) = (rng.u32(1..5), Duration::from_millis(rng.u64(500..20_000)));
        let frees = rng.u32(0..3) == 0;
        let Some((engine, world)) = self.engine() else {
            return;
        };
        // A refusal is an answer like any other.
        let _refusal = if frees {
            engine.free_scale(&name, &by, world)
        } else {
            engine
                .set_scale(&name, (count, lasts), &by, world)
                .map(drop)
        };
    }
}
