//! Keeping: what the store does by itself, once a second.

use super::file::{self, Bytes, Growing};
use super::journal::{self, Journal};
use super::mark::Gone;
use super::{Frost, Live, Store, StoreFault, names, open, shelf};
use crate::store::shelf::Volume;
use mainstay_metrics::GroupId;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// How old samples outside of pages become before they are made one, in milliseconds.
pub(crate) const AGE_MS: i64 = 600_000;

/// Milliseconds of a window: two hours, as the field's blocks.
const WINDOW_MS: i64 = 7_200_000;

/// A clock that went back by more than this begins another window, in milliseconds. Less is waited for.
const BACK_MS: i64 = 60_000;

/// A sample that is further ahead than this is of another clock, in milliseconds: more than senders may be.
const AHEAD_MS: i64 = 900_000;

/// Pages made at once while a window closes, so that nobody waits for long.
const PAGES: usize = 16;

/// What is synced outside of the lock.
struct Dirty {
    files: Vec<Arc<File>>,
    /// Segments of the journal below this are not needed once the files are synced.
    needed: u64,
}

impl Store {
    /// Syncs, makes pages, freezes a window whose time is over, makes blocks, and lets the oldest go.
    ///
    /// `trusted`: the clock went steadily for long, so that what is too old by it may go.
    pub(crate) fn keep(&self, now_ms: i64, trusted: bool) -> Result<(), StoreFault> {
        self.sync();
        match self.close(now_ms) {
            // Said already, and tried again in a second; queries go on.
            Ok(()) | Err(StoreFault::Refusing { .. }) => {}
            Err(fault) => return Err(fault),
        }
        self.let_go(now_ms, trusted);
        while self.build()? {}
        Ok(())
    }

    /// Brings what is written to the disk.
    pub(crate) fn sync(&self) {
        let dirty = self.live().dirty();
        let synced = dirty.files.iter().try_for_each(|file| file.sync_data());
        let mut live = self.live();
        match synced {
            Ok(()) => live.journal.drop_below(dirty.needed),
            Err(source) => {
                live.names.dirty = true;
                live.pages.dirty = true;
                live.journal.file.dirty = true;
                live.refuse("sync its files", &source);
            }
        }
        if live.refusing.is_some() {
            let gone = live.try_again();
            drop(live);
            self.let_rest(gone);
        }
    }

    /// Makes pages of what is old; freezes the window when its time is over.
    fn close(&self, now_ms: i64) -> Result<(), StoreFault> {
        let mut live = self.live();
        live.ready()?;
        let groups = live.head.group_ids();
        let Some((_, last_ms)) = live.head.span() else {
            return Ok(());
        };
        let looked_ms = live.looked_ms.replace(now_ms);
        // Senders may be ahead of our clock; what is further ahead is of a clock that went back meanwhile.
        let went_back = looked_ms.is_some_and(|looked| now_ms < looked - BACK_MS);
        if went_back || now_ms < last_ms - AHEAD_MS {
            return live.freeze(i64::MIN);
        }
        // By when it was opened, not by its samples: others may send old ones.
        let opened_ms = *live.opened_ms.get_or_insert(now_ms);
        let end_ms = (opened_ms.div_euclid(WINDOW_MS) + 1) * WINDOW_MS;
        live.closing = now_ms >= end_ms;
        let due: Vec<GroupId> = groups
            .into_iter()
            .filter(|group| match live.head.unpaged(*group) {
                (0, _) => false,
                (_, Some(since)) if live.closing => since < end_ms,
                // Own times: whatever waits goes with its window.
                (_, None) if live.closing => live.is_stale(*group, end_ms),
                _ => live.is_due(*group, now_ms, AGE_MS),
            })
            .collect();
        for group in due.iter().take(PAGES) {
            live.page(*group)?;
        }
        if live.closing && due.len() <= PAGES {
            return live.freeze(last_ms.min(now_ms - 1));
        }
        live.commit()
    }

    /// Removes blocks that are too old, or too many.
    fn let_go(&self, now_ms: i64, trusted: bool) {
        let mut live = self.live();
        let bounds = live.bounds;
        let end_ms = now_ms.saturating_sub(bounds.keep_ms);
        let oldest = live.volumes.first();
        let too_old = trusted && oldest.is_some_and(|volume| volume.last_ms < end_ms);
        if too_old || live.size() > bounds.keep_bytes {
            let gone = live.drop_oldest();
            drop(live);
            self.let_rest(gone);
        }
    }

