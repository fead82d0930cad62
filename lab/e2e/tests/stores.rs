//! A platform with its data: what serves never touches a store, what is removed keeps its data, and
//! what dies comes back with every acknowledged row.

use mainstay_e2e::{Platform, Process, get, traffic, until};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;

fn shop(name: &str) -> Platform {
    let platform = Platform::shop(name);
    platform.up();
    platform
}

/// An order that was acknowledged; its number.
fn order(platform: &Platform, item: &str) -> Option<u64> {
    let answer = traffic::post_with(platform.port, "/orders", &format!("item={item}")).ok()?;
    let number: String = answer.body.chars().filter(char::is_ascii_digit).collect();
    number.parse().ok().filter(|_| answer.status < 300)
}

#[track_caller]
fn orders(platform: &Platform, count: usize) -> BTreeSet<u64> {
    (0..count)
        .map(|_| until("an order", || order(platform, "tea")))
        .collect()
}

/// Waits until the list shows all of these, done by the worker.
#[track_caller]
fn done(platform: &Platform, wanted: &BTreeSet<u64>) {
    until("orders to be done", || {
        let list = get(platform.port, "/orders").ok()?.body;
        let all = wanted.iter().all(|number| {
            let line = format!("{number} tea done");
            list.lines().any(|one| one == line)
        });
        all.then_some(())
    });
}

#[test]
fn the_walk_of_a_shop() {
    let platform = shop("walk");
    let wanted = orders(&platform, 3);
    done(&platform, &wanted);
    let status = platform.run(&["status"]).exits(0);
    status.says(&[
        "STORE",
        "postgres 15",
        "redis 7",
        "sqlite",
        "volume",
        "worker",
    ]);
    let jobs = platform.run(&["jobs"]).exits(0);
    jobs.says(&[
        "migrate",
        "before web",
        "digest",
        "30 6 * * * Europe/Berlin",
        "never",
    ]);
    let run = platform.run(&["jobs", "run", "digest"]).exits(0);
    run.says(&["digest.v1.1 ok", "3 orders, 3 done"]);
    platform
        .run(&["logs", "digest"])
        .exits(0)
        .says(&["3 orders"]);
    let shown = platform.run(&["jobs", "show", "digest.v1.1"]).exits(0);
    shown.says(&["digest.v1.1", "asked", "ok", "3 orders, 3 done"]);
    let shown = platform.run(&["jobs", "show", "migrate"]).exits(0);
    shown.says(&["migrate.v1.1", "before v1", "ok"]);
    let kept = traffic::post_with(platform.port, "/uploads/note.txt", "hello").expect("an answer");
    assert!(kept.status < 300, "{kept:?}");
    let upload = platform.state().join("stores/uploads/data/note.txt");
    assert_eq!(fs::read_to_string(upload).expect("the upload"), "hello");
    let doctor = platform.run(&["doctor"]);
    doctor.says(&["postgres", "PostgreSQL) 15", "for db", "redis", "for cache"]);
    platform
        .run(&["logs", "db"])
        .exits(0)
        .says(&["ready to accept connections"]);
    platform
        .run(&["why", "db"])
        .exits(0)
        .says(&["db (postgres 15) is ready"]);

    // A deploy of services touches no store, and neither do holds and the way back.
    let (db, cache) = (platform.server("db"), platform.server("cache"));
    platform.edit(
        "health: { path: /healthz }",
        "health: { path: /healthz }\n    env: { GREETING: good morning }",
    );
    let plan = platform.run(&["plan"]).exits(3);
    plan.says(&["stores cache, db, reports, uploads are not touched"]);
    platform.run(&["deploy"]).exits(0);
    assert!(platform.front().starts_with("good morning"));
    platform.run(&["rollback"]).exits(0);
    platform.steady();
    assert!(db.runs() && cache.runs());
    assert_eq!(
        (platform.server("db"), platform.server("cache")),
        (db, cache)
    );
    no_password_shows(&platform);
    platform.run(&["down"]).exits(0);
    assert_eq!(platform.processes(), vec![], "no orphan");
    platform.up();
    done(&platform, &wanted);
}

