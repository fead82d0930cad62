//! An instance: records what reaches it and answers by path.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};

const CHUNKS: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nhel\r\n2\r\nlo\r\n0\r\nA: b\r\n\r\n";
const TWO_LENGTHS: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";

/// The length of `/big`: more than sockets hold.
pub(crate) const BIG: usize = 20_000_000;
const TWICE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntwice";

/// Paths: `/slow` waits for [`Instance::release`]; `/die` closes without an answer, `/die-once` only the
/// first time; `/500` fails; `/ws` grants an upgrade and echoes; `/events` sends one event and waits;
/// `/half` breaks off its answer; `/chunks` and `/to-the-end` have no length; `/big` is [`BIG`]; `/two-lengths` has two; `/leave` closes
/// behind its answer, and does not say so;
/// `/interim` hints first; `/twice` answers twice at once; `/early` answers 413 at the head of a request and
/// reads no more of it; anything else answers 200 with the instance's name.
pub(crate) struct Instance {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    name: String,
    /// The path that it answers as, whatever it is asked for.
    always: Option<String>,
    requests: Mutex<Vec<String>>,
    bytes: AtomicUsize,
    gate: Mutex<bool>,
    opened: Condvar,
    deaths: AtomicUsize,
    closed: AtomicUsize,
}

impl Instance {
    pub(crate) fn start(name: &str) -> Self {
        Self::answering(name, None)
    }

    /// One that answers everything as it answers `path`.
    pub(crate) fn always(name: &str, path: &str) -> Self {
        Self::answering(name, Some(path.into()))
    }

    fn answering(name: &str, always: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            name: name.into(),
            always,
            ..Shared::default()
        });
        let serving = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = serving.clone();
                std::thread::spawn(move || {
                    shared.serve(stream);
                    shared.closed.fetch_add(1, SeqCst);
                });
            }
        });
        Self { address, shared }
    }

    /// Whole requests, as text, in order of arrival; taken.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.requests.lock().unwrap())
    }

    pub(crate) fn count(&self) -> usize {
        self.shared.requests.lock().unwrap().len()
    }

    /// Bytes that reached it so far.
    pub(crate) fn bytes(&self) -> usize {
        self.shared.bytes.load(SeqCst)
    }

    /// Connections that it has closed so far.
    pub(crate) fn closed(&self) -> usize {
        self.shared.closed.load(SeqCst)
    }

    /// Lets `/slow` answer, from now on.
    pub(crate) fn release(&self) {
        *self.shared.gate.lock().unwrap() = true;
        self.shared.opened.notify_all();
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        let mut read = Vec::new();
        while let Some(request) = self.request(&mut stream, &mut read) {
            let path = request.split(' ').nth(1).unwrap_or("").to_owned();
            self.requests.lock().unwrap().push(request);
            let path = self.always.as_ref().unwrap_or(&path);
            if self.answer(&mut stream, path, &mut read).is_none() {
                return;
            }
        }
    }

    fn request(&self, stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<String> {
        loop {
            if read.starts_with(b"POST /early ") {
                let answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(answer).ok()?;
                // Open until the gateway goes.
                while self.more(stream, &mut Vec::new()).is_some() {}
                return None;
            }
            if let Some(length) = whole(read) {
                let request = read.drain(..length).collect();
                return Some(String::from_utf8(request).unwrap());
            }
            self.more(stream, read)?;
        }
    }

    fn more(&self, stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<()> {
        let mut piece = [0; 16 * 1024];
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        self.bytes.fetch_add(count, SeqCst);
        read.extend_from_slice(&piece[..count]);
        Some(())
    }

    fn answer(&self, stream: &mut TcpStream, path: &str, read: &mut Vec<u8>) -> Option<()> {
        match path {
            "/slow" => {
                let mut open = self.gate.lock().unwrap();
                while !*open {
                    open = self.opened.wait(open).unwrap();
                }
                drop(open);
                self.say(stream, "200 OK")
            }
            "/die" => None,
            "/die-once" if self.deaths.fetch_add(1, SeqCst) == 0 => None,
            "/500" => self.say(stream, "500 Internal Server Error"),
            "/half" => {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                    .ok()?;
                None
            }
            "/ws" => self.echo(stream, read),
            "/events" => self.events(stream, read),
            "/chunks" => stream.write_all(CHUNKS).ok(),
            "/to-the-end" => {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\n\r\nto the end")
                    .ok()?;
                None
            }
            "/big" => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n");
                stream.write_all(head.as_bytes()).ok()?;
                stream.write_all(&vec![b'b'; BIG]).ok()
            }
            "/leave" => {
                self.say(stream, "200 OK")?;
                None
            }
            "/two-lengths" => stream.write_all(TWO_LENGTHS).ok(),
            "/interim" => {
                stream
                    .write_all(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
                    .ok()?;
                self.say(stream, "200 OK")
            }
            "/twice" => stream.write_all(&TWICE.repeat(2)).ok(),
            _ => self.say(stream, "200 OK"),
        }
    }

    fn say(&self, stream: &mut TcpStream, status: &str) -> Option<()> {
        let name = &self.name;
        let fields =
            "Keep-Alive: timeout=5\r\nX-Instance: yes\r\nConnection: X-Secret\r\nX-Secret: 1";
        let answer = format!(
            "HTTP/1.1 {status}\r\n{fields}\r\nContent-Length: {}\r\n\r\n{name}",
            name.len()
        );
        stream.write_all(answer.as_bytes()).ok()
    }

    fn echo(&self, stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<()> {
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").ok()?;
        loop {
            stream.write_all(&std::mem::take(read)).ok()?;
            self.more(stream, read)?;
        }
    }

    fn events(&self, stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<()> {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(b"9\r\ndata: 1\n\n\r\n").ok()?;
        // Until the gateway goes.
        while self.more(stream, read).is_some() {}
        None
    }
}

/// The length of the first request, once it is whole.
fn whole(read: &[u8]) -> Option<usize> {
    let head = read.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&read[..head]).to_lowercase();
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    if field("transfer-encoding:").is_some() {
        let end = read[head..]
            .windows(5)
            .position(|window| window == b"0\r\n\r\n")?
            + 5;
        return Some(head + end);
    }
    let length: usize = field("content-length:").map_or(0, |length| length.parse().unwrap());
    (read.len() >= head + length).then_some(head + length)
}
