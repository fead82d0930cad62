//! A PostgreSQL server, with the names of the field's `postgres_exporter`.

use super::Page;
use std::path::Path;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// What is asked: the prefix of the metrics, how many leading columns are labels, the kind of the others.
struct Question {
    prefix: &'static str,
    labels: usize,
    kind: &'static str,
    sql: &'static str,
}

const QUESTIONS: [Question; 15] = [
    Question {
        prefix: "pg_stat_database",
        labels: 2,
        kind: "counter",
        sql: "SELECT datid, datname, xact_commit, xact_rollback, blks_read, blks_hit, tup_returned, \
              tup_fetched, tup_inserted, tup_updated, tup_deleted, conflicts, temp_files, temp_bytes, \
              deadlocks, blk_read_time, blk_write_time FROM pg_stat_database WHERE datname IS NOT NULL",
    },
    Question {
        prefix: "pg_stat_database",
        labels: 2,
        kind: "gauge",
        sql: "SELECT datid, datname, numbackends FROM pg_stat_database WHERE datname IS NOT NULL",
    },
    Question {
        prefix: "pg_database",
        labels: 1,
        kind: "gauge",
        sql: "SELECT datname, pg_database_size(datname) AS size_bytes FROM pg_database \
              WHERE datallowconn AND has_database_privilege(datname, 'CONNECT')",
    },
    Question {
        prefix: "pg_stat_activity",
        labels: 2,
        kind: "gauge",
        sql: "SELECT datname, state, count(*) AS count, \
              coalesce(max(extract(epoch FROM now() - xact_start)), 0) AS max_tx_duration \
              FROM pg_stat_activity WHERE datname IS NOT NULL AND state IS NOT NULL GROUP BY 1, 2",
    },
    Question {
        prefix: "pg_locks",
        labels: 2,
        kind: "gauge",
        sql: "SELECT d.datname, lower(l.mode) AS mode, count(*) AS count FROM pg_locks l \
              JOIN pg_database d ON d.oid = l.database GROUP BY 1, 2",
    },
    Question {
        prefix: "pg_settings",
        labels: 0,
        kind: "gauge",
        sql: "SELECT current_setting('max_connections')::int AS max_connections, \
              current_setting('superuser_reserved_connections')::int AS superuser_reserved_connections",
    },
    Question {
        prefix: "pg_replication",
        labels: 0,
        kind: "gauge",
        sql: "SELECT CASE WHEN NOT pg_is_in_recovery() THEN 0 \
              WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 \
              ELSE greatest(0, extract(epoch FROM now() - pg_last_xact_replay_timestamp())) END AS lag_seconds, \
              pg_is_in_recovery()::int AS is_replica",
    },
    Question {
        prefix: "pg_stat_replication",
        labels: 3,
        kind: "gauge",
        sql: "SELECT application_name, client_addr, state, pg_wal_lsn_diff(\
              CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, \
              replay_lsn) AS pg_wal_lsn_diff FROM pg_stat_replication",
    },
    Question {
        prefix: "pg_replication_slot",
        labels: 1,
        kind: "gauge",
        sql: "SELECT slot_name, pg_wal_lsn_diff(\
              CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, \
              '0/0') AS slot_current_wal_lsn, \
              pg_wal_lsn_diff(coalesce(confirmed_flush_lsn, restart_lsn), '0/0') AS slot_confirmed_flush_lsn, \
              active::int AS slot_is_active FROM pg_replication_slots",
    },
    Question {
        prefix: "pg_database_wraparound",
        labels: 1,
        kind: "gauge",
        sql: "SELECT datname, age(datfrozenxid) AS age_datfrozenxid_seconds, \
              mxid_age(datminmxid) AS age_datminmxid_seconds FROM pg_database WHERE datallowconn",
    },
    Question {
        prefix: "pg_stat_archiver",
        labels: 0,
        kind: "counter",
        sql: "SELECT archived_count, failed_count, \
              extract(epoch FROM now() - last_archived_time) AS last_archive_age FROM pg_stat_archiver",
    },
    Question {
        prefix: "pg_postmaster",
        labels: 0,
        kind: "gauge",
        sql: "SELECT extract(epoch FROM pg_postmaster_start_time()) AS start_time_seconds",
    },
    Question {
        prefix: "pg_stat_user_tables",
        labels: 3,
        kind: "counter",
        sql: "SELECT current_database() AS datname, schemaname, relname, seq_scan, seq_tup_read, idx_scan, \
              idx_tup_fetch, n_tup_ins, n_tup_upd, n_tup_del, n_live_tup, n_dead_tup, \
              pg_table_size(relid) AS table_size_bytes, pg_indexes_size(relid) AS index_size_bytes, \
              extract(epoch FROM coalesce(greatest(last_autovacuum, last_vacuum), 'epoch')) AS last_autovacuum \
              FROM pg_stat_user_tables ORDER BY pg_total_relation_size(relid) DESC LIMIT 200",
    },
    Question {
        prefix: "pg_stat_user_indexes",
        labels: 4,
        kind: "counter",
        sql: "SELECT current_database() AS datname, schemaname, relname, indexrelname, idx_scan, \
              pg_relation_size(indexrelid) AS size_bytes \
              FROM pg_stat_user_indexes ORDER BY pg_relation_size(indexrelid) DESC LIMIT 200",
    },
    Question {
        prefix: "pg_stat_statements",
        labels: 3,
        kind: "counter",
        sql: "SELECT pg_get_userbyid(userid) AS \"user\", datname, queryid, calls AS calls_total, \
              total_exec_time / 1000 AS seconds_total, rows AS rows_total FROM pg_stat_statements s \
              JOIN pg_database d ON d.oid = s.dbid ORDER BY total_exec_time DESC LIMIT 50",
    },
];

