//! A process of its own, targets that answer what they are told, and questions over its socket.
#![expect(dead_code, reason = "each test uses some of it")]

pub(crate) mod prometheus;

use mainstay_signals_io::{Client, Config, Place, Reading, Target};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// The process.
pub(crate) struct Signals {
    pub(crate) folder: tempfile::TempDir,
    child: Child,
}

impl Signals {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = spawn(folder.path());
        let signals = Self { folder, child };
        signals.wait();
        signals
    }

    fn wait(&self) {
        until("the process answers", || {
            self.client()
                .ask("GET", "/-/ready", &[])
                .is_ok_and(|one| one.0 == 200)
        });
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn start_again(&mut self) {
        self.child = spawn(self.folder.path());
        self.wait();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.folder.path().join("s.sock"), DEADLINE)
    }

    pub(crate) fn configure(&self, config: &Config) {
        self.client().configure(config).unwrap();
    }

    /// The single value of a query, once it has one.
    pub(crate) fn value(&self, query: &str) -> f64 {
        let mut value = None;
        until(query, || {
            if let Reading::Values(values) = self.client().query(query)
                && let [(_, one)] = values.as_slice()
            {
                value = Some(*one);
            }
            value.is_some()
        });
        value.unwrap()
    }

    /// Waits until a query has a value.
    pub(crate) fn sees(&self, query: &str, expected: f64) {
        let mut last = Reading::NoData;
        let begun = Instant::now();
        while begun.elapsed() < DEADLINE {
            last = self.client().query(query);
            if let Reading::Values(values) = &last
                && values.len() == 1
                && (values[0].1 - expected).abs() < 1e-9
            {
                return;
            }
            std::thread::yield_now();
        }
        panic!("`{query}` is {last:?}, not {expected}");
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let (status, body) = self.client().ask("GET", path, &[]).unwrap();
        (status, String::from_utf8(body).unwrap())
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(folder: &Path) -> Child {
    // Examples are built with the tests, beside them.
    let mut binary = std::env::current_exe().unwrap();
    binary.pop();
    binary.pop();
    Command::new(binary.join("examples/signals"))
        .args([folder.join("state"), folder.join("s.sock")])
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "never: {what}");
        std::thread::yield_now();
    }
}

/// What a target does with a connection.
pub(crate) type Answer = Box<dyn FnMut(&mut TcpStream) + Send>;

/// A target.
pub(crate) struct Exposer {
    pub(crate) address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
}

impl Exposer {
    pub(crate) fn new(answer: impl FnMut(&mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer: Arc<Mutex<Answer>> = Arc::new(Mutex::new(Box::new(answer)));
        let shared = answer.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || {
                    let mut stream = stream;
                    let mut head = [0; 4096];
                    while stream.read(&mut head).is_ok_and(|count| count > 0) {
                        (shared.lock().unwrap())(&mut stream);
                    }
                });
            }
        });
        Self { address, answer }
    }

    /// A target that shows a text.
    pub(crate) fn text(text: &str) -> Self {
        let answer = ok(text.as_bytes(), "");
        Self::new(move |stream| drop(stream.write_all(&answer)))
    }

    pub(crate) fn change(&self, answer: impl FnMut(&mut TcpStream) + Send + 'static) {
        *self.answer.lock().unwrap() = Box::new(answer);
    }

    pub(crate) fn target(&self, job: &str) -> Target {
        target(job, &self.address.to_string())
    }
}

pub(crate) fn ok(body: &[u8], fields: &str) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{fields}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    answer
}

pub(crate) fn target(job: &str, address: &str) -> Target {
    Target {
        job: job.into(),
        instance: String::new(),
        service: String::new(),
        place: Place::Tcp(address.into()),
        ca: String::new(),
        path: "/metrics".into(),
        labels: std::collections::BTreeMap::new(),
        every_ms: 100,
        timeout_ms: 5_000,
        honor_labels: false,
        honor_timestamps: true,
        allow_link_local: false,
    }
}

pub(crate) fn config(generation: u64, targets: Vec<Target>) -> Config {
    Config {
        generation,
        targets,
        ..Config::default()
    }
}
