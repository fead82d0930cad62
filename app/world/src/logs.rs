//! What instances wrote.

use crate::real::RealWorld;
use mainstay_atoms::{InstanceId, ServiceName, Wall};
use mainstay_process_io::{Cursor, LogLine, LogSource, Stream};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// When it was read from the process.
    pub at: Wall,
    /// Who wrote it.
    pub instance: InstanceId,
    /// It went to standard error.
    pub to_stderr: bool,
    /// What; bytes that are no UTF-8 are replaced.
    pub line: String,
}

/// A place behind the last line that was read.
#[derive(Debug, Clone, Default)]
pub struct Tail(Cursor);

impl From<LogLine> for LogRow {
    fn from(line: LogLine) -> Self {
        Self {
            at: line.at,
            instance: line.instance,
            to_stderr: line.stream == Stream::Err,
            line: String::from_utf8_lossy(&line.line).into_owned(),
        }
    }
}

/// An instance such as `web.v42.1`, else a service such as `web`.
fn source(subject: &str) -> Option<LogSource> {
    if let Ok(id) = subject.parse::<InstanceId>() {
        return Some(LogSource::Instance(id));
    }
    ServiceName::new(subject).ok().map(LogSource::Service)
}

impl RealWorld {
    /// The last lines of a service or an instance, oldest first; none for a subject that is neither.
    pub fn last_lines(
        &self,
        subject: &str,
        count: usize,
    ) -> Result<Option<(Vec<LogRow>, Tail)>, String> {
        let Some(source) = source(subject) else {
            return Ok(None);
        };
        let (lines, cursor) = self
            .runtime()
            .logs(&source, count)
            .map_err(|fault| fault.to_string())?;
        Ok(Some((
            lines.into_iter().map(LogRow::from).collect(),
            Tail(cursor),
        )))
    }

    /// The lines after a place, which moves on.
    pub fn lines_since(&self, subject: &str, tail: &mut Tail) -> Result<Vec<LogRow>, String> {
        let Some(source) = source(subject) else {
            return Ok(vec![]);
        };
        let lines = self
            .runtime()
            .logs_since(&source, &mut tail.0)
            .map_err(|fault| fault.to_string())?;
        Ok(lines.into_iter().map(LogRow::from).collect())
    }
}
