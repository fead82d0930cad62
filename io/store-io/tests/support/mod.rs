//! Real servers in temporary folders, each at a loopback address of its own.

#![expect(dead_code, reason = "each test file uses a part of it")]

use mainstay_atoms::{Bytes, Digest, Generation, Launch, ServiceName, Size, Stop, Told};
use mainstay_spec::{Postgres, Redis, StoreKind, StoreOrder, StoreUser, Waiting};
use mainstay_store_io::{Done, FileSecrets, Readiness, Secrets as _, StoreFault, Stores};
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The user of a store's server when the test is root: of no name, as the platform does it.
const OWNER: u32 = 79_000;

/// Asks until there is something.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = seen() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn is_root() -> bool {
    own_uid() == 0
}

fn own_uid() -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").unwrap().uid()
}

/// One store with its state, its secrets and perhaps its server.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) stores: Stores,
    pub(crate) secrets: FileSecrets,
    pub(crate) order: StoreOrder,
    pub(crate) owner: Option<u32>,
    server: Option<Child>,
    run: u64,
}

impl Place {
    /// A store with these users; those marked `true` own the schema.
    pub(crate) fn new(kind: StoreKind, users: &[(&str, bool)]) -> Self {
        let folder = tempfile::Builder::new().prefix("mainstay-store-").tempdir();
        Self::at(folder.unwrap(), kind, users)
    }

