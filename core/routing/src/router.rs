//! A table, compiled for look-ups.

use crate::{Host, Table, path};
use mainstay_atoms::{ReleaseNumber, ServiceName, Wall};
use std::collections::HashMap;

/// One route, as an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// How metrics name it: host and prefix, `shop.example/api`.
    pub label: String,
    /// The prefix that matched.
    pub prefix: String,
    /// Who answers.
    pub service: ServiceName,
    /// Only instances of this release answer, if any.
    pub only: Option<ReleaseNumber>,
    /// The gateway answers itself until this moment; it may be over.
    pub paused: Option<Wall>,
}

/// Host → longest path prefix → route. Routes are numbered; a number is valid for its own router.
///
/// `localhost`, when the table has it, also answers for every name of the loopback network.
#[derive(Debug, Default)]
pub struct Router {
    hosts: HashMap<Box<str>, Vec<usize>>,
    routes: Vec<Match>,
}

impl Router {
    /// Compiles the domains of a table.
    pub fn new(table: &Table) -> Self {
        let mut router = Self::default();
        for (host, routes) in &table.domains {
            let mut numbers: Vec<usize> = Vec::with_capacity(routes.len());
            for route in routes {
                numbers.push(router.routes.len());
                let label = format!("{host}{}", route.prefix);
                router.routes.push(Match {
                    paused: table.pauses.until.get(label.as_str()).copied(),
                    label,
                    prefix: route.prefix.clone(),
                    service: route.service.clone(),
                    only: route.only,
                });
            }
            numbers.sort_by_key(|number| std::cmp::Reverse(router.routes[*number].prefix.len()));
            router.hosts.insert(host.as_str().into(), numbers);
        }
        router
    }

    /// The number of the route for a host and a [normalised](path::normalise) path.
    pub fn find(&self, host: &Host<'_>, path: &str) -> Option<usize> {
        let numbers = self.hosts.get(host.as_str()).or_else(|| {
            let local = host.is_loopback();
            local.then(|| self.hosts.get("localhost")).flatten()
        })?;
        let fits = |number: &&usize| path::begins_with(path, &self.routes[**number].prefix);
        numbers.iter().find(fits).copied()
    }

    /// All routes, by number.
    pub fn routes(&self) -> &[Match] {
        &self.routes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Route;
    use mainstay_atoms::{Epoch, Generation, HostName};
    use std::collections::BTreeMap;

    fn router(domains: &[(&str, &[(&str, &str)])]) -> Router {
        let mut table = Table {
            epoch: Epoch(1),
            generation: Generation(1),
            listeners: Vec::new(),
            domains: BTreeMap::new(),
            services: BTreeMap::new(),
            pauses: crate::Pauses::default(),
        };
        for (host, routes) in domains {
            let routes = routes.iter().map(|(prefix, service)| Route {
                prefix: (*prefix).into(),
                service: ServiceName::new(*service).unwrap(),
                only: None,
            });
            let host = HostName::new(*host).unwrap();
            table.domains.insert(host, routes.collect());
        }
        Router::new(&table)
    }

    fn found(router: &Router, host: &str, path: &str) -> Option<String> {
        let host = Host::parse(host.as_bytes()).unwrap();
        let number = router.find(&host, path)?;
        Some(router.routes()[number].service.to_string())
    }

    #[test]
    fn the_longest_prefix_wins_on_whole_segments() {
        let router = router(&[(
            "shop.example",
            &[("/", "web"), ("/api", "api"), ("/api/v2", "next")],
        )]);
        for (path, service) in [
            ("/", "web"),
            ("/apis", "web"),
            ("/api", "api"),
            ("/api/v2/x", "next"),
        ] {
            assert_eq!(
                found(&router, "shop.example:80", path).as_deref(),
                Some(service)
            );
        }
        assert_eq!(found(&router, "other.example", "/"), None);
        assert_eq!(found(&router, "127.0.0.1", "/"), None);
    }

    #[test]
    fn localhost_answers_for_loopback_addresses() {
        let router = router(&[
            ("localhost", &[("/", "web")]),
            ("127.0.0.2", &[("/", "other")]),
        ]);
        for host in ["localhost:8080", "127.0.0.1", "[::1]:8080", "127.3.2.1"] {
            assert_eq!(found(&router, host, "/").as_deref(), Some("web"));
        }
        assert_eq!(found(&router, "127.0.0.2", "/").as_deref(), Some("other"));
        assert_eq!(found(&router, "10.0.0.1", "/"), None);
    }

    #[test]
    fn no_route_without_a_matching_prefix() {
        let router = router(&[("a.example", &[("/api", "api")])]);
        assert_eq!(found(&router, "a.example", "/"), None);
    }
}
