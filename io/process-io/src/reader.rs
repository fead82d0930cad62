//! Reading logs back: the last lines, or what came since.

use crate::fault::LogFault;
use crate::layout::Layout;
use crate::log::{Record, file_path, numbers};
use mainstay_atoms::{InstanceId, ServiceName, Wall};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// Whose output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSource {
    /// All instances of a service, merged by time.
    Service(ServiceName),
    /// One instance, over its restarts.
    Instance(InstanceId),
}

/// Which stream of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// One line of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When the shim read it.
    pub at: Wall,
    /// Who wrote it.
    pub instance: InstanceId,
    /// Where.
    pub stream: Stream,
    /// The bytes without the newline; not always UTF-8.
    pub line: Vec<u8>,
    /// The line was longer than 64 KiB and goes on in the next.
    pub continues: bool,
}

/// How far each instance was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor(BTreeMap<InstanceId, Place>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    number: u64,
    offset: u64,
}

/// Lines read in one call at most; the cursor stands behind the last.
const READ_LIMIT: u64 = 4 * 1024 * 1024;

/// The last `count` lines, oldest first, and where to go on.
pub(crate) fn last(
    layout: &Layout,
    source: &LogSource,
    count: usize,
) -> Result<(Vec<LogLine>, Cursor), LogFault> {
    let mut cursor = Cursor::default();
    let mut lines = Vec::new();
    for id in instances(layout, source)? {
        let dir = layout.instance_logs(&id);
        let (found, place) = tail(&dir, &id, count).map_err(fault(&dir))?;
        lines.extend(found);
        cursor.0.insert(id, place);
    }
    lines.sort_by_key(|line: &LogLine| line.at);
    lines.drain(..lines.len().saturating_sub(count));
    Ok((lines, cursor))
}

/// What came since the cursor, which moves on. Instances that are new are read from their start.
pub(crate) fn since(
    layout: &Layout,
    source: &LogSource,
    cursor: &mut Cursor,
) -> Result<Vec<LogLine>, LogFault> {
    let mut lines = Vec::new();
    for id in instances(layout, source)? {
        let dir = layout.instance_logs(&id);
        let place = cursor.0.entry(id.clone()).or_default();
        go_on(&dir, &id, place, &mut lines).map_err(fault(&dir))?;
    }
    lines.sort_by_key(|line: &LogLine| line.at);
    Ok(lines)
}

fn fault(dir: &Path) -> impl FnOnce(io::Error) -> LogFault {
    let path = dir.to_owned();
    move |source| LogFault::File { path, source }
}

fn instances(layout: &Layout, source: &LogSource) -> Result<Vec<InstanceId>, LogFault> {
    let service = match source {
        LogSource::Instance(id) => return Ok(vec![id.clone()]),
        LogSource::Service(service) => service,
    };
    let dir = layout.logs().join(service.to_string());
    match fs::read_dir(&dir) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(LogFault::File { path: dir, source }),
        Ok(entries) => Ok(entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()),
    }
}

fn files(dir: &Path) -> io::Result<Vec<u64>> {
    match numbers(dir) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}

/// The last lines of one instance, newest file first until there are enough.
fn tail(dir: &Path, id: &InstanceId, count: usize) -> io::Result<(Vec<LogLine>, Place)> {
    let mut lines: Vec<LogLine> = Vec::new();
    let mut end = None;
    for number in files(dir)?.into_iter().rev() {
        let mut place = Place { number, offset: 0 };
        let mut found = Vec::new();
        while read_file(dir, id, &mut place, &mut found)? {}
        end.get_or_insert(place);
        found.append(&mut lines);
        lines = found;
        if lines.len() >= count {
            break;
        }
    }
    lines.drain(..lines.len().saturating_sub(count));
    Ok((lines, end.unwrap_or_default()))
}

/// Reads on from a place over file ends. A file that was rotated away is passed over.
fn go_on(
    dir: &Path,
    id: &InstanceId,
    place: &mut Place,
    lines: &mut Vec<LogLine>,
) -> io::Result<()> {
    for number in files(dir)? {
        if number < place.number {
            continue;
        }
        if number > place.number {
            *place = Place { number, offset: 0 };
        }
        read_file(dir, id, place, lines)?;
    }
    Ok(())
}

/// Reads whole records from a place, at most [`READ_LIMIT`] bytes; whether there may be more.
fn read_file(
    dir: &Path,
    id: &InstanceId,
    place: &mut Place,
    lines: &mut Vec<LogLine>,
) -> io::Result<bool> {
    let mut file = match fs::File::open(file_path(dir, place.number)) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other?,
    };
    file.seek(SeekFrom::Start(place.offset))?;
    let mut bytes = Vec::new();
    file.take(READ_LIMIT).read_to_end(&mut bytes)?;
    let mut rest = &bytes[..];
    while let Some((record, length)) = Record::decode(rest) {
        lines.push(LogLine {
            at: record.at,
            instance: id.clone(),
            stream: if record.error {
                Stream::Err
            } else {
                Stream::Out
            },
            line: record.line.to_vec(),
            continues: record.continues,
        });
        rest = &rest[length..];
        place.offset += length as u64;
    }
    Ok(bytes.len() as u64 == READ_LIMIT && rest.len() < bytes.len())
}

/// The last lines of one instance as text, for its exit record.
pub(crate) fn last_text(dir: &Path, id: &InstanceId, count: usize, limit: usize) -> Vec<String> {
    let lines = tail(dir, id, count).map(|(lines, _)| lines);
    let text = |line: LogLine| {
        let line = &line.line[..line.line.len().min(limit)];
        String::from_utf8_lossy(line).into_owned()
    };
    lines.unwrap_or_default().into_iter().map(text).collect()
}
