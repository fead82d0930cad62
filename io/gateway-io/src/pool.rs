//! Connections to instances: HTTP/1.1, one request at a time.

use crate::body::Upload;
use crate::upstream::Sending;
use crate::worker::Worker;
use http::Response;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use tokio::net::TcpStream;

/// A connection to an instance, driven by a task of its own; dropping it closes it.
pub(crate) struct Wire {
    sender: SendRequest<Upload>,
    lifeline: Rc<Lifeline>,
    /// It carried a request before.
    pub(crate) reused: bool,
}

impl fmt::Debug for Wire {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Wire")
            .field("reused", &self.reused)
            .finish_non_exhaustive()
    }
}

/// How the sweeper sees a connection: since when it waits for the head of an answer.
#[derive(Debug, Default)]
pub(crate) struct Lifeline {
    /// Worker milliseconds plus one; zero while it does not wait.
    pub(crate) waiting_ms: Cell<u64>,
    expired: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Lifeline {
    /// The answer took too long: whoever waits for it is told.
    pub(crate) fn expire(&self) {
        self.expired.set(true);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    fn remember(&self, waker: &Waker) {
        let mut held = self.waker.borrow_mut();
        match &*held {
            Some(known) if known.will_wake(waker) => {}
            _ => *held = Some(waker.clone()),
        }
    }
}

/// Why no answer came.
pub(crate) enum Lost {
    /// The connection broke; the request comes back if no byte of it was written.
    Broken(Option<Box<Sending>>),
    /// The head took too long.
    Late,
}

impl Wire {
    pub(crate) async fn connect(address: SocketAddr, worker: &Worker) -> io::Result<Self> {
        let connecting = TcpStream::connect(address);
        let limit = worker.limits.connect;
        let stream = tokio::time::timeout(limit, connecting).await??;
        stream.set_nodelay(true)?;
        let shaken = http1::Builder::new().handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(io::Error::other)?;
        let lifeline = Rc::<Lifeline>::default();
        worker.watch(&lifeline);
        // How it ends reaches whoever waits for an answer.
        drop(tokio::task::spawn_local(connection.with_upgrades()));
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

    /// Sends a request and waits for the head of the answer.
    pub(crate) async fn send(&mut self, request: Sending) -> Result<Response<Incoming>, Lost> {
        self.lifeline.waiting_ms.set(crate::worker::now_ms());
        let mut answer = pin!(self.sender.try_send_request(request));
        let lifeline = &self.lifeline;
        let answered = poll_fn(|context| {
            lifeline.remember(context.waker());
            if lifeline.expired.get() {
                return Poll::Ready(Err(Lost::Late));
            }
            answer.as_mut().poll(context).map_err(broken)
        })
        .await;
        self.lifeline.waiting_ms.set(0);
        answered
    }
}

fn broken(mut fault: TrySendError<Sending>) -> Lost {
    Lost::Broken(fault.take_message().map(Box::new))
}
