//! The whole configuration: pushed by the control plane, kept on disk, taken whole or not at all.

use crate::store::Bounds;
use mainstay_alerting::file::AlertsFile;
use mainstay_alerting::slo::SloFile;
use mainstay_alerting::{StatusProbe, Step};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Everything that the process does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Rises with every change; an older one is refused.
    pub generation: u64,
    /// What is scraped.
    pub targets: Vec<Target>,
    /// What is collected without an exporter.
    pub collectors: Vec<Collector>,
    /// What is probed from here.
    pub checks: Vec<Check>,
    /// Rule files of the field.
    pub rules: Vec<File>,
    /// Who is told of alerts: a configuration in the form of the field's Alertmanager.
    pub routing: Option<File>,
    /// The same, and what is set for rules that come with Mainstay, in the short form of the platform's file.
    pub alerts: Option<AlertsFile>,
    /// What share of the requests of services must go well.
    pub objectives: Vec<SloFile>,
    /// Upper bounds of the gateway's histogram of latencies, in seconds, rising.
    pub latency_edges: Vec<f64>,
    /// What the platform contains that rules come with.
    pub parts: Vec<Part>,
    /// Labels of this installation, for alerts and what is sent outward.
    pub external_labels: BTreeMap<String, String>,
    /// The address under which people reach this process, for links in alerts.
    pub external_url: String,
    /// What is kept.
    pub retention: Retention,
    /// What each part may take.
    pub limits: Limits,
    /// Most bytes of memory of the process; zero: the usual.
    pub memory_bytes: u64,
    /// Where samples are sent to as well.
    pub remotes: Vec<Remote>,
    /// Where the API listens beside its unix socket; tokens are asked for there.
    pub listen: Option<SocketAddr>,
    /// Who may use the API at that address.
    pub tokens: Vec<Token>,
}

/// What a platform contains that rules come with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The machine.
    Host,
    /// Services behind the gateway.
    Gateway,
    /// Services.
    Service,
    /// A PostgreSQL server.
    Postgres,
    /// A Redis server.
    Redis,
    /// Jobs.
    Job,
    /// Checks from outside.
    Check,
    /// Certificates that checks see.
    Certificate,
    /// Metrics of services.
    Metrics,
}

/// A file that came with the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name, for messages.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Where something answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// `host:port`.
    Tcp(String),
    /// `host:port`, by TLS.
    Tls(String),
    /// A unix socket.
    Unix(PathBuf),
}

impl Place {
    /// `host:port`, by TLS or not.
    pub fn at(address: String, by_tls: bool) -> Self {
        if by_tls {
            Self::Tls(address)
        } else {
            Self::Tcp(address)
        }
    }
}

/// What is scraped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The label `job`.
    pub job: String,
    /// The label `instance`; the place where it is empty.
    #[serde(default)]
    pub instance: String,
    /// Whose limit of series it counts against; the job where it is empty.
    #[serde(default)]
    pub service: String,
    /// Where it answers.
    pub place: Place,
    /// Certificates in PEM that alone are trusted for it; those of the system where it is empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ca: String,
    /// The path that is asked for.
    #[serde(default = "metrics_path")]
    pub path: String,
    /// Labels that every sample gets.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// How often, in milliseconds.
    #[serde(default = "every")]
    pub every_ms: u64,
    /// How long an answer may take, in milliseconds.
    #[serde(default = "timeout")]
    pub timeout_ms: u64,
    /// Whether labels that it exposes win over those above.
    #[serde(default)]
    pub honor_labels: bool,
    /// Whether times that it exposes are taken.
    #[serde(default = "yes")]
    pub honor_timestamps: bool,
    /// Whether it may be at a link-local address, where clouds keep their secrets.
    #[serde(default)]
    pub allow_link_local: bool,
}

fn metrics_path() -> String {
    "/metrics".into()
}

fn every() -> u64 {
    15_000
}

fn timeout() -> u64 {
    10_000
}

fn yes() -> bool {
    true
}

impl Target {
    /// The label `instance`.
    pub fn instance(&self) -> String {
        match &self.place {
            _ if !self.instance.is_empty() => self.instance.clone(),
            Place::Tcp(address) | Place::Tls(address) => address.clone(),
            Place::Unix(path) => path.display().to_string(),
        }
    }

    /// Whose limit of series it counts against.
    pub fn owner(&self) -> &str {
        if self.service.is_empty() {
            &self.job
        } else {
            &self.service
        }
    }

    /// The address as it is shown.
    pub fn url(&self) -> String {
        match &self.place {
            Place::Tcp(address) => format!("http://{address}{}", self.path),
            Place::Tls(address) => format!("https://{address}{}", self.path),
            Place::Unix(path) => format!("unix://{}{}", path.display(), self.path),
        }
    }
}

/// What is collected without an exporter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collector {
    /// The label `job`.
    pub job: String,
    /// The label `instance`.
    pub instance: String,
    /// Labels that every sample gets.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// How often, in milliseconds.
    #[serde(default = "every")]
    pub every_ms: u64,
    /// What it looks at.
    pub kind: CollectorKind,
}

