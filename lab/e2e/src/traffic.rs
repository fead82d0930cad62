//! Requests from outside, one or a steady load.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Requests of one connection of a load, before it makes a new one.
const REUSE: usize = 20;

/// Between two requests of one client: a load is steady, not as fast as it can be.
const PACE: Duration = Duration::from_millis(4);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: String,
    /// Whether the server said that it closes the connection.
    pub closes: bool,
    /// After how many seconds it is worth to ask again, as the server said.
    pub retry_after: Option<u64>,
}

/// One GET over a connection of its own.
pub fn get(port: u16, path: &str) -> io::Result<Answer> {
    get_of(port, "localhost", path)
}

/// One GET of another host.
pub fn get_of(port: u16, host: &str, path: &str) -> io::Result<Answer> {
    ask(&mut connect(port)?, "GET", (host, path), "")
}

/// One POST without a body.
pub fn post(port: u16, path: &str) -> io::Result<Answer> {
    ask(&mut connect(port)?, "POST", ("localhost", path), "")
}

/// One POST with this body.
pub fn post_with(port: u16, path: &str, body: &str) -> io::Result<Answer> {
    ask(&mut connect(port)?, "POST", ("localhost", path), body)
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn ask(
    stream: &mut TcpStream,
    method: &str,
    (host, path): (&str, &str),
    body: &str,
) -> io::Result<Answer> {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        more(stream, &mut bytes)?;
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let status = text.get(9..12).and_then(|code| code.parse().ok());
    let number = |field: &str| {
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.and_then(|value| value.trim().parse::<u64>().ok())
    };
    let length = number("content-length").and_then(|length| usize::try_from(length).ok());
    let (Some(status), Some(length)) = (status, length) else {
        return Err(io::Error::other(format!("not understood: {text}")));
    };
    while bytes.len() < head + length {
        more(stream, &mut bytes)?;
    }
    let body = String::from_utf8_lossy(&bytes[head..]).into_owned();
    let closes = text.contains("\r\nconnection: close\r\n");
    Ok(Answer {
        status,
        body,
        closes,
        retry_after: number("retry-after"),
    })
}

fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 4096];
    match stream.read(&mut chunk)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => {
            bytes.extend(&chunk[..count]);
            Ok(())
        }
    }
}

/// Several clients that ask over and over, until stopped.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    port: u16,
    path: String,
    stop: AtomicBool,
    answered: AtomicU64,
    failures: Mutex<Vec<String>>,
}

impl Load {
    /// Starts `clients` of them.
    pub fn start(port: u16, path: &str, clients: usize) -> Self {
        let shared = Arc::new(Shared {
            port,
            path: path.into(),
            stop: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            failures: Mutex::default(),
        });
        let clients = (0..clients).map(|_| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.run())
        });
        Self {
            clients: clients.collect(),
            shared,
        }
    }

    /// How many were answered with 200 so far.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Waits until `count` more were answered with 200.
    pub fn more(&self, count: u64) {
        let from = self.answered();
        crate::until("requests to be answered", || {
            (self.answered() >= from + count).then_some(())
        });
    }

    /// Stops all clients; what went wrong, a line each.
    pub fn stop(mut self) -> Vec<String> {
        self.end();
        std::mem::take(&mut *self.shared.failures())
    }

    /// Stops all clients, none of whose requests may have failed.
    #[track_caller]
    pub fn stop_without_failure(self) {
        let answered = self.answered();
        let failures = self.stop();
        let first = failures.first().map_or("", String::as_str);
        let count = failures.len();
        assert_eq!(
            count, 0,
            "failed beside {answered} answered; the first: {first}"
        );
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            // A client that panicked has said why.
            drop(client.join());
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn failures(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            if let Err(fault) = self.connection() {
                self.failures().push(fault);
                std::thread::sleep(PACE);
            }
        }
    }

    fn connection(&self) -> Result<(), String> {
        let mut stream = connect(self.port).map_err(|fault| format!("connect: {fault}"))?;
        for turn in 0..REUSE {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let answer = ask(&mut stream, "GET", ("localhost", &self.path), "")
                .map_err(|fault| format!("request {turn} of a connection: {fault}"))?;
            if answer.status != 200 {
                return Err(format!("{}: {}", answer.status, answer.body));
            }
            self.answered.fetch_add(1, Ordering::Relaxed);
            if answer.closes {
                return Ok(());
            }
            std::thread::sleep(PACE);
        }
        Ok(())
    }
}
