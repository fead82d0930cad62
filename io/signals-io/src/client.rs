//! The control plane's side: pushes the configuration, asks for values; "no data" and "away" are told apart.

mod parcels;

use crate::config::Config;
use crate::place;
pub use parcels::Parcels;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What an instant query has come to.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// Elements with their labels and values.
    Values(Vec<(Vec<(String, String)>, f64)>),
    /// The query was answered, and nothing fulfils it.
    NoData,
    /// Nobody knows: the process is away, too slow, or could not answer.
    Away {
        /// Why.
        why: String,
    },
}

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ClientFault {
    /// The process is away or too slow.
    #[error("signals does not answer at `{socket}`: {source}", socket = socket.display())]
    Away {
        /// Its socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The process refuses.
    #[error("signals refuses: {0}")]
    Refused(String),
}

/// Longest answer that is read.
const ANSWER_MAX: u64 = 8 << 20;

/// A client; each question has a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    patience: Duration,
}

impl Client {
    /// A client that waits so long for each answer.
    pub fn new(socket: &Path, patience: Duration) -> Self {
        Self {
            socket: socket.to_owned(),
            patience,
        }
    }

    /// Gives the process its configuration.
    pub fn configure(&self, config: &Config) -> Result<(), ClientFault> {
        let body = serde_json::to_vec(config).unwrap_or_default();
        let (status, answer) = self.ask("PUT", "/v1/config", &body)?;
        if status == 200 {
            return Ok(());
        }
        Err(ClientFault::Refused(error_of(&answer)))
    }

    /// The configuration that is in place.
    pub fn config(&self) -> Result<Config, ClientFault> {
        let (_, answer) = self.ask("GET", "/v1/config", &[])?;
        serde_json::from_slice(&answer).map_err(|fault| ClientFault::Refused(fault.to_string()))
    }

    /// Names of alerts that fire, by rules that were evaluated well and lately, and that nobody silences.
    pub fn firing(&self) -> Result<BTreeSet<String>, ClientFault> {
        let (status, answer) = self.ask("GET", "/v1/firing", &[])?;
        if status != 200 {
            return Err(ClientFault::Refused(error_of(&answer)));
        }
        let refused = |fault: serde_json::Error| ClientFault::Refused(fault.to_string());
        let mut value: serde_json::Value = serde_json::from_slice(&answer).map_err(refused)?;
        serde_json::from_value(value["data"].take()).map_err(refused)
    }

    /// Lends a token that reads for fifteen minutes.
    pub fn token(&self) -> Result<String, ClientFault> {
        let (_, answer) = self.ask("POST", "/v1/token", &[])?;
        let value: serde_json::Value = serde_json::from_slice(&answer).unwrap_or_default();
        match value["token"].as_str() {
            Some(token) => Ok(token.to_owned()),
            None => Err(ClientFault::Refused(error_of(&answer))),
        }
    }

    /// Evaluates a query now.
    pub fn query(&self, query: &str) -> Reading {
        let away = |why: String| Reading::Away { why };
        let path = format!("/api/v1/query?query={}", encoded(query));
        match self.ask("GET", &path, &[]) {
            Err(fault) => away(fault.to_string()),
            Ok((200, answer)) => {
                read(&answer).unwrap_or_else(|| away("the answer cannot be read".into()))
            }
            Ok((_, answer)) => away(error_of(&answer)),
        }
    }

    /// Sends one request; returns the status and the body of the answer.
    pub fn ask(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<(u16, Vec<u8>), ClientFault> {
        self.ask_typed(method, path, "application/json", body)
    }

    /// Sends one request with a body of some type; returns the status and the body of the answer.
    pub fn ask_typed(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<(u16, Vec<u8>), ClientFault> {
        self.exchange(method, path, content_type, body)
            .map_err(|source| ClientFault::Away {
                socket: self.socket.clone(),
                source,
            })
    }

    fn exchange(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> io::Result<(u16, Vec<u8>)> {
        let deadline = Instant::now() + self.patience;
        let mut stream = place::connect(&self.socket)?;
        stream.set_write_timeout(Some(self.patience))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: signals\r\nConnection: close\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        let mut piece = vec![0; 16 << 10];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if answer.len() as u64 > ANSWER_MAX {
                let why =
                    format!("the answer has more than {ANSWER_MAX} bytes; ask for less at once");
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
            }
            stream.set_read_timeout(Some(left))?;
            match stream.read(&mut piece)? {
                0 => break,
                count => answer.extend_from_slice(&piece[..count]),
            }
        }
        let garbled = || io::Error::from(io::ErrorKind::InvalidData);
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(&answer).map_err(|_| garbled())? {
            httparse::Status::Complete(end) => {
                let status = response.code.ok_or_else(garbled)?;
                Ok((status, answer.split_off(end)))
            }
            httparse::Status::Partial => Err(garbled()),
        }
    }
}

fn error_of(answer: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(answer).unwrap_or_default();
    let error = value["error"].as_str().map(str::to_owned);
    error.unwrap_or_else(|| String::from_utf8_lossy(answer).trim().to_owned())
}

fn read(answer: &[u8]) -> Option<Reading> {
    let value: serde_json::Value = serde_json::from_slice(answer).ok()?;
    let data = &value["data"];
    let number = |point: &serde_json::Value| match point.get(1)?.as_str()? {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        text => text.parse().ok(),
    };
    let values = match data["resultType"].as_str()? {
        "scalar" => vec![(Vec::new(), number(&data["result"])?)],
        "vector" => {
            let elements = data["result"].as_array()?.iter().filter_map(|element| {
                let labels = element["metric"].as_object()?.iter();
                let labels = labels.map(|(name, text)| {
                    (name.clone(), text.as_str().unwrap_or_default().to_owned())
                });
                Some((labels.collect(), number(&element["value"])?))
            });
            elements.collect()
        }
        _ => return None,
    };
    let warning = value["warnings"].get(0).and_then(serde_json::Value::as_str);
    Some(if let (true, Some(why)) = (values.is_empty(), warning) {
        // What could not be read may have held what was asked for.
        Reading::Away {
            why: why.to_owned(),
        }
    } else if values.is_empty() {
        Reading::NoData
    } else {
        Reading::Values(values)
    })
}

/// With the escapes of URLs.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            write!(out, "%{byte:02X}").ok();
        }
    }
    out
}
