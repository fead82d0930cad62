//! What a replay of the ledger knows of routes that are paused.

use crate::event::Event;
use crate::serving::Routes;
use mainstay_atoms::{Actor, RouteName, Wall};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A route that the gateway answers itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The first moment at which it holds no longer.
    pub until: Wall,
    /// Why, in words.
    pub why: String,
    /// Who paused it.
    pub by: Actor,
}

/// When a person ended a pause early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumption {
    /// On the clock by which alerts wait, in milliseconds.
    pub steady_ms: i64,
    /// Who.
    pub by: Actor,
}

/// Every route that is or was paused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Counts what was said of pauses so far.
    pub number: u64,
    /// Pauses that nobody ended early; they may be over.
    pub held: BTreeMap<RouteName, Pause>,
    /// When somebody last ended one early.
    pub resumed: BTreeMap<RouteName, Resumption>,
}

impl Paused {
    /// Takes one event in; what is about something else changes nothing.
    pub(crate) fn apply(&mut self, event: &Event, by: &Actor) {
        match event {
            Event::RoutePaused { route, until, why } => {
                let pause = Pause {
                    until: *until,
                    why: why.clone(),
                    by: by.clone(),
                };
                self.held.insert(route.clone(), pause);
            }
            Event::RouteResumed { route, steady_ms } => {
                self.held.remove(route);
                let resumption = Resumption {
                    steady_ms: *steady_ms,
                    by: by.clone(),
                };
                self.resumed.insert(route.clone(), resumption);
            }
            _ => return,
        }
        self.number += 1;
    }

    /// Forgets routes that the release which serves does not have.
    pub(crate) fn keep(&mut self, routes: &Routes) {
        let names = routes.names();
        self.held.retain(|route, _| names.contains(route.as_str()));
        self.resumed
            .retain(|route, _| names.contains(route.as_str()));
    }

    /// The pause of a route that holds at this moment.
    pub fn holds(&self, route: &str, now: Wall) -> Option<&Pause> {
        self.held.get(route).filter(|pause| now < pause.until)
    }

    /// As the gateway is told.
    pub fn table(&self) -> mainstay_routing::Pauses {
        let held = self.held.iter();
        mainstay_routing::Pauses {
            number: self.number,
            until: held
                .map(|(route, pause)| (route.clone(), pause.until))
                .collect(),
        }
    }

    /// What a gateway was told; who said so and why it does not know.
    pub fn of(table: &mainstay_routing::Pauses) -> Self {
        let unknown = |until: &Wall| Pause {
            until: *until,
            why: "the gateway was told so".into(),
            by: Actor::itself(),
        };
        let held = table.until.iter();
        Self {
            number: table.number,
            held: held
                .map(|(route, until)| (route.clone(), unknown(until)))
                .collect(),
            resumed: BTreeMap::new(),
        }
    }

    /// Whether nothing was ever said of pauses.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_atoms::{HostName, ServiceName};
    use mainstay_routing::Route;

    fn name(text: &str) -> RouteName {
        RouteName::new(text).unwrap()
    }

    fn paused(route: &str, until: u64) -> Event {
        Event::RoutePaused {
            route: name(route),
            until: Wall(until),
            why: "it fails".into(),
        }
    }

    #[test]
    fn a_pause_is_over_at_its_time_or_when_somebody_ends_it() {
        let ann = Actor("ann".into());
        let mut all = Paused::default();
        all.apply(&paused("a.example/", 100), &ann);
        assert_eq!(
            all.holds("a.example/", Wall(99)).map(|one| &one.by),
            Some(&ann)
        );
        assert_eq!(all.holds("a.example/", Wall(100)), None);
        assert_eq!(all.holds("a.example/api", Wall(1)), None);
        all.apply(&paused("a.example/", 50), &ann);
        assert_eq!(
            all.holds("a.example/", Wall(50)),
            None,
            "the last word counts"
        );
        let resumed = Event::RouteResumed {
            route: name("a.example/"),
            steady_ms: 7,
        };
        all.apply(&resumed, &ann);
        assert_eq!(all.holds("a.example/", Wall(1)), None);
        assert_eq!((all.number, all.resumed["a.example/"].steady_ms), (3, 7));
        all.apply(&Event::UpAsked, &ann);
        assert_eq!(all.number, 3, "what is about something else");
        for event in [resumed, paused("a.example/", 1)] {
            assert_eq!(Event::from_bytes(&event.to_bytes()).unwrap(), event);
        }
    }

    #[test]
    fn a_route_that_is_gone_is_not_paused_when_it_comes_back() {
        let mut all = Paused::default();
        for route in ["a.example/", "a.example/old", "gone.example/"] {
            all.apply(&paused(route, 100), &Actor("ann".into()));
        }
        let route = Route {
            prefix: "/".into(),
            service: ServiceName::new("web").unwrap(),
            only: None,
        };
        let routes = Routes {
            domains: BTreeMap::from([(HostName::new("a.example").unwrap(), vec![route])]),
            ..Routes::default()
        };
        all.keep(&routes);
        assert_eq!(all.held.keys().collect::<Vec<_>>(), [&name("a.example/")]);
        let told = all.table();
        assert_eq!((told.number, told.until.len()), (3, 1));
        assert_eq!(Paused::of(&told).table(), told);
    }
}
