//! Opening: the state of the store from its files, whatever a crash left of them.

use super::file::{Bytes, Growing};
use super::journal::{self, Journal};
use super::shelf::{self, Shelf};
use super::{Bounds, Counts, Frost, Inner, Live, Store, StoreFault, frame};
use mainstay_metrics::{GroupId, Head, Record, Storage as _};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub(crate) fn names_path(folder: &Path, epoch: u64) -> PathBuf {
    folder.join(format!("names-{epoch}"))
}

pub(crate) fn pages_path(folder: &Path, epoch: u64) -> PathBuf {
    folder.join(format!("pages-{epoch}"))
}

/// Windows whose names lie in a folder, oldest first.
fn epochs(folder: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("names-"));
        found.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

impl Store {
    /// Opens or makes a store.
    pub(crate) fn open(folder: &Path, bounds: Bounds) -> Result<Self, StoreFault> {
        let fault = |action| {
            move |source| StoreFault::File {
                action,
                folder: folder.to_owned(),
                source,
            }
        };
        std::fs::create_dir_all(folder).map_err(fault("make its folder"))?;
        let lock = File::create(folder.join("lock")).map_err(fault("make its lock"))?;
        if lock.try_lock().is_err() {
            return Err(StoreFault::Running {
                folder: folder.to_owned(),
            });
        }
        let live = live(folder, bounds).map_err(fault("be opened"))?;
        Ok(Self(Arc::new(Inner {
            folder: folder.to_owned(),
            shelf: Shelf::default(),
            live: Mutex::new(live),
            _lock: lock,
        })))
    }
}

fn live(folder: &Path, bounds: Bounds) -> io::Result<Live> {
    let volumes = shelf::volumes(folder)?;
    let all = epochs(folder)?;
    let (epoch, older) = all
        .split_last()
        .map_or((0, &[][..]), |(last, older)| (*last, older));
    let mut frozen = Vec::new();
    for old in older {
        let prefix = format!("{old:08}_");
        let is_block = volumes.iter().any(|volume| {
            let name = volume.path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(&prefix))
        });
        if is_block {
            forget(folder, *old)?;
        } else {
            journal::remove(folder, *old)?;
            frozen.extend(frost(folder, *old)?.map(Arc::new));
        }
    }
    let mut head = Head::new(bounds.series_max, bounds.owner_series_max);
    let names = read_names(folder, epoch, &mut head)?;
    let pages = read_pages(folder, epoch, &mut head)?;
    let mut tails = Vec::new();
    let journal = Journal::open(folder, epoch, |segment, record| {
        replay(&mut head, &mut tails, segment, record);
    })?;
    head.replayed(i64::MIN);
    Ok(Live {
        folder: folder.to_owned(),
        head,
        epoch,
        names,
        pages,
        journal,
        tails,
        full: Vec::new(),
        volumes,
        frozen,
        refusing: None,
        counts: Counts::default(),
        bounds,
        marks: Vec::new(),
        begun_ms: i64::MIN,
        closing: false,
        opened_ms: None,
        looked_ms: None,
    })
}

/// Takes a record of the journal, and notes where a group's oldest row stands.
fn replay(head: &mut Head, tails: &mut Vec<Option<u64>>, segment: u64, bytes: &[u8]) {
    let Some(record) = Record::read(bytes, 0) else {
        return;
    };
    let group = match &record {
        Record::Row { group, .. } | Record::Paged { group, .. } => Some(GroupId(*group)),
        Record::Sample { number, .. } => head.group_of(mainstay_metrics::SeriesId(*number)),
        _ => None,
    };
    head.replay(record);
    let Some(group) = group else {
        return;
    };
    let place = group.0 as usize;
    if tails.len() <= place {
        // A number beyond any group is damage, and must not take the memory.
        if !head.group_ids().contains(&group) {
            return;
        }
        tails.resize(place + 1, None);
    }
    if head.unpaged(group).0 == 0 {
        tails[place] = None;
    } else {
        tails[place].get_or_insert(segment);
    }
}

fn read_names(folder: &Path, epoch: u64, head: &mut Head) -> io::Result<Growing> {
    let path = names_path(folder, epoch);
    let bytes = match std::fs::read(&path) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    let end = frame::each(&bytes, |record| {
        if let Some(record) = Record::read(record, 0) {
            head.replay(record);
        }
    });
    Growing::open(&path, end as u64)
}

/// Reads where the pages are, without their content.
fn read_pages(folder: &Path, epoch: u64, head: &mut Head) -> io::Result<Growing> {
    // Longer than any record of a page.
    const HEAD: usize = 128;
    let path = pages_path(folder, epoch);
    let file = Growing::open(
        &path,
        std::fs::metadata(&path).map_or(0, |found| found.len()),
    )?;
    let bytes = Bytes(file.file.clone());
    let (length, mut at) = (file.end, 0u64);
    while at < length {
        let some = HEAD.min(usize::try_from(length - at).unwrap_or(HEAD));
        let Some(read) = bytes.read(at, some) else {
            break;
        };
        let Some(record) = frame::first(&read) else {
            break;
        };
        let behind = at + (frame::HEADER + record.len()) as u64;
        let Some(Record::Page { group, page }) = Record::read(record, behind) else {
            break;
        };
        let end = behind + u64::from(page.length);
        if end > length {
            break;
        }
        head.replay(Record::Page { group, page });
        at = end;
    }
    Growing::open(&path, at)
}

/// A window that was frozen and is no block yet.
fn frost(folder: &Path, epoch: u64) -> io::Result<Option<Frost>> {
    let mut head = Head::new(usize::MAX, usize::MAX);
    read_names(folder, epoch, &mut head)?;
    let pages = read_pages(folder, epoch, &mut head)?;
    head.replayed(i64::MIN);
    let frozen = head.freeze(i64::MIN);
    if frozen.series.is_empty() {
        forget(folder, epoch)?;
        return Ok(None);
    }
    Ok(Some(Frost {
        epoch,
        frozen,
        pages: Bytes(pages.file),
    }))
}

/// Removes the files of a window that is a block, or empty. The names go last: they say that it was there.
pub(crate) fn forget(folder: &Path, epoch: u64) -> io::Result<()> {
    journal::remove(folder, epoch)?;
    for path in [pages_path(folder, epoch), names_path(folder, epoch)] {
        match std::fs::remove_file(path) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
            _ => {}
        }
    }
    Ok(())
}
