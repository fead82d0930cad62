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
            if place.service.recreate && !place.census.old.is_empty() {
                // It cannot run beside what a person decides about.
                continue;
            }
            let ended = place.census.missing.iter();
            let ended = ended.filter(|id| self.any_ended(|one| one == *id));
            let ended = ended.take(room(place));
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
            // One that somebody stopped waits, as everything does, for the person who decides.
            let ended = census.kept.is_empty() && self.any_ended(|id| id.service == *name);
            let shut = !census.kept.is_empty() && !self.observed.stores.contains_key(name);
            if (ended || shut) && !replaced {
                self.server(target, order, false);
            }
        }
    }

    /// Whether one of these ended by itself.
    fn any_ended(&self, ours: impl Fn(&InstanceId) -> bool) -> bool {
        let mut seen = self.observed.instances.iter();
        seen.any(|one| {
            let by_itself = matches!(&one.running, Running::Ended { exit, .. } if !exit.asked);
            ours(&one.id) && by_itself
        })
    }
}
