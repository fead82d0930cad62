//! Routes that the gateway answers itself: paused and resumed by people and alerts, and handed to the gateway beside
//! whatever plan is under way, because a pause waits for no release.

use crate::engine::Engine;
use crate::request::Refusal;
use crate::world::{EffectFault, World};
use mainstay_alerting::At;
use mainstay_alerting::action::Present;
use mainstay_atoms::{Actor, Fact, RouteName, ServiceName, Wall, span};
use mainstay_plan::{Event, Pause, Serving};
use std::time::Duration;

/// Why a route is not paused or resumed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteRefusal {
    /// No such route.
    #[error("the gateway has no route `{route}`")]
    Unknown {
        /// What was asked for.
        route: RouteName,
        /// The routes that it has.
        known: Vec<String>,
    },
    /// Nobody paused it.
    #[error("`{route}` is not paused")]
    Open {
        /// The route.
        route: RouteName,
    },
}

/// One route of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteView {
    /// Its name: host and path.
    pub route: String,
    /// Who answers.
    pub service: ServiceName,
    /// Who paused it, why, and until when.
    pub pause: Option<Pause>,
    /// The gateway has said that it knows of all pauses and ends of pauses.
    pub told: bool,
}

impl Engine {
    /// Pauses a route for a time, whoever paused it before; until when.
    pub fn pause_route(
        &mut self,
        route: &RouteName,
        wish: (Duration, String),
        by: &Actor,
        world: &mut impl World,
    ) -> Result<Wall, Refusal> {
        self.pause_route_with(vec![], (route, wish), by, world)
    }

    /// The same, recorded together with these events.
    pub(crate) fn pause_route_with(
        &mut self,
        mut events: Vec<Event>,
        (route, (lasts, why)): (&RouteName, (Duration, String)),
        by: &Actor,
        world: &mut impl World,
    ) -> Result<Wall, Refusal> {
        self.routed(route)?;
        let (_, now) = world.now();
        let lasts = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        let until = Wall(now.0.saturating_add(lasts));
        events.push(Event::RoutePaused {
            route: route.clone(),
            until,
            why,
        });
        self.record(world, by, events).map_err(Refusal::Record)?;
        self.look(world);
        self.tell_pauses(world);
        Ok(until)
    }

    /// Ends the pause of a route before its time.
    pub fn resume_route(
        &mut self,
        route: &RouteName,
        by: &Actor,
        world: &mut impl World,
    ) -> Result<(), Refusal> {
        self.routed(route)?;
        let clocks = world.now();
        let held = self.history.table.paused.holds(route.as_str(), clocks.1);
        if held.is_none() {
            let route = route.clone();
            return Err(Refusal::Route(RouteRefusal::Open { route }));
        }
        let at = self.acting.at(clocks, self.history.acts.last());
        let resumed = Event::RouteResumed {
            route: route.clone(),
            steady_ms: at.steady_ms,
        };
        self.record(world, by, vec![resumed])
            .map_err(Refusal::Record)?;
        self.look(world);
        self.tell_pauses(world);
        Ok(())
    }

    /// The gateway has the route.
    fn routed(&self, route: &RouteName) -> Result<(), Refusal> {
        if self.history.down {
            return Err(Refusal::GoingDown);
        }
        let known = self.history.table.routes.names();
        if known.contains(route.as_str()) {
            return Ok(());
        }
        Err(Refusal::Route(RouteRefusal::Unknown {
            route: route.clone(),
            known: known.into_iter().collect(),
        }))
    }

    /// Tells a gateway of pauses and ends of pauses that it does not know. One that serves another table than the last
    /// one is about to get that, and all of them with it.
    pub(crate) fn tell_pauses(&mut self, world: &mut impl World) {
        let table = &self.history.table;
        let number = table.paused.number;
        let Some(Fact::Known { value: gateway, .. }) =
            self.seen.as_mut().map(|seen| &mut seen.gateway)
        else {
            return;
        };
        if gateway.generation != table.generation || gateway.pauses == number {
            return;
        }
        match world.pause(&table.table(self.epoch)) {
            Ok(()) => gateway.pauses = number,
            // It is told with the next look.
            Err(EffectFault::Later(_) | EffectFault::Never(_)) => {}
            Err(EffectFault::Fenced(by)) => self.fenced = Some(by),
        }
    }

    /// Whether a route is paused, or why an alert is not to pause it now: what a person said stands.
    pub(crate) fn pause_of(
        &self,
        route: &str,
        cool_down_ms: i64,
        (at, wall): (At, Wall),
    ) -> Result<Present, String> {
        let paused = &self.history.table.paused;
        if let Some(pause) = paused.holds(route, wall) {
            let by = &pause.by;
            return if by.is_alert() {
                Ok(Present::Done(true))
            } else {
                Err(format!("{by} paused it"))
            };
        }
        if let Some(resumed) = paused.resumed.get(route) {
            let left = cool_down_ms - (at.steady_ms - resumed.steady_ms);
            if left > 0 {
                let left = span::format(Duration::from_millis(left.unsigned_abs()));
                return Err(format!("{} resumed it; again in {left}", resumed.by));
            }
        }
        Ok(Present::Done(false))
    }

    /// Every route of the gateway, by host and path.
    pub fn routes(&self, now: Wall) -> Vec<RouteView> {
        let Serving { routes, paused, .. } = &self.history.table;
        let gateway = self.seen.as_ref().and_then(|seen| seen.gateway.known());
        let told = gateway.is_some_and(|gateway| gateway.pauses == paused.number);
        let all = routes.domains.iter();
        let all = all.flat_map(|(host, routes)| routes.iter().map(move |one| (host, one)));
        all.map(|(host, one)| {
            let route = format!("{host}{}", one.prefix);
            RouteView {
                pause: paused.holds(&route, now).cloned(),
                route,
                service: one.service.clone(),
                told,
            }
        })
        .collect()
    }
}
