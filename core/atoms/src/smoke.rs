//! A request whose answer says whether an instance does its work.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One request whose answer says whether an instance does its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Smoke {
    /// Path of the GET.
    pub get: String,
    /// The status that passes.
    pub expect: u16,
    /// What the body's first [`SMOKE_BYTES`] must hold.
    pub contains: Option<String>,
    /// How long it is tried again until it passes.
    pub within: Duration,
}

/// Bytes of an answer that are looked at.
pub const SMOKE_BYTES: usize = 64 << 10;
