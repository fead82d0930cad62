//! Mistakes about what alerts do by themselves.

use super::{Caught, Mutant};
use crate::{Schedule, by_load, contents, service};
use std::time::Duration;

/// Every mistake of this kind.
pub(super) const ACTED: &[Mutant] = &[Mutant {
    name: "forget what an alert did",
    how: super::How::Life(acted_life),
}];

/// An alert fires on and on, and the control plane is replaced again and again.
fn acted_life(seed: u64, wrong: bool, caught: &mut Caught) {
    let mut web = service(1, &[]);
    by_load(&mut web, (1, 6));
    let mut contents = contents(vec![("web", web)], 1);
    contents.platform.signals.alerts = Some(serde_json::json!({
        "then": { "HomeFails": { "scale": { "service": "web", "by": 1 }, "cool_down": "1h" } },
    }));
    let mut schedule = Schedule::new(seed);
    if wrong {
        schedule.world.forgets = Some(|event| event.kind().1 == "alert_acted");
    }
    schedule
        .world
        .fires(Some(&["HomeFails"]), Duration::from_secs(3600));
    assert!(schedule.ship(contents), "it is taken");
    for _ in 0..3 {
        schedule.until(30_000, |_, _| false);
        schedule.world.killed = true;
    }
    caught.first(&schedule.world);
}
