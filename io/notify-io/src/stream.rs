//! A connection with a deadline, in the clear or by TLS.

use crate::Attempt;
use crate::address::look_up;
use mainstay_atoms::UrlFault;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Why an attempt did not work. No secret is part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// It will not work the next time either.
    #[error("{0}")]
    Refused(String),
    /// It may work the next time.
    #[error("{why}")]
    Failed {
        why: String,
        maybe_accepted: bool,
        wait: Option<Duration>,
    },
}

impl From<UrlFault> for Fault {
    fn from(fault: UrlFault) -> Self {
        Self::Refused(format!("the channel's address is none: {fault}"))
    }
}

impl Fault {
    pub(crate) fn failed(why: String) -> Self {
        Self::Failed {
            why,
            maybe_accepted: false,
            wait: None,
        }
    }

    /// The same after the message was handed over: the other side may have taken it.
    pub(crate) fn after_handing_over(self) -> Self {
        match self {
            Self::Failed { why, wait, .. } => Self::Failed {
                why,
                maybe_accepted: true,
                wait,
            },
            refused @ Self::Refused(_) => refused,
        }
    }
}

/// A socket that fails once a deadline has passed, however slowly the other side goes on.
#[derive(Debug)]
struct Timed {
    socket: TcpStream,
    ends: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Duration> {
        let left = self.ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the time is up"));
        }
        Ok(left)
    }
}

impl Read for Timed {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(self.left()?))?;
        self.socket.read(bytes)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(self.left()?))?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// A connection.
pub(crate) enum Stream {
    Clear(Link),
    Secret(Box<StreamOwned<ClientConnection, Link>>),
}

/// A connection in the clear.
pub(crate) struct Link(Timed);

impl Read for Link {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Stream {
    /// Connects to the first address of a host that answers.
    pub(crate) fn connect(attempt: &Attempt<'_>, host: &str, port: u16) -> Result<Self, Fault> {
        let addresses = look_up(host, port, &attempt.allowed, attempt.ends)?;
        let mut last = format!("`{host}:{port}` cannot be reached");
        let count = u32::try_from(addresses.len().min(4)).unwrap_or(1);
        for address in addresses.iter().take(4) {
            let left = attempt.ends.saturating_duration_since(Instant::now());
            if left.is_zero() {
                last = format!("`{host}:{port}` did not answer in time");
                break;
            }
            // One address that swallows packets leaves time for the others.
            match TcpStream::connect_timeout(address, left / count) {
                Ok(socket) => {
                    let ends = attempt.ends;
                    return Ok(Self::Clear(Link(Timed { socket, ends })));
                }
                Err(fault) => last = format!("`{host}:{port}` cannot be reached: {}", told(&fault)),
            }
        }
        Err(Fault::failed(last))
    }

    /// Goes on by TLS.
    pub(crate) fn secure(self, attempt: &Attempt<'_>, host: &str) -> Result<Self, Fault> {
        let Self::Clear(mut link) = self else {
            return Ok(self);
        };
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
        let name = name
            .map_err(|_| Fault::Refused(format!("`{host}` cannot be the name in a certificate")))?;
        let mut connection = ClientConnection::new(attempt.trust.config.clone(), name)
            .map_err(|fault| Fault::Refused(format!("TLS cannot begin: {fault}")))?;
        while connection.is_handshaking() {
            connection
                .complete_io(&mut link)
                .map_err(|fault| tls(host, &fault))?;
        }
        Ok(Self::Secret(Box::new(StreamOwned::new(connection, link))))
    }
}

/// A certificate that is not trusted does not become so by trying again soon.
fn tls(host: &str, fault: &io::Error) -> Fault {
    let why = format!("TLS with `{host}` failed: {}", told(fault));
    let inner = fault
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if matches!(inner, Some(rustls::Error::InvalidCertificate(_))) {
        return Fault::Refused(why);
    }
    Fault::failed(why)
}

/// A fault of the system in words; a deadline is called by its name.
pub(crate) fn told(fault: &io::Error) -> String {
    match fault.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "the time is up".into(),
        io::ErrorKind::UnexpectedEof => "the connection ended too early".into(),
        _ => fault.to_string(),
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(link) => link.read(bytes),
            Self::Secret(stream) => stream.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(link) => link.write(bytes),
            Self::Secret(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(link) => link.flush(),
            Self::Secret(stream) => stream.flush(),
        }
    }
}
