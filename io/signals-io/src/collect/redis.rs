//! A Redis server, with the names of the field's `redis_exporter`.

use super::Page;
use crate::config::Place;
use std::path::Path;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

/// Longest answer to `INFO`.
const ANSWER_MAX: usize = 1 << 20;

/// Fields of `INFO` that are counters or sizes: name there, name here, kind.
const FIELDS: [(&str, &str, &str); 34] = [
    ("uptime_in_seconds", "redis_uptime_in_seconds", "gauge"),
    ("connected_clients", "redis_connected_clients", "gauge"),
    ("blocked_clients", "redis_blocked_clients", "gauge"),
    ("maxclients", "redis_config_maxclients", "gauge"),
    ("used_memory", "redis_memory_used_bytes", "gauge"),
    ("used_memory_rss", "redis_memory_used_rss_bytes", "gauge"),
    ("used_memory_peak", "redis_memory_used_peak_bytes", "gauge"),
    ("maxmemory", "redis_memory_max_bytes", "gauge"),
    (
        "mem_fragmentation_ratio",
        "redis_mem_fragmentation_ratio",
        "gauge",
    ),
    (
        "total_connections_received",
        "redis_connections_received_total",
        "counter",
    ),
    (
        "total_commands_processed",
        "redis_commands_processed_total",
        "counter",
    ),
    (
        "rejected_connections",
        "redis_rejected_connections_total",
        "counter",
    ),
    (
        "total_net_input_bytes",
        "redis_net_input_bytes_total",
        "counter",
    ),
    (
        "total_net_output_bytes",
        "redis_net_output_bytes_total",
        "counter",
    ),
    (
        "instantaneous_ops_per_sec",
        "redis_instantaneous_ops_per_sec",
        "gauge",
    ),
    ("expired_keys", "redis_expired_keys_total", "counter"),
    ("evicted_keys", "redis_evicted_keys_total", "counter"),
    ("keyspace_hits", "redis_keyspace_hits_total", "counter"),
    ("keyspace_misses", "redis_keyspace_misses_total", "counter"),
    ("pubsub_channels", "redis_pubsub_channels", "gauge"),
    ("latest_fork_usec", "redis_latest_fork_usec", "gauge"),
    ("connected_slaves", "redis_connected_slaves", "gauge"),
    ("master_repl_offset", "redis_master_repl_offset", "gauge"),
    ("slave_repl_offset", "redis_slave_repl_offset", "gauge"),
    (
        "master_last_io_seconds_ago",
        "redis_master_last_io_seconds_ago",
        "gauge",
    ),
    (
        "rdb_changes_since_last_save",
        "redis_rdb_changes_since_last_save",
        "gauge",
    ),
    (
        "rdb_last_save_time",
        "redis_rdb_last_save_timestamp_seconds",
        "gauge",
    ),
    (
        "rdb_last_bgsave_time_sec",
        "redis_rdb_last_bgsave_duration_sec",
        "gauge",
    ),
    ("aof_enabled", "redis_aof_enabled", "gauge"),
    ("aof_current_size", "redis_aof_current_size_bytes", "gauge"),
    ("used_cpu_sys", "redis_cpu_sys_seconds_total", "counter"),
    ("used_cpu_user", "redis_cpu_user_seconds_total", "counter"),
    (
        "total_error_replies",
        "redis_total_error_replies",
        "counter",
    ),
    ("loading", "redis_loading_dump_file", "gauge"),
];

/// Fields of `INFO` that say whether something is well.
const STATES: [(&str, &str, &str); 4] = [
    (
        "rdb_last_bgsave_status",
        "redis_rdb_last_bgsave_status",
        "ok",
    ),
    ("aof_last_write_status", "redis_aof_last_write_status", "ok"),
    (
        "aof_last_bgrewrite_status",
        "redis_aof_last_bgrewrite_status",
        "ok",
    ),
    ("master_link_status", "redis_master_link_up", "up"),
];

