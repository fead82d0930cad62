//! Where data is kept: what a checked file says of one store.

use mainstay_atoms::{Bytes, Server, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// One store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// What it is.
    pub kind: StoreKind,
    /// The secret that holds its address: nothing is started, and nothing is kept here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<String>,
}

/// All that is wanted of one store: enough to make it, to set it and to let its users in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreOrder {
    /// Its name.
    pub store: ServiceName,
    /// What it is, with its settings.
    pub kind: StoreKind,
    /// Where its server listens.
    pub address: Option<SocketAddr>,
    /// Services and jobs that use it, by name.
    pub users: Vec<StoreUser>,
}

/// Who uses a store, by a login of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreUser {
    /// A service or a job.
    pub name: ServiceName,
    /// It may change the schema: it migrates, or nobody else does.
    pub owns: bool,
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

/// Settings of PostgreSQL that take effect at its start only: those of context `postmaster` in
/// `pg_settings` of 13 to 17.
const AT_START: [&str; 51] = [
    "archive_mode",
    "autovacuum_freeze_max_age",
    "autovacuum_max_workers",
    "autovacuum_multixact_freeze_max_age",
    "bonjour",
    "bonjour_name",
    "cluster_name",
    "commit_timestamp_buffers",
    "dynamic_shared_memory_type",
    "event_source",
    "hot_standby",
    "huge_page_size",
    "huge_pages",
    "jit_provider",
    "max_connections",
    "max_files_per_process",
    "max_locks_per_transaction",
    "max_logical_replication_workers",
    "max_notify_queue_pages",
    "max_pred_locks_per_transaction",
    "max_prepared_transactions",
    "max_replication_slots",
    "max_wal_senders",
    "max_worker_processes",
    "min_dynamic_shared_memory",
    "multixact_member_buffers",
    "multixact_offset_buffers",
    "notify_buffers",
    "old_snapshot_threshold",
    "recovery_target",
    "recovery_target_action",
    "recovery_target_inclusive",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_timeline",
    "recovery_target_xid",
    "reserved_connections",
    "serializable_buffers",
    "shared_buffers",
    "shared_memory_type",
    "subtransaction_buffers",
    "superuser_reserved_connections",
    "track_activity_query_size",
    "track_commit_timestamp",
    "transaction_buffers",
    "unix_socket_group",
    "wal_buffers",
    "wal_decode_buffer_size",
    "wal_level",
    "wal_log_hints",
];

impl Postgres {
    /// The settings that take effect at the server's start only.
    pub fn settings_at_start(&self) -> impl Iterator<Item = (&String, &String)> {
        self.settings
            .iter()
            .filter(|(name, _)| AT_START.contains(&name.as_str()))
    }
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

    /// The server that runs for it, unless it is external.
    pub fn server(&self) -> Option<Server> {
        match self {
            Self::Postgres(postgres) => Some(Server::Postgres(postgres.version)),
            Self::Redis(redis) => Some(Server::Redis(redis.version)),
            Self::Sqlite | Self::Volume => None,
        }
    }
}

impl Store {
    /// The server of this platform that runs for it.
    pub fn server(&self) -> Option<Server> {
        self.kind.server().filter(|_| self.external.is_none())
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
