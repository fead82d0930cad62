//! What the API takes and answers about gates and tokens.

use crate::shape;
use mainstay_atoms::{Digest, ReleaseNumber};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the release that moves stands at its gates: answer of `GET /v1/gate`, `POST /v1/approve` and
/// `POST /v1/checklist/{item}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GateView {
    /// Which.
    #[schemars(with = "shape::Release")]
    pub release: ReleaseNumber,
    /// Digest of its stored record: all that it contains. An approval names it.
    #[schemars(with = "shape::Digest")]
    pub record: Digest,
    /// Who made it.
    pub author: String,
    /// What changes, in a few words.
    pub reason: String,
    /// Who agreed so far.
    pub approved: Vec<String>,
    /// What is missing, in words; nothing: it may begin or go on.
    pub missing: Vec<String>,
    /// Its checklist.
    pub items: Vec<GateItem>,
}

/// One item of a checklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GateItem {
    /// Its name.
    pub item: String,
    /// The command that answers it; none: a person does.
    pub run: Option<Vec<String>>,
    /// Longest run of the command, in milliseconds.
    pub timeout_ms: u64,
    /// Who answered it last.
    pub by: Option<String>,
    /// When, in milliseconds since 1970.
    pub at: Option<u64>,
    /// Why that answer is none, in words.
    pub fault: Option<String>,
}

/// Body of `POST /v1/approve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveAsked {
    /// Which release.
    #[schemars(with = "shape::Release")]
    pub release: ReleaseNumber,
    /// What was shown of it.
    #[schemars(with = "shape::Digest")]
    pub record: Digest,
}

/// Body of `POST /v1/checklist/{item}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TickAsked {
    /// Which release.
    #[schemars(with = "shape::Release")]
    pub release: ReleaseNumber,
    /// What was shown of it.
    #[schemars(with = "shape::Digest")]
    pub record: Digest,
    /// What the item's command said that failed; none: it is fine.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub fault: Option<String>,
}

/// Body of `POST /v1/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenAsked {
    /// The name under which whoever shows the token acts.
    #[schemars(regex(pattern = "^[A-Za-z_][A-Za-z0-9_.@-]{0,63}$"))]
    pub name: String,
}

/// Answer of `POST /v1/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenMade {
    /// The name.
    pub name: String,
    /// The token, shown this once: only its digest is kept.
    pub token: String,
}
