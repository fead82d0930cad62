//! Marks: how far somebody who reads along has come, so that what goes before it was read is counted.

use super::file::Bytes;
use super::shelf::Volume;
use super::{Live, Store, View};
use mainstay_metrics::{Block, Columns, Select};
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// How far one reader has come.
#[derive(Debug, Default)]
pub(crate) struct Mark(Mutex<Reach>);

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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

impl Store {
    /// Begins to keep the mark of somebody who has read up to a time.
    pub(crate) fn mark(&self, read_ms: i64) -> Arc<Mark> {
        let reach = Reach {
            read_ms,
            end_ms: read_ms,
            ..Reach::default()
        };
        let mark = Arc::new(Mark(Mutex::new(reach)));
        let mut live = self.live();
        live.marks.retain(|one| one.strong_count() > 0);
        live.marks.push(Arc::downgrade(&mark));
        mark
    }

    /// What somebody reads next, up to a time.
    pub(crate) fn stretch(&self, mark: &Mark, until_ms: i64) -> View {
        let mut live = self.live();
        live.begun_ms = live.begun_ms.max(until_ms);
        let mut reach = mark.reach();
        reach.end_ms = until_ms;
        reach.begun += 1;
        drop(reach);
        View::of(self.clone(), &live)
    }
}

impl Live {
    /// Removes the oldest block.
    pub(super) fn drop_oldest(&mut self) -> Option<Gone> {
        if self.volumes.is_empty() {
            return None;
        }
        let volume = self.volumes.remove(0);
        self.counts.dropped_blocks += 1;
        let marks = self.marks.iter().filter_map(Weak::upgrade);
        let behind = marks.filter_map(|mark| {
            let reach = *mark.reach();
            (reach.read_ms < volume.last_ms).then_some((mark, reach))
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
