//! A fault as programs read it.

use crate::Fault;
use serde::{Deserialize, Serialize};

/// One entry of `errors` in `check --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The file as the user knows it.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<usize>,
    /// Column in characters, from 1.
    pub column: Option<usize>,
    /// The key: `services.web.replicas`.
    pub path: Option<String>,
    /// The stable word: `unknown_key`.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl From<&Fault> for Listed {
    fn from(fault: &Fault) -> Self {
        Self {
            file: fault.place.as_ref().map(|place| place.file.clone()),
            line: fault.place.as_ref().map(|place| place.line),
            column: fault.place.as_ref().map(|place| place.column),
            path: fault.path.clone(),
            code: fault.code.clone(),
            message: fault.message.clone(),
            hint: fault.hint.clone(),
        }
    }
}
