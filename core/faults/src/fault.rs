//! The one shape in which a fault is shown, as text or as JSON.

use serde::{Deserialize, Serialize};

/// Whose move it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Move {
    /// The user's: something in the file or the command is to be changed.
    You,
    /// Nobody's yet: it passes by itself.
    Wait,
    /// Whoever runs the machine: disk, ports, permissions, packages.
    Operator,
    /// Ours: a broken invariant.
    Bug,
}

/// A place in a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The file as the user knows it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters are meant; at least 1.
    pub width: usize,
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Whose move it is.
    pub whose: Move,
    /// A stable word for programs: `unknown_key`.
    pub code: String,
    /// Lower case, subject first, literals in backticks, no final stop.
    pub message: String,
    /// Where in the user's text.
    pub place: Option<Place>,
    /// The key the place belongs to: `services.web.replicas`.
    pub path: Option<String>,
    /// What stands at the place, shown under the caret.
    pub label: Option<String>,
    /// Further lines of evidence.
    pub evidence: Vec<String>,
    /// What to do, with a command or text that can be pasted.
    pub hint: Option<String>,
}
