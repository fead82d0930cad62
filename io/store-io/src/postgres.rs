//! PostgreSQL: the first data, configuration, roles, and whether it accepts writes.
//!
//! One administrator, `mainstay`, who comes in by the socket in the data folder alone and is
//! recognised by the kernel (peer authentication), so that no password for it exists.

use crate::fault::{StoreFault, file};
use crate::folder::Folder;
use crate::secret::Secrets;
use crate::tell::password_name;
use mainstay_atoms::Bytes;
use mainstay_spec::{Postgres, StoreOrder, StoreUser};
use postgres::{Client, Config, NoTls};
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The administrator's role.
const ADMIN: &str = "mainstay";

/// Longest wait for an answer of the server.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who may come in how: the administrator by the socket, users by loopback with their password.
const ACCESS: &str = "\
# Written by mainstay; changes are overwritten.
local all mainstay peer map=mainstay
local all all      reject
host  all all      127.0.0.0/8 scram-sha-256
host  all all      ::1/128     scram-sha-256
";

/// Makes the data folder, if there is none, and its configuration; whether anything changed.
pub(crate) fn prepare(
    folder: &Folder,
    programs: &Path,
    settings: &Postgres,
    address: SocketAddr,
) -> Result<bool, StoreFault> {
    let data = folder.data();
    if !data.join("PG_VERSION").exists() {
        first_data(folder, programs)?;
    }
    let has_statements = programs
        .parent()
        .is_some_and(|root| root.join("lib/pg_stat_statements.so").exists());
    let texts = [
        (
            "postgresql.conf",
            configuration(settings, address, has_statements),
        ),
        ("pg_hba.conf", ACCESS.to_owned()),
        ("pg_ident.conf", identities()),
    ];
    let mut changed = false;
    for (name, text) in texts {
        changed |= folder.write_if_new(&data.join(name), &text)?;
    }
    // What `ALTER SYSTEM` wrote would win over the file.
    let auto = data.join("postgresql.auto.conf");
    if fs::metadata(&auto).is_ok_and(|meta| meta.len() > 0) {
        changed |= folder.write_if_new(&auto, "")?;
    }
    Ok(changed)
}

/// `initdb` in a folder beside, which takes its place when it is whole.
fn first_data(folder: &Folder, programs: &Path) -> Result<(), StoreFault> {
    let data = folder.data();
    if data.exists() {
        // Half of one that a crash left: without `PG_VERSION` nothing was ever stored in it.
        fs::remove_dir_all(&data).map_err(file(&data, "removed"))?;
    }
    let (place, user) = match folder.owner {
        Some(_) => (open_place(), Some(package_user()?)),
        None => (folder.root.join("initdb"), None),
    };
    if place.exists() {
        fs::remove_dir_all(&place).map_err(file(&place, "removed"))?;
    }
    let done = initdb(programs, &place, user).and_then(|()| {
        folder.give_all(&place)?;
        settle(&place, &data)
    });
    if done.is_err() {
        fs::remove_dir_all(&place).ok();
    }
    done
}

/// `initdb` looks its user up by name and may not pass closed folders, so as root it works as the
/// package's user in an open folder (measured: a bare uid and a 0700 parent both break it).
fn open_place() -> PathBuf {
    format!("/var/tmp/mainstay-initdb-{}", std::process::id()).into()
}

