//! Sorts the instances of one service.

use crate::{Attempts, Instance, Running, Wanted, restart_at};
use mainstay_atoms::{InstanceId, Moment};
use std::collections::BTreeMap;

/// Every instance of a service in exactly one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// Wanted, of the right contents, and running; ready or not.
    pub kept: Vec<Instance>,
    /// Wanted, and there is none: to be started now.
    pub missing: Vec<InstanceId>,
    /// Wanted, ended, and to be started again no earlier than this.
    pub later: Vec<(InstanceId, Moment)>,
    /// Wanted, running, and failing its liveness probe: to be stopped and started again.
    pub dead: Vec<Instance>,
    /// Running, and not wanted: of other contents, or too many.
    pub old: Vec<Instance>,
    /// Ended, and not wanted: only its traces are left.
    pub leftover: Vec<Instance>,
}

/// Sorts the instances of the service that `wanted` names. `attempts` says how often each ended.
pub fn census(
    wanted: &Wanted,
    seen: &[Instance],
    attempts: &BTreeMap<InstanceId, Attempts>,
    now: Moment,
) -> Census {
    let mut census = Census::default();
    let mut found: BTreeMap<&InstanceId, &Instance> = BTreeMap::new();
    for instance in seen {
        let fits = wanted.ids().any(|id| id == instance.id) && instance.contents == wanted.contents;
        match (fits, instance.runs()) {
            (true, _) => {
                found.insert(&instance.id, instance);
            }
            (false, true) => census.old.push(instance.clone()),
            (false, false) => census.leftover.push(instance.clone()),
        }
    }
    for id in wanted.ids() {
        place(&mut census, id, &found, attempts, now);
    }
    census
}

fn place(
    census: &mut Census,
    id: InstanceId,
    found: &BTreeMap<&InstanceId, &Instance>,
    attempts: &BTreeMap<InstanceId, Attempts>,
    now: Moment,
) {
    let Some(&instance) = found.get(&id) else {
        census.missing.push(id);
        return;
    };
    match &instance.running {
        Running::Yes { .. } if instance.live => census.kept.push(instance.clone()),
        Running::Yes { .. } => census.dead.push(instance.clone()),
        Running::Ended { at, .. } => {
            let due = restart_at(&id, attempts.get(&id).copied().unwrap_or_default(), *at);
            if due <= now {
                census.missing.push(id);
            } else {
                census.later.push((id, due));
            }
        }
    }
}
