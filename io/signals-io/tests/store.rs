//! Collectors against real servers; where one is not installed the test says so.

mod support;

use mainstay_signals_io::{Collector, CollectorKind, Config, Place};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use support::{Signals, config, until};

/// A server that ends with its test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let folders = debian.map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = folders
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        skipped(name);
    }
    found
}

#[expect(clippy::print_stderr, reason = "a test says what it does not do")]
fn skipped(name: &str) {
    eprintln!("skipped: `{name}` is not installed");
}

fn collector(kind: CollectorKind) -> Config {
    let collector = Collector {
        job: "store".into(),
        instance: "db".into(),
        labels: BTreeMap::new(),
        every_ms: 300,
        kind,
    };
    Config {
        collectors: vec![collector],
        ..config(1, Vec::new())
    }
}

#[test]
fn redis_is_measured() {
    let Some(program) = program("redis-server") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("redis.sock");
    std::fs::write(folder.path().join("password"), "pass word\n").unwrap();
    std::fs::write(
        folder.path().join("redis.conf"),
        "requirepass \"pass word\"\n",
    )
    .unwrap();
    let child = Command::new(program)
        .arg(folder.path().join("redis.conf"))
        .args(["--port", "0", "--save", "", "--unixsocket"])
        .arg(&socket)
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn();
    let _server = Server(child.unwrap());
    until("redis listens", || socket.exists());
    let signals = Signals::start();
    signals.configure(&collector(CollectorKind::Redis {
        place: Place::Unix(socket),
        user: String::new(),
        password_file: Some(folder.path().join("password")),
    }));
    signals.sees("redis_up{job=\"store\",instance=\"db\"}", 1.0);
    assert!(signals.value("redis_memory_used_bytes") > 1e5);
    assert!(signals.value("redis_commands_processed_total") >= 1.0);
    signals.sees("redis_instance_info{role=\"master\"}", 1.0);
}

/// Runs a program as a user that PostgreSQL accepts.
fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new(program);
    if rustix::process::geteuid().is_root() {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
        let line = passwd.lines().find(|line| line.starts_with("postgres:"));
        let words: Vec<&str> = line.expect("a user `postgres`").split(':').collect();
        std::os::unix::process::CommandExt::uid(&mut command, words[2].parse().unwrap());
        std::os::unix::process::CommandExt::gid(&mut command, words[3].parse().unwrap());
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

#[test]
fn postgres_is_measured() {
    let (Some(initdb), Some(postgres)) = (program("initdb"), program("postgres")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let data = folder.path().join("data");
    let made = as_postgres(&initdb)
        .args([
            "--no-sync",
            "--username=postgres",
            "--auth=trust",
            "--pgdata",
        ])
        .arg(&data)
        .current_dir(folder.path())
        .status();
    assert!(made.unwrap().success());
    let child = as_postgres(&postgres)
        .args(["-c", "listen_addresses=", "-c", "fsync=off", "-k"])
        .arg(folder.path())
        .arg("-D")
        .arg(&data)
        .current_dir(folder.path())
        .spawn();
    let _server = Server(child.unwrap());
    let signals = Signals::start();
    signals.configure(&collector(CollectorKind::Postgres {
        connection: format!(
            "host={} user=postgres dbname=postgres",
            folder.path().display()
        ),
        password_file: None,
    }));
    signals.sees("pg_up{job=\"store\",instance=\"db\"}", 1.0);
    signals.sees("pg_settings_max_connections", 100.0);
    assert!(signals.value("pg_stat_database_xact_commit{datname=\"postgres\"}") >= 1.0);
    assert!(signals.value("pg_database_size_bytes{datname=\"postgres\"}") > 1e6);
    assert!(signals.value("pg_stat_activity_count{datname=\"postgres\",state=\"active\"}") >= 1.0);
    signals.sees("pg_replication_is_replica", 0.0);
    signals.sees("pg_stat_archiver_failed_count", 0.0);
    assert!(signals.value("sum(pg_locks_count)") >= 1.0);
    assert!(signals.value("pg_postmaster_start_time_seconds") > 1e9);
}