fn package_user() -> Result<(u32, u32), StoreFault> {
    let passwd = Path::new("/etc/passwd");
    let text = fs::read_to_string(passwd).map_err(file(passwd, "read"))?;
    let line = text.lines().find(|line| line.starts_with("postgres:"));
    let ids = line.and_then(|line| {
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    ids.ok_or(StoreFault::Tool {
        tool: "initdb",
        said: "there is no user `postgres`, as which it has to run; the package makes it".into(),
    })
}

fn initdb(programs: &Path, place: &Path, user: Option<(u32, u32)>) -> Result<(), StoreFault> {
    DirBuilder::new()
        .mode(0o700)
        .create(place)
        .map_err(file(place, "made"))?;
    let mut command = Command::new(programs.join("initdb"));
    command
        .args(["--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8"])
        .args(["--auth-local=peer", "--auth-host=scram-sha-256"])
        .args(["--no-instructions", "--username", ADMIN, "--pgdata"])
        .arg(place)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/")
        .stdin(Stdio::null());
    if let Some((uid, gid)) = user {
        chown(place, Some(uid), Some(gid)).map_err(file(place, "given"))?;
        command.uid(uid).gid(gid);
    }
    let output = command
        .output()
        .map_err(file(&programs.join("initdb"), "executed"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = said.lines().rev().take(5).collect();
    let said = last.into_iter().rev().collect::<Vec<_>>().join("; ");
    Err(StoreFault::Tool {
        tool: "initdb",
        said,
    })
}

/// The whole folder takes its place: by renaming, or by a copy where it lies on another file system.
fn settle(place: &Path, data: &Path) -> Result<(), StoreFault> {
    match fs::rename(place, data) {
        Err(fault) if fault.kind() == io::ErrorKind::CrossesDevices => {
            let beside = data.with_extension("copy");
            if beside.exists() {
                fs::remove_dir_all(&beside).map_err(file(&beside, "removed"))?;
            }
            let status = Command::new("cp")
                .args(["--archive", "--"])
                .args([place, &beside])
                .status()
                .map_err(file(&beside, "copied"))?;
            if !status.success() {
                return Err(StoreFault::Tool {
                    tool: "cp",
                    said: format!("it ended with {status}"),
                });
            }
            fs::rename(&beside, data).map_err(file(data, "made"))?;
            fs::remove_dir_all(place).map_err(file(place, "removed"))?;
        }
        renamed => renamed.map_err(file(data, "made"))?,
    }
    let above = data.parent().unwrap_or(data);
    File::open(above)
        .and_then(|folder| folder.sync_all())
        .map_err(file(above, "written"))
}

/// Who is the administrator: root, and whoever the control plane runs as.
fn identities() -> String {
    let mut text =
        String::from("# Written by mainstay; changes are overwritten.\nmainstay root mainstay\n");
    let own = fs::metadata("/proc/self").map_or(0, |meta| meta.uid());
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(own)).then(|| name.to_owned())
    });
    if let Some(name) = name.filter(|name| name != "root") {
        writeln!(text, "mainstay \"{name}\" mainstay").expect("a String takes everything");
    }
    text
}

/// The configuration, sized from memory and disk by the rules of the server's own documentation:
/// a quarter of the memory for its cache (20.4 "Resource Consumption"), the rest is the kernel's.
fn configuration(settings: &Postgres, address: SocketAddr, statements: bool) -> String {
    const MIB: u64 = 1 << 20;
    let mib = |bytes: u64| format!("{}MB", (bytes / MIB).max(1));
    let Bytes(memory) = settings.memory;
    // A tenth of the disk may hold log between two checkpoints.
    let wal = settings.disk.map_or(1024 * MIB, |disk| {
        (disk.0 / 10).clamp(128 * MIB, 16384 * MIB)
    });
    let mut lines: Vec<(&str, String)> = vec![
        ("listen_addresses", address.ip().to_string()),
        ("port", address.port().to_string()),
        ("unix_socket_directories", ".".into()),
        ("unix_socket_permissions", "0700".into()),
        ("password_encryption", "scram-sha-256".into()),
        ("shared_buffers", mib(memory / 4)),
        ("effective_cache_size", mib(memory / 4 * 3)),
        (
            "maintenance_work_mem",
            mib((memory / 16).clamp(MIB, 1024 * MIB)),
        ),
        ("work_mem", mib((memory / 128).clamp(MIB, 64 * MIB))),
        ("max_connections", "100".into()),
        ("max_wal_size", mib(wal)),
        ("min_wal_size", mib((wal / 8).max(32 * MIB))),
        ("wal_compression", "on".into()),
        ("wal_level", "replica".into()),
        ("fsync", "on".into()),
        ("full_page_writes", "on".into()),
        ("synchronous_commit", "on".into()),
        ("logging_collector", "off".into()),
        ("log_destination", "stderr".into()),
        ("log_line_prefix", "%m [%p] %q%u@%d ".into()),
        ("log_timezone", "UTC".into()),
        ("timezone", "UTC".into()),
        ("track_io_timing", "on".into()),
    ];
    if statements {
        lines.push(("shared_preload_libraries", "pg_stat_statements".into()));
    }
    let own = settings.settings.iter();
    lines.extend(own.map(|(name, value)| (name.as_str(), value.clone())));
    let mut text = String::from("# Written by mainstay from `stores`; changes are overwritten.\n");
    for (name, value) in lines {
        let value = value
            .replace('\\', "\\\\")
            .replace('\'', "''")
            .replace('\n', " ");
        writeln!(text, "{name} = '{value}'").expect("a String takes everything");
    }
    text
}

/// A connection of the administrator; good while the folder is held open.
struct Admin {
    client: Client,
    _folder: File,
}

fn connect(data: &Path, port: u16, database: &str) -> Result<Admin, String> {
    // By way of the open folder the address is short, however deep the folder lies.
    let folder = File::open(data).map_err(|fault| fault.to_string())?;
    let host = format!("/proc/{}/fd/{}", std::process::id(), folder.as_raw_fd());
    let client = Config::new()
        .host_path(host)
        .port(port)
        .user(ADMIN)
        .dbname(database)
        .application_name("mainstay")
        .connect_timeout(PATIENCE)
        .options(&format!("-c statement_timeout={}", PATIENCE.as_millis()))
        .connect(NoTls)
        .map_err(|fault| said(&fault))?;
    Ok(Admin {
        client,
        _folder: folder,
    })
}

/// An error with its cause; the server's own message is the cause.
fn said(fault: &postgres::Error) -> String {
    match std::error::Error::source(fault) {
        Some(cause) => cause.to_string(),
        None => fault.to_string(),
    }
}

/// Whether the server accepts writes: it gives out a transaction number, which it does neither in
/// recovery nor when it is read-only.
pub(crate) fn accepts_writes(data: &Path, port: u16) -> Result<(), String> {
    let mut admin = connect(data, port, "postgres")?;
    let asked = admin.client.batch_execute("SELECT txid_current()");
    asked.map_err(|fault| said(&fault))
}

/// Lets the server take over its configuration and its users in. Doing it twice is doing it once.
pub(crate) fn provision(
    folder: &Folder,
    settings: &Postgres,
    order: &StoreOrder,
    port: u16,
    secrets: &dyn Secrets,
) -> Result<(), StoreFault> {
    let store = order.store.as_str();
    let data = folder.data();
    let silent = |why: String| StoreFault::Silent {
        store: store.to_owned(),
        why,
    };
    let refused = |what: &str| {
        let what = what.to_owned();
        move |fault: postgres::Error| {
            if fault.is_closed() {
                return StoreFault::Silent {
                    store: store.to_owned(),
                    why: said(&fault),
                };
            }
            StoreFault::Refused {
                store: store.to_owned(),
                what,
                why: said(&fault),
            }
        }
    };
    let mut admin = connect(&data, port, "postgres").map_err(silent)?;
    let client = &mut admin.client;
    client
        .batch_execute("SELECT pg_reload_conf()")
        .map_err(refused("its configuration"))?;
    let owner = role_of_owner(store);
    make_role(client, &owner, "NOLOGIN").map_err(refused("the owner's role"))?;
    make_database(client, store, &owner).map_err(refused("the database"))?;
    for user in &order.users {
        let name = password_name(store, user.name.as_str());
        let password = secrets.get_or_make(&name)?;
        let verifier = postgres_protocol::password::scram_sha_256(password.reveal().as_bytes());
        let login = user.name.as_str();
        make_role(client, login, "LOGIN").map_err(refused("a login"))?;
        // Only the verifier is ever told (RFC 5803), so no log of statements can show a password.
        client
            .batch_execute(&format!(
                "ALTER ROLE {} PASSWORD {}",
                name_of(login),
                text_of(&verifier)
            ))
            .map_err(refused("a login"))?;
    }
    let others = logins(client).map_err(refused("a question"))?;
    let gone = others.iter().filter(|login| {
        !order
            .users
            .iter()
            .any(|user| user.name.as_str() == login.as_str())
    });
    for login in gone {
        client
            .batch_execute(&format!("ALTER ROLE {} NOLOGIN", name_of(login)))
            .map_err(refused("a login"))?;
    }
    let mut inside = connect(&data, port, store).map_err(silent)?;
    let client = &mut inside.client;
    for extension in ["pg_stat_statements".to_owned()]
        .iter()
        .filter(|_| has_statements(client))
        .cloned()
        .collect::<Vec<_>>()
        .iter()
        .chain(&settings.extensions)
    {
        let make = format!("CREATE EXTENSION IF NOT EXISTS {}", name_of(extension));
        client
            .batch_execute(&make)
            .map_err(refused(&format!("the extension `{extension}`")))?;
    }
    client
        .batch_execute(&rights(store, &owner, &order.users))
        .map_err(refused("rights"))
}

fn has_statements(client: &mut Client) -> bool {
    let asked = client.query_opt(
        "SELECT 1 FROM pg_available_extensions WHERE name = 'pg_stat_statements'",
        &[],
    );
    asked.is_ok_and(|row| row.is_some())
}

/// Logins that this platform made and that may come in.
fn logins(client: &mut Client) -> Result<Vec<String>, postgres::Error> {
    let rows = client.query(
        "SELECT rolname::text FROM pg_roles WHERE rolcanlogin AND NOT rolsuper",
        &[],
    )?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn role_of_owner(store: &str) -> String {
    format!("{store}-owner")
}

fn make_role(client: &mut Client, name: &str, kind: &str) -> Result<(), postgres::Error> {
    let there = client.query_opt("SELECT 1 FROM pg_roles WHERE rolname = $1", &[&name])?;
    let verb = if there.is_some() { "ALTER" } else { "CREATE" };
    client.batch_execute(&format!(
        "{verb} ROLE {} {kind} NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS",
        name_of(name)
    ))
}

fn make_database(client: &mut Client, name: &str, owner: &str) -> Result<(), postgres::Error> {
    let there = client.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name])?;
    if there.is_none() {
        client.batch_execute(&format!(
            "CREATE DATABASE {} OWNER {}",
            name_of(name),
            name_of(owner)
        ))?;
    }
    Ok(())
}

