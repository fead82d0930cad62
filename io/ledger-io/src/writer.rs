//! The one thread that numbers rows and makes them durable, many requests to a commit.

use crate::keeper::Shared;
use crate::queue::{ClosesOnDrop, Outcome, Queue, Rows};
use crate::row;
use crate::seen::Seen;
use crate::{AppendFault, Receipt};
use mainstay_ledger::{Entry, Frontier, IdempotencyKey, leaf_hash};
use rusqlite::{Connection, ErrorCode, Statement};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long the very first entry waits for its signature.
const FIRST_SIGNATURE: Duration = Duration::from_secs(2);

pub(crate) struct Writer {
    pub(crate) dir: PathBuf,
    pub(crate) queue: Arc<Queue>,
    pub(crate) frontier: Frontier,
    pub(crate) seen: Seen,
    pub(crate) shared: Arc<Shared>,
}

/// A commit under way: nothing of it is true before it is durable.
struct Draft<'a> {
    frontier: Frontier,
    new: HashMap<IdempotencyKey, u64>,
    seen: &'a Seen,
}

/// The statements that every commit uses.
struct Statements<'a> {
    connection: &'a Connection,
    begin: Statement<'a>,
    insert: Statement<'a>,
    find: Statement<'a>,
    commit: Statement<'a>,
}

impl Writer {
    /// Commits until the queue is closed.
    pub(crate) fn run(mut self, connection: &Connection) {
        let queue = ClosesOnDrop(Arc::clone(&self.queue));
        match Statements::prepare(connection) {
            Ok(mut statements) => {
                let mut expected = 0;
                while let Some(mut batch) = queue.0.take(expected) {
                    expected = batch.requests.len();
                    let outcome = match self.shared.halted() {
                        Some(why) => Err(AppendFault::Halted { why }),
                        None => self.commit(&mut statements, &mut batch.requests),
                    };
                    batch.settle(outcome);
                }
            }
            Err(fault) => self.shared.halt(&fault.to_string()),
        }
    }

    fn commit(&mut self, statements: &mut Statements<'_>, requests: &mut [Rows]) -> Outcome {
        let mut draft = Draft {
            frontier: self.frontier.clone(),
            new: HashMap::new(),
            seen: &self.seen,
        };
        match statements.record(&mut draft, requests) {
            Ok(receipts) => {
                let Draft { frontier, new, .. } = draft;
                let first = self.frontier.size() == 0 && frontier.size() > 0;
                self.frontier = frontier;
                for (key, &index) in &new {
                    self.seen.add(key, index);
                }
                self.shared.publish(&self.frontier);
                if first {
                    // Else a folder that is deleted within the first second would pass for a new one.
                    // When it cannot be signed the keeper says so and goes on trying.
                    self.shared.sign_now(FIRST_SIGNATURE);
                }
                Ok(receipts)
            }
            Err(fault) => {
                let rolled_back = statements.connection.is_autocommit()
                    || statements.connection.execute_batch("ROLLBACK").is_ok();
                Err(self.judge(&fault, rolled_back))
            }
        }
    }

    /// A full disk leaves a clean state behind; after any other failure nobody knows what is on the disk.
    fn judge(&self, fault: &rusqlite::Error, rolled_back: bool) -> AppendFault {
        if rolled_back && fault.sqlite_error_code() == Some(ErrorCode::DiskFull) {
            return AppendFault::DiskFull {
                dir: self.dir.clone(),
            };
        }
        let why = fault.to_string();
        self.shared.halt(&why);
        AppendFault::Halted { why }
    }
}

impl<'a> Statements<'a> {
    fn prepare(connection: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            insert: connection.prepare(row::INSERT)?,
            find: connection.prepare("SELECT bytes FROM entry WHERE idx = ?1")?,
            commit: connection.prepare("COMMIT")?,
        })
    }

    fn record(
        &mut self,
        draft: &mut Draft<'_>,
        requests: &mut [Rows],
    ) -> rusqlite::Result<Vec<Vec<Receipt>>> {
        self.begin.execute([])?;
        let mut receipts = Vec::with_capacity(requests.len());
        for rows in requests {
            let rows = rows.iter_mut();
            let rows = rows.map(|(key, bytes)| self.insert(draft, key, bytes));
            receipts.push(rows.collect::<rusqlite::Result<_>>()?);
        }
        self.commit.execute([])?;
        Ok(receipts)
    }

    fn insert(
        &mut self,
        draft: &mut Draft<'_>,
        key: &IdempotencyKey,
        bytes: &mut [u8],
    ) -> rusqlite::Result<Receipt> {
        if let Some(index) = self.recorded(draft, key)? {
            let fresh = false;
            return Ok(Receipt { index, fresh });
        }
        let index = draft.frontier.size();
        Entry::assign_index(bytes, index);
        let leaf = leaf_hash(bytes);
        self.insert.execute((signed(index), &leaf.0[..], &*bytes))?;
        draft.frontier.push(leaf);
        draft.new.insert(*key, index);
        Ok(Receipt { index, fresh: true })
    }

    /// The row that carries this key already.
    fn recorded(
        &mut self,
        draft: &Draft<'_>,
        key: &IdempotencyKey,
    ) -> rusqlite::Result<Option<u64>> {
        if let Some(&index) = draft.new.get(key) {
            return Ok(Some(index));
        }
        for index in draft.seen.places(key) {
            let bytes: Vec<u8> = self.find.query_row([signed(index)], |row| row.get(0))?;
            if Entry::decode(&bytes).is_ok_and(|entry| entry.key == *key) {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }
}

/// As `SQLite` counts.
fn signed(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}
