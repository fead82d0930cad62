//! What the status page says of services: those that answer from outside, as the engine sees them now.

use crate::view::serves;
use mainstay_atoms::ServiceName;
use mainstay_execute::{Engine, Phase, Seen, World as _};
use mainstay_world::{Announcement, Page, PageState, RealWorld};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How often it is made anew.
pub(crate) const EVERY: Duration = Duration::from_secs(2);

/// Makes a page of what is seen now and has it published. While instances cannot be looked at, or another control plane
/// has taken over, none is made: the one there is gets old, and whoever asks sees that.
pub(crate) fn announce(engine: &Engine, world: &RealWorld, sequence: u64) {
    if world.blind().is_some() || matches!(engine.phase(), Phase::Fenced | Phase::Down) {
        return;
    }
    if let Some(seen) = engine.seen() {
        world.announce(announcement(engine, seen, world, sequence));
    }
}

fn announcement(
    engine: &Engine,
    seen: &Seen,
    world: &RealWorld,
    sequence: u64,
) -> Option<Announcement> {
    let platform = &engine.serving_record()?.contents.platform;
    let wanted = platform.status_page.clone()?;
    let routed: BTreeSet<&ServiceName> = platform
        .domains
        .values()
        .flat_map(BTreeMap::values)
        .collect();
    let state = |name: &ServiceName| {
        let service = platform.services.get(name)?;
        let own = seen.instances.iter().filter(|one| one.id.service == *name);
        let ready = own.filter(|one| serves(engine, one, true)).count();
        let state = state_of(engine.wanted(name, service), ready);
        Some((name.to_string(), state))
    };
    Some(Announcement {
        host: wanted.host,
        path: wanted.path,
        checks: wanted.checks,
        page: Page {
            platform: platform.name.to_string(),
            environment: platform.environment.to_string(),
            made_ms: world.now().1.0,
            epoch: engine.epoch().0,
            sequence,
            state: PageState::Unknown,
            services: routed.into_iter().filter_map(state).collect(),
            checks: BTreeMap::new(),
        },
    })
}

/// How a service of which so many are wanted is with so many that take requests. None are wanted of one that was put
/// out, and that is as it should be.
fn state_of(wanted: u32, ready: usize) -> PageState {
    match (wanted, ready) {
        (1.., 0) => PageState::Down,
        (wanted, ready) if ready < wanted as usize => PageState::Degraded,
        _ => PageState::Ok,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_down_once_nobody_answers() {
        for (wanted, ready, state) in [
            (0, 0, PageState::Ok),
            (1, 1, PageState::Ok),
            (2, 3, PageState::Ok),
            (2, 1, PageState::Degraded),
            (2, 0, PageState::Down),
        ] {
            assert_eq!(state_of(wanted, ready), state, "{ready} of {wanted}");
        }
    }
}
