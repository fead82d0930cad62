//! Where data is kept: what a checked file says of one store.

use mainstay_atoms::{Bytes, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// What it is.
    pub kind: StoreKind,
    /// The secret that holds its address: nothing is started, and nothing is kept here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<String>,
}

/// What a store is, with its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// A database file in a folder of its own.
    Sqlite,
    /// A folder.
    Volume,
    /// A PostgreSQL server.
    Postgres(Postgres),
    /// A Redis or Valkey server.
    Redis(Redis),
}

/// Settings of a PostgreSQL server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Postgres {
    /// Major version, 13 to 17.
    pub version: u16,
    /// What its caches and buffers are sized from.
    pub memory: Bytes,
    /// What its write-ahead log is sized from.
    pub disk: Option<Bytes>,
    /// Extensions that are made in its database, in this order.
    pub extensions: Vec<String>,
    /// Further settings under the server's own names.
    pub settings: BTreeMap<String, String>,
}

/// Settings of a Redis or Valkey server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redis {
    /// Major version of the protocol and commands, 6 to 8.
    pub version: u16,
    /// Most memory for data.
    pub memory: Bytes,
    /// What is done when that is full: one of `maxmemory-policy`.
    pub evict: String,
    /// Whether data outlives the server (append-only file, synced every second).
    pub persist: bool,
}

impl StoreKind {
    /// As the file calls it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Volume => "volume",
            Self::Postgres(_) => "postgres",
            Self::Redis(_) => "redis",
        }
    }

    /// Whether a server runs for it, unless it is external.
    pub fn has_server(&self) -> bool {
        matches!(self, Self::Postgres(_) | Self::Redis(_))
    }
}

impl Store {
    /// Whether a server of this platform runs for it.
    pub fn has_server(&self) -> bool {
        self.external.is_none() && self.kind.has_server()
    }

    /// The variables that a service which needs the store is told.
    pub fn variables(&self, name: &ServiceName) -> Vec<String> {
        let own = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        match &self.kind {
            StoreKind::Sqlite => own(&["DATABASE_URL"]),
            StoreKind::Volume => vec![format!("{}_DIR", name.variable())],
            StoreKind::Postgres(_) => own(&[
                "DATABASE_URL",
                "PGHOST",
                "PGPORT",
                "PGDATABASE",
                "PGUSER",
                "PGPASSWORD",
            ]),
            StoreKind::Redis(_) => own(&["REDIS_URL"]),
        }
    }
}
