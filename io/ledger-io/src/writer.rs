//! The one thread that numbers rows and makes them durable, many requests to a commit.

use crate::keeper::Shared;
use crate::{AppendFault, Receipt};
use mainstay_ledger::{Entry, Frontier, IdempotencyKey, leaf_hash};
use rusqlite::{Connection, ErrorCode, Statement};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

/// Most rows in one commit: bounds the wait of the first of them.
const BATCH_ROWS: usize = 1024;

/// Rows that stand or fall together.
pub(crate) struct Request {
    pub(crate) rows: Vec<(IdempotencyKey, Vec<u8>)>,
    pub(crate) answer: SyncSender<Result<Vec<Receipt>, AppendFault>>,
}

pub(crate) enum Command {
    Append(Request),
    Close,
}

pub(crate) struct Writer {
    pub(crate) dir: PathBuf,
    pub(crate) queue: Receiver<Command>,
    pub(crate) frontier: Frontier,
    pub(crate) shared: Arc<Shared>,
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
    /// Commits until closed or all handles are gone.
    pub(crate) fn run(mut self, connection: &Connection) {
        match Statements::prepare(connection) {
            Ok(mut statements) => while self.turn(&mut statements) {},
            Err(fault) => self.shared.halt(&fault.to_string()),
        }
    }

    /// One commit; false once nothing more will come.
    fn turn(&mut self, statements: &mut Statements<'_>) -> bool {
        let Ok(first) = self.queue.recv() else {
            return false;
        };
        let mut batch = Vec::new();
        let mut rows = 0;
        let mut next = Some(first);
        while let Some(command) = next.take() {
            match command {
                Command::Close => {
                    self.settle(statements, batch);
                    return false;
                }
                Command::Append(request) => {
                    rows += request.rows.len();
                    batch.push(request);
                }
            }
            if rows < BATCH_ROWS {
                next = self.queue.try_recv().ok();
            }
        }
        self.settle(statements, batch);
        true
    }

    /// Commits and answers; a failed commit answers everybody with the same fault.
    fn settle(&mut self, statements: &mut Statements<'_>, mut batch: Vec<Request>) {
        if batch.is_empty() {
            return;
        }
        let outcome = match self.shared.halted() {
            Some(why) => Err(AppendFault::Halted { why }),
            None => self.commit(statements, &mut batch),
        };
        match outcome {
            Ok(receipts) => {
                for (request, receipts) in batch.iter().zip(receipts) {
                    answer(request, Ok(receipts));
                }
            }
            Err(fault) => batch
                .iter()
                .for_each(|request| answer(request, Err(fault.clone()))),
        }
    }

    fn commit(
        &mut self,
        statements: &mut Statements<'_>,
        batch: &mut [Request],
    ) -> Result<Vec<Vec<Receipt>>, AppendFault> {
        let mut frontier = self.frontier.clone();
        match statements.record(&mut frontier, batch) {
            Ok(receipts) => {
                self.frontier = frontier;
                self.shared.publish(&self.frontier);
                Ok(receipts)
            }
            Err(fault) => {
                // A transaction that cannot even be rolled back is caught by the halt below.
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

fn answer(request: &Request, outcome: Result<Vec<Receipt>, AppendFault>) {
    // Nobody waits when the requesting thread was ended; the row stands all the same.
    drop(request.answer.send(outcome));
}

impl<'a> Statements<'a> {
    fn prepare(connection: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            insert: connection.prepare(
                "INSERT INTO entry (idx, key, leaf, bytes) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (key) DO NOTHING",
            )?,
            find: connection.prepare("SELECT idx FROM entry WHERE key = ?1")?,
            commit: connection.prepare("COMMIT")?,
        })
    }

    fn record(
        &mut self,
        frontier: &mut Frontier,
        batch: &mut [Request],
    ) -> rusqlite::Result<Vec<Vec<Receipt>>> {
        self.begin.execute([])?;
        let mut receipts = Vec::with_capacity(batch.len());
        for request in batch {
            let rows = request.rows.iter_mut();
            let rows = rows.map(|(key, bytes)| self.insert(frontier, key, bytes));
            receipts.push(rows.collect::<rusqlite::Result<_>>()?);
        }
        self.commit.execute([])?;
        Ok(receipts)
    }

    fn insert(
        &mut self,
        frontier: &mut Frontier,
        key: &IdempotencyKey,
        bytes: &mut [u8],
    ) -> rusqlite::Result<Receipt> {
        let index = frontier.size();
        Entry::assign_index(bytes, index);
        let leaf = leaf_hash(bytes);
        let row = (
            i64::try_from(index).unwrap_or(i64::MAX),
            &key[..],
            &leaf.0[..],
            &*bytes,
        );
        if self.insert.execute(row)? == 1 {
            frontier.push(leaf);
            return Ok(Receipt { index, fresh: true });
        }
        let found: i64 = self.find.query_row([&key[..]], |row| row.get(0))?;
        Ok(Receipt {
            index: u64::try_from(found).unwrap_or(u64::MAX),
            fresh: false,
        })
    }
}
