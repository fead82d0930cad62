//! Checking a folder with nothing but the folder.

use crate::VerifyFault;
use crate::file;
use crate::key;
use crate::open::read_signed;
use crate::row::{self, Row};
use crate::tile::read_tile;
use mainstay_atoms::{Digest, Wall};
use mainstay_ledger::{
    Checkpoint, Entry, Frontier, Signed, TILE_WIDTH, bundle_path, decode_bundle, root_of, tile_path,
};
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Entries that are there and in order.
    pub entries: u64,
    /// The root over them.
    pub root: Digest,
    /// The signed checkpoint, once its signature holds.
    pub checkpoint: Option<Checkpoint>,
    /// Entries whose second copy, in tiles and bundles, was compared.
    pub copied: u64,
    /// What is wrong, the lowest entry first; empty for a good ledger.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }

    /// The first entry known to be bad.
    pub fn first_bad(&self) -> Option<u64> {
        self.findings.iter().find_map(|finding| match finding {
            Finding::Entry { index, .. } | Finding::Copy { index, .. } => Some(*index),
            _ => None,
        })
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Finding {
    /// A row is bad or gone.
    #[error("entry {index}: {why}")]
    Entry {
        /// Its index.
        index: u64,
        /// What is wrong with it.
        why: String,
    },
    /// Row and second copy differ.
    #[error("`{}` differs from entry {index}", path.display())]
    Copy {
        /// The first entry that differs.
        index: u64,
        /// The tile or bundle.
        path: PathBuf,
    },
    /// Entries that were signed are gone.
    #[error("{found} entries are left of the {signed} that were signed at {}", signed_at.0)]
    FewerRows {
        /// Entries on disk.
        found: u64,
        /// Entries that the checkpoint names.
        signed: u64,
        /// When it was signed.
        signed_at: Wall,
    },
    /// The rows lead to another root than the signed one.
    #[error("the first {signed} entries lead to another root than the one that was signed")]
    OtherRoot {
        /// The checkpoint's size.
        signed: u64,
    },
    /// The checkpoint is gone or does not hold.
    #[error("the checkpoint cannot be trusted: {why}")]
    Checkpoint {
        /// Why.
        why: String,
    },
    /// The public key is gone or malformed.
    #[error("the public key `ledger.pub` is missing or malformed")]
    PublicKey,
    /// The database itself is damaged.
    #[error("the database is damaged: {why}")]
    Database {
        /// What it says.
        why: String,
    },
}

/// Checks the ledger in `dir`: hashes every stored payload again, compares rows, tiles and bundles,
/// and holds the root against the signed checkpoint and its public key. Reads only, also while a
/// writer is at work.
pub fn verify(dir: &Path) -> Result<Report, VerifyFault> {
    let database = dir.join("ledger.db");
    if !database.exists() && !dir.join("checkpoint").exists() {
        return Err(VerifyFault::Absent {
            dir: dir.to_owned(),
        });
    }
    let mut findings = Vec::new();
    // The checkpoint is read before the rows: rows may grow meanwhile, but never below it.
    let checkpoint = checkpoint(dir, &mut findings)?;
    let mut check = Check {
        dir,
        signed: checkpoint.map_or(0, |checkpoint| checkpoint.size),
        frontier: Frontier::default(),
        signed_root: Frontier::default().root(),
        tile: Vec::new(),
        level_one: Vec::new(),
        copied: 0,
        findings,
    };
    if let Err(fault) = check.database(&database) {
        let why = fault.to_string();
        check.findings.push(Finding::Database { why });
    }
    if let Some(checkpoint) = checkpoint {
        check.judge(&checkpoint);
    }
    check.findings.sort();
    Ok(Report {
        entries: check.frontier.size(),
        root: check.frontier.root(),
        checkpoint,
        copied: check.copied,
        findings: check.findings,
    })
}

fn checkpoint(dir: &Path, findings: &mut Vec<Finding>) -> Result<Option<Checkpoint>, VerifyFault> {
    let path = key::public_path(dir);
    file::read(&path).map_err(|source| VerifyFault::File { path, source })?;
    let Some(key) = key::public(dir) else {
        findings.push(Finding::PublicKey);
        return Ok(None);
    };
    let why = match read_signed(&dir.join("checkpoint"), &key) {
        Signed::Found(checkpoint) => return Ok(Some(checkpoint)),
        Signed::Absent => "it is missing".into(),
        Signed::Unreadable { why } => why,
    };
    findings.push(Finding::Checkpoint { why });
    Ok(None)
}

/// A check under way.
struct Check<'a> {
    dir: &'a Path,
    signed: u64,
    frontier: Frontier,
    signed_root: Digest,
    /// Rows of the tile that is being filled.
    tile: Vec<Row>,
    /// Roots of the full tiles of level 0 whose parent is being filled.
    level_one: Vec<Digest>,
    copied: u64,
    findings: Vec<Finding>,
}

