//! PostgreSQL 15 as it is: made once, closed to everybody but its users, and clear about what is wrong.

mod support;

use mainstay_atoms::Bytes;
use mainstay_spec::{StoreKind, Waiting};
use mainstay_store_io::{Readiness, StoreFault};
use std::error::Error as _;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use support::{Place, files_with, is_root, postgres_15, redis_7, until};

fn chain(fault: &StoreFault) -> String {
    match fault.source() {
        Some(source) => format!("{fault}: {source}"),
        None => fault.to_string(),
    }
}

fn said(fault: &postgres::Error) -> String {
    fault
        .source()
        .map_or_else(|| fault.to_string(), ToString::to_string)
}

#[test]
fn data_is_made_once_with_checksums_and_configured_again() {
    let mut place = Place::new(postgres_15(), &[("web", true)]);
    place.prepare().unwrap();
    let control = place.data().join("global/pg_control");
    let made = fs::metadata(&control).unwrap();
    let configuration = place.data().join("postgresql.conf");
    let before = fs::metadata(&configuration).unwrap();
    place.prepare().unwrap();
    let again = fs::metadata(&control).unwrap();
    assert_eq!(
        (made.ino(), made.mtime_nsec()),
        (again.ino(), again.mtime_nsec())
    );
    let same = fs::metadata(&configuration).unwrap();
    assert_eq!(before.ino(), same.ino(), "an equal file is left alone");
    if let Some(owner) = place.owner {
        assert_eq!((made.uid(), before.uid()), (owner, owner));
    }
    assert_eq!(
        fs::metadata(place.data()).unwrap().permissions().mode() & 0o777,
        0o700
    );

    place.serve();
    assert_eq!(place.admin("SHOW data_checksums"), "on");
    assert_eq!(place.admin("SHOW password_encryption"), "scram-sha-256");
    assert_eq!(place.admin("SHOW shared_buffers"), "16MB");
    let statements = "SELECT count(*) > 0 FROM pg_stat_statements";
    assert_eq!(place.admin(statements), "t");
}

#[test]
fn what_a_crash_left_in_the_middle_is_no_obstacle() {
    let mut place = Place::new(postgres_15(), &[("web", true)]);
    // The folder is made first, then `initdb` works beside it.
    fs::create_dir_all(place.data().join("base/1")).unwrap();
    fs::write(place.data().join("pg_hba.conf"), "half").unwrap();
    fs::create_dir(place.root().join("data.copy")).unwrap();
    let meta = fs::metadata(place.root()).unwrap();
    let above = if is_root() {
        Path::new("/var/tmp").to_owned()
    } else {
        place.root()
    };
    let stem = format!("mainstay-initdb-{:x}-{:x}", meta.dev(), meta.ino());
    let left = above.join(format!("{stem}-0"));
    fs::create_dir_all(left.join("base")).unwrap();
    place.serve();
    assert!(!left.exists());
    let names = fs::read_dir(above).unwrap().flatten();
    let more = names.filter(|entry| entry.file_name().to_string_lossy().starts_with(&stem));
    assert_eq!(more.count(), 0);
}