    pub(crate) fn at(folder: TempDir, kind: StoreKind, users: &[(&str, bool)]) -> Self {
        // The user of the server has to pass; the platform mounts its folders instead.
        for path in [folder.path().to_owned(), folder.path().join("stores")] {
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o711)).unwrap();
        }
        let secrets = FileSecrets::new(&folder.path().join("secrets"));
        let kept = Arc::new(secrets.clone());
        let stores = Stores::start(&folder.path().join("stores"), kept);
        let order = StoreOrder {
            store: ServiceName::new("db").unwrap(),
            address: kind.server().map(|_| address()),
            kind,
            users: users_of(users),
        };
        Self {
            owner: is_root().then_some(OWNER),
            folder,
            stores,
            secrets,
            order,
            server: None,
            run: 0,
        }
    }

    pub(crate) fn users(&mut self, users: &[(&str, bool)]) {
        self.order.users = users_of(users);
    }

    pub(crate) fn postgres(&mut self) -> &mut Postgres {
        match &mut self.order.kind {
            StoreKind::Postgres(postgres) => postgres,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn redis(&mut self) -> &mut Redis {
        match &mut self.order.kind {
            StoreKind::Redis(redis) => redis,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("stores/db")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.root().join("data")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.order.address.unwrap()
    }

    pub(crate) fn password(&self, user: &str) -> String {
        let secret = self.secrets.get(&format!("db/{user}")).unwrap();
        secret.reveal().to_owned()
    }

    /// How much waits, asked as this user.
    pub(crate) fn waiting(&self, user: &str, what: &Waiting) -> Result<u64, String> {
        let order = &self.order;
        let told = Told {
            store: order.store.clone(),
            kind: String::new(),
            variable: match order.kind {
                StoreKind::Redis(_) => "REDIS_URL".into(),
                _ => "DATABASE_URL".into(),
            },
            login: ServiceName::new(user).unwrap(),
            address: order.address,
            external: None,
        };
        self.stores.waiting(&told, what)()
    }

    /// Prepares to the end.
    pub(crate) fn prepare(&mut self) -> Result<(), StoreFault> {
        let (order, owner) = (self.order.clone(), self.owner);
        until("a prepared store", || {
            match self.stores.prepare(&order, owner, BTreeMap::new()) {
                Ok(Done::NotYet) => None,
                Ok(Done::Yes) => Some(Ok(())),
                Err(fault) => Some(Err(fault)),
            }
        })
    }

    /// Provisions to the end.
    pub(crate) fn provision(&mut self) -> Result<(), StoreFault> {
        let (order, owner) = (self.order.clone(), self.owner);
        until("a provisioned store", || {
            match self.stores.provision(&order, owner) {
                Ok(Done::NotYet) => None,
                Ok(Done::Yes) => Some(Ok(())),
                Err(fault) => Some(Err(fault)),
            }
        })
    }

    pub(crate) fn launch(&self) -> Launch {
        Launch {
            instance: "db.v1.1".parse().unwrap(),
            generation: Generation(self.run),
            contents: digest(),
            artifact: digest(),
            run: vec![],
            env: BTreeMap::new(),
            address: self.order.address,
            size: Size::default(),
            ready: None,
            health: None,
            stop: Stop::default(),
            told: BTreeMap::new(),
            server: self.order.kind.server(),
            job: None,
        }
    }

    /// Starts the server as the platform does it, without waiting for it.
    pub(crate) fn start(&mut self) {
        self.run += 1;
        let command = self.stores.command(&self.launch()).unwrap();
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("server.log"))
            .unwrap();
        let mut words = match self.owner {
            Some(owner) => vec![
                "setpriv".to_owned(),
                format!("--reuid={owner}"),
                format!("--regid={owner}"),
                "--clear-groups".into(),
            ],
            None => vec![],
        };
        words.extend(command.run);
        let child = Command::new(&words[0])
            .args(&words[1..])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir(&command.folders[0])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.server = Some(child.unwrap());
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.as_ref().unwrap().id()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    /// The last answer to whether it accepts writes.
    pub(crate) fn readiness(&self) -> Readiness {
        let launch = self.launch();
        self.stores.watch(&[&launch]);
        self.stores.readiness(&launch)
    }

    #[track_caller]
    pub(crate) fn ready(&self) {
        until("a server that accepts writes", || {
            (self.readiness() == Readiness::Ready).then_some(())
        });
    }

    /// Prepares, starts, waits until it accepts writes, lets its users in.
    #[track_caller]
    pub(crate) fn serve(&mut self) {
        self.prepare().unwrap();
        self.start();
        self.ready();
        self.provision().unwrap();
    }

    /// Ends the server as a stop does; SIGINT is PostgreSQL's fast shutdown.
    pub(crate) fn stop(&mut self) {
        self.end("INT");
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        self.end("KILL");
        // Its children see that it is gone and end.
        let pid_file = self.data().join("postmaster.pid");
        if pid_file.exists() {
            let address = self.address();
            until("the end of its children", || {
                std::net::TcpStream::connect(address).is_err().then_some(())
            });
        }
    }

    fn end(&mut self, signal: &str) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        let pid = server.id().to_string();
        drop(Command::new("kill").args(["-s", signal, &pid]).status());
        let deadline = Instant::now() + PATIENCE;
        while matches!(server.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(server.kill());
        drop(server.wait());
    }

    /// A connection of one of the users.
    pub(crate) fn connect(&self, user: &str) -> Result<postgres::Client, String> {
        self.connect_with(user, &self.password(user), "db")
    }

    pub(crate) fn connect_with(
        &self,
        user: &str,
        password: &str,
        database: &str,
    ) -> Result<postgres::Client, String> {
        postgres::Config::new()
            .host(&self.address().ip().to_string())
            .port(self.address().port())
            .user(user)
            .password(password)
            .dbname(database)
            .connect_timeout(PATIENCE)
            .connect(postgres::NoTls)
            .map_err(|fault| match std::error::Error::source(&fault) {
                Some(cause) => cause.to_string(),
                None => fault.to_string(),
            })
    }

    /// One value as the administrator, by the socket.
    pub(crate) fn admin(&self, sql: &str) -> String {
        self.admin_in("db", sql)
    }

    pub(crate) fn admin_in(&self, database: &str, sql: &str) -> String {
        let mut client = postgres::Config::new()
            .host_path(self.data())
            .port(self.address().port())
            .user("mainstay_admin")
            .dbname(database)
            .connect(postgres::NoTls)
            .unwrap();
        let rows = client.simple_query(sql).unwrap();
        let first = rows.iter().find_map(|row| match row {
            postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        first.unwrap_or_default()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let last: Vec<&str> = log.lines().rev().take(15).collect();
            for line in last.iter().rev() {
                drop(std::io::Write::write_fmt(
                    &mut std::io::stderr(),
                    format_args!("{line}\n"),
                ));
            }
        }
        self.stop();
    }
}

fn digest() -> Digest {
    Digest::of(b"")
}

fn users_of(users: &[(&str, bool)]) -> Vec<StoreUser> {
    let user = |(name, owns): &(&str, bool)| StoreUser {
        name: ServiceName::new(*name).unwrap(),
        owns: *owns,
    };
    users.iter().map(user).collect()
}

/// A loopback address that no other test has.
fn address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let last = NEXT.fetch_add(1, Ordering::Relaxed);
    SocketAddr::from(([127, 128 | (high & 0x3f), low, last], 5432))
}

pub(crate) fn postgres_15() -> StoreKind {
    StoreKind::Postgres(Postgres {
        version: 15,
        memory: Bytes(64 << 20),
        disk: None,
        extensions: vec![],
        settings: [("max_connections".to_owned(), "20".to_owned())].into(),
    })
}

pub(crate) fn redis_7() -> StoreKind {
    StoreKind::Redis(Redis {
        version: 7,
        memory: Bytes(32 << 20),
        evict: "noeviction".into(),
        persist: true,
    })
}

/// Files below a folder that hold this text.
pub(crate) fn files_with(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files_with(&path, text));
        } else if fs::read(&path).is_ok_and(|bytes| {
            bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        }) {
            found.push(path);
        }
    }
    found
}
