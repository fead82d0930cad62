//! What the nouns of the core look like in JSON, for the published document. The core's own types write and
//! read them; here stands what a reader may rely on, and the tests hold real answers against it.
#![expect(
    dead_code,
    reason = "only their schemas are used: nothing is ever made of these types"
)]

use schemars::JsonSchema;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

type Object = Map<String, Value>;

/// Everything that a release decides.
#[derive(JsonSchema)]
pub(crate) struct Contents {
    /// The checked file, one environment of it.
    platform: Platform,
    /// What each service and job runs from: SHA-256 digests in hex.
    artifacts: BTreeMap<String, Digest>,
}

/// One environment of a platform, as the file's reference describes its parts.
#[derive(JsonSchema)]
pub(crate) struct Platform {
    /// The file's `name`.
    #[schemars(length(min = 1))]
    name: String,
    /// Which of its environments.
    #[schemars(length(min = 1))]
    environment: String,
    /// Ports of the gateway.
    gateway: GatewayPorts,
    /// By name.
    services: BTreeMap<String, Object>,
    /// By name.
    #[serde(default)]
    jobs: BTreeMap<String, Object>,
    /// By name.
    #[serde(default)]
    stores: BTreeMap<String, Object>,
    /// Routes by host: path prefix and service.
    domains: BTreeMap<String, BTreeMap<String, String>>,
}

/// Where the gateway listens.
#[derive(JsonSchema)]
pub(crate) struct GatewayPorts {
    /// Plain HTTP.
    #[schemars(range(min = 1))]
    http: u16,
}

/// A SHA-256 digest.
#[derive(JsonSchema)]
#[serde(transparent)]
pub(crate) struct Digest(#[schemars(regex(pattern = "^[0-9a-f]{64}$"))] String);

/// A release: `v42`.
#[derive(JsonSchema)]
#[serde(transparent)]
pub(crate) struct Release(#[schemars(regex(pattern = "^v[1-9][0-9]{0,18}$"))] String);

/// An immutable plan.
#[derive(JsonSchema)]
pub(crate) struct Plan {
    /// What it was made from.
    parent: Object,
    /// The release it is for.
    release: Option<Release>,
    /// Digest of that release's contents.
    contents: Option<Digest>,
    /// Why.
    purpose: Purpose,
    /// Who asked.
    by: String,
    /// When, in milliseconds since 1970.
    made_at: u64,
    /// What will be done, in this order.
    steps: Vec<Step>,
    /// What the decider found and waits for.
    report: Object,
}

/// Why a plan was made.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Purpose {
    Deploy,
    Rollback,
    Return,
    Heal,
    Down,
}

/// One step; its other fields go with its kind.
#[derive(JsonSchema)]
pub(crate) struct Step {
    /// Its kind: `start`, `publish`, `stop`.
    step: String,
}

/// One resource that changes.
#[derive(JsonSchema)]
pub(crate) struct Change {
    /// `services.web`, `domains.shop.example`, `gateway`.
    resource: String,
    /// How.
    mark: Mark,
    /// What, field by field.
    fields: Vec<Field>,
}

/// How a resource changes.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mark {
    Added,
    Removed,
    Changed,
}

/// One field that changes.
#[derive(JsonSchema)]
pub(crate) struct Field {
    /// Below the resource: `env.GREETING`.
    path: String,
    /// Before; null when it is new.
    before: Value,
    /// After; null when it goes.
    after: Value,
}

/// Something that happened.
#[derive(JsonSchema)]
pub(crate) struct Happening {
    /// Rises by one.
    number: u64,
    /// When, in milliseconds since 1970.
    at: u64,
    /// What.
    event: Event,
}

/// What happened; its other fields go with its kind.
#[derive(JsonSchema)]
pub(crate) struct Event {
    /// Its kind: `release_made`.
    event: String,
}

/// What is waited for; its other fields go with its kind.
#[derive(JsonSchema)]
pub(crate) struct Wait {
    /// Its kind: `ready`.
    wait: String,
}

/// Why a step failed; its other fields go with its kind.
#[derive(JsonSchema)]
pub(crate) struct Failure {
    /// Its kind: `not_ready`.
    failure: String,
}

/// What there is to show about an instance.
#[derive(JsonSchema)]
pub(crate) struct Evidence {
    /// The probe's request and last answer.
    probe: Vec<String>,
    /// How the process ran and ended.
    process: Option<String>,
    /// It has ended.
    ended: bool,
    /// Its last log lines, oldest first.
    log: Vec<String>,
}

/// What became of a release; its other fields go with its kind.
#[derive(JsonSchema)]
pub(crate) struct ReleaseState {
    /// Its kind: `moving`, `serving`, `kept` or `ended`.
    state: String,
}
