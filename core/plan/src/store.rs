//! Stores in a plan: what is wanted of each, and the steps that bring it there.

use crate::decide::{Decider, Target};
use crate::report::{StoreAction, StoreLine};
use crate::step::Step;
use crate::{Contents, local_address};
use mainstay_atoms::{Digest, ReleaseNumber, ServiceName};
use mainstay_spec::{StoreOrder, StoreUser};
use mainstay_workload::{Census, Instance, Wanted, census};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Longest wait for a store's server: it may have to replay its log first.
pub(crate) const READY: Duration = Duration::from_secs(300);

/// What a release wants of a store; none when somebody else runs it, or there is no such store.
pub fn store_order(contents: &Contents, name: &ServiceName) -> Option<StoreOrder> {
    let platform = &contents.platform;
    let store = platform.stores.get(name)?;
    if store.external.is_some() {
        return None;
    }
    let mut users = BTreeMap::new();
    let before: BTreeSet<_> = platform
        .services
        .values()
        .flat_map(|service| &service.before)
        .collect();
    for (user, job) in &platform.jobs {
        if job.needs.contains(name) {
            users.insert(user.clone(), before.contains(user));
        }
    }
    for (user, service) in &platform.services {
        if service.needs.contains(name) {
            users.insert(user.clone(), false);
        }
    }
    // Without a migration of its own the schema belongs to all who use it.
    let migrated = users.values().any(|owns| *owns);
    let user = |(name, owns)| StoreUser {
        name,
        owns: owns || !migrated,
    };
    Some(StoreOrder {
        store: name.clone(),
        kind: store.kind.clone(),
        address: local_address(platform, name),
        users: users.into_iter().map(user).collect(),
    })
}

/// Two orders of equal digest want the same.
pub fn order_digest(order: &StoreOrder) -> Digest {
    Digest::of(&serde_json::to_vec(order).expect("an order holds only what JSON can say"))
}

impl Decider<'_> {
    /// Brings every store of the target to what is wanted, before any service is touched.
    pub(crate) fn stores(&mut self, target: Target<'_>) {
        let contents = &target.record.contents;
        for name in contents.platform.stores.keys() {
            let Some(order) = store_order(contents, name) else {
                continue;
            };
            let applied = self.observed.stores.get(name) == Some(&order_digest(&order));
            if order.kind.server().is_some() {
                self.server(target, order, applied);
            } else if !applied {
                self.store_line(name, StoreAction::Make);
                self.draft.steps.push(Step::Prepare {
                    order: Box::new(order),
                });
            }
        }
    }

    /// A store with a server: at most one runs on the data at any time.
    pub(crate) fn server(&mut self, target: Target<'_>, order: StoreOrder, applied: bool) {
        let name = order.store.clone();
        let Some(census) = self.store_census(target, &name) else {
            return;
        };
        self.wait_for(&census);
        let leaving: Vec<Instance> = census.old.iter().chain(&census.dead).cloned().collect();
        let away = !census.missing.is_empty() || !leaving.is_empty();
        // While a release moves nobody waits for a back-off.
        let due = !target.serves && !census.later.is_empty();
        let action = match (leaving.is_empty(), away || due, applied) {
            (false, ..) => Some(StoreAction::Restart),
            (true, true, _) if self.observed.stores.contains_key(&name) => Some(StoreAction::Start),
            (true, true, _) => Some(StoreAction::Make),
            (true, false, false) if census.later.is_empty() => Some(StoreAction::Reload),
            _ => None,
        };
        if let Some(action) = action {
            self.store_line(&name, action);
        }
        self.draft.retire(&leaving, false);
        self.draft.clear(&census.leftover);
        self.draft.clear(&leaving);
        let made_by = self.since(target, &name);
        let order = Box::new(order);
        if away || due {
            self.draft.steps.push(Step::Prepare {
                order: order.clone(),
            });
            let started = self.draft.start_store(target.record, &name, made_by);
            let Some((id, generation)) = started.filter(|_| !target.serves) else {
                return;
            };
            self.draft.await_store(&id, generation);
            self.draft.steps.push(Step::Provision { order });
            return;
        }
        let Some(kept) = census.kept.first() else {
            return;
        };
        let ready = kept.ready_since().is_some();
        if !target.serves && !ready {
            self.draft.await_store(&kept.id, kept.generation);
        }
        if !applied && (ready || !target.serves) {
            self.draft.steps.push(Step::Prepare {
                order: order.clone(),
            });
            self.draft.steps.push(Step::Provision { order });
        }
    }

    pub(crate) fn store_census(&self, target: Target<'_>, name: &ServiceName) -> Option<Census> {
        let wanted = Wanted {
            service: name.clone(),
            since: self.since(target, name),
            contents: *target.record.digests.get(name)?,
            replicas: 1,
        };
        let seen: Vec<Instance> = self
            .observed
            .instances
            .iter()
            .filter(|one| one.id.service == *name)
            .cloned()
            .collect();
        Some(census(&wanted, &seen, &self.observed.attempts, self.now))
    }

    fn store_line(&mut self, store: &ServiceName, action: StoreAction) {
        self.report.stores.push(StoreLine {
            store: store.clone(),
            action,
        });
    }

    /// A store that a service needs and that is not ready.
    pub(crate) fn unready_store(
        &self,
        needs: &[ServiceName],
        target: Target<'_>,
    ) -> Option<ServiceName> {
        let stores = &target.record.contents.platform.stores;
        let unready = |need: &&ServiceName| {
            let Some(store) = stores.get(*need) else {
                return false;
            };
            store.server().is_some() && !self.store_ready(need)
        };
        needs.iter().find(unready).cloned()
    }

    /// It accepts writes, and its users were let in at least once.
    fn store_ready(&self, name: &ServiceName) -> bool {
        let seen = self.observed.instances.iter();
        let mut seen = seen.filter(|one| one.id.service == *name);
        self.observed.stores.contains_key(name) && seen.any(|one| one.ready_since().is_some())
    }

    /// The release whose number the server carries. One that was started from the same, by whichever
    /// release, is the right one: a store is not restarted for a number.
    fn since(&self, target: Target<'_>, name: &ServiceName) -> ReleaseNumber {
        let wanted = target.record.digests.get(name);
        let seen = self.observed.instances.iter();
        let fits = seen.filter(|one| one.id.service == *name && Some(&one.contents) == wanted);
        let known = fits.max_by_key(|one| (one.runs(), one.id.release));
        let since = known.map(|one| one.id.release);
        let since = since.or_else(|| target.record.since.get(name).copied());
        since.unwrap_or(target.release)
    }
}
