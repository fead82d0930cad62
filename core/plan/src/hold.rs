//! After what cannot be undone: what runs is kept running, and nothing goes back or on.

use crate::decide::{Decider, Target};
use crate::place::{Place, room};
use crate::store::store_order;
use mainstay_atoms::InstanceId;
use mainstay_workload::Running;

impl Decider<'_> {
    /// Starts again what ended by itself, of the release that serves: stores first.
    pub(crate) fn hold(&mut self, places: &[Place<'_>], target: Target<'_>) {
        self.hold_stores(target);
        for place in places {
            let ended = place.census.missing.iter();
            let ended = ended.filter(|id| self.has_ended(id)).take(room(place));
            let ended: Vec<InstanceId> = ended.cloned().collect();
            for id in ended {
                self.start(target, &id);
            }
        }
    }

    /// A server that ended starts again; one that runs keeps its settings, whichever release gave them.
    fn hold_stores(&mut self, target: Target<'_>) {
        let contents = &target.record.contents;
        for name in contents.platform.stores.keys() {
            let order = store_order(contents, name).filter(|order| order.kind.server().is_some());
            let Some((order, census)) = order.zip(self.store_census(target, name)) else {
                continue;
            };
            let replaced = !census.old.is_empty() || !census.dead.is_empty();
            let away = census.kept.is_empty() || !self.observed.stores.contains_key(name);
            if away && !replaced {
                self.server(target, order, false);
            }
        }
    }

    fn has_ended(&self, id: &InstanceId) -> bool {
        let mut seen = self.observed.instances.iter();
        seen.any(|one| {
            let by_itself = matches!(&one.running, Running::Ended { exit, .. } if !exit.asked);
            one.id == *id && by_itself
        })
    }
}
