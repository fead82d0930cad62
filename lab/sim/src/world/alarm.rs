//! Alerts that fire, and what is promised about what they do by themselves.

use super::World;
use mainstay_atoms::Moment;
use mainstay_plan::Event;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What fires, and what was done about it.
#[derive(Default)]
pub(super) struct Alarms {
    /// None: nobody knows.
    pub(super) firing: Option<BTreeSet<String>>,
    cool_down: Duration,
    acted: BTreeMap<(String, String), Moment>,
}

impl World {
    /// Lets these alerts fire from here on; none: nobody knows. What they do waits so long before it is done again.
    pub fn fires(&mut self, alerts: Option<&[&str]>, cool_down: Duration) {
        let named = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        self.alarms.firing = alerts.map(named);
        self.alarms.cool_down = cool_down;
    }

    /// Only what fires acts, and not again before it has cooled down, whoever was killed meanwhile.
    pub(super) fn learn_act(&mut self, event: &Event) {
        let Event::AlertActed { alert, deed, .. } = event else {
            return;
        };
        let firing = self.alarms.firing.as_ref();
        if !firing.is_some_and(|firing| firing.contains(alert)) {
            self.breaks(&format!("{alert} does not fire, and acts: {deed}"));
        }
        if self.promised.down {
            self.breaks(&format!("{alert} acts while everything is down: {deed}"));
        }
        let key = (alert.clone(), deed.clone());
        if let Some(last) = self.alarms.acted.insert(key, self.now)
            && self.now.since(last) < self.alarms.cool_down
        {
            let ago = self.now.since(last).as_millis();
            self.breaks(&format!("{alert} acts again after {ago} ms: {deed}"));
        }
    }
}
