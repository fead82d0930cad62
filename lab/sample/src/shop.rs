//! The part of the application that keeps data: orders, the worker that does them, and its jobs.
//!
//! With `DATABASE_URL` of PostgreSQL: `POST /orders` with `item=tea` writes a row, with `REDIS_URL` it
//! is queued as well; `GET /orders` lists them. `mainstay-sample worker` does what is queued, finishes
//! the one in hand when asked to end, and touches `$HOME/alive` while it works. `mainstay-sample
//! migrate` makes the tables, `digest` writes a report into the SQLite database of `REPORTS_URL`.
//! `GET /visits` counts in a SQLite database, `POST /uploads/NAME` keeps a file in `UPLOADS_DIR`.

use postgres::{Client, NoTls};
use redis::Commands as _;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The queue, what each worker has in hand, and that it lives.
const QUEUE: &str = "orders";
const DOING: &str = "orders:doing:";
const ALIVE: &str = "orders:alive:";

/// A worker that showed no life for so long is gone, and what it had in hand is queued again.
const GONE_AFTER_S: u64 = 30;

/// Longest wait for an item before the worker shows that it is alive.
const WAIT: f64 = 0.5;

/// From losing a store to the next try.
const AGAIN: Duration = Duration::from_millis(200);

/// What went wrong, for whoever reads the log.
pub(crate) type Failed = Box<dyn std::error::Error + Send + Sync>;

fn variable(name: &str) -> Result<String, Failed> {
    std::env::var(name).map_err(|_| format!("{name} is not set").into())
}

fn database() -> Result<Client, Failed> {
    Ok(Client::connect(&variable("DATABASE_URL")?, NoTls)?)
}

fn queue() -> Result<Option<redis::Connection>, Failed> {
    match std::env::var("REDIS_URL") {
        Ok(url) => Ok(Some(redis::Client::open(url)?.get_connection()?)),
        Err(_) => Ok(None),
    }
}

fn sqlite(name: &str) -> Result<Connection, Failed> {
    let url = variable(name)?;
    let path = url.strip_prefix("sqlite:").unwrap_or(&url);
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    Ok(connection)
}

/// Keeps an order; its number.
pub(crate) fn order(item: &str) -> Result<i64, Failed> {
    let mut database = database()?;
    let row = database.query_one(
        "INSERT INTO orders (item) VALUES ($1) RETURNING id",
        &[&item],
    )?;
    let id: i64 = row.get(0);
    if let Some(mut queue) = queue()? {
        queue.rpush::<_, _, ()>(QUEUE, id)?;
    }
    Ok(id)
}

/// The last orders, a line each.
pub(crate) fn orders() -> Result<String, Failed> {
    let rows = database()?.query(
        "SELECT id, item, done FROM orders ORDER BY id DESC LIMIT 20",
        &[],
    )?;
    let line = |row: &postgres::Row| {
        let (id, item, done): (i64, String, bool) = (row.get(0), row.get(1), row.get(2));
        format!("{id} {item} {}\n", if done { "done" } else { "queued" })
    };
    Ok(rows.iter().map(line).collect())
}

/// Counts visits in a file.
pub(crate) fn visits() -> Result<i64, Failed> {
    let database = sqlite("VISITS_URL")?;
    database
        .execute_batch("CREATE TABLE IF NOT EXISTS visits (at TEXT DEFAULT CURRENT_TIMESTAMP)")?;
    database.execute("INSERT INTO visits DEFAULT VALUES", ())?;
    Ok(database.query_row("SELECT count(*) FROM visits", (), |row| row.get(0))?)
}

/// Keeps a file; a name is letters, digits, dots and hyphens.
pub(crate) fn upload(name: &str, bytes: &[u8]) -> Result<usize, Failed> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        return Err("a name is letters, digits, dots and hyphens".into());
    }
    let folder = PathBuf::from(variable("UPLOADS_DIR")?);
    std::fs::write(folder.join(name), bytes)?;
    Ok(bytes.len())
}