/// No generated password is anywhere but in `secrets/` and in the environment of those who are told.
#[track_caller]
fn no_password_shows(platform: &Platform) {
    let secrets = platform.state().join("secrets");
    let mut passwords = Vec::new();
    for entry in fs::read_dir(&secrets).expect("secrets").flatten() {
        passwords.push(fs::read_to_string(entry.path()).expect("a secret"));
    }
    assert!(passwords.len() >= 5, "{passwords:?}");
    let mut said = String::new();
    for words in [
        &["plan", "--json"][..],
        &["plan", "--full"],
        &["status", "--json"],
        &["jobs", "--json"],
        &["history", "--json"],
        &["why", "db", "--json"],
        &["logs", "web", "-n", "1000"],
        &["logs", "db", "-n", "1000"],
        &["logs", "cache", "-n", "1000"],
    ] {
        let outcome = platform.run(words);
        said += &outcome.out;
        said += &outcome.talk;
    }
    for process in platform.processes() {
        said += &process.command;
    }
    let files = files(&platform.folder().join(".mainstay"));
    let files = files.iter().filter(|path| !path.starts_with(&secrets));
    for path in files.chain([&platform.file()]) {
        let bytes = fs::read(path).unwrap_or_default();
        for password in &passwords {
            let shows = bytes
                .windows(password.len())
                .any(|part| part == password.as_bytes());
            assert!(!shows, "a password stands in {}", path.display());
        }
    }
    for password in &passwords {
        assert!(!said.contains(password.as_str()), "a password was shown");
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

#[test]
fn a_setting_is_taken_over_and_one_that_needs_a_start_is_told_loudly() {
    let platform = shop("settings");
    let wanted = orders(&platform, 2);
    let (db, cache) = (platform.server("db"), platform.server("cache"));
    let workloads = platform.workloads();
    platform.edit("memory: 64Mi", "memory: 80Mi, evict: allkeys-lru");
    platform.edit(
        "memory: 256Mi }",
        "memory: 256Mi, settings: { work_mem: 9MB } }",
    );
    let plan = platform.run(&["plan"]).exits(3);
    let plan = plan.says(&["work_mem", "evict"]);
    assert!(!plan.out.contains("RESTART"), "{}", plan.out);
    platform.run(&["deploy"]).exits(0);
    platform.steady();
    assert_eq!(
        (platform.server("db"), platform.server("cache")),
        (db.clone(), cache.clone())
    );
    assert_eq!(platform.workloads(), workloads);

    platform.edit("work_mem: 9MB", "work_mem: 9MB, max_connections: \"77\"");
    platform
        .run(&["plan"])
        .exits(3)
        .says(&["max_connections", "store db: RESTARTS"]);
    platform.run(&["deploy"]).exits(0);
    platform.steady();
    assert!(!db.runs() && cache.runs());
    assert_ne!(platform.server("db"), db);
    done(&platform, &wanted);

    // One that the server does not understand changes nothing.
    let db = platform.server("db");
    platform.edit("work_mem: 9MB", "work_mem: a banana");
    platform
        .run(&["deploy"])
        .exits(1)
        .says(&["work_mem", "failed"]);
    platform.steady();
    assert_eq!(platform.server("db"), db);
    done(&platform, &orders(&platform, 1));
}

#[test]
fn what_is_removed_keeps_its_data_and_only_its_typed_name_deletes_it() {
    let platform = shop("removed");
    let wanted = orders(&platform, 2);
    done(&platform, &wanted);
    platform.run(&["jobs", "run", "digest"]).exits(0);
    let with = fs::read_to_string(platform.file()).expect("the file");
    platform.edit("needs: [db, reports]", "needs: [db]");
    platform.edit("    inject: { REPORTS_URL: reports.DATABASE_URL }\n", "");
    platform.edit("  reports: sqlite\n", "");
    platform
        .run(&["plan"])
        .exits(3)
        .says(&["reports", "detached", "stays"]);
    platform.run(&["deploy"]).exits(0);
    let data = platform.state().join("stores/reports/data/reports.db");
    let before = fs::metadata(&data).expect("its data stays").len();
    platform.write(&with);
    platform.run(&["deploy"]).exits(0);
    platform.run(&["jobs", "run", "digest"]).exits(0);
    assert!(fs::metadata(&data).expect("its data").len() >= before);

    let down = |name: &str, typed: &str| {
        let mut command = platform.command(&["down", "--yes", "--delete-data", name]);
        let folder = platform.folder().join("typed");
        fs::write(&folder, format!("{typed}\n")).expect("a file");
        command.stdin(Stdio::from(fs::File::open(folder).expect("a file")));
        platform.finish(command)
    };
    down("nothing", "nothing")
        .exits(1)
        .says(&["nothing", "db", "reports"]);
    down("../stores", "../stores").exits(1);
    down("db", "yes")
        .exits(1)
        .says(&["was not typed", "nothing was changed"]);
    assert!(platform.status().is_some(), "nothing was stopped");
    down("db", "db").exits(0).says(&["deleted"]);
    assert!(!platform.state().join("stores/db").exists());
    assert!(data.exists(), "only what was named");
    assert_eq!(platform.processes(), vec![]);
    // A new one is made, and its users are let in; the migration makes the tables.
    platform.up();
    platform.run(&["jobs", "run", "migrate"]).exits(0);
    let wanted = orders(&platform, 1);
    assert_eq!(wanted, BTreeSet::from([1]));
    done(&platform, &wanted);
}

#[test]
fn a_store_that_crashes_comes_back_and_nobody_is_restarted_with_it() {
    let platform = shop("crash");
    let mut wanted = orders(&platform, 5);
    let (workloads, cache) = (platform.workloads(), platform.server("cache"));
    let db = platform.server("db");
    db.kill();
    let web = until("a word about the store", || {
        let why = platform.run(&["why", "web"]).exits(0).out;
        (why.contains("db") || platform.server("db") != db).then_some(why)
    });
    assert!(
        web.contains("store db is") || platform.server("db") != db,
        "{web}"
    );
    let now = platform.server("db");
    assert_ne!(now, db);
    wanted.extend(orders(&platform, 2));
    platform.steady();
    assert_eq!(platform.server("cache"), cache);
    let web: Vec<&Process> = workloads
        .iter()
        .filter(|one| !one.command.contains("worker"))
        .collect();
    assert!(web.iter().all(|one| one.runs()), "web was not restarted");
    done(&platform, &wanted);
}

#[test]
fn a_store_that_is_away_is_the_reason_that_why_names() {
    let platform = shop("away");
    let db = platform.server("db");
    // Its data cannot be read for a while: every start fails.
    let control = platform.state().join("stores/db/data/global/pg_control");
    let aside = control.with_extension("aside");
    fs::rename(&control, &aside).expect("its data");
    db.kill();
    until("the reason", || {
        let why = platform.run(&["why", "web"]).exits(0).out;
        (why.contains("store db is ended") || why.contains("store db is not ready")).then_some(())
    });
    platform
        .run(&["why", "db"])
        .exits(0)
        .says(&["db (postgres 15) is"]);
    until("what its server says", || {
        let said = platform.run(&["logs", "db"]).exits(0).out;
        said.contains("pg_control").then_some(())
    });
    fs::rename(&aside, &control).expect("its data");
    done(&platform, &orders(&platform, 1));
}

#[test]
fn what_is_not_installed_is_said_before_anything_starts() {
    let platform = Platform::shop("lacking");
    platform.edit("postgres: 15", "postgres: 13");
    for words in [&["plan"][..], &["up"]] {
        let outcome = platform.run(words).exits(1);
        outcome.says(&[
            "PostgreSQL 13",
            "mainstay.yaml:",
            "apt-get install postgresql-13",
        ]);
    }
    assert_eq!(platform.processes(), vec![]);
    let doctor = platform.run(&["doctor"]).exits(1);
    doctor.says(&["PostgreSQL 13", "db", "fix: apt-get install postgresql-13"]);
    platform.edit("postgres: 13", "postgres: 15");
    platform.up();
    // What is there is of another version: nothing is changed.
    let db = platform.server("db");
    platform.edit("postgres: 15", "postgres: 13");
    platform.run(&["deploy"]).exits(1).says(&["PostgreSQL 13"]);
    platform.edit("postgres: 13", "postgres: 15");
    platform.edit("reports: sqlite", "reports: { postgres: 15, memory: 64Mi }");
    let outcome = platform.run(&["deploy"]).exits(1);
    outcome.says(&[
        "`reports` holds data of sqlite",
        "postgres 15",
        "--delete-data reports",
    ]);
    assert_eq!(platform.steady()["release"], "v1");
    assert_eq!(platform.server("db"), db);
}

#[test]
fn somebody_elses_database_is_told_by_a_secret_under_names_of_ones_own() {
    let other = shop("other");
    let password = fs::read_to_string(other.state().join("secrets/db.web")).expect("a secret");
    let address = other.store("db")["address"]
        .as_str()
        .expect("an address")
        .to_owned();
    let keys = "    run: ./bin/mainstay-sample
    port: 3000
    needs: [main]
    inject: { DATABASE_URL: main.DATABASE_URL, DB_HOST: main.PGHOST }
    ready: { path: /ready }";
    let platform = Platform::single("external", keys);
    let text = fs::read_to_string(platform.file()).expect("the file");
    platform.write(&format!(
        "{text}\nstores:\n  main: {{ postgres: 15, external: MAIN_URL }}\n"
    ));
    let outcome = platform.run(&["up"]).exits(1);
    outcome.says(&["MAIN_URL", "mainstay secret set MAIN_URL"]);
    let given = platform.folder().join("given");
    fs::write(
        &given,
        format!("postgresql://web:{password}@{address}/db\n"),
    )
    .expect("a file");
    let mut command = platform.command(&["secret", "set", "MAIN_URL"]);
    command.stdin(Stdio::from(fs::File::open(&given).expect("a file")));
    platform.finish(command).exits(0);
    fs::remove_file(&given).expect("the file goes");
    platform.up();
    assert!(order(&platform, "tea").is_some());
    assert_eq!(platform.store("main")["state"], "external");
    let pid = platform.workloads()[0].pid;
    let environment = fs::read_to_string(format!("/proc/{pid}/environ")).expect("its environment");
    let told = |name: &str| environment.split('\0').any(|one| one.starts_with(name));
    assert!(told("DB_HOST=127.") && told("DATABASE_URL=postgresql://web:"));
    assert!(!told("PGHOST"), "only what was asked for");
}

#[test]
fn a_control_plane_killed_while_data_is_made_finds_its_way() {
    use std::os::unix::fs::MetadataExt as _;
    let platform = Platform::shop("initdb");
    let up = platform.begin(&["up"]);
    let folder = platform.state().join("stores/db");
    let meta = until("the store's folder", || fs::metadata(&folder).ok());
    let stem = format!("mainstay-initdb-{:x}-{:x}-", meta.dev(), meta.ino());
    let working = || {
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        let mut lines = all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        lines.any(|line| String::from_utf8_lossy(&line).contains(&stem))
    };
    until("initdb", || {
        (working() || folder.join("data").exists()).then_some(())
    });
    platform.process("serve").kill();
    drop(up.wait());
    platform.up();
    done(&platform, &orders(&platform, 2));
    until("the end of every initdb", || (!working()).then_some(()));
    let left = fs::read_dir("/var/tmp").expect("a folder").flatten();
    let left: Vec<_> = left
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&stem))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(platform.history().len(), 1);
}

