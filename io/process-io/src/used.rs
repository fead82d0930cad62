//! What instances use of the machine, from the kernel's files.

use crate::group;
use crate::layout::Layout;
use crate::observe;
use crate::process::{self, Stat};
use mainstay_atoms::{Bytes, InstanceId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Kernel ticks of a second in `/proc`, the same on all machines that Linux runs on (`USER_HZ`).
const TICKS: u64 = 100;

/// What one instance uses, with everything that it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// Processor time of its processes since they began; less than before when one of them is gone.
    pub cpu: Duration,
    /// Memory of its processes; pages that several of them share count for each.
    pub memory: Bytes,
}

/// What these use now; those that do not run are left out. All processes are read once, however many are
/// asked for.
pub(crate) fn used(layout: &Layout, ids: &[InstanceId]) -> BTreeMap<InstanceId, Used> {
    if ids.is_empty() {
        return BTreeMap::new();
    }
    let all = process::all();
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    let one = |id: &InstanceId| {
        let state = observe::state(&layout.instance(id))?;
        let mut members = process::family_in(&all, state.workload);
        members.extend(group::members(&state.groups));
        Some((id.clone(), sum(&all, &members, page)?))
    };
    ids.iter().filter_map(one).collect()
}

/// None when nobody of them is there.
fn sum(all: &[Stat], members: &BTreeSet<u32>, page: u64) -> Option<Used> {
    let own = all.iter().filter(|stat| members.contains(&stat.pid));
    let total = |part: fn(&Stat) -> u64| own.clone().map(part).fold(0, u64::saturating_add);
    own.clone().next()?;
    Some(Used {
        cpu: Duration::from_millis(total(|stat| stat.used_ticks).saturating_mul(1000 / TICKS)),
        memory: Bytes(total(|stat| stat.resident_pages).saturating_mul(page)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time_and_nobody_uses_nothing() {
        let own = BTreeSet::from([std::process::id()]);
        let mut all = process::all();
        let before = sum(&all, &own, 4096).unwrap();
        assert!(before.memory > Bytes(4096), "{before:?}");
        // Work until the kernel has counted a tick of it.
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while sum(&all, &own, 4096).is_none_or(|now| now.cpu <= before.cpu) {
            assert!(std::time::Instant::now() < deadline, "no time is counted");
            all = process::all();
        }
        assert_eq!(sum(&all, &BTreeSet::new(), 4096), None);
    }
}
