//! Reading entries back, while a writer works or after a halt.

use crate::ReadFault;
use crate::row::{self, Row};
use mainstay_ledger::Entry;
use rusqlite::Connection;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// Rows fetched at a time, so that no long read keeps the write-ahead log from being reused.
const PAGE: u64 = 256;

/// Reads a ledger folder; never writes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    path: PathBuf,
}

impl Reader {
    /// Reads the ledger of this folder, whoever writes it.
    pub fn of(dir: &Path) -> Self {
        Self::new(dir)
    }

    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            path: dir.join("ledger.db"),
        }
    }

    /// The entries from this index on, as they stand when each page of them is read. A folder without a
    /// database gives none.
    pub fn entries(&self, from: u64) -> Entries {
        Entries {
            path: self.path.clone(),
            connection: None,
            page: VecDeque::new(),
            next: from,
            done: false,
        }
    }
}

/// Entries in order; stops after the first fault.
pub struct Entries {
    path: PathBuf,
    connection: Option<Connection>,
    page: VecDeque<Row>,
    next: u64,
    done: bool,
}

impl Entries {
    fn fill(&mut self) -> Result<(), ReadFault> {
        if self.connection.is_none() && !self.path.exists() {
            return Ok(());
        }
        let fault = |source| ReadFault::Database {
            path: self.path.clone(),
            source,
        };
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => row::open_reader(&self.path).map_err(fault)?,
        };
        let page = &mut self.page;
        row::scan(&connection, self.next, PAGE, |row| {
            page.push_back(row);
            true
        })
        .map_err(fault)?;
        self.connection = Some(connection);
        Ok(())
    }

    fn entry(&mut self, row: &Row) -> Result<Entry, ReadFault> {
        let index = self.next;
        if row.index != index {
            return Err(ReadFault::Missing { index });
        }
        self.next += 1;
        Entry::decode(&row.bytes).map_err(|source| ReadFault::Entry { index, source })
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, ReadFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if self.page.is_empty()
            && let Err(fault) = self.fill()
        {
            self.done = true;
            return Some(Err(fault));
        }
        let Some(row) = self.page.pop_front() else {
            self.done = true;
            return None;
        };
        let entry = self.entry(&row);
        self.done = entry.is_err();
        Some(entry)
    }
}
