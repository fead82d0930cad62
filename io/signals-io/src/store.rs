//! The store: a head in memory with a journal, pages of minutes, blocks of two hours.
//!
//! ```text
//! FOLDER/lock                    held while a process writes
//! FOLDER/names-EPOCH             targets, groups and series of a window, as records in frames
//! FOLDER/pages-EPOCH             pages: a record in a frame, then the page's bytes
//! FOLDER/journal-EPOCH-NUMBER    rows and samples that are in no page yet, as records in frames
//! FOLDER/EPOCH_FIRST_LAST.block  what a window became; `.damaged` where it was found damaged
//! ```
//!
//! - Rows are in the journal before they are acknowledged, and on the disk within a second.
//! - A segment of the journal goes once pages that are on the disk hold what it says.
//! - A window is frozen by the names of the next: a crash leaves it open or frozen, and a frozen one becomes a
//!   block at the next start.
//! - Where the disk is full the oldest block goes; where there is none, samples are refused.

mod build;
mod file;
mod frame;
mod journal;
mod keep;
mod late;
mod mark;
mod open;
mod shelf;
mod view;

pub(crate) use file::replace;
use file::{Bytes, Growing};
use journal::Journal;
pub(crate) use late::Pick;
use mainstay_metrics::{
    Appended, Frozen, Full, GroupId, Head, Labels, Record, Seat, TargetId, Value, WriteFault,
};
pub(crate) use mark::{Mark, Stretch};
use shelf::{Shelf, Volume};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
pub(crate) use view::{MOVED, View};

/// Samples of a group that become a page: enough to compress well, few enough to hold in memory.
const PAGE_SAMPLES: usize = 32_768;

/// What the store may hold, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Series in the head.
    pub series_max: usize,
    /// Series in the head of one owner.
    pub owner_series_max: usize,
    /// Milliseconds that samples are kept.
    pub keep_ms: i64,
    /// Bytes that blocks may take.
    pub keep_bytes: u64,
}

impl Default for Bounds {
    /// A month; a few gigabytes, which is a month of some fifty thousand series.
    fn default() -> Self {
        Self {
            series_max: 1_000_000,
            owner_series_max: 200_000,
            keep_ms: 30 * 86_400_000,
            keep_bytes: 8 << 30,
        }
    }
}

/// Why the store does not do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// Another process writes to the folder.
    #[error("another process keeps its metrics in `{folder}`", folder = folder.display())]
    Running {
        /// The store's folder.
        folder: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("the store cannot {action} in `{folder}`", folder = folder.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The store's folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A page or block cannot be compressed.
    #[error("the store cannot make a page")]
    Write(#[from] WriteFault),
    /// Samples are refused since a write failed; it is tried again every second.
    #[error("samples are refused: {why}")]
    Refusing {
        /// Which write, and what the system said.
        why: String,
    },
}

/// What became of samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) stored: u64,
    pub(crate) duplicates: u64,
    pub(crate) out_of_order: u64,
    /// Stored after somebody who reads along had begun to read their time.
    pub(crate) late: u64,
    pub(crate) series_refused: u64,
    pub(crate) quarantined: u64,
    pub(crate) pages: u64,
    pub(crate) blocks: u64,
    pub(crate) dropped_blocks: u64,
}

/// A window that becomes a block.
#[derive(Debug)]
pub(crate) struct Frost {
    pub(crate) epoch: u64,
    pub(crate) frozen: Frozen,
    pub(crate) pages: Bytes,
}

/// What changes, behind one lock that nobody holds for long.
#[derive(Debug)]
pub(crate) struct Live {
    folder: PathBuf,
    pub(crate) head: Head,
    pub(crate) epoch: u64,
    names: Growing,
    pages: Growing,
    journal: Journal,
    /// By group, the segment of the journal in which its oldest row outside of pages stands.
    tails: Vec<Option<u64>>,
    /// Segments that are full and not synced.
    full: Vec<Growing>,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) frozen: Vec<Arc<Frost>>,
    /// Why samples are refused.
    pub(crate) refusing: Option<String>,
    pub(crate) counts: Counts,
    pub(crate) bounds: Bounds,
    /// Who reads along.
    marks: Vec<Arc<Mark>>,
    /// The latest time that one of them has begun to read up to.
    begun_ms: i64,
    closing: bool,
    /// When the window was first looked at.
    opened_ms: Option<i64>,
    /// What the clock showed when it was looked at last.
    looked_ms: Option<i64>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    folder: PathBuf,
    pub(crate) shelf: Shelf,
    live: Mutex<Live>,
    /// Held as long as the store is open.
    _lock: File,
}

