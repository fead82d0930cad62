//! A receiver of messages over HTTP, for tests: takes requests down and answers as it is told.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Takes requests down and answers as it is told.
pub struct Receiver {
    /// Where it listens on loopback.
    pub port: u16,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    answer: Option<String>,
    taken: Vec<Request>,
    /// Connections that get no answer, kept open.
    hanging: Vec<TcpStream>,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its first line.
    pub line: String,
    /// Its body.
    pub body: String,
}

impl Receiver {
    /// One that answers every request with this status line and body.
    pub fn answering(status: &str, body: &str) -> Self {
        Self::start(Some(answer(status, "", body)))
    }

    /// One that sends everybody on to another address.
    pub fn redirecting(to: &str) -> Self {
        Self::start(Some(answer(
            "302 Found",
            &format!("location: {to}\r\n"),
            "",
        )))
    }

    /// One that reads and never answers.
    pub fn hanging() -> Self {
        Self::start(None)
    }

    fn start(answer: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        let port = listener.local_addr().expect("it has an address").port();
        let shared = Arc::new(Mutex::new(Shared {
            answer,
            taken: Vec::new(),
            hanging: Vec::new(),
        }));
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&of_thread);
                thread::spawn(move || attend(stream, &shared));
            }
        });
        Self { port, shared }
    }

    /// Its address.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Answers otherwise from now on.
    pub fn change(&self, status: &str, body: &str) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.answer = Some(answer(status, "", body));
    }

    /// What has come so far.
    pub fn taken(&self) -> Vec<Request> {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.taken.clone()
    }
}

fn answer(status: &str, fields: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{fields}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn attend(stream: TcpStream, shared: &Mutex<Shared>) {
    let mut reader = BufReader::new(stream);
    let Some(request) = read(&mut reader) else {
        return;
    };
    let mut stream = reader.into_inner();
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    shared.taken.push(request);
    match shared.answer.clone() {
        // A peer that is gone reads nothing.
        Some(answer) => drop(stream.write_all(answer.as_bytes())),
        None => shared.hanging.push(stream),
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut length = 0;
    loop {
        let mut field = String::new();
        reader.read_line(&mut field).ok()?;
        if field.trim().is_empty() {
            break;
        }
        let (name, value) = field.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        line: line.trim_end().to_owned(),
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
