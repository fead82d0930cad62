//! What the API answers about what alerts do by themselves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Answer of `GET /v1/actions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Actions {
    /// What alerts may do by the release that serves.
    pub actions: Vec<ActionRow>,
    /// What they did, the newest first.
    pub done: Vec<ActRow>,
}

/// One action of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActionRow {
    /// The alert that does it.
    pub alert: String,
    /// What: `scale web by 2`.
    pub deed: String,
    /// Where it stands, in words.
    pub stands: String,
    /// How long it waits before it does it again, in milliseconds.
    pub cool_down_ms: u64,
    /// How often it may be done within a day.
    pub at_most: u32,
    /// How often it was.
    pub today: usize,
    /// It only says what it would do.
    pub dry_run: bool,
}

/// One time that an alert did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActRow {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The alert.
    pub alert: String,
    /// What: `scale web by 2`.
    pub deed: String,
    /// The service, job or route that it is about.
    pub subject: String,
    /// The count that it reached, where there is one.
    pub reached: Option<u32>,
    /// It would have been done, and was not.
    pub dry_run: bool,
}
