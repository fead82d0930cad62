//! Opening a folder: the rule first, the first write after.

use crate::fault::OpenFault;
use crate::file;
use crate::keeper::{Places, write_checkpoint};
use crate::key;
use crate::resume;
use crate::row;
use crate::seen::Seen;
use mainstay_atoms::{Digest, Wall};
use mainstay_ledger::{
    Checkpoint, Disk, Entry, Frontier, Halt, Loss, PublicKey, Signed, SigningKey, Timeline,
    Verdict, decide_open, loss, timeline,
};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A folder that may be written to.
pub(crate) struct Admitted {
    pub(crate) connection: Connection,
    pub(crate) frontier: Frontier,
    pub(crate) seen: Seen,
    pub(crate) key: SigningKey,
    pub(crate) signed: Checkpoint,
    pub(crate) anchor_fault: Option<String>,
}

/// A folder that must not be written to.
pub(crate) struct Stopped {
    pub(crate) halt: Halt,
    pub(crate) loss: Option<Loss>,
}

/// What a folder and its anchors say.
pub(crate) struct Found {
    pub(crate) key: SigningKey,
    pub(crate) local: Signed,
    pub(crate) anchors: Vec<(String, Signed)>,
    pub(crate) frontier: Frontier,
    pub(crate) seen: Seen,
    pub(crate) disk: Disk,
}

impl Found {
    pub(crate) fn halt(&self) -> Option<Stopped> {
        match decide_open(&self.disk, &self.local, &self.anchors) {
            Verdict::Halt(halt) => Some(Stopped {
                halt,
                loss: loss(&self.disk, &self.local, &self.anchors),
            }),
            Verdict::Go | Verdict::Resign => None,
        }
    }
}

/// Reads everything that the rule needs; changes nothing, but for the key of a new folder.
pub(crate) fn look(places: &Places) -> Result<Result<Found, Halt>, OpenFault> {
    let database = places.database();
    let new = !database.exists() && !places.local().exists();
    let key = match key::load(&places.dir, new)? {
        key::Found::Key(key) => key,
        key::Found::Halt(halt) => return Ok(Err(halt)),
    };
    let local = read_signed(&places.local(), key.public());
    let anchors: Vec<(String, Signed)> = places
        .anchors(key.public())
        .iter()
        .map(|path| (path.display().to_string(), read_signed(path, key.public())))
        .collect();
    let found = rows(&database, &sizes(&local, &anchors));
    Ok(found.map(|(frontier, seen, disk)| Found {
        key,
        local,
        anchors,
        frontier,
        seen,
        disk,
    }))
}

/// Admits a folder or says why it must not be written to.
pub(crate) fn admit(places: &Places, now: Wall) -> Result<Result<Admitted, Stopped>, OpenFault> {
    let found = match look(places)? {
        Ok(found) => found,
        Err(halt) => return Ok(Err(Stopped { halt, loss: None })),
    };
    if let Some(stopped) = found.halt() {
        return Ok(Err(stopped));
    }
    let settled = settled(&found);
    let timeline = timeline(&found.local, &found.anchors);
    let Found {
        key,
        local,
        mut frontier,
        mut seen,
        ..
    } = found;
    key::publish(&places.dir, &key, timeline)?;
    // A folder's first checkpoint precedes its first row, so that rows without any can be told.
    let database = places.database();
    let first = (!database.exists()).then(|| sign(timeline, &frontier, &key, places, now));
    let first = first.transpose()?;
    let fault = |source| OpenFault::Database {
        path: database.clone(),
        source,
    };
    let connection = row::open_writer(&database).map_err(fault)?;
    let redone = match resume::first_entry(&places.dir, timeline) {
        Some((entry, bytes)) if entry.index == frontier.size() => {
            let leaf = row::insert(&connection, entry.index, &bytes).map_err(fault)?;
            seen.add(&entry.key, entry.index);
            frontier.push(leaf);
            true
        }
        _ => false,
    };
    let (signed, anchor_fault) = match (first, local) {
        (Some(first), _) if !redone => first,
        (None, Signed::Found(signed)) if settled && !redone => (signed, None),
        _ => sign(timeline, &frontier, &key, places, now)?,
    };
    Ok(Ok(Admitted {
        connection,
        frontier,
        seen,
        key,
        signed,
        anchor_fault,
    }))
}

