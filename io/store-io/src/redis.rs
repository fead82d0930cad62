//! Redis and Valkey: configuration, users, and whether it accepts writes.
//!
//! One administrator, `mainstay`, with a password of its own; the `default` user, as which everybody
//! else would come in, is off.

use crate::fault::StoreFault;
use crate::folder::Folder;
use crate::secret::{Secret, SecretFault, Secrets};
use crate::tell::password_name;
use aws_lc_rs::digest::{SHA256, digest};
use mainstay_spec::{Redis, StoreOrder};
use redis::{
    Client, Connection, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo,
};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

/// The administrator's user.
const ADMIN: &str = "mainstay";

/// Longest wait for an answer of the server.
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes the configuration and the list of users; whether anything changed.
pub(crate) fn prepare(
    folder: &Folder,
    settings: &Redis,
    order: &StoreOrder,
    address: SocketAddr,
    secrets: &dyn Secrets,
) -> Result<bool, StoreFault> {
    let data = folder.data();
    folder.share(&data)?;
    let configuration = configuration(settings, address, folder);
    let users = users(order, secrets)?;
    let changed = folder.write_if_new(&folder.root.join("redis.conf"), &configuration)?;
    Ok(folder.write_if_new(&folder.root.join("users.acl"), &users)? || changed)
}

fn configuration(settings: &Redis, address: SocketAddr, folder: &Folder) -> String {
    let quoted = |path: &std::path::Path| format!("{:?}", path.display().to_string());
    let mut text = format!(
        "# Written by mainstay from `stores`; changes are overwritten.
bind {}
port {}
protected-mode no
daemonize no
dir {}
aclfile {}
",
        address.ip(),
        address.port(),
        quoted(&folder.data()),
        quoted(&folder.root.join("users.acl")),
    );
    for (name, value) in live(settings) {
        writeln!(text, "{name} {value:?}").expect("a String takes everything");
    }
    text
}

/// Settings that the server takes over while it runs.
fn live(settings: &Redis) -> [(&'static str, String); 5] {
    let (append, save) = if settings.persist {
        ("yes", "3600 1 300 100 60 10000")
    } else {
        ("no", "")
    };
    [
        ("maxmemory", settings.memory.0.to_string()),
        ("maxmemory-policy", settings.evict.clone()),
        ("appendonly", append.into()),
        ("appendfsync", "everysec".into()),
        ("save", save.into()),
    ]
}

/// Everything but administration, for everybody who uses the store; passwords stand here hashed.
fn users(order: &StoreOrder, secrets: &dyn Secrets) -> Result<String, SecretFault> {
    let store = order.store.as_str();
    let mut text = String::from("user default off\n");
    let admin = secrets.get_or_make(&password_name(store, ADMIN))?;
    writeln!(text, "user {ADMIN} on #{} ~* &* +@all", hash(&admin)).expect("a String takes it");
    for user in &order.users {
        let password = secrets.get_or_make(&password_name(store, user.name.as_str()))?;
        let hash = hash(&password);
        writeln!(text, "user {} on #{hash} ~* &* +@all -@admin", user.name)
            .expect("a String takes it");
    }
    Ok(text)
}

fn hash(secret: &Secret) -> String {
    let digest = digest(&SHA256, secret.reveal().as_bytes());
    digest
        .as_ref()
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a String takes everything");
            text
        })
}

fn connect(
    store: &str,
    address: SocketAddr,
    secrets: &dyn Secrets,
) -> Result<Connection, StoreFault> {
    let password = secrets.get(&password_name(store, ADMIN))?;
    let silent = |fault: redis::RedisError| StoreFault::Silent {
        store: store.to_owned(),
        why: fault.to_string(),
    };
    let info = ConnectionAddr::Tcp(address.ip().to_string(), address.port())
        .into_connection_info()
        .map_err(silent)?;
    let user = RedisConnectionInfo::default()
        .set_username(ADMIN)
        .set_password(password.reveal());
    let info: ConnectionInfo = info.set_redis_settings(user);
    let client = Client::open(info).map_err(silent)?;
    let connection = client
        .get_connection_with_timeout(PATIENCE)
        .map_err(silent)?;
    connection
        .set_read_timeout(Some(PATIENCE))
        .map_err(silent)?;
    connection
        .set_write_timeout(Some(PATIENCE))
        .map_err(silent)?;
    Ok(connection)
}

/// Whether the server accepts writes: it is a master and has read its data.
pub(crate) fn accepts_writes(
    store: &str,
    address: SocketAddr,
    secrets: &dyn Secrets,
) -> Result<(), String> {
    let mut connection = connect(store, address, secrets).map_err(|fault| fault.to_string())?;
    let info: String = redis::cmd("INFO")
        .arg("replication")
        .query(&mut connection)
        .map_err(|fault| fault.to_string())?;
    if info.contains("role:master") {
        Ok(())
    } else {
        Err("it is a replica, which takes no writes".into())
    }
}

/// Lets the server take over its settings and its users. Doing it twice is doing it once.
pub(crate) fn provision(
    settings: &Redis,
    order: &StoreOrder,
    address: SocketAddr,
    secrets: &dyn Secrets,
) -> Result<(), StoreFault> {
    let store = order.store.as_str();
    let mut connection = connect(store, address, secrets)?;
    let mut tell = |command: &mut redis::Cmd, what: &str| {
        command
            .query::<()>(&mut connection)
            .map_err(|fault| StoreFault::Refused {
                store: store.to_owned(),
                what: what.to_owned(),
                why: fault.to_string(),
            })
    };
    for (name, value) in live(settings) {
        let mut command = redis::cmd("CONFIG");
        tell(command.arg("SET").arg(name).arg(value), name)?;
    }
    tell(redis::cmd("ACL").arg("LOAD"), "its users")
}
