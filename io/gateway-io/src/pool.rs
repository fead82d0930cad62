//! Connections to instances: HTTP/1.1, one request at a time.

use crate::body::Upload;
use crate::upstream::Sending;
use crate::worker::Worker;
use http::Response;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

/// A connection to an instance; dropping it closes it.
#[derive(Debug)]
pub(crate) struct Wire {
    sender: SendRequest<Upload>,
    lifeline: Rc<Lifeline>,
    /// It carried a request before.
    pub(crate) reused: bool,
}

/// How the sweeper sees a connection: since when it waits for the head of an answer.
#[derive(Debug)]
pub(crate) struct Lifeline {
    /// Worker milliseconds plus one; zero while it does not wait.
    pub(crate) waiting_ms: Cell<u64>,
    expired: Cell<bool>,
    task: AbortHandle,
}

impl Lifeline {
    /// The answer took too long: the connection is cut, and its request fails.
    pub(crate) fn expire(&self) {
        self.expired.set(true);
        self.task.abort();
    }
}

impl Wire {
    pub(crate) async fn connect(address: SocketAddr, worker: &Worker) -> io::Result<Self> {
        let connecting = TcpStream::connect(address);
        let limit = worker.limits.connect;
        let stream = tokio::time::timeout(limit, connecting).await??;
        stream.set_nodelay(true)?;
        let shaken = http1::Builder::new().handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(io::Error::other)?;
        let task = tokio::task::spawn_local(async move {
            // Its fault reaches whoever waits for an answer.
            drop(connection.with_upgrades().await);
        });
        let lifeline = Rc::new(Lifeline {
            waiting_ms: Cell::new(0),
            expired: Cell::new(false),
            task: task.abort_handle(),
        });
        worker.watch(&lifeline);
        Ok(Self {
            sender,
            lifeline,
            reused: false,
        })
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether the last request failed because its answer took too long.
    pub(crate) fn has_expired(&self) -> bool {
        self.lifeline.expired.get()
    }

    /// Sends a request and waits for the head of the answer. A request of which no byte was written
    /// comes back with the fault.
    pub(crate) async fn send(
        &mut self,
        request: Sending,
    ) -> Result<Response<Incoming>, TrySendError<Sending>> {
        self.lifeline.waiting_ms.set(crate::worker::now_ms());
        let answer = self.sender.try_send_request(request).await;
        self.lifeline.waiting_ms.set(0);
        answer
    }
}
