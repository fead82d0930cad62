//! Requests to a control plane's API, byte by byte over its unix socket.

use crate::{Platform, until};
use serde_json::Value;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// One answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its head, as it came.
    pub head: String,
    /// Its body, as it came.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|fault| panic!("{fault}: {self:?}"))
    }

    /// Panics unless its status is this one.
    #[track_caller]
    pub fn status_is(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
    }

    /// Panics unless it is a refusal with this status and code, of the shape that all refusals have.
    #[track_caller]
    pub fn refuses(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{self:?}");
        assert!(
            problem["message"]
                .as_str()
                .is_some_and(|said| !said.is_empty())
        );
        assert!(problem["exit"].as_u64().is_some_and(|exit| exit > 0));
    }
}

fn connect(platform: &Platform) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(platform.state().join("run/control.sock"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends these bytes as they are and reads to the end.
///
/// # Panics
/// When nothing answers.
#[track_caller]
pub fn send(platform: &Platform, bytes: &[u8]) -> Answer {
    let mut stream = until("the control plane's socket", || connect(platform).ok());
    // A refusal may come before all of it is taken.
    drop(stream.write_all(bytes));
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("no answer ({read:?}): {head}")),
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

/// One request with a JSON body.
#[track_caller]
pub fn ask(platform: &Platform, line: &str, body: &str) -> Answer {
    let length = body.len();
    let head = format!(
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json"
    );
    send(
        platform,
        format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes(),
    )
}

/// Carries bytes between a port and the control plane's socket for as long as the test runs, because those
/// who ask speak TCP only; the port.
///
/// # Panics
/// When no port can be listened on.
pub fn over_tcp(platform: &Platform) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("it listens").port();
    let socket = platform.state().join("run/control.sock");
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            drop(carry(client, &socket));
        }
    });
    port
}

fn carry(client: TcpStream, socket: &Path) -> io::Result<()> {
    let server = UnixStream::connect(socket)?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        drop(io::copy(&mut from, &mut to));
        drop(to.shutdown(std::net::Shutdown::Write));
    });
    let (mut from, mut to) = (server, client);
    std::thread::spawn(move || {
        drop(io::copy(&mut from, &mut to));
        drop(to.shutdown(std::net::Shutdown::Both));
    });
    Ok(())
}

/// The program that `cargo xtask setup` installs below `target/`; says so where it is not.
pub fn schemathesis() -> Option<PathBuf> {
    let own = std::env::current_exe().unwrap_or_default();
    let target = own.ancestors().nth(3).unwrap_or(Path::new("."));
    let program = target.join("api-fuzz/bin/st");
    if !program.is_file() {
        crate::say(
            "skipped: schemathesis is not installed; `cargo xtask setup` installs it where Python and its registry are",
        );
        return None;
    }
    Some(program)
}
