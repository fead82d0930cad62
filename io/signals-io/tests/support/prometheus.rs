//! The field's own programs, where they are installed.

use super::until;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A program; where it is not there, that is said.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        skipped(name);
    }
    found
}

#[expect(clippy::print_stderr, reason = "a test says what it does not do")]
fn skipped(name: &str) {
    eprintln!("skipped: `{name}` is not installed (Debian's `prometheus` brings it)");
}

/// With the escapes of URLs.
pub(crate) fn encoded(text: &str) -> String {
    let byte = |mut out: String, byte| {
        // Writing to a text cannot fail.
        std::fmt::Write::write_fmt(&mut out, format_args!("%{byte:02X}")).ok();
        out
    };
    text.bytes().fold(String::new(), byte)
}

/// A Prometheus that runs on a folder, and ends with its test.
pub(crate) struct Prometheus {
    child: Child,
    pub(crate) port: u16,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Prometheus {
    pub(crate) fn start(program: &Path, data: &Path, more: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let config = data.with_extension("yml");
        std::fs::write(&config, "scrape_configs: []\n").unwrap();
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = child.unwrap();
        let prometheus = Self { child, port };
        until("prometheus is ready", || {
            prometheus.get("/-/ready").is_some_and(|one| one.0 == 200)
        });
        prometheus
    }

    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }
}
