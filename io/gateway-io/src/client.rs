//! The control plane's side of the control socket: blocking, on a plain thread.

use crate::socket;
use crate::wire::{Acknowledged, Page, Refusal, ReleaseLatency, Request, Response, Status};
use mainstay_routing::Table;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What can go wrong on the way to a gateway.
#[derive(Debug, thiserror::Error)]
pub enum ClientFault {
    /// Nobody answers at the socket.
    #[error("no gateway answers at `{path}`", path = path.display())]
    Absent {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The connection broke or the answer took too long; connect again.
    #[error("the gateway did not answer")]
    Lost {
        /// What the system said.
        source: io::Error,
    },
    /// The gateway said no, and changed nothing.
    #[error("the gateway refused")]
    Refused(#[source] Refusal),
    /// The answer makes no sense: another version, or not a gateway.
    #[error("the gateway's answer cannot be read")]
    Garbled,
}

/// A connection to a gateway. After a fault other than [`ClientFault::Refused`], drop it and connect again.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    buffer: Vec<u8>,
    fds: Vec<OwnedFd>,
}

/// Duplicates of a gateway's listening sockets. While they live, connections to a gateway that was
/// killed wait instead of being refused. Fetch them anew after each publication that changed listeners.
#[derive(Debug, Default)]
pub struct Listeners(Vec<(SocketAddr, Vec<OwnedFd>)>);

impl Listeners {
    /// The addresses, and how many sockets listen on each.
    pub fn addresses(&self) -> impl Iterator<Item = (SocketAddr, usize)> {
        self.0.iter().map(|(address, fds)| (*address, fds.len()))
    }
}

/// The longest a gateway may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

impl Client {
    /// Connects to the control socket of a gateway.
    pub fn connect(path: &Path) -> Result<Self, ClientFault> {
        let absent = |source| ClientFault::Absent {
            path: path.into(),
            source,
        };
        let stream = socket::connect(path).map_err(absent)?;
        let set = stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        set.map_err(absent)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
            fds: Vec::new(),
        })
    }

    /// Publishes a table; returns once every worker serves from it.
    pub fn publish(&mut self, table: &Table) -> Result<Acknowledged, ClientFault> {
        match self.ask(&Request::Publish {
            table: table.clone(),
        })? {
            Response::Acknowledged(acknowledged) => Ok(acknowledged),
            _ => Err(ClientFault::Garbled),
        }
    }

    /// How the gateway stands, in-flight counts above all.
    pub fn status(&mut self) -> Result<Status, ClientFault> {
        match self.ask(&Request::Status)? {
            Response::Status(status) => Ok(status),
            _ => Err(ClientFault::Garbled),
        }
    }

    /// Metrics in Prometheus' text exposition.
    pub fn metrics(&mut self) -> Result<String, ClientFault> {
        match self.ask(&Request::Metrics)? {
            Response::Metrics { text } => Ok(text),
            _ => Err(ClientFault::Garbled),
        }
    }

    /// Latencies and status codes so far, by instance and release.
    pub fn latencies(&mut self) -> Result<Vec<ReleaseLatency>, ClientFault> {
        match self.ask(&Request::Latencies)? {
            Response::Latencies { releases } => Ok(releases),
            _ => Err(ClientFault::Garbled),
        }
    }

    /// Duplicates of all listening sockets.
    pub fn listeners(&mut self) -> Result<Listeners, ClientFault> {
        let mut listeners = Listeners::default();
        for listener in self.status()?.listeners {
            let address = crate::listener::address(&listener);
            match self.ask(&Request::Handover { address })? {
                Response::Sockets { count } if count == self.fds.len() => {
                    listeners.0.push((address, std::mem::take(&mut self.fds)));
                }
                _ => return Err(ClientFault::Garbled),
            }
        }
        Ok(listeners)
    }

    /// Gives the gateway the status page that it answers from now on, or takes it away.
    pub fn show(&mut self, page: Option<Page>) -> Result<(), ClientFault> {
        self.ask(&Request::Show { page }).map(|_| ())
    }

    /// Hands listening sockets to a gateway that was started with [`crate::Config::adoption`], and lets
    /// it begin. Call it, even with nothing to hand over, right after the start.
    pub fn adopt(&mut self, listeners: &Listeners) -> Result<(), ClientFault> {
        for (address, fds) in &listeners.0 {
            let address = *address;
            self.send(&Request::Adopt { address }, fds)?;
            self.receive()?;
        }
        self.ask(&Request::Begin).map(|_| ())
    }

    /// Tells a gateway that was started with [`crate::Config::beside`] to take the place of the one there.
    pub fn promote(&mut self) -> Result<(), ClientFault> {
        self.ask(&Request::Promote).map(|_| ())
    }

    fn ask(&mut self, request: &Request) -> Result<Response, ClientFault> {
        self.fds.clear();
        self.send(request, &[])?;
        self.receive()
    }

    fn send(&mut self, request: &Request, fds: &[OwnedFd]) -> Result<(), ClientFault> {
        let mut line = serde_json::to_vec(request).map_err(|_| ClientFault::Garbled)?;
        line.push(b'\n');
        let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let sent = socket::send(&self.stream, &line, &borrowed).map_err(lost)?;
        self.stream.write_all(&line[sent..]).map_err(lost)
    }

    fn receive(&mut self) -> Result<Response, ClientFault> {
        let line = self.line()?;
        match serde_json::from_slice(&line).map_err(|_| ClientFault::Garbled)? {
            Response::Refused { reason } => Err(ClientFault::Refused(reason)),
            response => Ok(response),
        }
    }

    fn line(&mut self) -> Result<Vec<u8>, ClientFault> {
        let mut searched = 0;
        loop {
            if let Some(found) = self.buffer[searched..]
                .iter()
                .position(|byte| *byte == b'\n')
            {
                let rest = self.buffer.split_off(searched + found + 1);
                return Ok(std::mem::replace(&mut self.buffer, rest));
            }
            searched = self.buffer.len();
            let mut piece = [0; 16 * 1024];
            let count = socket::receive(&self.stream, &mut piece, &mut self.fds).map_err(lost)?;
            if count == 0 {
                return Err(lost(io::ErrorKind::UnexpectedEof.into()));
            }
            self.buffer.extend_from_slice(&piece[..count]);
        }
    }
}

fn lost(source: io::Error) -> ClientFault {
    ClientFault::Lost { source }
}
