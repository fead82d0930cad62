//! What marks a request as one for a release on trial.

use serde::{Deserialize, Serialize};

/// What marks a request as one for the canary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chosen {
    /// A field of the head with exactly this value.
    Header {
        /// Of the field, in lower case.
        name: String,
        /// Of the field.
        value: String,
    },
    /// A cookie with exactly this value.
    Cookie {
        /// Of the cookie.
        name: String,
        /// Of the cookie.
        value: String,
    },
}
