//! The table a gateway serves from: immutable, whole, numbered.

use crate::Pauses;
use mainstay_atoms::{
    Chosen, Epoch, Generation, HostName, InstanceId, ReleaseNumber, ServiceName, Share,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Everything a gateway knows. A request is answered wholly by the table that was current when its
/// head arrived. A table of a lower (`epoch`, `generation`, number of its pauses) than the one held is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Which control plane made it.
    pub epoch: Epoch,
    /// Which step made it; acknowledged by this number.
    pub generation: Generation,
    /// Where the gateway listens.
    pub listeners: Vec<Listener>,
    /// Routes by host; in each, the longest matching path prefix wins.
    pub domains: BTreeMap<HostName, Vec<Route>>,
    /// Who answers for each service.
    pub services: BTreeMap<ServiceName, Pool>,
    /// Routes that the gateway answers itself for a time.
    #[serde(default, skip_serializing_if = "Pauses::is_default")]
    pub pauses: Pauses,
}

impl Table {
    /// What orders tables: a gateway never goes back to a lower one.
    pub fn number(&self) -> (Epoch, Generation, u64) {
        (self.epoch, self.generation, self.pauses.number)
    }
}

/// One address the gateway answers on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Listener {
    /// Requests from outside, routed by host and path.
    Public {
        /// Usually `0.0.0.0` and `[::]`, a listener each.
        address: SocketAddr,
    },
    /// The stable local address of one service, for the services that need it; any host and path.
    Local {
        /// On the loopback network.
        address: SocketAddr,
        /// Who answers.
        service: ServiceName,
    },
}

/// Requests whose path begins with `prefix` go to `service`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Begins with `/`; matches whole segments, so `/api` matches `/api` and `/api/x`, not `/apis`.
    pub prefix: String,
    /// Who answers.
    pub service: ServiceName,
    /// Only instances of this release answer; none: whoever the pool picks. A preview of a release that takes no
    /// other traffic yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<ReleaseNumber>,
}

/// The instances that may answer for a service. An empty pool answers 503.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// How long a WebSocket or event stream of an instance that left the pool may live on.
    pub streams: Duration,
    /// Who takes traffic, in the order of their ids.
    pub backends: Vec<Backend>,
    /// How requests are shared among the sides; none: every instance is as good as another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
}

/// How the requests of one service are shared while a release is on trial. What is left goes to the stable
/// side. A side without an instance that can be picked leaves its requests to the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// The release on trial: the canary.
    pub release: ReleaseNumber,
    /// Its share.
    pub canary: Share,
    /// Of the fresh instances that it is compared with.
    pub baseline: Share,
    /// Those are the ones of the other release whose ordinals are above this.
    pub fresh_above: u32,
    /// Whether a client stays on the side it came to: it is given a cookie. Nobody leaves a canary that grows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sticky: bool,
    /// Requests that go to the canary whatever its share is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chosen: Vec<Chosen>,
    /// Of the requests that the stable side answers and that change nothing (`GET`, `HEAD`), the share whose copy
    /// goes to the canary; what it answers to a copy reaches nobody.
    #[serde(default)]
    pub mirror: Share,
}

impl Split {
    /// Which side an instance is on.
    pub fn side(&self, backend: &Backend) -> Side {
        if backend.release == self.release {
            Side::Canary
        } else if backend.instance.ordinal > self.fresh_above {
            Side::Baseline
        } else {
            Side::Stable
        }
    }
}

/// A side of a [`Split`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The release that serves.
    Stable,
    /// Fresh instances of that release.
    Baseline,
    /// The release on trial.
    Canary,
}

/// One instance that takes traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// Which instance.
    pub instance: InstanceId,
    /// Which run of it: a restarted instance is another upstream, with a pool of its own.
    pub generation: Generation,
    /// The release its contents belong to, for metrics.
    pub release: ReleaseNumber,
    /// Where it listens.
    pub address: SocketAddr,
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{"epoch":1,"generation":7,"listeners":[{"kind":"public","address":"127.0.0.1:80"}],
        "domains":{"localhost":[{"prefix":"/","service":"web"}]},
        "services":{"web":{"streams":{"secs":30,"nanos":0},"backends":[],
        "split":{"release":"v2","canary":500,"baseline":0,"fresh_above":2}}}}"#;

    fn split(table: &Table) -> &Split {
        let pool = table.services.values().next().unwrap();
        pool.split.as_ref().unwrap()
    }

    #[test]
    fn a_table_from_before_there_were_stays_choices_and_copies_loads() {
        let table: Table = serde_json::from_str(OLD).unwrap();
        let split = split(&table);
        assert_eq!((split.canary, split.mirror), (Share(500), Share(0)));
        assert!(!split.sticky && split.chosen.is_empty());
        assert_eq!(table.domains.values().next().unwrap()[0].only, None);
        assert!(table.pauses.is_default());
        let even_older = OLD.replace(
            r#""split":{"release":"v2","canary":500,"baseline":0,"fresh_above":2}"#,
            r#""more":[]"#,
        );
        let table: Table = serde_json::from_str(&even_older).unwrap();
        assert_eq!(table.services.values().next().unwrap().split, None);
    }

    #[test]
    fn what_a_trial_says_comes_back_as_it_was() {
        let mut table: Table = serde_json::from_str(OLD).unwrap();
        for routes in table.domains.values_mut() {
            routes[0].only = Some(ReleaseNumber(2));
        }
        for pool in table.services.values_mut() {
            let split = pool.split.as_mut().unwrap();
            split.sticky = true;
            split.mirror = Share(1000);
            let (name, value) = ("x-beta".into(), "1".into());
            split.chosen = vec![
                Chosen::Header { name, value },
                Chosen::Cookie {
                    name: "beta".into(),
                    value: String::new(),
                },
            ];
        }
        let text = serde_json::to_string(&table).unwrap();
        assert!(
            text.contains(r#"{"header":{"name":"x-beta","value":"1"}}"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Table>(&text).unwrap(), table);
    }
}
