//! Small receivers for tests: one thread each, ended with the test.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

/// How long a test waits for its receiver.
const PATIENCE: Duration = Duration::from_secs(30);

/// A certificate that signs itself; its key is known to everybody, and good for tests only.
pub(crate) struct Authority {
    pub(crate) pem: &'static str,
    config: Arc<ServerConfig>,
}

impl Authority {
    /// The one for `localhost`.
    pub(crate) fn localhost() -> Self {
        Self::new(include_str!("localhost.crt"), include_str!("localhost.key"))
    }

    /// One for a name that no test uses.
    pub(crate) fn nobody() -> Self {
        Self::new(include_str!("nobody.crt"), include_str!("nobody.key"))
    }

    fn new(pem: &'static str, key: &str) -> Self {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Self {
            pem,
            config: Arc::new(config),
        }
    }
}

trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

fn secured(config: &Arc<ServerConfig>, socket: TcpStream) -> Box<dyn Wire> {
    let connection = ServerConnection::new(config.clone()).unwrap();
    Box::new(StreamOwned::new(connection, socket))
}

/// A request as it came.
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .next()
    }
}

/// An HTTP server.
pub(crate) struct Http {
    port: u16,
    is_secure: bool,
    requests: Receiver<Request>,
}

impl Http {
    fn serve(
        secure: Option<Arc<ServerConfig>>,
        answer: impl Fn(&mut dyn Wire) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_secure = secure.is_some();
        let (tell, requests) = mpsc::channel();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let socket = socket.unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut wire: Box<dyn Wire> = match &secure {
                    Some(config) => secured(config, socket),
                    None => Box::new(socket),
                };
                if let Some(request) = read_request(&mut *wire) {
                    tell.send(request).ok();
                    answer(&mut *wire);
                }
            }
        });
        Self {
            port,
            is_secure,
            requests,
        }
    }

    pub(crate) fn answering(answer: &str) -> Self {
        let answer = answer.to_owned();
        Self::serve(None, move |wire| {
            wire.write_all(answer.as_bytes()).ok();
            wire.flush().ok();
        })
    }

    pub(crate) fn secure(authority: &Authority, answer: &str) -> Self {
        let answer = answer.to_owned();
        Self::serve(Some(authority.config.clone()), move |wire| {
            wire.write_all(answer.as_bytes()).ok();
            wire.flush().ok();
        })
    }

    /// Reads and says nothing, until the other side is gone.
    pub(crate) fn hanging() -> Self {
        Self::serve(None, |wire| {
            let ended = wire.read(&mut [0; 16]);
            assert!(ended.map_or(true, |count| count == 0));
        })
    }

    /// Says a letter now and then, so that no single read takes long.
    pub(crate) fn dripping() -> Self {
        Self::serve(None, |wire| {
            let (_keep, never) = mpsc::channel::<()>();
            while wire.write_all(b"H").is_ok() {
                never.recv_timeout(Duration::from_millis(20)).ok();
            }
        })
    }

    /// Answers without an end.
    pub(crate) fn flooding() -> Self {
        Self::serve(None, |wire| {
            wire.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok();
            while wire.write_all(&[b'x'; 4096]).is_ok() {}
        })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let (scheme, host) = if self.is_secure {
            ("https", "localhost")
        } else {
            ("http", "127.0.0.1")
        };
        format!("{scheme}://{host}:{}{path}", self.port)
    }

    pub(crate) fn request(&self) -> Request {
        self.requests.recv_timeout(PATIENCE).unwrap()
    }
}

fn read_request(wire: &mut dyn Wire) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut one = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if wire.read(&mut one).ok()? == 0 {
            return None;
        }
        bytes.push(one[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    wire.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).unwrap();
    Some(Request { head, body })
}

/// How a mail server does TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SmtpTls {
    None,
    Start,
    Implicit,
}

/// A mail as it came.
#[derive(Debug, Default, Clone)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) text: String,
    pub(crate) login: Option<String>,
    pub(crate) is_secure: bool,
}