/// A connection that is kept between two looks.
#[derive(Default)]
pub(super) struct Session(Option<Client>);

impl Session {
    /// What the server says; `pg_up` is zero where it says nothing.
    pub(super) async fn page(&mut self, connection: &str, password_file: Option<&Path>) -> Page {
        if self.0.as_ref().is_none_or(Client::is_closed) {
            self.0 = connect(connection, password_file).await;
        }
        let mut page = Page::default();
        page.kind("pg_up", "gauge");
        let Some(client) = &self.0 else {
            page.put("pg_up", &[], 0.0);
            return page;
        };
        let mut answered = false;
        for question in &QUESTIONS {
            // One that is not permitted, or not known to this version, leaves the others.
            if let Ok(rows) = client.simple_query(question.sql).await {
                answered = true;
                put(&mut page, question, &rows);
            }
        }
        page.put("pg_up", &[], f64::from(u8::from(answered)));
        page
    }
}

async fn connect(connection: &str, password_file: Option<&Path>) -> Option<Client> {
    let mut config: tokio_postgres::Config = connection.parse().ok()?;
    if let Some(path) = password_file {
        let password = std::fs::read_to_string(path).ok()?;
        config.password(password.trim_end_matches('\n'));
    }
    config.application_name("mainstay-signals");
    // A query that hangs must not hold up the server.
    config.options("-c statement_timeout=5000 -c lock_timeout=1000");
    let (client, connection) = config.connect(NoTls).await.ok()?;
    // Its end is seen by the client.
    drop(tokio::spawn(connection));
    Some(client)
}

fn put(page: &mut Page, question: &Question, rows: &[SimpleQueryMessage]) {
    let rows: Vec<_> = rows
        .iter()
        .filter_map(|row| match row {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        })
        .collect();
    let Some(first) = rows.first() else {
        return;
    };
    for (place, column) in first.columns().iter().enumerate().skip(question.labels) {
        let metric = format!("{}_{}", question.prefix, column.name());
        page.kind(&metric, question.kind);
        for row in &rows {
            let value = row.get(place).and_then(|text| text.parse::<f64>().ok());
            let Some(value) = value else {
                continue;
            };
            let labels: Vec<(&str, &str)> = (0..question.labels)
                .map(|label| {
                    (
                        first.columns()[label].name(),
                        row.get(label).unwrap_or_default(),
                    )
                })
                .collect();
            page.put(&metric, &labels, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::QUESTIONS;
    use mainstay_alerting::ready;

    /// Whether a question answers with a metric of this name.
    fn is_told(metric: &str) -> bool {
        let tells = |question: &super::Question| {
            let column = metric.strip_prefix(question.prefix)?.strip_prefix('_')?;
            let mut words = question
                .sql
                .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            words.any(|word| word == column).then_some(())
        };
        QUESTIONS.iter().any(|question| tells(question).is_some())
    }

    #[test]
    fn rules_that_come_with_mainstay_ask_for_what_is_told() {
        let mut count = 0;
        for rule in ready::all().filter(|rule| rule.waits_for.is_empty()) {
            let words = rule
                .expr
                .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            for metric in words.filter(|word| word.starts_with("pg_") && *word != "pg_up") {
                count += 1;
                assert!(is_told(metric), "{}: nobody tells `{metric}`", rule.id);
            }
        }
        assert!(count >= 8, "only {count} metrics were found");
        assert!(!is_told("pg_database_nothing"));
    }
}
