//! How much waits in a queue: asked once, as the service that the queue is for.

use crate::client::Client as Postgres;
use crate::secret::Secret;
use mainstay_spec::Waiting;
use redis::{Client as Redis, Cmd, RedisError};
use std::time::Duration;

/// Longest wait for Redis to answer one command.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much waits, asked of the server behind a URL. Never answers a number that nobody counted.
pub(crate) fn count(url: &Secret, waiting: &Waiting) -> Result<u64, String> {
    match waiting {
        Waiting::Key(key) => elements(url, key).map_err(|fault| fault.to_string())?,
        Waiting::Query(query) => number(url, query),
    }
}

/// Elements of a key; one that is not there has none, for a list that was emptied is no more.
fn elements(url: &Secret, key: &str) -> Result<Result<u64, String>, RedisError> {
    let mut connection = Redis::open(url.reveal())?.get_connection_with_timeout(PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    let ask = |name: &str| Cmd::new().arg(name).arg(key).clone();
    let kind: String = ask("TYPE").query(&mut connection)?;
    let command = match kind.as_str() {
        "none" => return Ok(Ok(0)),
        "list" => "LLEN",
        "stream" => "XLEN",
        "set" => "SCARD",
        "zset" => "ZCARD",
        other => {
            return Ok(Err(format!(
                "`{key}` is a {other}, and not a list, stream or set"
            )));
        }
    };
    Ok(Ok(ask(command).query(&mut connection)?))
}

/// The one number that a query answers with, rounded up. It runs alone in a transaction that may only read.
fn number(url: &Secret, query: &str) -> Result<u64, String> {
    let client = Postgres::by_url(url.reveal()).map_err(|fault| fault.said())?;
    client
        .batch_execute("BEGIN READ ONLY")
        .map_err(|fault| fault.said())?;
    // The server itself refuses more than one row, column or statement; the line break ends a comment.
    let query = query.trim_end().trim_end_matches(';');
    let row = client
        .query_one(&format!("SELECT ({query}\n)::float8"))
        .map_err(|fault| fault.said())?;
    match row.get::<_, Option<f64>>(0) {
        None => Err("the query answers with nothing".into()),
        Some(number) => whole(number).ok_or_else(|| format!("the query answers with {number}")),
    }
}

/// Up to 2⁵³, below which every whole number is one of these.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "its range was looked at"
)]
fn whole(number: f64) -> Option<u64> {
    (0.0..=9_007_199_254_740_992.0)
        .contains(&number)
        .then(|| number.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn only_what_can_be_counted_is_a_number() {
        let rows = [
            (0.0, Some(0)),
            (2.1, Some(3)),
            (-1.0, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ];
        for (number, counted) in rows {
            assert_eq!(whole(number), counted, "{number}");
        }
    }
}
