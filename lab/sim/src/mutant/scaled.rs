//! Mistakes about counts that follow what is measured.

use super::{Caught, Mutant};
use crate::{Schedule, by_load, contents, service};
use mainstay_atoms::{Actor, ServiceName};
use mainstay_plan::Event;
use std::time::Duration;

/// Every mistake of this kind.
pub(super) const SCALED: &[Mutant] = &[
    Mutant {
        name: "forget the count that was decided",
        how: super::How::Life(|seed, wrong, caught| {
            let forgets: fn(&Event) -> bool = |event| matches!(event, Event::Scaled { .. });
            scaled_life(seed, wrong.then_some(forgets), caught);
        }),
    },
    Mutant {
        name: "forget the count that a person set",
        how: super::How::Life(|seed, wrong, caught| {
            let forgets: fn(&Event) -> bool = |event| matches!(event, Event::ScaleSet { .. });
            scaled_life(seed, wrong.then_some(forgets), caught);
        }),
    },
];

/// Load makes a service grow, a person says otherwise, and the control plane is replaced after each.
fn scaled_life(seed: u64, forgets: Option<fn(&Event) -> bool>, caught: &mut Caught) {
    let mut web = service(1, &[]);
    by_load(&mut web, (1, 6));
    let mut schedule = Schedule::new(seed);
    schedule.world.steady_load("web", 60);
    schedule.world.forgets = forgets;
    assert!(
        schedule.ship(contents(vec![("web", web)], 1)),
        "it is taken"
    );
    schedule.until(30_000, |_, _| false);
    schedule.world.killed = true;
    schedule.until(30_000, |_, _| false);
    let name = ServiceName::new("web").expect("a valid name");
    let wish = (2, Duration::from_secs(600));
    let (engine, world) = schedule.engine().expect("the disk is not full");
    let set = engine.set_scale(&name, wish, &Actor("ann".into()), world);
    set.expect("it is within the bounds");
    schedule.until(30_000, |_, _| false);
    schedule.world.killed = true;
    schedule.until(30_000, |_, _| false);
    caught.first(&schedule.world);
}