/// Findings beyond this many help nobody.
const FINDINGS: usize = 100;

impl Check<'_> {
    fn database(&mut self, path: &Path) -> rusqlite::Result<()> {
        if !path.exists() {
            return Ok(());
        }
        let connection = row::open_reader(path)?;
        row::scan(&connection, 0, u64::MAX, |row| self.row(row))?;
        self.pages(&connection)
    }

    /// One row; false once it makes no sense to go on.
    fn row(&mut self, row: Row) -> bool {
        let index = self.frontier.size();
        if row.index != index {
            let why = "it is missing, and later entries are there".into();
            self.findings.push(Finding::Entry { index, why });
            return false;
        }
        if let Some(why) = defect(&row) {
            self.findings.push(Finding::Entry { index, why });
        }
        self.frontier.push(row.hash());
        if self.frontier.size() == self.signed {
            self.signed_root = self.frontier.root();
        }
        self.tile.push(row);
        if self.tile.len() as u64 == TILE_WIDTH {
            self.compare(index / TILE_WIDTH);
        }
        self.findings.len() < FINDINGS
    }

    /// Holds a full tile against its second copy, where there is one: the export lags behind.
    fn compare(&mut self, number: u64) {
        let rows = std::mem::take(&mut self.tile);
        let hashes: Vec<Digest> = rows.iter().map(Row::hash).collect();
        self.hashes(0, number, &hashes);
        let path = self.dir.join(bundle_path(number));
        if let Ok(Some(bytes)) = file::read(&path) {
            self.copied += rows.len() as u64;
            if let Some(at) = first_difference(&rows, &bytes) {
                let index = number * TILE_WIDTH + at;
                self.findings.push(Finding::Copy { index, path });
            }
        }
        self.level_one.push(root_of(&hashes));
        if self.level_one.len() as u64 == TILE_WIDTH {
            let hashes = std::mem::take(&mut self.level_one);
            self.hashes(1, number / TILE_WIDTH, &hashes);
        }
    }

    fn hashes(&mut self, level: u8, number: u64, hashes: &[Digest]) {
        let path = self.dir.join(tile_path(level, number));
        if !path.exists() {
            return;
        }
        let found = read_tile(self.dir, level, number).unwrap_or_default();
        let differs = |at: &usize| found.get(*at) != hashes.get(*at);
        if let Some(at) = (0..hashes.len()).find(differs) {
            let width = TILE_WIDTH.pow(u32::from(level));
            let index = (number * TILE_WIDTH + at as u64) * width;
            self.findings.push(Finding::Copy { index, path });
        }
    }

    /// `SQLite`'s own check of its pages, also those that no row shows.
    fn pages(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare("PRAGMA integrity_check(10)")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let why: String = row.get(0)?;
            if why != "ok" {
                self.findings.push(Finding::Database { why });
            }
        }
        Ok(())
    }

    fn judge(&mut self, checkpoint: &Checkpoint) {
        let found = self.frontier.size();
        if found < checkpoint.size {
            self.findings.push(Finding::FewerRows {
                found,
                signed: checkpoint.size,
                signed_at: checkpoint.at,
            });
        } else if self.signed_root != checkpoint.root {
            self.findings.push(Finding::OtherRoot {
                signed: checkpoint.size,
            });
        }
    }
}

/// What is wrong with a row by itself.
fn defect(row: &Row) -> Option<String> {
    if row.hash().0[..] != row.leaf {
        return Some("its bytes do not match their hash".into());
    }
    match Entry::decode(&row.bytes) {
        Err(fault) => Some(fault.to_string()),
        Ok(entry) if entry.index != row.index => Some("it says another index".into()),
        Ok(_) => None,
    }
}

fn first_difference(rows: &[Row], bundle: &[u8]) -> Option<u64> {
    let entries = decode_bundle(bundle).unwrap_or_default();
    let differs = |at: &usize| entries.get(*at).copied() != rows.get(*at).map(|row| &row.bytes[..]);
    (0..rows.len().max(entries.len()))
        .find(differs)
        .map(|at| at as u64)
}
