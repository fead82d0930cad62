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

/// The code of the fault that stands for those which are not listed.
pub const MORE_FAULTS: &str = "more_errors";

impl Fault {
    /// Makes a fault without a place.
    pub fn new(whose: Move, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            whose,
            code: code.into(),
            message: message.into(),
            place: None,
            path: None,
            label: None,
            evidence: Vec::new(),
            hint: None,
        }
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Says which key the place belongs to.
    #[must_use]
    pub fn under(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Says what stands at the place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds a line of evidence.
    #[must_use]
    pub fn evidence(mut self, line: impl Into<String>) -> Self {
        self.evidence.push(line.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// An error with all that caused it, in one line: sources are never part of a `Display`.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
