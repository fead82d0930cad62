//! Marks: how far somebody who reads along has come, so that what goes before it was read is counted, and what comes
//! after its time was read is read all the same.

use super::file::Bytes;
use super::late::{Late, Pick};
use super::shelf::Volume;
use super::{Live, Store, View};
use mainstay_metrics::{Block, Columns, GroupId, Labels, Select, is_gap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How far one reader has come. Locks are taken in the order of the fields, after that of the store.
#[derive(Debug)]
pub(crate) struct Mark {
    /// Whose it is: where what came late is written down.
    path: PathBuf,
    reach: Mutex<Reach>,
    late: Mutex<Late>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Reach {
    /// Everything up to here was read, in milliseconds since 1970.
    read_ms: i64,
    /// The end of the stretch that is being read; not before `read_ms`.
    end_ms: i64,
    /// How many stretches were begun.
    begun: u64,
    /// Samples of that stretch that went since it was begun: whoever reads them may have them still.
    doubtful: u64,
    lost: u64,
}

impl Mark {
    fn reach(&self) -> MutexGuard<'_, Reach> {
        // What a panicking thread left is whole: every change is made in one step.
        self.reach.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn late(&self) -> MutexGuard<'_, Late> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From when on a series is read anew, and not with its stretch.
    pub(crate) fn anew_ms(&self, labels: &Labels) -> Option<i64> {
        let late = self.late();
        if late.is_empty() {
            return None;
        }
        late.first_ms(labels)
    }

    /// What came late was read, with so many samples, or is to be read again; torn is what went partly before it was.
    pub(crate) fn caught_up(&self, picks: &[Pick], samples: u64, is_whole: bool, is_torn: bool) {
        if is_whole {
            let bytes = self.late().settle();
            let replaced = super::replace(&self.path, &bytes);
            self.late().replaced(&replaced);
        } else {
            self.late().put_back();
        }
        let count: u64 = picks.iter().map(|pick| pick.count).sum();
        if is_whole && is_torn {
            self.reach().lost += count.saturating_sub(samples);
        }
    }

    /// Everything that was taken to be read is still to be read: whoever took it is gone.
    pub(crate) fn resume(&self) {
        self.late().put_back();
    }

    /// A stretch was read to its end, or not; torn is one of which something went before it was read.
    pub(crate) fn done(&self, is_whole: bool, is_torn: bool) {
        let mut reach = self.reach();
        let doubtful = std::mem::take(&mut reach.doubtful);
        if is_torn || !is_whole {
            reach.lost += doubtful;
        }
        if is_whole {
            reach.read_ms = reach.end_ms;
        } else {
            reach.end_ms = reach.read_ms;
        }
    }

    /// Everything up to here was read.
    pub(crate) fn read_ms(&self) -> i64 {
        self.reach().read_ms
    }

    /// Samples that went before they were read.
    pub(crate) fn lost(&self) -> u64 {
        self.reach().lost
    }
}

/// A block that was removed, and who had not read it to its end.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) volume: Volume,
    /// Open still, where somebody had not.
    file: Option<File>,
    behind: Vec<(Arc<Mark>, Reach)>,
}

/// What somebody reads next.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// Everything up to a time.
    pub(crate) view: View,
    /// The same, for what came late.
    pub(crate) late: View,
    /// What came late of what was read before; it is read first.
    pub(crate) picks: Vec<Pick>,
}

impl Store {
    /// The mark of somebody who has read up to a time; where it is kept already, as it is.
    pub(crate) fn mark(&self, path: &Path, read_ms: impl FnOnce() -> i64) -> Arc<Mark> {
        let mut live = self.live();
        if let Some(known) = live.marks.iter().find(|mark| mark.path == path) {
            return known.clone();
        }
        let read_ms = read_ms();
        let reach = Reach {
            read_ms,
            end_ms: read_ms,
            ..Reach::default()
        };
        let mark = Arc::new(Mark {
            path: path.to_owned(),
            reach: Mutex::new(reach),
            late: Mutex::new(Late::open(path)),
        });
        live.begun_ms = live.begun_ms.max(read_ms);
        live.marks.push(mark.clone());
        mark
    }

