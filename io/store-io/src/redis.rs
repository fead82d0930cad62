//! Redis and Valkey: configuration, users, and whether it accepts writes.
//!
//! One administrator, `mainstay_admin`, with a password of its own; the `default` user, as which everybody
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
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

/// The administrator's user: no service or job can have a name with `_`.
const ADMIN: &str = "mainstay_admin";

/// Longest wait for an answer of the server.
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes the configuration and the list of users.
pub(crate) fn prepare(
    folder: &Folder,
    settings: &Redis,
    order: &StoreOrder,
    address: SocketAddr,
    secrets: &dyn Secrets,
) -> Result<(), StoreFault> {
    let data = folder.data();
    folder.share(&data)?;
    let configuration = configuration(settings, address, folder);
    let users = list(&users(order, secrets)?);
    folder.write_if_new(&folder.root.join("redis.conf"), &configuration)?;
    folder.write_if_new(&folder.root.join("users.acl"), &users)
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
    let append = if settings.persist { "yes" } else { "no" };
    [
        ("maxmemory", settings.memory.0.to_string()),
        ("maxmemory-policy", settings.evict.clone()),
        ("appendonly", append.into()),
        ("appendfsync", "everysec".into()),
        // No snapshots: without the append-only file a restart begins empty, never with something old.
        ("save", String::new()),
    ]
}

/// Every user with its rules: everything but administration for those who use the store, nothing for
/// everybody else; passwords stand here hashed.
fn users(
    order: &StoreOrder,
    secrets: &dyn Secrets,
) -> Result<BTreeMap<String, Vec<String>>, SecretFault> {
    let mut users = BTreeMap::from([("default".to_owned(), vec!["off".to_owned()])]);
    let mut add = |name: &str, rights: &[&str]| -> Result<(), SecretFault> {
        let password = secrets.get_or_make(&password_name(order.store.as_str(), name))?;
        let hash = format!("#{}", hash(&password));
        let rules = [&["on", &hash, "~*", "&*"], rights].concat();
        users.insert(
            name.to_owned(),
            rules.into_iter().map(str::to_owned).collect(),
        );
        Ok(())
    };
    add(ADMIN, &["+@all"])?;
    for user in &order.users {
        add(user.name.as_str(), &["+@all", "-@admin"])?;
    }
    Ok(users)
}

/// The same as a file that the server reads when it starts.
fn list(users: &BTreeMap<String, Vec<String>>) -> String {
    let line =
        |(name, rules): (&String, &Vec<String>)| format!("user {name} {}\n", rules.join(" "));
    users.iter().map(line).collect()
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

/// Whether the server accepts writes: it is a master, has read its data, and can write what it is told.
pub(crate) fn accepts_writes(
    store: &str,
    address: SocketAddr,
    secrets: &dyn Secrets,
) -> Result<(), String> {
    let mut connection = connect(store, address, secrets).map_err(|fault| fault.to_string())?;
    let info: String = redis::cmd("INFO")
        .query(&mut connection)
        .map_err(|fault| fault.to_string())?;
    match trouble(&info) {
        None => Ok(()),
        Some(why) => Err(why.into()),
    }
}

fn trouble(info: &str) -> Option<&'static str> {
    let says = |line: &str| info.lines().any(|one| one.trim() == line);
    if !says("role:master") {
        Some("it is a replica, which takes no writes")
    } else if !says("loading:0") {
        Some("it reads its data")
    } else if says("aof_last_write_status:err") {
        Some("it cannot write its append-only file; is the disk full?")
    } else {
        None
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
    let mut tell = |words: &[&str], what: &str| {
        let (first, rest) = words.split_first().unwrap_or((&"PING", &[]));
        redis::cmd(first)
            .arg(rest)
            .query::<redis::Value>(&mut connection)
            .map_err(|fault| told(store, what, &fault))
    };
    for (name, value) in live(settings) {
        tell(&["CONFIG", "SET", name, &value], name)?;
    }
    // One by one: `ACL LOAD` cuts off everybody who is connected.
    let users = users(order, secrets)?;
    for (name, rules) in &users {
        let mut words = vec!["ACL", "SETUSER", name, "reset"];
        words.extend(rules.iter().map(String::as_str));
        tell(&words, "a user")?;
    }
    let there = tell(&["ACL", "USERS"], "a question")?;
    let there: Vec<String> = redis::from_redis_value(there).unwrap_or_default();
    for gone in there.iter().filter(|name| !users.contains_key(*name)) {
        tell(&["ACL", "DELUSER", gone], "the end of a user")?;
    }
    Ok(())
}

/// A server that went away says nothing; one that is there refuses.
fn told(store: &str, what: &str, fault: &redis::RedisError) -> StoreFault {
    let (store, why) = (store.to_owned(), fault.to_string());
    if fault.kind() == redis::ErrorKind::Io {
        return StoreFault::Silent { store, why };
    }
    let what = what.to_owned();
    StoreFault::Refused { store, what, why }
}