/// What each login may do: those who own the schema act as the owner, so that what they make is the
/// owner's; the others read and write what is there.
fn rights(store: &str, owner: &str, users: &[StoreUser]) -> String {
    let (store, owner) = (name_of(store), name_of(owner));
    let mut text = format!(
        "REVOKE ALL ON DATABASE {store} FROM PUBLIC;
         REVOKE ALL ON SCHEMA public FROM PUBLIC;
         ALTER SCHEMA public OWNER TO {owner};\n"
    );
    for user in users {
        let login = name_of(user.name.as_str());
        let rights = if user.owns {
            format!(
                "GRANT CONNECT, TEMPORARY ON DATABASE {store} TO {login};
                 GRANT {owner} TO {login};
                 ALTER ROLE {login} IN DATABASE {store} SET role TO {owner};\n"
            )
        } else {
            format!(
                "GRANT CONNECT, TEMPORARY ON DATABASE {store} TO {login};
                 REVOKE {owner} FROM {login};
                 ALTER ROLE {login} IN DATABASE {store} RESET role;
                 GRANT USAGE ON SCHEMA public TO {login};
                 GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {login};
                 GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {login};
                 ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public
                   GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {login};
                 ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public
                   GRANT USAGE, SELECT ON SEQUENCES TO {login};\n"
            )
        };
        text.push_str(&rights);
    }
    text
}

/// A quoted identifier (PostgreSQL 4.1.1).
fn name_of(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A quoted text (PostgreSQL 4.1.2.1, standard-conforming).
fn text_of(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
