//! Numbers rows and makes them durable, many requests to a commit: one committer at a time.

use crate::keeper::Shared;
use crate::queue::{Batch, ClosesOnDrop, ENDED, Outcome, Queue, Rows};
use crate::row;
use crate::seen::Seen;
use crate::{AppendFault, Receipt};
use mainstay_ledger::{Entry, Frontier, IdempotencyKey, leaf_hash};
use rusqlite::{CachedStatement, Connection, ErrorCode};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long the very first entry waits for its signature.
const FIRST_SIGNATURE: Duration = Duration::from_secs(2);

/// Whoever commits holds it: the caller whom nobody is before, or the writer's thread. `None` once closed.
pub(crate) struct Writer {
    committer: Mutex<Option<Committer>>,
    shared: Arc<Shared>,
}

/// The database and what it holds.
pub(crate) struct Committer {
    pub(crate) connection: Connection,
    pub(crate) dir: PathBuf,
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

/// The statements that every commit uses; the connection keeps them prepared.
struct Statements<'a> {
    begin: CachedStatement<'a>,
    insert: CachedStatement<'a>,
    find: CachedStatement<'a>,
    commit: CachedStatement<'a>,
}

impl Writer {
    pub(crate) fn new(committer: Committer, shared: Arc<Shared>) -> Self {
        let committer = Mutex::new(Some(committer));
        Self { committer, shared }
    }

    /// Commits what is gathered until the queue is closed: the writer's thread.
    pub(crate) fn run(&self, queue: &Arc<Queue>) {
        let queue = ClosesOnDrop(Arc::clone(queue));
        let mut expected = 0;
        while let Some(mut batch) = queue.0.take(expected) {
            expected = batch.requests.len();
            self.settle(&mut batch);
        }
    }

    /// Commits a batch and answers it.
    pub(crate) fn settle(&self, batch: &mut Batch) {
        match self.committer.lock() {
            Ok(mut committer) => {
                if let Some(committer) = committer.as_mut() {
                    let outcome = committer.settle(&mut batch.requests);
                    batch.settle(outcome);
                }
            }
            // After a panic within a commit nobody knows what is on the disk.
            Err(_) => self.shared.halt(ENDED),
        }
    }

    /// Gives up the database.
    pub(crate) fn close(&self) -> Option<Committer> {
        let committer = self.committer.lock();
        committer.unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Committer {
    fn settle(&mut self, requests: &mut [Rows]) -> Outcome {
        match self.shared.halted() {
            Some(why) => Err(AppendFault::Halted { why }),
            None => self.commit(requests),
        }
    }

    fn commit(&mut self, requests: &mut [Rows]) -> Outcome {
        let mut draft = Draft {
            frontier: self.frontier.clone(),
            new: HashMap::new(),
            seen: &self.seen,
        };
        let recorded = Statements::prepare(&self.connection)
            .and_then(|mut statements| statements.record(&mut draft, requests));
        match recorded {
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
                let rolled_back = self.connection.is_autocommit()
                    || self.connection.execute_batch("ROLLBACK").is_ok();
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
            begin: connection.prepare_cached("BEGIN IMMEDIATE")?,
            insert: connection.prepare_cached(row::INSERT)?,
            find: connection.prepare_cached("SELECT bytes FROM entry WHERE idx = ?1")?,
            commit: connection.prepare_cached("COMMIT")?,
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