/// What a collector looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CollectorKind {
    /// This machine, with the names of the field's `node_exporter`.
    Host,
    /// Processes with everything that they started, with the names of the field's process metrics.
    Processes(Vec<Process>),
    /// A PostgreSQL server, with the names of the field's `postgres_exporter`.
    Postgres {
        /// A connection string; its password comes from `password_file`.
        connection: String,
        /// A file that holds the password.
        #[serde(default)]
        password_file: Option<PathBuf>,
    },
    /// A Redis server, with the names of the field's `redis_exporter`.
    Redis {
        /// Where it answers.
        place: Place,
        /// The user.
        #[serde(default)]
        user: String,
        /// A file that holds the password.
        #[serde(default)]
        password_file: Option<PathBuf>,
    },
}

/// An instance whose processes are counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Its service.
    pub service: String,
    /// Its name.
    pub instance: String,
    /// Its release.
    #[serde(default)]
    pub release: String,
    /// Its first process.
    pub pid: i32,
}

/// What is probed, with the names of the field's `blackbox_exporter`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// The label `job`.
    pub job: String,
    /// The label `instance`.
    pub instance: String,
    /// Labels that every sample gets.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// How often, in milliseconds.
    #[serde(default = "every")]
    pub every_ms: u64,
    /// How long it may take, in milliseconds.
    #[serde(default = "timeout")]
    pub timeout_ms: u64,
    /// Longest time that is right, in milliseconds.
    #[serde(default)]
    pub latency_ms: Option<u64>,
    /// Files that hold its secrets, by name.
    #[serde(default)]
    pub secrets: BTreeMap<String, PathBuf>,
    /// What is asked.
    pub kind: CheckKind,
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// Requests in order, each answered as it says.
    Http {
        /// The requests.
        steps: Vec<Step>,
    },
    /// A connection.
    Tcp {
        /// `host:port`.
        address: String,
    },
    /// An address for a name, by the machine's resolver.
    Dns {
        /// The name.
        name: String,
        /// One that is among its addresses.
        #[serde(default)]
        address: Option<String>,
    },
    /// A certificate that the machine trusts.
    Certificate {
        /// `host:port`.
        address: String,
        /// How long it is valid at least, in milliseconds.
        #[serde(default)]
        left_ms: u64,
    },
    /// Another platform's status page.
    Status {
        /// Where, who signs it, and how old it may be.
        page: StatusProbe,
    },
}

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Milliseconds that samples are kept.
    pub keep_ms: u64,
    /// Bytes that samples may take.
    pub keep_bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        let bounds = Bounds::default();
        Self {
            keep_ms: bounds.keep_ms.unsigned_abs(),
            keep_bytes: bounds.keep_bytes,
        }
    }
}

/// What each part may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Series in memory.
    pub series_max: usize,
    /// Series in memory of one service.
    pub service_series_max: usize,
    /// Bytes of one scrape, inflated.
    pub scrape_bytes_max: usize,
    /// Samples of one scrape.
    pub scrape_samples_max: usize,
    /// Labels of a series.
    pub labels_max: usize,
    /// Bytes of a label's value.
    pub label_bytes_max: usize,
    /// Bytes that one query may hold.
    pub query_bytes_max: u64,
    /// Samples that one query may read.
    pub query_samples_max: u64,
    /// How long one query may take, in milliseconds.
    pub query_timeout_ms: u64,
    /// Bytes of one request to write, inflated.
    pub write_bytes_max: usize,
}

impl Default for Limits {
    /// Enough for a small company, and all of it together within the process's memory.
    fn default() -> Self {
        let bounds = Bounds::default();
        Self {
            series_max: bounds.series_max,
            service_series_max: bounds.owner_series_max,
            scrape_bytes_max: 32 << 20,
            scrape_samples_max: 200_000,
            labels_max: 64,
            label_bytes_max: 4096,
            query_bytes_max: 64 << 20,
            query_samples_max: 50_000_000,
            query_timeout_ms: 30_000,
            write_bytes_max: 32 << 20,
        }
    }
}

impl Config {
    /// What the store is bounded by.
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            series_max: self.limits.series_max,
            owner_series_max: self.limits.service_series_max,
            keep_ms: i64::try_from(self.retention.keep_ms).unwrap_or(i64::MAX),
            keep_bytes: self.retention.keep_bytes,
        }
    }
}

/// Where samples are sent to as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    /// Its name: what was sent is remembered under it.
    pub name: String,
    /// `host:port`.
    pub address: String,
    /// Whether by TLS.
    #[serde(default)]
    pub tls: bool,
    /// The path.
    pub path: String,
    /// How samples are written.
    #[serde(default)]
    pub protocol: Protocol,
    /// A file that holds the token for `Authorization: Bearer`.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
}

/// How samples are written outward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Prometheus remote-write 1.0.
    #[default]
    RemoteWrite,
    /// Prometheus remote-write 2.0.
    #[serde(rename = "remote_write_2")]
    RemoteWrite2,
    /// Metrics of `OpenTelemetry` over HTTP, as protocol buffers.
    Otlp,
}

/// Who may use the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Who.
    pub name: String,
    /// SHA-256 of the token, in hexadecimal digits.
    pub sha256: String,
    /// Whether it may write samples and change the configuration.
    #[serde(default)]
    pub write: bool,
}