/// A handle; clones share the store.
#[derive(Debug, Clone)]
pub(crate) struct Store(pub(crate) Arc<Inner>);

impl Store {
    /// What changes. The lock is held for the shortest time.
    pub(crate) fn live(&self) -> MutexGuard<'_, Live> {
        // What a panicking thread left is whole: every change is made in one step.
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a query reads.
    pub(crate) fn view(&self) -> View {
        View::of(self.clone(), &self.live())
    }

    fn fault(&self, action: &'static str, source: io::Error) -> StoreFault {
        StoreFault::File {
            action,
            folder: self.0.folder.clone(),
            source,
        }
    }
}

impl Live {
    /// Whether samples are taken.
    pub(crate) fn ready(&self) -> Result<(), StoreFault> {
        match &self.refusing {
            None => Ok(()),
            Some(why) => Err(StoreFault::Refusing { why: why.clone() }),
        }
    }

    /// Finds or begins a target.
    pub(crate) fn target(&mut self, owner: &str, key: &str) -> TargetId {
        self.head.target(owner, key)
    }

    /// Finds or begins a series.
    pub(crate) fn seat(
        &mut self,
        target: TargetId,
        labels: &Labels,
        own: bool,
    ) -> Result<Seat, Full> {
        let seat = self.head.series(target, labels, own);
        if seat.is_err() {
            self.counts.series_refused += 1;
        }
        seat
    }

    /// Takes a row of a group; stale markers are put into it.
    pub(crate) fn row(&mut self, group: GroupId, at_ms: i64, row: &mut [f64]) -> Appended {
        let (before, _) = self.head.unpaged(group);
        let appended = self.head.append_row(group, at_ms, row);
        let (after, _) = self.head.unpaged(group);
        match appended {
            Appended::Stored if after > before => {
                self.counts.stored += (after - before) as u64;
                if at_ms <= self.begun_ms {
                    self.counts.late += (after - before) as u64;
                    self.note_row(group, at_ms, row);
                }
                self.journal
                    .put(|out| mainstay_metrics::put_row(out, group.0, at_ms, row));
                self.touched(group);
            }
            Appended::Stored => {}
            Appended::Duplicate => self.counts.duplicates += row.len() as u64,
            Appended::OutOfOrder => self.counts.out_of_order += row.len() as u64,
        }
        appended
    }

    /// Takes a sample of a series with times of its own.
    pub(crate) fn sample(&mut self, seat: Seat, at_ms: i64, value: Value) -> Appended {
        let copy = value.clone();
        let appended = self.head.append(seat.series, at_ms, value);
        match appended {
            Appended::Stored => {
                self.counts.stored += 1;
                if at_ms <= self.begun_ms {
                    self.counts.late += 1;
                    if let Some(labels) = self.head.labels(seat.series) {
                        self.note_late(labels, at_ms);
                    }
                }
                let number = seat.series.0;
                self.journal
                    .put(|out| mainstay_metrics::put_sample(out, number, at_ms, &copy));
                self.touched(seat.group);
            }
            Appended::Duplicate => self.counts.duplicates += 1,
            Appended::OutOfOrder => self.counts.out_of_order += 1,
        }
        appended
    }

    fn touched(&mut self, group: GroupId) {
        let place = group.0 as usize;
        if self.tails.len() <= place {
            self.tails.resize(place + 1, None);
        }
        self.tails[place].get_or_insert(self.journal.number());
    }

    /// Writes what was taken; only then it may be acknowledged.
    pub(crate) fn commit(&mut self) -> Result<(), StoreFault> {
        let written = self.write();
        if let Err(source) = written {
            self.refuse("write the journal", &source);
            return self.ready();
        }
        self.write_late();
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        self.write_names()?;
        self.journal.write()?;
        self.full.extend(self.journal.turn()?);
        Ok(())
    }