    /// Lets go of a block that was removed.
    fn let_rest(&self, gone: Option<Gone>) {
        if let Some(gone) = gone {
            self.0.shelf.close(&gone.volume.path);
            gone.mourn();
        }
    }

    /// Puts a damaged block aside.
    pub(crate) fn quarantine(&self, volume: &Volume) {
        let mut live = self.live();
        if !live.volumes.contains(volume) {
            return;
        }
        live.volumes.retain(|one| one != volume);
        live.counts.quarantined += 1;
        drop(live);
        self.0.shelf.close(&volume.path);
        // Where it cannot be renamed it is found damaged again after the next start.
        drop(shelf::quarantine(volume));
    }
}

impl Live {
    fn dirty(&mut self) -> Dirty {
        let mut files = Vec::new();
        for growing in [&mut self.names, &mut self.pages, &mut self.journal.file] {
            if std::mem::take(&mut growing.dirty) {
                files.push(growing.file.clone());
            }
        }
        files.extend(self.full.drain(..).map(|growing| growing.file));
        let needed = self.tails.iter().flatten().min().copied();
        Dirty {
            files,
            needed: needed.unwrap_or(self.journal.number()),
        }
    }

    /// Whether a group of series with own times has been waiting since before a time.
    fn is_stale(&self, group: GroupId, end_ms: i64) -> bool {
        self.head
            .newest_ms(group)
            .is_some_and(|newest| newest < end_ms)
    }

    /// Tries to write after a failure: the oldest block makes room.
    fn try_again(&mut self) -> Option<Gone> {
        let gone = if self.is_full() {
            Some(self.drop_oldest()?)
        } else {
            None
        };
        let probe = self.folder.join("room");
        let tried = std::fs::write(&probe, vec![0; 1 << 16]).and_then(|()| self.rename());
        drop(std::fs::remove_file(&probe));
        match tried {
            Ok(()) => self.refusing = None,
            Err(source) => self.refusing = Some(format!("the store cannot write: {source}")),
        }
        gone
    }

    fn is_full(&self) -> bool {
        rustix::fs::statvfs(&self.folder)
            .is_ok_and(|found| found.f_bavail * found.f_frsize < 1 << 20)
    }

    /// Ends the window: everything becomes pages, and the next window's names make it frozen.
    pub(crate) fn freeze(&mut self, floor_ms: i64) -> Result<(), StoreFault> {
        for group in self.head.group_ids() {
            self.page(group)?;
        }
        self.commit()?;
        let next = match self.prepare() {
            Ok(next) => next,
            Err(source) => {
                self.refuse("begin another window", &source);
                return self.ready();
            }
        };
        // What fails from here on leaves files that the next start understands.
        self.turn(next, floor_ms)
            .map_err(|source| StoreFault::File {
                action: "begin another window",
                folder: self.folder.clone(),
                source,
            })
    }

    /// Makes the files of the next window, as long as nothing has changed.
    fn prepare(&mut self) -> io::Result<(Growing, Journal)> {
        self.names.file.sync_data()?;
        self.pages.file.sync_data()?;
        let next = self.epoch + 1;
        let pages = Growing::open(&open::pages_path(&self.folder, next), 0)?;
        let journal = Journal::open(&self.folder, next, |_, _| ())?;
        // The room for the names is there before anything changes: they only become fewer.
        let room = open::names_path(&self.folder, next).with_extension("new");
        std::fs::write(&room, names(&self.head))?;
        Ok((pages, journal))
    }

    fn turn(&mut self, files: (Growing, Journal), floor_ms: i64) -> io::Result<()> {
        let next = self.epoch + 1;
        let names_path = open::names_path(&self.folder, next);
        let (pages, journal) = files;
        let frozen = self.head.freeze(floor_ms);
        let bytes = names(&self.head);
        // From here on the window is frozen, whatever happens.
        file::replace(&names_path, &bytes)?;
        let before = std::mem::replace(&mut self.pages, pages);
        self.names = Growing::open(&names_path, bytes.len() as u64)?;
        self.journal = journal;
        self.tails.clear();
        self.full.clear();
        let frost = Frost {
            epoch: self.epoch,
            frozen,
            pages: Bytes(before.file),
        };
        if frost.frozen.series.is_empty() {
            open::forget(&self.folder, self.epoch)?;
        } else {
            journal::remove(&self.folder, self.epoch)?;
            self.frozen.push(Arc::new(frost));
        }
        self.epoch = next;
        self.closing = false;
        self.opened_ms = None;
        Ok(())
    }
}
