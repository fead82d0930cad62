//! What every test needs: a gateway as a process, instances that record, tables, patience.
#![allow(dead_code, reason = "each test uses a part")]
#![allow(
    clippy::allow_attributes,
    reason = "an unused part differs from test to test"
)]

pub(crate) mod instance;
pub(crate) mod two;

use instance::Instance;
use mainstay_atoms::{Epoch, Generation, HostName, ReleaseNumber, ServiceName, Share};
use mainstay_gateway_io::{Client, Status};
use mainstay_routing::{Backend, Listener, Pauses, Pool, Route, Split, Table};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// The longest anything may take; a pass takes milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Asks again until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// An address nobody listens on.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// A gateway in a process and a folder of its own.
pub(crate) struct Gateway {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) address: SocketAddr,
    arguments: Vec<String>,
    child: Child,
}

impl Gateway {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let child = spawn(&folder, &arguments);
        let gateway = Self {
            folder,
            address: free_address(),
            arguments,
            child,
        };
        gateway.client();
        gateway
    }

    /// Started, and serving one service `web` for `localhost` from these instances.
    pub(crate) fn serving(arguments: &[&str], instances: &[SocketAddr]) -> Self {
        let gateway = Self::start(arguments);
        gateway
            .client()
            .publish(&gateway.table(1, instances))
            .unwrap();
        gateway
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("gateway.sock")
    }

    pub(crate) fn client(&self) -> Client {
        eventually("the control socket", || {
            Client::connect(&self.socket()).ok()
        })
    }

    pub(crate) fn status(&self) -> Status {
        self.client().status().unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn table(&self, generation: u64, instances: &[SocketAddr]) -> Table {
        let listener = Listener::Public {
            address: self.address,
        };
        table(generation, vec![listener], instances)
    }

    pub(crate) fn publish(&self, generation: u64, instances: &[SocketAddr]) {
        let table = self.table(generation, instances);
        self.client().publish(&table).unwrap();
    }

    /// A table in which `canary` is on trial beside `stable`.
    pub(crate) fn trial(
        &self,
        generation: u64,
        stable: &[SocketAddr],
        canary: &[SocketAddr],
        split: Split,
    ) -> Table {
        let mut table = self.table(generation, stable);
        let release = split.release;
        let pool = table.services.values_mut().next().unwrap();
        pool.backends.extend(backends(release, canary));
        pool.split = Some(split);
        table
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    pub(crate) fn has_ended(&mut self) -> Option<bool> {
        self.child
            .try_wait()
            .unwrap()
            .map(|status| status.success())
    }

    /// The same again, after [`Self::kill`].
    pub(crate) fn restart(&mut self, more: &[&str]) {
        let more = more.iter().map(ToString::to_string);
        let arguments: Vec<String> = self.arguments.iter().cloned().chain(more).collect();
        self.child = spawn(&self.folder, &arguments);
    }

    pub(crate) fn connect(&self) -> Peer {
        Peer::connect(self.address)
    }

    /// Another one beside it, in the same folder.
    pub(crate) fn beside(&self, more: &[&str]) -> Beside {
        let more: Vec<String> = more.iter().map(ToString::to_string).collect();
        Beside {
            socket: self.folder.path().to_owned(),
            child: spawn(&self.folder, &more),
        }
    }

    /// The control socket that is this process's own, whoever is in place.
    pub(crate) fn own(&self) -> Client {
        let name = format!("gateway.{}.sock", self.pid());
        let path = self.folder.path().join(name);
        eventually("its own socket", || Client::connect(&path).ok())
    }
}

/// A gateway in another one's folder.
pub(crate) struct Beside {
    socket: PathBuf,
    child: Child,
}

impl Beside {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn client(&self) -> Client {
        let path = self.socket.join(format!("gateway.{}.sock", self.pid()));
        eventually("its own socket", || Client::connect(&path).ok())
    }

    pub(crate) fn has_ended(&mut self) -> Option<bool> {
        self.child
            .try_wait()
            .unwrap()
            .map(|status| status.success())
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(folder: &tempfile::TempDir, arguments: &[String]) -> Child {
    let test = std::env::current_exe().unwrap();
    let program = test
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/gateway");
    let mut command = Command::new(program);
    command
        .arg(folder.path().join("gateway.sock"))
        .arg(folder.path().join("table.json"));
    command.args(arguments).spawn().unwrap()
}

pub(crate) fn web() -> ServiceName {
    ServiceName::new("web").unwrap()
}

/// `localhost` → `web`, instances `web.v1.1`, `web.v1.2`… by the order of their addresses; an instance's
/// generation is its port.
pub(crate) fn table(generation: u64, listeners: Vec<Listener>, instances: &[SocketAddr]) -> Table {
    let pool = Pool {
        streams: Duration::from_millis(100),
        backends: backends(ReleaseNumber(1), instances).collect(),
        split: None,
    };
    let route = Route {
        prefix: "/".into(),
        service: web(),
        only: None,
    };
    Table {
        epoch: Epoch(1),
        generation: Generation(generation),
        listeners,
        domains: BTreeMap::from([(HostName::new("localhost").unwrap(), vec![route])]),
        services: BTreeMap::from([(web(), pool)]),
        pauses: Pauses::default(),
    }
}

fn backends(
    release: ReleaseNumber,
    addresses: &[SocketAddr],
) -> impl Iterator<Item = Backend> + '_ {
    addresses
        .iter()
        .zip(1..)
        .map(move |(address, ordinal)| Backend {
            instance: format!("web.{release}.{ordinal}").parse().unwrap(),
            generation: Generation(address.port().into()),
            release,
            address: *address,
        })
}

/// The second release on trial, with this share, in hundredths of a percent.
pub(crate) fn split(canary: u64) -> Split {
    Split {
        release: ReleaseNumber(2),
        canary: Share(canary),
        baseline: Share(0),
        fresh_above: 9,
        sticky: false,
        chosen: vec![],
        mirror: Share(0),
    }
}

/// A stable and a canary instance, which answer with these names.
pub(crate) fn pair() -> (Instance, Instance) {
    (Instance::start("stable"), Instance::start("canary"))
}

/// The head of a GET with these lines.
pub(crate) fn asking(path: &str, lines: &[&str]) -> String {
    let lines = [&["Host: localhost"], lines, &["", ""]].concat();
    format!("GET {path} HTTP/1.1\r\n{}", lines.join("\r\n"))
}

/// Asks all of it, over so many connections at once that every worker has some; the answers in order.
pub(crate) fn ask_all(address: SocketAddr, requests: &[String]) -> Vec<Answer> {
    let share = requests.len().div_ceil(CONNECTIONS).max(1);
    std::thread::scope(|scope| {
        let parts = requests.chunks(share).map(|part| {
            scope.spawn(move || {
                let mut peer = Peer::connect(address);
                let mut answers = Vec::with_capacity(part.len());
                for some in part.chunks(PIPELINE) {
                    peer.send(some.concat());
                    answers.extend(some.iter().map(|_| peer.answer()));
                }
                answers
            })
        });
        let parts: Vec<_> = parts.collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().unwrap())
            .collect()
    })
}

/// Of [`ask_all`].
const CONNECTIONS: usize = 12;
/// Requests that a client of [`ask_all`] sends before it reads.
const PIPELINE: usize = 20;

/// A client that sends and reads plain bytes.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    pub(crate) read: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The first field of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let is = |line: &&str| line.split(':').next() == Some(name);
        let line = self.head.lines().find(is)?;
        line.split_once(": ").map(|(_, value)| value)
    }
}

impl Peer {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            read: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            .answer()
    }

    /// The next answer, whose length `Content-Length` gives.
    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer()
            .expect("the connection was closed before a whole answer")
    }

    pub(crate) fn try_answer(&mut self) -> Option<Answer> {
        let head = self.until("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let field = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length = field.map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            self.more()?;
        }
        let body = String::from_utf8(self.read.drain(..length).collect()).unwrap();
        Some(Answer { status, head, body })
    }

    /// Everything up to and with `end`.
    pub(crate) fn until(&mut self, end: &str) -> Option<String> {
        loop {
            let found = self
                .read
                .windows(end.len())
                .position(|window| window == end.as_bytes());
            if let Some(at) = found {
                return Some(
                    String::from_utf8(self.read.drain(..at + end.len()).collect()).unwrap(),
                );
            }
            self.more()?;
        }
    }

    pub(crate) fn more(&mut self) -> Option<()> {
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) | Err(_) => None,
            Ok(count) => {
                self.read.extend_from_slice(&piece[..count]);
                Some(())
            }
        }
    }

    /// Reads to the end; panics if the gateway does not close.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        while self.more().is_some() {}
        assert!(Instant::now() < deadline, "the gateway did not close");
        std::mem::take(&mut self.read)
    }
}
