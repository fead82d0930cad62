//! Mistakes about routes that are paused.

use super::{Caught, Mutant};
use crate::{Schedule, contents, service};
use mainstay_atoms::{Actor, RouteName, Wall};
use mainstay_plan::Event;
use std::time::Duration;

/// Every mistake of this kind.
pub(super) const PAUSED: &[Mutant] = &[
    Mutant {
        name: "forget that a route is paused",
        how: super::How::Life(|seed, wrong, caught| {
            paused_life(seed, caught, |schedule| {
                let forgets: fn(&Event) -> bool = |event| event.kind().1 == "route_paused";
                schedule.world.forgets = wrong.then_some(forgets);
            });
        }),
    },
    Mutant {
        name: "pause a route for longer than was recorded",
        how: super::How::Life(|seed, wrong, caught| {
            paused_life(seed, caught, |schedule| {
                let longer: fn(&mut Event) = |event| {
                    if let Event::RoutePaused { until, .. } = event {
                        *until = Wall(until.0 + 3_600_000);
                    }
                };
                schedule.world.miswrites = wrong.then_some(longer);
            });
        }),
    },
];

/// A person pauses a route, the control plane is replaced, and another release comes while it is paused.
fn paused_life(seed: u64, caught: &mut Caught, mistake: impl Fn(&mut Schedule)) {
    let mut schedule = Schedule::new(seed);
    let version = |number| contents(vec![("web", service(2, &[]))], number);
    assert!(schedule.ship(version(1)), "it is taken");
    assert!(schedule.settle(60_000), "the first release serves");
    mistake(&mut schedule);
    let route = RouteName::new("localhost/").expect("a valid name");
    let wish = (Duration::from_secs(60), "it fails".to_owned());
    let (engine, world) = schedule.engine().expect("the disk is not full");
    let paused = engine.pause_route(&route, wish, &Actor("ann".into()), world);
    paused.expect("it is a route");
    schedule.until(5_000, |_, _| false);
    schedule.world.killed = true;
    schedule.until(1_000, |_, _| false);
    assert!(schedule.ship(version(2)), "it is taken");
    schedule.until(90_000, |_, _| false);
    caught.first(&schedule.world);
}
