//! PostgreSQL: the first data, configuration, roles, and whether it accepts writes.
//!
//! One administrator, `mainstay_admin`, who comes in by the socket in the data folder alone and is
//! recognised by the kernel (peer authentication), so that no password for it exists.

use crate::client::{Client, Unanswered};
use crate::fault::{StoreFault, file};
use crate::folder::Folder;
use crate::initdb;
use crate::secret::Secrets;
use crate::tell::password_name;
use mainstay_atoms::Bytes;
use mainstay_spec::{Postgres, StoreOrder, StoreUser};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// The administrator's role: no service or job can have a name with `_`.
pub(crate) const ADMIN: &str = "mainstay_admin";

/// Who may come in how: the administrator by the socket, users by loopback with their password, and
/// to the store's own database alone.
fn access(store: &str) -> String {
    let database = name_of(store);
    format!(
        "# Written by mainstay; changes are overwritten.
local all {ADMIN} peer map=mainstay
local all all reject
host all {ADMIN} all reject
host {database} all 127.0.0.0/8 scram-sha-256
host {database} all ::1/128 scram-sha-256
"
    )
}

/// Makes the data folder, if there is none, and its configuration.
pub(crate) fn prepare(
    folder: &Folder,
    programs: &Path,
    store: &str,
    (settings, address): (&Postgres, SocketAddr),
) -> Result<(), StoreFault> {
    let data = folder.data();
    let version = data.join("PG_VERSION");
    if !version.try_exists().map_err(file(&version, "read"))? {
        initdb::first_data(folder, programs)?;
    }
    let has_statements = programs
        .parent()
        .is_some_and(|root| root.join("lib/pg_stat_statements.so").exists());
    let texts = [
        (
            "postgresql.conf",
            configuration(settings, address, has_statements),
        ),
        ("pg_hba.conf", access(store)),
        ("pg_ident.conf", identities()),
    ];
    try_out(folder, programs, &texts[0].1)?;
    for (name, text) in texts {
        folder.write_if_new(&data.join(name), &text)?;
    }
    // What `ALTER SYSTEM` wrote would win over the file.
    let auto = data.join("postgresql.auto.conf");
    if fs::metadata(&auto).is_ok_and(|meta| meta.len() > 0) {
        folder.write_if_new(&auto, "")?;
    }
    Ok(())
}

/// Lets the server's own program read a configuration before it replaces the one that works.
fn try_out(folder: &Folder, programs: &Path, text: &str) -> Result<(), StoreFault> {
    let data = folder.data();
    let candidate = data.join("postgresql.conf.try");
    folder.write_if_new(&candidate, text)?;
    let output = Command::new(programs.join("postgres"))
        .args(["-C", "port", "-D"])
        .arg(&data)
        .arg("-c")
        .arg(format!("config_file={}", candidate.display()))
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .map_err(file(&programs.join("postgres"), "executed"))?;
    fs::remove_file(&candidate).ok();
    if output.status.success() {
        return Ok(());
    }
    Err(StoreFault::Refused {
        store: folder.name(),
        what: "its settings".into(),
        why: initdb::last_lines(&output.stderr),
    })
}

/// Who is the administrator: root, and whoever the control plane runs as.
fn identities() -> String {
    let mut text =
        format!("# Written by mainstay; changes are overwritten.\nmainstay root {ADMIN}\n");
    let own = fs::metadata("/proc/self").map_or(0, |meta| meta.uid());
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(own)).then(|| name.to_owned())
    });
    if let Some(name) = name.filter(|name| name != "root") {
        writeln!(text, "mainstay \"{name}\" {ADMIN}").expect("a String takes everything");
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
    let client = Client::connect(Path::new(&host), port, (ADMIN, database));
    Ok(Admin {
        client: client.map_err(|fault| fault.said())?,
        _folder: folder,
    })
}

/// Whether the server accepts writes: it gives out a transaction number, which it does not in
/// recovery, and does not take transactions to be read-only.
pub(crate) fn accepts_writes(data: &Path, port: u16) -> Result<(), String> {
    let admin = connect(data, port, "postgres")?;
    let asked = admin
        .client
        .query_one("SELECT txid_current()::text, current_setting('transaction_read_only')");
    let row = asked.map_err(|fault| fault.said())?;
    match row.get::<_, &str>(1) {
        "off" => Ok(()),
        _ => Err("it is set to be read-only (default_transaction_read_only)".into()),
    }
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
        move |fault: Unanswered| {
            let (store, why) = (store.to_owned(), fault.said());
            if fault.is_silence() {
                return StoreFault::Silent { store, why };
            }
            StoreFault::Refused { store, what, why }
        }
    };
    let admin = connect(&data, port, "postgres").map_err(silent)?;
    let client = &admin.client;
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
    client
        .batch_execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
        .map_err(refused("rights"))?;
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
    let inside = connect(&data, port, store).map_err(silent)?;
    let client = &inside.client;
    let statements = has_statements(client).then_some("pg_stat_statements");
    let named = settings.extensions.iter().map(String::as_str);
    for extension in statements.into_iter().chain(named) {
        let make = format!(
            "CREATE EXTENSION IF NOT EXISTS {} CASCADE",
            name_of(extension)
        );
        client.batch_execute(&make).map_err(|fault| {
            let fault = refused(&format!("the extension `{extension}`"))(fault);
            unknown_extension(fault, extension, settings.version)
        })?;
    }
    client
        .batch_execute(&rights(store, &owner, &order.users))
        .map_err(refused("rights"))
}

/// An extension whose files are not on this machine: which package may bring them.
fn unknown_extension(fault: StoreFault, extension: &str, version: u16) -> StoreFault {
    match fault {
        StoreFault::Refused { store, what, why } if why.contains("is not available") => {
            let package = format!("postgresql-{version}-{}", extension.replace('_', "-"));
            let why = format!(
                "its files are not on this machine; a package of its own brings them, often `apt-get install {package}`"
            );
            StoreFault::Refused { store, what, why }
        }
        other => other,
    }
}

fn has_statements(client: &Client) -> bool {
    let asked = client.query_opt(
        "SELECT 1 FROM pg_available_extensions WHERE name = 'pg_stat_statements'",
        &[],
    );
    asked.is_ok_and(|row| row.is_some())
}

/// Logins that this platform made and that may come in.
fn logins(client: &Client) -> Result<Vec<String>, Unanswered> {
    let rows = client.query(
        "SELECT rolname::text FROM pg_roles WHERE rolcanlogin AND NOT rolsuper",
        &[],
    )?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn role_of_owner(store: &str) -> String {
    format!("{store}_owner")
}

fn make_role(client: &Client, name: &str, kind: &str) -> Result<(), Unanswered> {
    let there = client.query_opt("SELECT 1 FROM pg_roles WHERE rolname = $1", &[&name])?;
    let verb = if there.is_some() { "ALTER" } else { "CREATE" };
    client.batch_execute(&format!(
        "{verb} ROLE {} {kind} NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS",
        name_of(name)
    ))
}

fn make_database(client: &Client, name: &str, owner: &str) -> Result<(), Unanswered> {
    let there = client.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name])?;
    let (name, owner) = (name_of(name), name_of(owner));
    // One of that name may be the server's own, as `postgres` is.
    client.batch_execute(&match there {
        Some(_) => format!("ALTER DATABASE {name} OWNER TO {owner}"),
        None => format!("CREATE DATABASE {name} OWNER {owner}"),
    })
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
