//! Why a query has no answer.

use std::fmt;

/// A range of bytes in the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last.
    pub end: usize,
}

impl Span {
    /// From one place up to another.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// Line and column of the first byte, both from one; the column counts bytes.
    pub fn position(self, query: &str) -> (usize, usize) {
        let before = &query.as_bytes()[..self.start.min(query.len())];
        let line = before.split(|byte| *byte == b'\n').count();
        let begin = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |place| place + 1);
        (line, before.len() - begin + 1)
    }
}

/// Why a query is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseFault {
    /// Line and column, from one.
    pub position: (usize, usize),
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for ParseFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.position;
        write!(out, "{line}:{column}: parse error: {}", self.why)
    }
}

impl std::error::Error for ParseFault {}

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// It is not understood: whoever wrote it has to change it.
    #[error("{0}")]
    Parse(ParseFault),
    /// The data do not permit the operation, such as a match that is not unique.
    #[error("{0}")]
    Execution(String),
    /// It would read or hold more than its budget.
    #[error(
        "query processing would load too many samples into memory in query execution (limit {limit})"
    )]
    TooManySamples {
        /// The budget, in samples.
        limit: u64,
    },
    /// Its time is up.
    #[error("query timed out in expression evaluation")]
    TimedOut,
    /// The store could not be read.
    #[error("expanding series: {0}")]
    Source(String),
}

impl Fault {
    pub(crate) fn execution(why: impl Into<String>) -> Self {
        Self::Execution(why.into())
    }
}
