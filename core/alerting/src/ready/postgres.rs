//! Rules about `PostgreSQL`; names of metrics are those of `postgres_exporter`.

use super::{Need, Ready};

const LATENCY: &str = "sum by (instance, datname) (rate(pg_stat_statements_seconds_total[5m])) / (sum by (instance, datname) (rate(pg_stat_statements_calls_total[5m])) > 0) > $limit";

const SECONDS: &str = "pg_stat_statements_seconds_total{instance=\"db\",datname=\"shop\"}";
const CALLS: &str = "pg_stat_statements_calls_total{instance=\"db\",datname=\"shop\"}";

pub(super) const RULES: &[Ready] = &[
    Ready::new("postgres-down", Need::Postgres, "pg_up == $limit", 0.0)
        .minutes(1)
        .critical("")
        .answers(&["N: service downtime: service down, any, critical (stores)"])
        .says(
            "PostgreSQL {{ $labels.instance }} does not answer",
            "`mainstay why STORE`, then its log: `mainstay logs STORE`. Never remove `postmaster.pid` while a server runs.",
        )
        .trial(5, &[("pg_up{instance=\"db\"}", "0x10")], &[("pg_up{instance=\"db\"}", "1x10")]),
    Ready::new("postgres-connections", Need::Postgres, "sum by (instance) (pg_stat_activity_count) > $limit", 80.0)
        .minutes(3)
        .answers(&["D: database connections in use (a count, of 200) > 80 for 3 min, technical"])
        .says(
            "{{ $value }} connections to {{ $labels.instance }} are open",
            "Who holds them: `select usename, state, count(*) from pg_stat_activity group by 1, 2`. Idle ones in a transaction come from a release that does not return them to its pool.",
        )
        .trial(
            10,
            &[("pg_stat_activity_count{instance=\"db\",state=\"active\"}", "50x10"), ("pg_stat_activity_count{instance=\"db\",state=\"idle\"}", "31x10")],
            &[("pg_stat_activity_count{instance=\"db\",state=\"active\"}", "50x10"), ("pg_stat_activity_count{instance=\"db\",state=\"idle\"}", "30x10")],
        ),
    Ready::new(
        "postgres-pool-exhausted",
        Need::Postgres,
        "sum by (instance) (pg_stat_activity_count) / max by (instance) (pg_settings_max_connections) > $limit",
        0.9,
    )
    .minutes(1)
    .critical("")
    .answers(&["O: connection pool exhausted: utilisation > 90 %, CRITICAL, auto-scale database connections"])
    .says(
        "{{ $value | humanizePercentage }} of the connections of {{ $labels.instance }} are in use",
        "Lower `replicas` or the pools of services, end idle sessions, then raise `max_connections`.",
    )
    .trial(
        5,
        &[("pg_stat_activity_count{instance=\"db\"}", "91x10"), ("pg_settings_max_connections{instance=\"db\"}", "100x10")],
        &[("pg_stat_activity_count{instance=\"db\"}", "89x10"), ("pg_settings_max_connections{instance=\"db\"}", "100x10")],
    ),
    Ready::new("postgres-latency", Need::Postgres, LATENCY, 0.5)
        .minutes(5)
        .answers(&["N: DB query latency, moderate > 500 ms, warning"])
        .says(
            "statements of {{ $labels.datname }} take {{ $value | humanizeDuration }} on average",
            "`mainstay top postgres` lists the slowest. A missing index, a lock, or a plan that changed after an upgrade are the usual causes.",
        )
        .trial(15, &[(SECONDS, "0+60x20"), (CALLS, "0+100x20")], &[(SECONDS, "0+40x20"), (CALLS, "0+100x20")]),
    Ready::new("postgres-latency-high", Need::Postgres, LATENCY, 1.0)
        .minutes(2)
        .critical("")
        .answers(&["N: DB query latency, high > 1 s, critical"])
        .says(
            "statements of {{ $labels.datname }} take {{ $value | humanizeDuration }} on average",
            "Look for locks first: `select * from pg_stat_activity where wait_event_type = 'Lock'`; then `mainstay top postgres`.",
        )
        .trial(15, &[(SECONDS, "0+110x20"), (CALLS, "0+100x20")], &[(SECONDS, "0+90x20"), (CALLS, "0+100x20")]),
    Ready::new("postgres-replication-lag", Need::Postgres, "pg_replication_lag_seconds > $limit", 30.0)
        .minutes(5)
        .says(
            "{{ $labels.instance }} is {{ $value | humanizeDuration }} behind its primary",
            "Check network and disk of the replica, and long statements on it that hold the replay. A failover now would lose what it lacks.",
        )
        .trial(10, &[("pg_replication_lag_seconds{instance=\"r\"}", "60x10")], &[("pg_replication_lag_seconds{instance=\"r\"}", "1x10")]),
    Ready::new("postgres-slot-behind", Need::Postgres, "pg_replication_slot_slot_current_wal_lsn - on (instance, slot_name) pg_replication_slot_slot_confirmed_flush_lsn > $limit", 1e9)
        .minutes(10)
        .says(
            "slot {{ $labels.slot_name }} of {{ $labels.instance }} holds {{ $value | humanize1024 }}B of WAL back",
            "Its reader is away. Bring it back or drop the slot, else the disk fills.",
        )
        .trial(
            15,
            &[("pg_replication_slot_slot_current_wal_lsn{instance=\"db\",slot_name=\"s\"}", "3000000000x20"), ("pg_replication_slot_slot_confirmed_flush_lsn{instance=\"db\",slot_name=\"s\"}", "1x20")],
            &[("pg_replication_slot_slot_current_wal_lsn{instance=\"db\",slot_name=\"s\"}", "3000000000x20"), ("pg_replication_slot_slot_confirmed_flush_lsn{instance=\"db\",slot_name=\"s\"}", "2999999999x20")],
        ),
    Ready::new("postgres-archiver-failing", Need::Postgres, "increase(pg_stat_archiver_failed_count[15m]) > $limit", 0.0)
        .critical("")
        .says(
            "WAL of {{ $labels.instance }} cannot be archived",
            "Point-in-time recovery ends here. `mainstay backup status` says why; check the bucket's key and space.",
        )
        .trial(5, &[("pg_stat_archiver_failed_count{instance=\"db\"}", "0 0 1x10")], &[("pg_stat_archiver_failed_count{instance=\"db\"}", "4x10")]),
    Ready::new("postgres-deadlocks", Need::Postgres, "increase(pg_stat_database_deadlocks[10m]) > $limit", 5.0)
        .says(
            "{{ $value | humanize }} deadlocks in {{ $labels.datname }} within ten minutes",
            "The log names both statements: take locks in one order in the application.",
        )
        .trial(15, &[("pg_stat_database_deadlocks{datname=\"shop\"}", "0+1x20")], &[("pg_stat_database_deadlocks{datname=\"shop\"}", "7x20")]),
    Ready::new("postgres-long-transaction", Need::Postgres, "max by (instance, datname) (pg_stat_activity_max_tx_duration{state!=\"idle\"}) > $limit", 1800.0)
        .minutes(1)
        .says(
            "a transaction in {{ $labels.datname }} is open for {{ $value | humanizeDuration }}",
            "It keeps vacuum from cleaning and holds locks. Find it in `pg_stat_activity`, end it with `pg_terminate_backend(pid)`.",
        )
        .trial(5, &[("pg_stat_activity_max_tx_duration{datname=\"shop\",state=\"active\"}", "3600x10")], &[("pg_stat_activity_max_tx_duration{datname=\"shop\",state=\"active\"}", "5x10")]),
    Ready::new("postgres-wraparound", Need::Postgres, "max by (instance, datname) (pg_database_wraparound_age_datfrozenxid_seconds) > $limit", 1e9)
        .minutes(5)
        .critical("")
        .says(
            "{{ $labels.datname }} nears the end of its transaction numbers",
            "Run `vacuum (freeze, verbose)` on the oldest tables; look for abandoned replication slots and prepared transactions.",
        )
        .trial(10, &[("pg_database_wraparound_age_datfrozenxid_seconds{datname=\"shop\"}", "1500000000x10")], &[("pg_database_wraparound_age_datfrozenxid_seconds{datname=\"shop\"}", "20000000x10")]),
];