#[test]
fn each_login_may_do_what_it_should_and_nothing_else() {
    let mut place = Place::new(postgres_15(), &[("migrate", true), ("web", false)]);
    place.serve();
    place.provision().unwrap();
    place.provision().unwrap();

    let mut migrate = place.connect("migrate").unwrap();
    let make = "CREATE TABLE one (id bigint GENERATED ALWAYS AS IDENTITY, said text)";
    migrate.batch_execute(make).unwrap();
    let owner = place.admin("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'one'");
    assert_eq!(
        owner, "db_owner",
        "what one migration made the next may change"
    );

    let mut web = place.connect("web").unwrap();
    let uses = "INSERT INTO one (said) VALUES ('a'); UPDATE one SET said = 'b';
        SELECT * FROM one; DELETE FROM one; CREATE TEMP TABLE own (x int)";
    web.batch_execute(uses).unwrap();
    for sql in [
        "CREATE TABLE two (x int)",
        "ALTER TABLE one ADD COLUMN y int",
        "DROP TABLE one",
        "TRUNCATE one",
        "SET ROLE db_owner",
        "CREATE ROLE other",
        "CREATE DATABASE other",
        "SELECT * FROM pg_authid",
        "SELECT pg_reload_conf()",
        "COPY one TO '/tmp/x'",
        "COPY one FROM PROGRAM 'id'",
    ] {
        let fault = web.batch_execute(sql).expect_err(sql);
        let why = said(&fault);
        assert!(
            why.contains("permission denied") || why.contains("must be"),
            "{sql}: {why}"
        );
    }
    // Tables of a later migration are for everybody, too.
    migrate.batch_execute("CREATE TABLE three (x int)").unwrap();
    web.batch_execute("INSERT INTO three VALUES (1)").unwrap();
    for sql in ["SET ROLE mainstay_admin", "CREATE ROLE other"] {
        migrate.batch_execute(sql).expect_err(sql);
    }

    for database in ["postgres", "template1"] {
        let fault = place
            .connect_with("web", &place.password("web"), database)
            .err()
            .unwrap();
        assert!(fault.contains("no pg_hba.conf entry"), "{fault}");
        let right = format!("SELECT has_database_privilege('web', '{database}', 'CONNECT')");
        assert_eq!(place.admin(&right), "f", "{database}");
    }
    let everybody = "SELECT count(*) FROM pg_roles r CROSS JOIN LATERAL (
        SELECT has_schema_privilege('public', 'public', 'USAGE') OR has_database_privilege('public', 'db', 'CONNECT') AS may
        ) x WHERE may";
    assert_eq!(place.admin(everybody), "0");
}

#[test]
fn data_that_was_made_and_is_gone_is_not_made_anew() {
    let mut place = Place::new(postgres_15(), &[("web", true)]);
    place.prepare().unwrap();
    let version = place.data().join("PG_VERSION");
    fs::remove_file(&version).unwrap();
    let fault = place.prepare().unwrap_err();
    assert!(matches!(fault, StoreFault::Gone { .. }), "{fault}");
    assert!(
        place.data().join("global/pg_control").exists(),
        "what is left is left alone"
    );
}

#[test]
fn without_a_migration_all_users_own_the_schema_together() {
    let mut place = Place::new(postgres_15(), &[("api", true), ("web", true)]);
    place.serve();
    let run = |place: &Place, user: &str, sql: &str| {
        let mut client = place.connect(user).unwrap();
        client.batch_execute(sql).unwrap();
    };
    run(&place, "web", "CREATE TABLE one (x int)");
    run(&place, "api", "ALTER TABLE one ADD COLUMN y int");
    // Later one of them migrates, and the other only reads and writes.
    place.users(&[("api", true), ("web", false)]);
    place.provision().unwrap();
    run(&place, "web", "INSERT INTO one VALUES (1, 2)");
    let mut web = place.connect("web").unwrap();
    web.batch_execute("DROP TABLE one")
        .expect_err("not its own");
    run(&place, "api", "DROP TABLE one");
}

#[test]
fn a_login_that_left_is_shut_out_and_may_come_back() {
    let mut place = Place::new(postgres_15(), &[("api", false), ("web", true)]);
    place.serve();
    assert!(place.connect("api").is_ok());
    place.users(&[("web", true)]);
    place.provision().unwrap();
    let fault = place.connect("api").err().unwrap();
    assert!(fault.contains("not permitted to log in"), "{fault}");
    assert!(place.connect("web").is_ok());
    place.users(&[("api", false), ("web", true)]);
    place.provision().unwrap();
    assert!(place.connect("api").is_ok());
}

#[test]
fn passwords_are_needed_and_the_administrator_comes_by_the_socket_alone() {
    let mut place = Place::new(postgres_15(), &[("web", true)]);
    place.serve();
    let fault = place.connect_with("web", "", "db").err().unwrap();
    assert!(fault.contains("password"), "{fault}");
    let fault = place.connect_with("web", "wrong", "db").err().unwrap();
    assert!(fault.contains("password authentication failed"), "{fault}");
    for password in ["", "x"] {
        let fault = place.connect_with("mainstay_admin", password, "db");
        let fault = fault.err().unwrap();
        assert!(fault.contains("pg_hba.conf rejects"), "{fault}");
    }
    let kinds = "SELECT string_agg(DISTINCT substr(rolpassword, 1, 13), ',') FROM pg_authid";
    assert_eq!(place.admin(kinds), "SCRAM-SHA-256");
    let methods =
        "SELECT string_agg(DISTINCT auth_method, ',' ORDER BY auth_method) FROM pg_hba_file_rules";
    assert_eq!(place.admin(methods), "peer,reject,scram-sha-256");
    if is_root() {
        // Somebody else of this machine, at the administrator's door.
        for folder in [place.root(), place.data()] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).unwrap();
        }
        let socket = place.data().join(".s.PGSQL.5432");
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
        let output = Command::new("setpriv")
            .args([
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "psql",
                "-h",
            ])
            .arg(place.data())
            .args(["-U", "mainstay_admin", "-d", "db", "-c", "SELECT 1"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("Peer authentication failed"), "{said}");
    }
}

