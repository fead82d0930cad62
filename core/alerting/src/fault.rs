//! What is wrong with a file: where, what was found, what to do.

use crate::document::Place;
use mainstay_faults::{Fault, Move};

/// One mistake of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{}:{}: {}{message}", place.line, place.column, if path.is_empty() { String::new() } else { format!("{path}: ") })]
pub struct FileFault {
    /// The file's name as the caller knows it.
    pub file: String,
    /// Where.
    pub place: Place,
    /// Which key: `groups[0].rules[1].expr`; empty where there is none.
    pub path: String,
    /// What is wrong, lower case.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl FileFault {
    pub(crate) fn new(file: &str, place: Place, path: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            place,
            path: path.to_owned(),
            message: message.into(),
            hint: None,
        }
    }

    /// A mistake that is not at one place of the file.
    pub fn of(file: &str, message: impl Into<String>) -> Self {
        Self::new(file, Place { line: 1, column: 1 }, "", message)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same in the one shape in which faults are shown.
    pub fn shown(&self) -> Fault {
        let place = mainstay_faults::Place {
            file: self.file.clone(),
            line: self.place.line,
            column: self.place.column,
            width: 1,
        };
        let mut fault = Fault::new(Move::You, "alert_file", self.message.clone()).at(place);
        if !self.path.is_empty() {
            fault = fault.under(self.path.clone());
        }
        match &self.hint {
            Some(hint) => fault.hint(hint.clone()),
            None => fault,
        }
    }
}