/// Whether nothing has to be signed: rows, checkpoint and every anchor say the same.
fn settled(found: &Found) -> bool {
    let Signed::Found(local) = &found.local else {
        return false;
    };
    let same = |anchor: &Signed| matches!(anchor, Signed::Found(known) if known == local);
    local.size == found.disk.rows && found.anchors.iter().all(|(_, anchor)| same(anchor))
}

fn sign(
    timeline: Timeline,
    frontier: &Frontier,
    key: &SigningKey,
    places: &Places,
    now: Wall,
) -> Result<(Checkpoint, Option<String>), OpenFault> {
    let checkpoint = Checkpoint {
        timeline,
        size: frontier.size(),
        root: frontier.root(),
        at: now,
    };
    let anchor_fault = write_checkpoint(&checkpoint, key, places)
        .map_err(key::fault(&places.local(), "written"))?;
    Ok((checkpoint, anchor_fault))
}

/// What a checkpoint file holds.
pub(crate) fn read_signed(path: &Path, key: &PublicKey) -> Signed {
    let unreadable = |why: String| Signed::Unreadable { why };
    match file::read(path) {
        Ok(None) => Signed::Absent,
        Ok(Some(bytes)) => match std::str::from_utf8(&bytes) {
            Ok(text) => match Checkpoint::verify(text, key) {
                Ok(checkpoint) => Signed::Found(checkpoint),
                Err(fault) => unreadable(in_full(&fault)),
            },
            Err(_) => unreadable("it is not text".into()),
        },
        Err(fault) => unreadable(fault.to_string()),
    }
}

/// A fault with its cause, in one line.
fn in_full(fault: &dyn std::error::Error) -> String {
    match fault.source() {
        Some(source) => format!("{fault}: {source}"),
        None => fault.to_string(),
    }
}

fn sizes(local: &Signed, anchors: &[(String, Signed)]) -> BTreeSet<u64> {
    let all = anchors.iter().map(|(_, signed)| signed).chain([local]);
    let size = |signed: &Signed| match signed {
        Signed::Found(checkpoint) => Some(checkpoint.size),
        _ => None,
    };
    all.filter_map(size).collect()
}

/// Hashes every row, and keeps the roots at these sizes.
fn rows(database: &Path, sizes: &BTreeSet<u64>) -> Result<(Frontier, Seen, Disk), Halt> {
    let mut frontier = Frontier::default();
    let mut seen = Seen::default();
    let mut roots: BTreeMap<u64, Digest> = BTreeMap::new();
    let mut halt = None;
    keep_root(&frontier, sizes, &mut roots);
    if database.exists() {
        let unreadable = |fault: rusqlite::Error| Halt::Unreadable {
            what: database.display().to_string(),
            why: fault.to_string(),
        };
        let connection = row::open_reader(database).map_err(unreadable)?;
        row::scan(&connection, 0, u64::MAX, |row| {
            halt = misplaced(&row, frontier.size());
            if halt.is_none() {
                // A row that does not decode is found by its hash, or by whoever reads it.
                if let Ok(entry) = Entry::decode(&row.bytes) {
                    seen.add(&entry.key, row.index);
                }
                frontier.push(row.hash());
                keep_root(&frontier, sizes, &mut roots);
            }
            halt.is_none()
        })
        .map_err(unreadable)?;
    }
    let rows = frontier.size();
    roots.insert(rows, frontier.root());
    match halt {
        Some(halt) => Err(halt),
        None => Ok((frontier, seen, Disk { rows, roots })),
    }
}

fn keep_root(frontier: &Frontier, sizes: &BTreeSet<u64>, roots: &mut BTreeMap<u64, Digest>) {
    if sizes.contains(&frontier.size()) {
        roots.insert(frontier.size(), frontier.root());
    }
}

fn misplaced(row: &row::Row, expected: u64) -> Option<Halt> {
    (row.index != expected).then(|| Halt::Unreadable {
        what: format!("entry {expected}"),
        why: "it is missing, and later entries are there".into(),
    })
}