#[test]
fn a_server_that_takes_no_writes_is_not_ready() {
    let mut place = Place::new(postgres_15(), &[("web", true)]);
    let settings = &mut place.postgres().settings;
    settings.insert("default_transaction_read_only".into(), "on".into());
    place.prepare().unwrap();
    place.start();
    let silent = |place: &Place, word: &str| {
        until(word, || match place.readiness() {
            Readiness::Silent { why } if why.contains(word) => Some(()),
            Readiness::Ready => panic!("it takes no writes"),
            _ => None,
        });
    };
    silent(&place, "read-only");
    place.stop();
    let settings = &mut place.postgres().settings;
    settings.remove("default_transaction_read_only");
    place.prepare().unwrap();
    let standby = place.data().join("standby.signal");
    fs::write(&standby, "").unwrap();
    place.start();
    silent(&place, "recovery");
    place.stop();
    fs::remove_file(&standby).unwrap();
    place.start();
    place.ready();
    place.kill();
    until("a word about its end", || {
        matches!(place.readiness(), Readiness::Silent { .. }).then_some(())
    });
}

#[test]
fn a_server_that_hangs_is_told_and_holds_up_no_other() {
    let mut place = Place::new(postgres_15(), &[("web", true)]);
    place.serve();
    let server = i32::try_from(place.pid()).unwrap();
    let signal = |signal| {
        let pid = rustix::process::Pid::from_raw(server);
        rustix::process::kill_process(pid.unwrap(), signal).unwrap();
    };
    signal(rustix::process::Signal::STOP);
    until("a word about its silence", || match place.readiness() {
        Readiness::Silent { why } if why.contains("no answer within") => Some(()),
        _ => None,
    });
    // Its users are not let in, and that ends too.
    assert!(matches!(place.provision(), Err(StoreFault::Silent { .. })));
    // Another store is asked meanwhile: nobody listens where it should be.
    let mut other = place.launch();
    other.instance = "cache.v1.1".parse().unwrap();
    other.server = redis_7().server();
    other.address = Some(([127, 0, 0, 1], 1).into());
    until("an answer of the other", || {
        place.stores.watch(&[&place.launch(), &other]);
        matches!(place.stores.readiness(&other), Readiness::Silent { .. }).then_some(())
    });
    signal(rustix::process::Signal::CONT);
    place.ready();
}