#[test]
fn everything_killed_at_once_loses_no_acknowledged_order() {
    let platform = shop("allatonce");
    let mut wanted = BTreeSet::new();
    for _ in 0..3 {
        let acknowledged = Mutex::new(BTreeSet::new());
        let known = || acknowledged.lock().expect("no client panicked");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while let Some(number) = order(&platform, "tea") {
                    known().insert(number);
                }
            });
            until("orders", || (known().len() >= 3).then_some(()));
            for process in platform.processes() {
                process.signal(rustix::process::Signal::KILL);
            }
        });
        let acknowledged = acknowledged.into_inner().expect("no client panicked");
        wanted.extend(acknowledged);
        // All are gone, as after a restart of the machine.
        until("the end of everything", || {
            platform.processes().is_empty().then_some(())
        });
        platform.up();
        platform.steady();
    }
    let all = {
        let secret = platform.state().join("secrets/db.web");
        let password = fs::read_to_string(secret).expect("a secret");
        let address = platform.store("db")["address"]
            .as_str()
            .expect("an address")
            .to_owned();
        let (host, port) = address.split_once(':').expect("host and port");
        let output = std::process::Command::new("psql")
            .args([
                "-h",
                host,
                "-p",
                port,
                "-U",
                "web",
                "-d",
                "db",
                "-Atc",
                "SELECT id FROM orders",
            ])
            .env("PGPASSWORD", password)
            .output()
            .expect("psql");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let there: BTreeSet<u64> = all.lines().filter_map(|line| line.parse().ok()).collect();
    let lost: Vec<&u64> = wanted.difference(&there).collect();
    assert!(lost.is_empty(), "lost {lost:?} of {}", wanted.len());
    assert_eq!(platform.history().len(), 1);
}