    /// Keeps the marks of those alone who still read along.
    pub(crate) fn retain_marks(&self, paths: &[PathBuf]) {
        self.live().marks.retain(|mark| paths.contains(&mark.path));
    }

    /// What somebody reads next, up to a time.
    pub(crate) fn stretch(&self, mark: &Mark, until_ms: i64) -> Stretch {
        let mut live = self.live();
        live.begun_ms = live.begun_ms.max(until_ms);
        let mut reach = mark.reach();
        reach.end_ms = until_ms;
        reach.begun += 1;
        let read_ms = reach.read_ms;
        drop(reach);
        let head = &live.head;
        let picks = mark.late().take(read_ms, |labels| head.newest_of(labels));
        Stretch {
            view: View::of(self.clone(), &live),
            late: View::of(self.clone(), &live),
            picks,
        }
    }
}

impl Live {
    /// Tells those who read along that a row came, where they have begun to read its time.
    pub(super) fn note_row(&self, group: GroupId, at_ms: i64, row: &[f64]) {
        for (slot, _) in (0..).zip(row).filter(|(_, value)| !is_gap(**value)) {
            if let Some(labels) = self.head.labels_at(group, slot) {
                self.note_late(labels, at_ms);
            }
        }
    }

    /// Tells those who read along that a sample came, where they have begun to read its time.
    pub(super) fn note_late(&self, labels: &Labels, at_ms: i64) {
        for mark in &self.marks {
            let mut reach = mark.reach();
            if at_ms <= reach.end_ms && !mark.late().note(labels, at_ms) {
                reach.lost += 1;
            }
        }
    }

    /// Writes down what came late.
    pub(super) fn write_late(&self) {
        for mark in &self.marks {
            mark.late().write();
        }
    }

    /// Removes the oldest block.
    pub(super) fn drop_oldest(&mut self) -> Option<Gone> {
        if self.volumes.is_empty() {
            return None;
        }
        let volume = self.volumes.remove(0);
        self.counts.dropped_blocks += 1;
        let behind = self.marks.iter().filter_map(|mark| {
            let reach = *mark.reach();
            (reach.read_ms < volume.last_ms).then_some((mark.clone(), reach))
        });
        let behind: Vec<(Arc<Mark>, Reach)> = behind.collect();
        let file = if behind.is_empty() {
            None
        } else {
            File::open(&volume.path).ok()
        };
        // One that cannot be removed is found again at the next start.
        drop(std::fs::remove_file(&volume.path));
        Some(Gone {
            volume,
            file,
            behind,
        })
    }
}

impl Gone {
    /// Counts what nobody can send any more. Reads the block, so it is not for the time of a lock.
    pub(super) fn mourn(self) {
        let Some(Ok(block)) = self.file.map(|file| Block::open(Bytes(Arc::new(file)))) else {
            return;
        };
        let earliest = self.behind.iter().map(|(_, reach)| reach.read_ms).min();
        let select = Select {
            matchers: &[],
            after_ms: earliest.unwrap_or(i64::MIN),
            until_ms: i64::MAX,
        };
        let (mut reader, mut columns) = (block.reader(), Columns::default());
        let mut counts = vec![(0, 0); self.behind.len()];
        for found in block.find(&[]) {
            columns.clear();
            if reader.read(found.number, &select, &mut columns).is_err() {
                break;
            }
            let histograms = columns.histograms.iter().map(|one| one.at_ms);
            for at_ms in columns.at_ms.iter().copied().chain(histograms) {
                for ((_, reach), (doubtful, lost)) in self.behind.iter().zip(&mut counts) {
                    if at_ms > reach.end_ms {
                        *lost += 1;
                    } else if at_ms > reach.read_ms {
                        *doubtful += 1;
                    }
                }
            }
        }
        for ((mark, before), (doubtful, lost)) in self.behind.iter().zip(counts) {
            let mut reach = mark.reach();
            reach.lost += lost;
            if reach.begun == before.begun && reach.end_ms == before.end_ms {
                reach.doubtful += doubtful;
            } else if reach.read_ms == before.read_ms {
                // The stretch was broken off meanwhile, and cannot be read again.
                reach.lost += doubtful;
            }
        }
    }
}
