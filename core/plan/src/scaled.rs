//! What a replay of the ledger knows of services that are scaled.

use crate::event::Event;
use mainstay_atoms::{Actor, ServiceName, Wall};
use mainstay_workload::Override;
use std::collections::BTreeMap;

/// How many instances of one service were decided last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub instances: u32,
    /// How many before; none: nothing had been decided.
    pub before: Option<u32>,
    /// Why, in words.
    pub why: String,
    /// When.
    pub at: Wall,
}

/// Every service that is or was scaled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// What was decided last.
    pub decided: BTreeMap<ServiceName, Count>,
    /// What somebody set for a time that was not ended early; it may be over.
    pub hands: BTreeMap<ServiceName, Override>,
}

impl Counts {
    /// Takes one event in; what is about something else changes nothing.
    pub(crate) fn apply(&mut self, event: &Event, by: &Actor, at: Wall) {
        match event {
            Event::Scaled {
                service,
                instances,
                why,
            } => {
                let count = Count {
                    instances: *instances,
                    before: self.decided.get(service).map(|last| last.instances),
                    why: why.clone(),
                    at,
                };
                self.decided.insert(service.clone(), count);
            }
            Event::ScaleSet {
                service,
                instances,
                until,
            } => {
                let hand = Override {
                    instances: *instances,
                    until: *until,
                    by: by.clone(),
                };
                self.hands.insert(service.clone(), hand);
            }
            Event::ScaleFreed { service } => drop(self.hands.remove(service)),
            _ => {}
        }
    }

    /// How many instances of each service were decided last.
    pub fn instances(&self) -> BTreeMap<ServiceName, u32> {
        let decided = self.decided.iter();
        decided
            .map(|(name, count)| (name.clone(), count.instances))
            .collect()
    }

    /// What somebody set for a service and that holds at this moment.
    pub fn hand(&self, service: &ServiceName, now: Wall) -> Option<&Override> {
        self.hands.get(service).filter(|hand| now < hand.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_is_over_at_its_time_or_when_somebody_ends_it() {
        let web = ServiceName::new("web").unwrap();
        let mut counts = Counts::default();
        let by = Actor("ann".into());
        let set = Event::ScaleSet {
            service: web.clone(),
            instances: 4,
            until: Wall(100),
        };
        counts.apply(&set, &by, Wall(10));
        assert_eq!(
            counts.hand(&web, Wall(99)).map(|hand| hand.instances),
            Some(4)
        );
        assert_eq!(counts.hand(&web, Wall(100)), None);
        let freed = Event::ScaleFreed {
            service: web.clone(),
        };
        counts.apply(&freed, &by, Wall(20));
        assert_eq!(counts.hand(&web, Wall(99)), None);
        for instances in [3, 5] {
            let scaled = Event::Scaled {
                service: web.clone(),
                instances,
                why: "cpu".into(),
            };
            counts.apply(&scaled, &by, Wall(30));
        }
        let last = &counts.decided[&web];
        assert_eq!((last.before, last.instances), (Some(3), 5));
    }
}