impl Mail {
    /// Its parts, decoded.
    pub(crate) fn parts(&self) -> Vec<String> {
        let parts = self
            .text
            .split("Content-Transfer-Encoding: base64\r\n\r\n")
            .skip(1);
        let bodies = parts.map(|part| part.split("\r\n--").next().unwrap().replace("\r\n", ""));
        bodies
            .map(|body| String::from_utf8(STANDARD.decode(body).unwrap()).unwrap())
            .collect()
    }
}

/// A mail server that follows a script: what a command that begins so is answered.
pub(crate) struct Smtp {
    pub(crate) port: u16,
    mails: Receiver<Mail>,
}

impl Smtp {
    pub(crate) fn new(authority: &Authority, tls: SmtpTls, script: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, mails) = mpsc::channel();
        let config = authority.config.clone();
        let script: Vec<(String, String)> = script
            .iter()
            .map(|(command, reply)| ((*command).to_owned(), (*reply).to_owned()))
            .collect();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let socket = socket.unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                talk(&socket, &config, tls, &script, &tell);
            }
        });
        Self { port, mails }
    }

    pub(crate) fn mail(&self) -> Mail {
        self.mails.recv_timeout(PATIENCE).unwrap()
    }
}

fn talk(
    socket: &TcpStream,
    config: &Arc<ServerConfig>,
    tls: SmtpTls,
    script: &[(String, String)],
    tell: &Sender<Mail>,
) {
    let mut mail = Mail::default();
    let mut wire: BufReader<Box<dyn Wire>> = if tls == SmtpTls::Implicit {
        mail.is_secure = true;
        BufReader::new(secured(config, socket.try_clone().unwrap()))
    } else {
        BufReader::new(Box::new(socket.try_clone().unwrap()))
    };
    let mut is_data = false;
    if say(&mut wire, "220 test ready").is_none() {
        return;
    }
    loop {
        let mut line = String::new();
        if wire.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let command = line.trim_end_matches("\r\n");
        if is_data && command != "." {
            mail.text.push_str(line.strip_prefix('.').unwrap_or(&line));
            continue;
        }
        let scripted = script
            .iter()
            .find(|(begin, _)| command.starts_with(begin.as_str()));
        let reply = scripted.map_or_else(
            || usual(command, &mut mail, tls),
            |(_, reply)| reply.clone(),
        );
        if reply.is_empty() || say(&mut wire, &reply).is_none() {
            return;
        }
        match command {
            "DATA" => is_data = true,
            "." => {
                is_data = false;
                tell.send(mail.clone()).ok();
            }
            "STARTTLS" => {
                mail.is_secure = true;
                wire = BufReader::new(secured(config, socket.try_clone().unwrap()));
            }
            _ => {}
        }
    }
}

fn say(wire: &mut BufReader<Box<dyn Wire>>, reply: &str) -> Option<()> {
    let wire = wire.get_mut();
    wire.write_all(format!("{reply}\r\n").as_bytes()).ok()?;
    wire.flush().ok()
}

fn usual(command: &str, mail: &mut Mail, tls: SmtpTls) -> String {
    if command.starts_with("EHLO ") {
        let start = if tls == SmtpTls::Start && !mail.is_secure {
            "250-STARTTLS\r\n"
        } else {
            ""
        };
        return format!("250-test\r\n{start}250 AUTH PLAIN LOGIN");
    }
    if let Some(login) = command.strip_prefix("AUTH PLAIN ") {
        mail.login = Some(String::from_utf8(STANDARD.decode(login).unwrap()).unwrap());
        return "235 welcome".into();
    }
    if command.starts_with("MAIL ") {
        command.clone_into(&mut mail.from);
    } else if command.starts_with("RCPT ") {
        mail.to.push(command.to_owned());
    }
    match command {
        "DATA" => "354 go on",
        "STARTTLS" => "220 go on",
        "QUIT" => "221 bye",
        _ => "250 ok",
    }
    .into()
}
