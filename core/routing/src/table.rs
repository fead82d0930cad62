//! The table a gateway serves from: immutable, whole, numbered.

use mainstay_atoms::{Epoch, Generation, HostName, InstanceId, ReleaseNumber, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Everything a gateway knows. A request is answered wholly by the table that was current when its
/// head arrived. A table of a lower (`epoch`, `generation`) than the one held is refused.
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
}

/// The instances that may answer for a service. An empty pool answers 503.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// How long a WebSocket or event stream of an instance that left the pool may live on.
    pub streams: Duration,
    /// Who takes traffic, in the order of their ids.
    pub backends: Vec<Backend>,
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
