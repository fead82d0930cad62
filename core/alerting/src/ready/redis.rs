//! Rules about Redis; names of metrics are those of `redis_exporter`.

use super::{Need, Ready};

pub(super) const RULES: &[Ready] = &[
    Ready::new("redis-down", Need::Redis, "redis_up == $limit", 0.0)
        .minutes(1)
        .critical("")
        .says(
            "Redis {{ $labels.instance }} does not answer",
            "`mainstay why STORE`, `mainstay logs STORE`. Services that can do without their cache should say so in `ready:`.",
        )
        .trial(5, &[("redis_up{instance=\"c\"}", "0x10")], &[("redis_up{instance=\"c\"}", "1x10")]),
    Ready::new("redis-memory", Need::Redis, "redis_memory_used_bytes / (redis_memory_max_bytes > 0) > $limit", 0.8)
        .minutes(5)
        .answers(&["O: Redis memory used > 80 %, WARNING, investigate hit ratios"])
        .says(
            "Redis {{ $labels.instance }} uses {{ $value | humanizePercentage }} of its memory",
            "Look at the share of hits (`redis_keyspace_hits_total` against `…misses_total`) and at keys without an end: `redis-cli --bigkeys`. Then raise `memory:` in the file.",
        )
        .trial(
            10,
            &[("redis_memory_used_bytes{instance=\"c\"}", "81x10"), ("redis_memory_max_bytes{instance=\"c\"}", "100x10")],
            &[("redis_memory_used_bytes{instance=\"c\"}", "79x10"), ("redis_memory_max_bytes{instance=\"c\"}", "100x10")],
        ),
    Ready::new(
        "redis-hit-ratio",
        Need::Redis,
        "sum by (instance) (rate(redis_keyspace_hits_total[15m])) / (sum by (instance) (rate(redis_keyspace_hits_total[15m]) + rate(redis_keyspace_misses_total[15m])) > 1) < $limit",
        0.5,
    )
    .minutes(30)
    .says(
        "only {{ $value | humanizePercentage }} of the look-ups in {{ $labels.instance }} find something",
        "Keys end too early, or the memory is too small and they are evicted. Compare with the release before.",
    )
    .trial(
        60,
        &[("redis_keyspace_hits_total{instance=\"c\"}", "0+60x70"), ("redis_keyspace_misses_total{instance=\"c\"}", "0+600x70")],
        &[("redis_keyspace_hits_total{instance=\"c\"}", "0+600x70"), ("redis_keyspace_misses_total{instance=\"c\"}", "0+60x70")],
    ),
    Ready::new("redis-evicts", Need::Redis, "increase(redis_evicted_keys_total[10m]) > $limit", 1000.0)
        .says(
            "Redis {{ $labels.instance }} threw {{ $value | humanize }} keys away within ten minutes",
            "Its memory is full. If it holds more than a cache, data is being lost: raise `memory:`.",
        )
        .trial(15, &[("redis_evicted_keys_total{instance=\"c\"}", "0+200x20")], &[("redis_evicted_keys_total{instance=\"c\"}", "0+1x20")]),
    Ready::new("redis-refuses", Need::Redis, "increase(redis_rejected_connections_total[5m]) > $limit", 0.0)
        .says(
            "Redis {{ $labels.instance }} refuses connections",
            "`maxclients` is reached: look for a service that opens connections without end.",
        )
        .trial(5, &[("redis_rejected_connections_total{instance=\"c\"}", "0 0 2x10")], &[("redis_rejected_connections_total{instance=\"c\"}", "2x10")]),
    Ready::new("redis-save-failing", Need::Redis, "redis_rdb_last_bgsave_status == $limit", 0.0)
        .minutes(5)
        .says(
            "Redis {{ $labels.instance }} cannot write its snapshot",
            "Check the disk's space and that memory can be overcommitted; the log names the cause.",
        )
        .trial(10, &[("redis_rdb_last_bgsave_status{instance=\"c\"}", "0x10")], &[("redis_rdb_last_bgsave_status{instance=\"c\"}", "1x10")]),
    Ready::new("redis-replica-away", Need::Redis, "redis_master_link_up == $limit", 0.0)
        .minutes(2)
        .says(
            "replica {{ $labels.instance }} has lost its primary",
            "Check the network between both; the replica serves what it had.",
        )
        .trial(5, &[("redis_master_link_up{instance=\"c\"}", "0x10")], &[("redis_master_link_up{instance=\"c\"}", "1x10")]),
];
