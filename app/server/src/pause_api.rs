//! What the API takes and answers about routes and their pauses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One route of `GET /v1/routes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteRow {
    /// Its name, host and path: `shop.example/api`.
    pub route: String,
    /// Who answers.
    pub service: String,
    /// Its pause, while it holds.
    pub paused: Option<RoutePause>,
    /// The gateway has said that it knows of every pause and every end of one.
    pub told: bool,
}

/// A pause of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoutePause {
    /// When it holds no longer, in milliseconds since 1970.
    pub until_ms: u64,
    /// Who paused it.
    pub by: String,
    /// Why, in words.
    pub why: String,
}

/// Body of `POST /v1/pauses/{route}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseAsked {
    /// For how long, in milliseconds: a second to a day.
    #[schemars(range(min = 1000, max = 86_400_000))]
    pub for_ms: u64,
    /// Why, for those who look.
    #[schemars(length(min = 1, max = 500))]
    pub why: String,
}
