//! What the gateway was last told, and the table that follows from it.

use crate::pause::Paused;
use crate::step::Publish;
use crate::{Contents, local_address};
use mainstay_atoms::{Epoch, Generation, HostName, InstanceId, ServiceName};
use mainstay_routing::{Listener, Pool, Route, Table};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Listeners and routes: everything in a table that is not an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routes {
    /// Where requests from outside arrive.
    pub public: Vec<SocketAddr>,
    /// Stable local addresses of the services that others need.
    pub local: BTreeMap<ServiceName, SocketAddr>,
    /// By host.
    pub domains: BTreeMap<HostName, Vec<Route>>,
}

impl Routes {
    /// The routes that a release asks for. Only `localhost` declared: the gateway listens on
    /// loopback alone.
    pub fn of(contents: &Contents) -> Self {
        let platform = &contents.platform;
        let port = platform.gateway.http;
        let inside = platform
            .domains
            .keys()
            .all(|host| host.as_str() == "localhost");
        let public = match (platform.domains.is_empty(), inside) {
            (true, _) => vec![],
            (_, true) => vec![
                (Ipv4Addr::LOCALHOST, port).into(),
                (Ipv6Addr::LOCALHOST, port).into(),
            ],
            (_, false) => {
                vec![
                    (Ipv4Addr::UNSPECIFIED, port).into(),
                    (Ipv6Addr::UNSPECIFIED, port).into(),
                ]
            }
        };
        let needed: BTreeSet<_> = platform
            .services
            .values()
            .flat_map(|service| &service.needs)
            .chain(platform.jobs.values().flat_map(|job| &job.needs))
            .filter(|need| platform.services.contains_key(*need))
            .cloned()
            .collect();
        let local = needed
            .into_iter()
            .filter_map(|name| local_address(platform, &name).map(|at| (name, at)))
            .collect();
        let mut domains: BTreeMap<HostName, Vec<Route>> = platform
            .domains
            .iter()
            .map(|(host, routes)| (host.clone(), routes.iter().map(route).collect()))
            .collect();
        // Outside of a trial a preview shows what serves.
        for (name, service) in &platform.services {
            let preview = service.blue_green.as_ref();
            if let Some(host) = preview.and_then(|way| way.preview.clone()) {
                domains.insert(host, vec![route((&"/".to_owned(), name))]);
            }
        }
        Self {
            public,
            local,
            domains,
        }
    }

    /// Names of all routes, as people and metrics say them.
    pub fn names(&self) -> BTreeSet<String> {
        let hosts = self.domains.iter();
        hosts
            .flat_map(|(host, routes)| {
                routes
                    .iter()
                    .map(move |one| format!("{host}{}", one.prefix))
            })
            .collect()
    }

    /// These routes, widened by the listeners of `next`: what is there before a release serves, so
    /// that its instances reach what they need while the old routes still hold.
    #[must_use]
    pub fn widened(&self, next: &Self) -> Self {
        let mut wide = self.clone();
        wide.local
            .extend(next.local.iter().map(|(name, at)| (name.clone(), *at)));
        let new = next
            .public
            .iter()
            .filter(|address| !self.public.contains(address));
        wide.public.extend(new);
        wide
    }
}

fn route((prefix, service): (&String, &ServiceName)) -> Route {
    Route {
        prefix: prefix.clone(),
        service: service.clone(),
        only: None,
    }
}

/// The last published state of the gateway, kept by replay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    /// Number of the last publication.
    pub generation: Generation,
    /// Listeners and routes.
    pub routes: Routes,
    /// Who takes traffic.
    pub pools: BTreeMap<ServiceName, Pool>,
    /// Routes that nobody answers for but the gateway itself; a publication changes nothing of them.
    #[serde(default, skip_serializing_if = "Paused::is_default")]
    pub paused: Paused,
}

impl Serving {
    /// Takes a publication in.
    pub fn apply(&mut self, publish: &Publish) {
        self.generation = publish.generation;
        for (service, pool) in &publish.pools {
            match pool {
                Some(pool) => self.pools.insert(service.clone(), pool.clone()),
                None => self.pools.remove(service),
            };
        }
        if let Some(routes) = &publish.routes {
            self.routes = routes.clone();
        }
    }

    /// The whole table as a gateway takes it.
    pub fn table(&self, epoch: Epoch) -> Table {
        let public = self
            .routes
            .public
            .iter()
            .map(|&address| Listener::Public { address });
        let local = self
            .routes
            .local
            .iter()
            .map(|(service, &address)| Listener::Local {
                address,
                service: service.clone(),
            });
        Table {
            epoch,
            generation: self.generation,
            listeners: public.chain(local).collect(),
            domains: self.routes.domains.clone(),
            services: self.pools.clone(),
            pauses: self.paused.table(),
        }
    }

    /// What a gateway with this table was told: the other way round than [`Serving::table`].
    pub fn of(table: &Table) -> Self {
        let mut routes = Routes {
            domains: table.domains.clone(),
            ..Routes::default()
        };
        for listener in &table.listeners {
            match listener {
                Listener::Public { address } => routes.public.push(*address),
                Listener::Local { address, service } => {
                    routes.local.insert(service.clone(), *address);
                }
            }
        }
        Self {
            generation: table.generation,
            routes,
            pools: table.services.clone(),
            paused: Paused::of(&table.pauses),
        }
    }

    /// Whether this run of an instance takes traffic.
    pub fn serves(&self, id: &InstanceId, generation: Generation) -> bool {
        self.pools.get(&id.service).is_some_and(|pool| {
            pool.backends
                .iter()
                .any(|backend| backend.instance == *id && backend.generation == generation)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_all_that_is_served() {
        let address = |port| (Ipv4Addr::LOCALHOST, port).into();
        let api = ServiceName::new("api").unwrap();
        let route = Route {
            prefix: "/".into(),
            service: api.clone(),
            only: None,
        };
        let pool = Pool {
            streams: std::time::Duration::from_secs(1),
            backends: vec![],
            split: None,
        };
        let host = HostName::new("localhost").unwrap();
        let serving = Serving {
            generation: Generation(9),
            routes: Routes {
                public: vec![address(80)],
                local: [(api.clone(), address(81))].into(),
                domains: [(host, vec![route])].into(),
            },
            pools: [(api, pool)].into(),
            paused: Paused::default(),
        };
        assert_eq!(Serving::of(&serving.table(Epoch(3))), serving);
    }
}