    fn write_names(&mut self) -> io::Result<()> {
        let fresh = self.head.fresh();
        if fresh.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for record in fresh {
            frame::put(&mut bytes, |out| out.extend(record.bytes()));
        }
        let written = self.names.append(&bytes).map(drop);
        if written.is_err() {
            // They are known to the head; the next attempt writes all of them.
            self.rename()?;
        }
        written
    }

    /// Writes the names of this window anew, from what the head knows.
    fn rename(&mut self) -> io::Result<()> {
        let path = open::names_path(&self.folder, self.epoch);
        let bytes = names(&self.head);
        file::replace(&path, &bytes)?;
        self.names = Growing::open(&path, bytes.len() as u64)?;
        Ok(())
    }

    pub(crate) fn refuse(&mut self, action: &str, source: &io::Error) {
        self.refusing
            .get_or_insert_with(|| format!("the store cannot {action}: {source}"));
    }

    /// Whether a group's samples should become a page now.
    fn is_due(&self, group: GroupId, now_ms: i64, age_ms: i64) -> bool {
        let (samples, since_ms) = self.head.unpaged(group);
        if samples == 0 {
            return false;
        }
        // The first pages of groups that began together do not fall together.
        let share = i64::from(group.0 % 8 + 1);
        let first = !self.head.is_paged(group);
        let (limit, age_ms) = if first {
            (
                PAGE_SAMPLES * (group.0 as usize % 8 + 1) / 8,
                age_ms * share / 8,
            )
        } else {
            (PAGE_SAMPLES, age_ms)
        };
        // The journal keeps every segment that somebody still needs.
        let tail = self.tails.get(group.0 as usize).copied().flatten();
        let is_holding = tail.is_some_and(|segment| segment + 2 <= self.journal.number());
        let is_old = since_ms.is_some_and(|since| now_ms - since >= age_ms);
        samples >= limit || is_old || is_holding
    }

    /// Makes a page of what a group holds outside of pages.
    pub(crate) fn page(&mut self, group: GroupId) -> Result<(), StoreFault> {
        let Some(page) = self.head.page(group)? else {
            return Ok(());
        };
        let record = Record::Page {
            group: group.0,
            page: page.at(0),
        };
        let mut bytes = Vec::with_capacity(page.bytes.len() + 64);
        frame::put(&mut bytes, |out| out.extend(record.bytes()));
        let header = bytes.len() as u64;
        bytes.extend_from_slice(&page.bytes);
        let at = match self.pages.append(&bytes) {
            Ok(at) => at,
            Err(source) => {
                self.refuse("write a page", &source);
                return self.ready();
            }
        };
        let offset = at + header;
        self.head.paged(group, page.at(offset));
        self.counts.pages += 1;
        let record = Record::Paged {
            group: group.0,
            offset,
        };
        self.journal.put(|out| out.extend(record.bytes()));
        if let Some(tail) = self.tails.get_mut(group.0 as usize) {
            *tail = None;
        }
        Ok(())
    }

    /// Makes pages of groups that have enough for one.
    pub(crate) fn page_if_due(
        &mut self,
        groups: &[GroupId],
        now_ms: i64,
    ) -> Result<(), StoreFault> {
        for group in groups {
            if self.is_due(*group, now_ms, keep::AGE_MS) {
                self.page(*group)?;
            }
        }
        Ok(())
    }

    /// The pages of this window.
    pub(crate) fn pages_bytes(&self) -> Bytes {
        Bytes(self.pages.file.clone())
    }

    /// Bytes of everything that is kept.
    pub(crate) fn size(&self) -> u64 {
        let blocks: u64 = self.volumes.iter().map(|volume| volume.bytes).sum();
        blocks + self.journal.size() + self.pages.end + self.names.end
    }
}

/// Everything that is needed to understand rows and pages, as a file.
fn names(head: &Head) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in head.definitions() {
        frame::put(&mut bytes, |out| out.extend(record.bytes()));
    }
    bytes
}

#[cfg(test)]
#[path = "store/store_test.rs"]
mod tests;
