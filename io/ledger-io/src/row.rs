//! Rows of the database.

use mainstay_atoms::Digest;
use mainstay_ledger::leaf_hash;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// `leaf` names the bad row when the root differs; it vouches for nothing.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS entry (
        idx INTEGER PRIMARY KEY,
        leaf BLOB NOT NULL,
        bytes BLOB NOT NULL
    ) STRICT;";

/// Stores a row: index, hash, bytes.
pub(crate) const INSERT: &str = "INSERT INTO entry (idx, leaf, bytes) VALUES (?1, ?2, ?3)";

/// Pages in the write-ahead log before they move into the database: 16 MiB, so that a burst is not
/// interrupted by a checkpoint every few milliseconds.
const WAL_PAGES: u32 = 4096;

/// How long a statement waits for a checkpoint or reader: far above any real one.
const BUSY: Duration = Duration::from_secs(10);

/// One stored row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) index: u64,
    pub(crate) leaf: Vec<u8>,
    pub(crate) bytes: Vec<u8>,
}

/// Opens the database for the writer, and makes everything durable that an earlier one left in the log.
pub(crate) fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.query_row("PRAGMA journal_mode=WAL", [], |_| Ok(()))?;
    connection.execute_batch("PRAGMA synchronous=FULL")?;
    connection.query_row(
        &format!("PRAGMA wal_autocheckpoint={WAL_PAGES}"),
        [],
        |_| Ok(()),
    )?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.execute_batch(SCHEMA)?;
    Ok(connection)
}

/// Stores one row by itself, durably; its hash.
pub(crate) fn insert(
    connection: &Connection,
    index: u64,
    bytes: &[u8],
) -> rusqlite::Result<Digest> {
    let leaf = leaf_hash(bytes);
    let index = i64::try_from(index).unwrap_or(i64::MAX);
    connection.execute(INSERT, (index, &leaf.0[..], bytes))?;
    Ok(leaf)
}

/// Opens the database for reading; a copy on a read-only file system opens too, when no log is beside it.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    let readable = |connection: &Connection| {
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
    };
    let Err(fault) = readable(&connection) else {
        return Ok(connection);
    };
    let unwritable = matches!(
        fault.sqlite_error_code(),
        Some(rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::ReadOnly)
    );
    if !unwritable || path.with_extension("db-wal").exists() {
        return Err(fault);
    }
    let uri = format!("file:{}?immutable=1", escaped(path));
    let connection = Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?;
    readable(&connection).map(|()| connection)
}

/// A path as a URI has it.
fn escaped(path: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    let mut text = String::new();
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02x}").expect("a String takes everything");
        }
    }
    text
}

/// Calls `each` for every row from `from` on, in order, until it says no.
pub(crate) fn scan(
    connection: &Connection,
    from: u64,
    limit: u64,
    mut each: impl FnMut(Row) -> bool,
) -> rusqlite::Result<()> {
    let mut statement = connection
        .prepare("SELECT idx, leaf, bytes FROM entry WHERE idx >= ?1 ORDER BY idx LIMIT ?2")?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query((i64::try_from(from).unwrap_or(i64::MAX), limit))?;
    while let Some(row) = rows.next()? {
        let row = Row {
            index: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(u64::MAX),
            leaf: row.get(1)?,
            bytes: row.get(2)?,
        };
        if !each(row) {
            break;
        }
    }
    Ok(())
}

impl Row {
    /// The hash of the bytes as they are now.
    pub(crate) fn hash(&self) -> Digest {
        leaf_hash(&self.bytes)
    }
}