/// Makes the tables. Doing it twice is doing it once.
pub(crate) fn migrate() -> Result<(), Failed> {
    database()?.batch_execute(
        "CREATE TABLE IF NOT EXISTS orders (
           id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
           item text NOT NULL,
           done boolean NOT NULL DEFAULT false,
           at timestamptz NOT NULL DEFAULT now())",
    )?;
    crate::log("the tables are there");
    Ok(())
}

/// Writes a line of the report.
pub(crate) fn digest() -> Result<(), Failed> {
    let row = database()?.query_one(
        "SELECT count(*), count(*) FILTER (WHERE done) FROM orders",
        &[],
    )?;
    let (all, done): (i64, i64) = (row.get(0), row.get(1));
    let reports = sqlite("REPORTS_URL")?;
    reports.execute_batch(
        "CREATE TABLE IF NOT EXISTS report (at TEXT DEFAULT CURRENT_TIMESTAMP, orders INT, done INT)",
    )?;
    reports.execute(
        "INSERT INTO report (orders, done) VALUES (?1, ?2)",
        (all, done),
    )?;
    crate::log(&format!("{all} orders, {done} done"));
    Ok(())
}

/// Does what is queued until it is asked to end; the item in hand is finished. A store that is away is
/// waited for.
pub(crate) fn work(ending: &AtomicBool) -> Result<(), Failed> {
    variable("REDIS_URL")?;
    variable("DATABASE_URL")?;
    while !ending.load(Ordering::Relaxed) {
        if let Err(fault) = connected(ending) {
            crate::log(&format!("connects again: {fault}"));
            std::thread::sleep(AGAIN);
        }
    }
    crate::log("asked to end; nothing is in hand");
    Ok(())
}

/// Works for as long as both stores answer.
fn connected(ending: &AtomicBool) -> Result<(), Failed> {
    let mut queue = queue()?.ok_or("REDIS_URL is not set")?;
    let mut database = database()?;
    let alive = std::env::var("HOME").map(|home| PathBuf::from(home).join("alive"));
    let own = std::env::var("MAINSTAY_INSTANCE").unwrap_or_else(|_| "worker".into());
    let doing = format!("{DOING}{own}");
    let takes = std::env::var("FAULT_WORK_MS").ok();
    let takes = Duration::from_millis(takes.and_then(|text| text.parse().ok()).unwrap_or(0));
    // What this worker had in hand when it was cut off.
    again(&mut queue, &doing)?;
    crate::log("the worker waits for orders");
    while !ending.load(Ordering::Relaxed) {
        if let Ok(alive) = &alive {
            std::fs::write(alive, "")?;
        }
        let until = GONE_AFTER_S + takes.as_secs();
        queue.set_ex::<_, _, ()>(format!("{ALIVE}{own}"), 1, until)?;
        for list in queue.keys::<_, Vec<String>>(format!("{DOING}*"))? {
            let name = list.trim_start_matches(DOING);
            if !queue.exists::<_, bool>(format!("{ALIVE}{name}"))? {
                again(&mut queue, &list)?;
            }
        }
        let next: Option<i64> = redis::cmd("BLMOVE")
            .arg(QUEUE)
            .arg(&doing)
            .arg("LEFT")
            .arg("RIGHT")
            .arg(WAIT)
            .query(&mut queue)?;
        let Some(id) = next else { continue };
        std::thread::sleep(takes);
        database.execute("UPDATE orders SET done = true WHERE id = $1", &[&id])?;
        queue.lrem::<_, _, ()>(&doing, 1, id)?;
        crate::log(&format!("{id} is done"));
    }
    Ok(())
}

/// Queues what is left in the hands of a worker that is gone.
fn again(queue: &mut redis::Connection, list: &str) -> Result<(), Failed> {
    while let Some(id) = queue.rpoplpush::<_, _, Option<i64>>(list, QUEUE)? {
        crate::log(&format!("{id} was cut off and is queued again"));
    }
    Ok(())
}