/// What the server says; `redis_up` is zero where it says nothing.
pub(super) async fn page(place: &Place, user: &str, password_file: Option<&Path>) -> Page {
    let password = password_file.and_then(|path| std::fs::read_to_string(path).ok());
    let password = password.as_deref().map(|text| text.trim_end_matches('\n'));
    let answer = match place {
        Place::Tcp(address) => match TcpStream::connect(address).await {
            Ok(stream) => info(stream, user, password).await,
            Err(_) => None,
        },
        Place::Tls(address) => {
            let host = address
                .rsplit_once(':')
                .map_or(address.as_str(), |pair| pair.0);
            match TcpStream::connect(address).await {
                Ok(stream) => match crate::tls::begin(stream, host).await {
                    Ok(stream) => info(stream, user, password).await,
                    Err(_) => None,
                },
                Err(_) => None,
            }
        }
        Place::Unix(path) => match UnixStream::connect(path).await {
            Ok(stream) => info(stream, user, password).await,
            Err(_) => None,
        },
    };
    let mut page = Page::default();
    page.kind("redis_up", "gauge");
    page.put("redis_up", &[], f64::from(u8::from(answer.is_some())));
    put(&mut page, &answer.unwrap_or_default());
    page
}

fn command(out: &mut Vec<u8>, words: &[&str]) {
    out.extend(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
}

async fn info(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    user: &str,
    password: Option<&str>,
) -> Option<String> {
    let mut words = Vec::new();
    if let Some(password) = password {
        let user = if user.is_empty() { "default" } else { user };
        command(&mut words, &["AUTH", user, password]);
    }
    command(&mut words, &["INFO"]);
    stream.write_all(&words).await.ok()?;
    let mut answer = Vec::new();
    loop {
        if let Some(found) = bulk(&answer) {
            return Some(found);
        }
        // The answer to the login comes first, and a refusal of it ends the matter.
        if answer.first() == Some(&b'-') || answer.len() > ANSWER_MAX {
            return None;
        }
        if stream.read_buf(&mut answer).await.ok()? == 0 {
            return None;
        }
    }
}

/// The first whole text of an answer.
fn bulk(answer: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    let begin = if text.starts_with('$') {
        0
    } else {
        text.find("\r\n$")? + 2
    };
    let (length, rest) = text.get(begin + 1..)?.split_once("\r\n")?;
    let length: usize = length.parse().ok()?;
    rest.get(..length).map(str::to_owned)
}

fn put(page: &mut Page, info: &str) {
    let fields: Vec<(&str, &str)> = info
        .lines()
        .filter_map(|line| line.trim_end().split_once(':'))
        .collect();
    let find = |name: &str| {
        fields
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    };
    for (name, metric, kind) in FIELDS {
        if let Some(value) = find(name).and_then(|value| value.parse::<f64>().ok()) {
            page.kind(metric, kind);
            page.put(metric, &[], value);
        }
    }
    for (name, metric, good) in STATES {
        if let Some(value) = find(name) {
            page.kind(metric, "gauge");
            page.put(metric, &[], f64::from(u8::from(value == good)));
        }
    }
    for metric in ["redis_db_keys", "redis_db_keys_expiring"] {
        page.kind(metric, "gauge");
        for (name, value) in fields.iter().filter(|(name, _)| is_database(name)) {
            let wanted = if metric == "redis_db_keys" {
                "keys="
            } else {
                "expires="
            };
            let count = value.split(',').find_map(|part| part.strip_prefix(wanted));
            if let Some(count) = count.and_then(|count| count.parse::<f64>().ok()) {
                page.put(metric, &[("db", name)], count);
            }
        }
    }
    if let (Some(version), Some(role)) = (find("redis_version"), find("role")) {
        page.kind("redis_instance_info", "gauge");
        page.put(
            "redis_instance_info",
            &[("redis_version", version), ("role", role)],
            1.0,
        );
    }
}

fn is_database(name: &str) -> bool {
    let digits = name.strip_prefix("db");
    digits.is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_understood() {
        let info = "# Server\r\nredis_version:7.0.15\r\nrole:master\r\nused_memory:1024\r\n\
                    rdb_last_bgsave_status:err\r\ndb0:keys=5,expires=2,avg_ttl=0\r\n";
        let answer = format!("+OK\r\n${}\r\n{info}\r\n", info.len());
        assert_eq!(bulk(&answer.as_bytes()[..20]), None);
        let mut page = Page::default();
        put(&mut page, &bulk(answer.as_bytes()).unwrap());
        for expected in [
            "redis_memory_used_bytes 1024\n",
            "redis_rdb_last_bgsave_status 0\n",
            "redis_db_keys{db=\"db0\"} 5\n",
            "redis_db_keys_expiring{db=\"db0\"} 2\n",
            "redis_instance_info{redis_version=\"7.0.15\",role=\"master\"} 1\n",
        ] {
            assert!(
                page.text().contains(expected),
                "{expected} in {}",
                page.text()
            );
        }
    }
}
