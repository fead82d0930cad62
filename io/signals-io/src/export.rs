//! Everything that is stored as blocks of Prometheus' database, for whoever leaves.
//!
//! The client's side: it asks the process for one range of two hours after the other, and writes a block of each.
//! In memory are the labels of a range's series and the places of their chunks, never their samples. A block has its
//! name once it is whole; what was begun and did not become one is removed.

mod folder;

use crate::client::{Client, ClientFault, encoded};
use folder::{Half, Out};
use mainstay_metrics::tsdb::{BlockStats, IndexFault, Parcel, RANGE_MS};
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

/// How often a range is asked for whose samples were moved meanwhile.
const ATTEMPTS: usize = 10;

/// What is wanted, and where it goes.
#[derive(Debug, Clone, Default)]
pub struct Export {
    /// The folder that blocks are put into; made where it is not there.
    pub folder: PathBuf,
    /// The first time that is wanted, in milliseconds since 1970; nothing: all.
    pub from_ms: Option<i64>,
    /// The last time that is wanted; nothing: all.
    pub until_ms: Option<i64>,
    /// Selectors of series; none: all of them.
    pub matchers: Vec<String>,
}

/// A block that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedBlock {
    /// Its name.
    pub ulid: String,
    /// When its range begins, in milliseconds since 1970.
    pub begin_ms: i64,
    /// When it ends; that time is not part of it.
    pub end_ms: i64,
    /// What it holds.
    pub stats: BlockStats,
}

// Not as a source: what it says names its own.
impl From<ClientFault> for ExportFault {
    fn from(fault: ClientFault) -> Self {
        Self::Client(fault)
    }
}

/// Why no more blocks are written.
#[derive(Debug, thiserror::Error)]
pub enum ExportFault {
    /// The process does not answer, or refuses.
    #[error("samples cannot be read: {0}")]
    Client(ClientFault),
    /// The process cannot go on.
    #[error("samples cannot be read: {0}")]
    Samples(String),
    /// Samples would be there twice.
    #[error(
        "`{folder}` holds the block {ulid} of that time already ({begin_ms} to {end_ms} ms)",
        folder = folder.display()
    )]
    Overlap {
        /// The folder.
        folder: PathBuf,
        /// The block that is there.
        ulid: String,
        /// When its range begins, in milliseconds since 1970.
        begin_ms: i64,
        /// When it ends.
        end_ms: i64,
    },
    /// Another export writes into the folder.
    #[error("another export writes into `{folder}`", folder = folder.display())]
    Running {
        /// The folder.
        folder: PathBuf,
    },
    /// A block cannot be put into the format.
    #[error("a block cannot be written")]
    Index(#[from] IndexFault),
    /// A file cannot be written.
    #[error("cannot {action} `{path}`", path = path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ExportFault {
    /// Whether there is no room for more.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::File { source, .. } if matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ))
    }
}

/// One range of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    begin_ms: i64,
    /// Not part of it.
    end_ms: i64,
}

/// Cuts what is wanted, the last time included, where blocks are cut.
fn ranges(from_ms: i64, until_ms: i64) -> impl Iterator<Item = Range> {
    let first = from_ms.div_euclid(RANGE_MS);
    let last = until_ms.div_euclid(RANGE_MS);
    (first..=last).map(move |number| Range {
        begin_ms: from_ms.max(number * RANGE_MS),
        // One that reached into the future would keep its reader from taking samples until then.
        end_ms: (until_ms + 1).min((number + 1) * RANGE_MS),
    })
}

/// Writes blocks, and tells each once it is whole. Returns what the process could not read.
pub fn export(
    client: &Client,
    wanted: &Export,
    told: &mut dyn FnMut(&ExportedBlock),
) -> Result<Vec<String>, ExportFault> {
    let out = Out::open(&wanted.folder)?;
    let mut remarks = Vec::new();
    let Some((first_ms, last_ms)) = span(client)? else {
        return Ok(remarks);
    };
    let from_ms = wanted.from_ms.unwrap_or(first_ms).max(first_ms);
    let until_ms = wanted.until_ms.unwrap_or(last_ms).min(last_ms);
    if until_ms < from_ms {
        return Ok(remarks);
    }
    out.check(Range {
        begin_ms: from_ms,
        end_ms: until_ms + 1,
    })?;
    for range in ranges(from_ms, until_ms) {
        if let Some(block) = block(client, wanted, &out, range, &mut remarks)? {
            told(&block);
        }
    }
    Ok(remarks)
}

/// The times of the first and the last sample.
fn span(client: &Client) -> Result<Option<(i64, i64)>, ExportFault> {
    let (status, answer) = client.ask("GET", "/v1/span", &[])?;
    let span: serde_json::Value = match serde_json::from_slice(&answer) {
        Ok(span) if status == 200 => span,
        _ => return Err(ExportFault::Samples(format!("signals answers {status}"))),
    };
    let (first_ms, last_ms) = (&span["first_ms"], &span["last_ms"]);
    Ok(first_ms.as_i64().zip(last_ms.as_i64()))
}

/// Writes one block; none where no sample is wanted of its range.
fn block(
    client: &Client,
    wanted: &Export,
    out: &Out,
    range: Range,
    remarks: &mut Vec<String>,
) -> Result<Option<ExportedBlock>, ExportFault> {
    let (start, end) = (seconds(range.begin_ms), seconds(range.end_ms - 1));
    let mut path = format!("/v1/parcels?start={start}&end={end}");
    for matcher in &wanted.matchers {
        // Writing to a text cannot fail.
        write!(path, "&match[]={}", encoded(matcher)).ok();
    }
    let mut left = ATTEMPTS;
    loop {
        left -= 1;
        let mut half = out.begin(range)?;
        let mut parcels = client.parcels(&path)?;
        match fill(&mut half, &mut || Ok(parcels.take()?))? {
            Filled::Whole(more) => {
                remarks.extend(more);
                remarks.sort_unstable();
                remarks.dedup();
                return half.finish();
            }
            // Samples go from one place of the store to another every two hours.
            Filled::Again(_) if left > 0 => {}
            Filled::Again(why) => return Err(ExportFault::Samples(why)),
        }
    }
}

/// What came of the parcels of a block.
enum Filled {
    /// Everything is there but what these remarks name.
    Whole(Vec<String>),
    /// It is to be begun anew, for this reason.
    Again(String),
}

fn fill(
    half: &mut Half<'_>,
    next: &mut dyn FnMut() -> Result<Parcel, ExportFault>,
) -> Result<Filled, ExportFault> {
    loop {
        match next()? {
            Parcel::Series { labels, chunks } => {
                for chunk in &chunks {
                    half.add(&labels, chunk)?;
                }
            }
            Parcel::End { remarks } => return Ok(Filled::Whole(remarks)),
            Parcel::Fault { why, is_passing } if is_passing => return Ok(Filled::Again(why)),
            Parcel::Fault { why, .. } => return Err(ExportFault::Samples(why)),
        }
    }
}

/// A time as the API reads it, to the millisecond.
fn seconds(at_ms: i64) -> String {
    let sign = if at_ms < 0 { "-" } else { "" };
    let at_ms = at_ms.unsigned_abs();
    format!("{sign}{}.{:03}", at_ms / 1000, at_ms % 1000)
}

#[cfg(test)]
#[path = "export/export_test.rs"]
mod tests;