#[test]
fn extensions_are_made_and_one_that_is_not_here_is_named_with_its_package() {
    let mut place = Place::new(postgres_15(), &[("web", true)]);
    place.postgres().extensions = vec!["pg_trgm".into(), "hstore".into()];
    place.serve();
    let made = "SELECT string_agg(extname, ',' ORDER BY extname) FROM pg_extension";
    assert_eq!(
        place.admin(made),
        "hstore,pg_stat_statements,pg_trgm,plpgsql"
    );
    place.postgres().extensions.push("no_such_thing".into());
    let fault = place.provision().unwrap_err();
    assert!(!fault.passes());
    let text = chain(&fault);
    for word in ["`db`", "`no_such_thing`", "postgresql-15-no-such-thing"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn a_changed_setting_is_taken_over_and_a_wrong_one_refused_before_it_hurts() {
    let mut place = Place::new(postgres_15(), &[("web", true)]);
    place.serve();
    let set = |place: &mut Place, name: &str, value: &str| {
        let settings = &mut place.postgres().settings;
        settings.insert(name.into(), value.into());
    };
    set(&mut place, "work_mem", "7MB");
    place.prepare().unwrap();
    place.provision().unwrap();
    until("the new setting", || {
        (place.admin("SHOW work_mem") == "7MB").then_some(())
    });
    set(&mut place, "max_connections", "33");
    place.prepare().unwrap();
    place.provision().unwrap();
    let waits = "SELECT pending_restart FROM pg_settings WHERE name = 'max_connections'";
    until("a setting that waits for a start", || {
        (place.admin(waits) == "t").then_some(())
    });
    let configuration = fs::read_to_string(place.data().join("postgresql.conf")).unwrap();
    for (name, value) in [("work_mem", "a banana"), ("no_such_setting", "1")] {
        set(&mut place, name, value);
        let fault = place.prepare().unwrap_err();
        assert!(!fault.passes());
        assert!(chain(&fault).contains(name), "{}", chain(&fault));
        let now = fs::read_to_string(place.data().join("postgresql.conf")).unwrap();
        assert_eq!(now, configuration);
        place.postgres().settings.remove(name);
    }
    set(&mut place, "work_mem", "7MB");
    place.stop();
    place.prepare().unwrap();
    place.start();
    place.ready();
    assert_eq!(place.admin("SHOW max_connections"), "33");
}

#[test]
fn what_administrators_left_behind_does_not_win_over_the_file() {
    let mut place = Place::new(postgres_15(), &[("web", true)]);
    place.serve();
    place.admin("ALTER SYSTEM SET work_mem = '9MB'");
    place.stop();
    place.prepare().unwrap();
    place.start();
    place.ready();
    assert_eq!(place.admin("SHOW work_mem"), "1MB");
}

#[test]
fn a_killed_server_comes_back_with_every_acknowledged_row() {
    let mut place = Place::new(postgres_15(), &[("web", true)]);
    place.serve();
    let mut web = place.connect("web").unwrap();
    web.batch_execute("CREATE TABLE kept (x int)").unwrap();
    for row in 0..200 {
        web.execute("INSERT INTO kept VALUES ($1)", &[&row])
            .unwrap();
    }
    place.kill();
    place.prepare().unwrap();
    place.start();
    place.ready();
    assert_eq!(place.admin("SELECT count(*) FROM kept"), "200");
}

#[test]
fn data_of_another_kind_or_version_is_refused_and_left_as_it_is() {
    let mut place = Place::new(postgres_15(), &[("web", true)]);
    place.prepare().unwrap();
    let control = fs::read(place.data().join("global/pg_control")).unwrap();
    place.postgres().version = 14;
    let fault = place.prepare().unwrap_err();
    let text = fault.to_string();
    assert!(
        text.contains("postgres 15") && text.contains("postgres 14"),
        "{text}"
    );
    assert!(!fault.passes());
    for kind in [redis_7(), StoreKind::Sqlite, StoreKind::Volume] {
        place.order.kind = kind;
        let fault = place.prepare().unwrap_err();
        assert!(fault.to_string().contains("postgres 15"), "{fault}");
    }
    let now = fs::read(place.data().join("global/pg_control")).unwrap();
    assert_eq!(control, now);
    assert!(!place.root().join("redis.conf").exists());
}

#[test]
fn a_version_that_is_not_here_is_named_with_the_command_that_installs_it() {
    let mut place = Place::new(postgres_15(), &[("web", true)]);
    place.postgres().version = 13;
    let fault = place.prepare().unwrap_err();
    let text = fault.to_string();
    assert!(text.contains("PostgreSQL 13"), "{text}");
    let StoreFault::Program(missing) = fault else {
        panic!("{text}")
    };
    assert_eq!(missing.install(), "apt-get install postgresql-13");
    assert!(!place.data().exists());
}

#[test]
fn a_full_disk_while_data_is_made_passes() {
    if !is_root() {
        return;
    }
    let folder = tempfile::Builder::new().prefix("mainstay-full-").tempdir();
    let folder = folder.unwrap();
    let path = folder.path().to_owned();
    let mount = |options: &str| {
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&path)
            .status();
        status.is_ok_and(|status| status.success())
    };
    if !mount("size=20m") {
        return;
    }
    let mut place = Place::at(folder, postgres_15(), &[("web", true)]);
    let first = place.prepare();
    let second = place.prepare();
    let wider = mount("remount,size=200m");
    let third = place.prepare();
    if third.is_ok() {
        place.start();
        place.ready();
        place.provision().unwrap();
        place.stop();
    }
    let unmounted = Command::new("umount").args(["-l"]).arg(&path).status();
    assert!(unmounted.unwrap().success());
    for fault in [first.unwrap_err(), second.unwrap_err()] {
        assert!(fault.passes(), "{}", chain(&fault));
        assert!(chain(&fault).contains("No space left"), "{}", chain(&fault));
    }
    assert!(wider);
    third.unwrap();
}

#[test]
fn a_password_is_in_no_file_but_its_own_and_in_no_argument() {
    let mut place = Place::new(postgres_15(), &[("web", true)]);
    let settings = &mut place.postgres().settings;
    settings.insert("log_statement".into(), "all".into());
    settings.insert("log_min_duration_statement".into(), "0".into());
    place.serve();
    drop(place.connect("web").unwrap());
    assert!(place.log().contains("ALTER ROLE"), "statements are logged");
    let password = place.password("web");
    let found = files_with(place.folder.path(), &password);
    assert_eq!(found, [place.folder.path().join("secrets/db.web")]);
    let all = fs::read_dir("/proc").unwrap().flatten();
    for process in all {
        for file in ["cmdline", "environ"] {
            let text = fs::read(process.path().join(file)).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            assert!(!text.contains(&password), "{}", process.path().display());
        }
    }
}

#[test]
fn memory_and_disk_size_the_server() {
    let mut place = Place::new(postgres_15(), &[("web", true)]);
    let postgres = place.postgres();
    postgres.memory = Bytes(512 << 20);
    postgres.disk = Some(Bytes(20 << 30));
    place.prepare().unwrap();
    let text = fs::read_to_string(place.data().join("postgresql.conf")).unwrap();
    for line in ["shared_buffers = '128MB'", "max_wal_size = '2048MB'"] {
        assert!(text.contains(line), "{text}");
    }
}

/// The same as somebody who is not root: everything is made and runs as that user.
#[test]
fn a_plain_user_has_stores_too() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let program = folder.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .arg(&program)
        .args(["--exact", "--test-threads=1"])
        .args([
            "each_login_may_do_what_it_should_and_nothing_else",
            "what_a_crash_left_in_the_middle_is_no_obstacle",
            "passwords_are_needed_and_the_administrator_comes_by_the_socket_alone",
        ])
        .env("TMPDIR", folder.path())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("3 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn what_waits_is_what_a_query_counts_and_it_changes_nothing() {
    let mut place = Place::new(postgres_15(), &[("web", true)]);
    place.serve();
    place.provision().unwrap();
    let mut web = place.connect("web").unwrap();
    web.batch_execute(
        "CREATE TABLE orders (done boolean); INSERT INTO orders VALUES (false), (false), (true);
         CREATE FUNCTION takes() RETURNS int LANGUAGE sql AS 'DELETE FROM orders; SELECT 1'",
    )
    .unwrap();
    let waits = |query: &str| place.waiting("web", &Waiting::Query(query.into()));
    let rows = [
        ("SELECT count(*) FROM orders WHERE NOT done", 2),
        ("SELECT count(*) FROM orders;", 3),
        ("SELECT count(*) FROM orders -- of all", 3),
        ("SELECT 2.5", 3),
    ];
    for (query, count) in rows {
        assert_eq!(waits(query), Ok(count), "{query}");
    }
    let rows = [
        ("SELECT 1 FROM orders", "more than one row"),
        ("SELECT 1, 2", "one column"),
        ("SELECT 1 WHERE false", "nothing"),
        ("SELECT -1", "answers with -1"),
        ("SELECT 'NaN'::float8", "answers with NaN"),
        ("SELECT 'tea'", "invalid input"),
        ("SELECT nowhere", "does not exist"),
        ("SELECT takes()", "read-only transaction"),
        (
            "SELECT 1); DELETE FROM orders; SELECT (1",
            "multiple commands",
        ),
    ];
    for (query, said) in rows {
        let why = waits(query).unwrap_err();
        assert!(why.contains(said), "{query}: {why}");
    }
    assert_eq!(waits("SELECT count(*) FROM orders"), Ok(3));
}
