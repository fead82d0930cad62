//! Routes that are paused, and what is promised about them.

use super::World;
use crate::kill::{Kill, KillPoint};
use mainstay_atoms::{HostName, RouteName, ServiceName, Wall};
use mainstay_execute::EffectFault;
use mainstay_plan::{Event, Step};
use mainstay_routing::{Route, Table};
use std::collections::BTreeMap;

/// How long a gateway that answers may not know of a pause, in milliseconds.
const LATE: u64 = 30_000;

/// What was said of routes, learnt from what is recorded.
#[derive(Default)]
pub(super) struct Pausing {
    /// How often something was.
    said: u64,
    until: BTreeMap<RouteName, Wall>,
    /// How long the gateway answered without knowing the last of it.
    behind: u64,
}

impl World {
    /// Takes in what was said of routes, and forgets those that the release which serves does not have.
    pub(super) fn learn_pause(&mut self, event: &Event) {
        let pausing = &mut self.pausing;
        match event {
            Event::RoutePaused { route, until, .. } => {
                pausing.until.insert(route.clone(), *until);
            }
            Event::RouteResumed { route, .. } => drop(pausing.until.remove(route)),
            Event::StepBegun {
                step: Step::Serve { .. },
                ..
            } => {
                let serving = self.promised.serving.as_ref();
                let domains = serving.map(|(_, record)| &record.contents.platform.domains);
                pausing.until.retain(|route, _| {
                    let mut hosts = domains.into_iter().flatten();
                    hosts.any(|(host, routes)| {
                        let mut prefixes = routes.keys();
                        prefixes.any(|prefix| format!("{host}{prefix}") == route.as_str())
                    })
                });
                return;
            }
            _ => return,
        }
        self.pausing.said += 1;
    }

    /// One request to each route: a route that is paused is answered by the gateway alone until its end, and no longer.
    pub(super) fn pauses_hold(&mut self, milliseconds: u64) {
        let (_, now) = mainstay_execute::World::now(self);
        let (Some(table), None) = (&self.table, self.gateway_back) else {
            self.pausing.behind = 0;
            return;
        };
        if table.pauses.number != self.pausing.said {
            self.pausing.behind += milliseconds;
            if self.pausing.behind > LATE && !self.disk_full {
                self.pausing.behind = 0;
                self.breaks("the gateway is not told what was said of a route");
            }
            return;
        }
        self.pausing.behind = 0;
        let routes = table.domains.iter();
        let routes = routes
            .flat_map(|(host, all)| all.iter().map(move |one| format!("{host}{}", one.prefix)));
        let wrong = routes.filter_map(|route| {
            let itself = table.pauses.left(&route, now).is_some();
            let due = self.pausing.until.get(route.as_str());
            match (itself, due.is_some_and(|until| now < *until)) {
                (true, false) => Some(format!("{route} is paused longer than was recorded")),
                (false, true) => Some(format!("{route} is paused and answered by an instance")),
                _ => None,
            }
        });
        for why in wrong.collect::<Vec<_>>() {
            self.breaks(&why);
        }
    }

    /// Every route to a service is paused, so none of their requests come to it.
    pub(super) fn is_cut_off(&self, service: &ServiceName) -> bool {
        let (_, now) = mainstay_execute::World::now(self);
        let Some(table) = &self.table else {
            return false;
        };
        let hosts = table.domains.iter();
        let routes = hosts.flat_map(|(host, all)| all.iter().map(move |one| (host, one)));
        let mut own = routes.filter(|(_, one)| one.service == *service).peekable();
        let paused = |(host, one): (&HostName, &Route)| {
            let name = format!("{host}{}", one.prefix);
            table.pauses.left(&name, now).is_some()
        };
        own.peek().is_some() && own.all(paused)
    }

    /// The gateway is handed its table with other pauses; whoever is to be killed there is.
    pub(super) fn pause(&mut self, table: &Table) -> Result<(), EffectFault> {
        let gone = || EffectFault::Later("killed".into());
        if table.epoch < self.epoch {
            return Err(EffectFault::Fenced("a later control plane".into()));
        }
        if self.killed_while_pausing(Kill::BeforeEffect) {
            return Err(gone());
        }
        // Whoever takes traffic by it does already.
        self.follows(table)?;
        self.hand_over(table);
        if self.killed_while_pausing(Kill::BeforeOutcome) {
            return Err(gone());
        }
        Ok(())
    }

    fn killed_while_pausing(&mut self, kill: Kill) -> bool {
        let step = "pause";
        if self.kill_at == Some(KillPoint { step, kill }) {
            self.kill_at = None;
            self.killed = true;
        }
        if self.chance(self.faults.kill) {
            self.killed = true;
        }
        self.killed
    }
}
