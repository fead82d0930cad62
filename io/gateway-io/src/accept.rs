//! Takes connections from one listening socket.

use crate::answer;
use crate::connection::Connection;
use crate::listener;
use crate::series::Failure;
use crate::worker::Worker;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// The task of one listening socket.
pub(crate) struct Acceptor {
    worker: Rc<Worker>,
    entrance: SocketAddr,
    listener: TcpListener,
    stop: oneshot::Receiver<Stop>,
}

/// How a listening socket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Whoever has a duplicate may listen on.
    Close,
    /// The port is free, whoever has duplicates.
    Shut,
}

impl Acceptor {
    /// The task, and what stops it.
    pub(crate) fn new(
        worker: Rc<Worker>,
        entrance: SocketAddr,
        listener: std::net::TcpListener,
    ) -> io::Result<(Self, oneshot::Sender<Stop>)> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let (stopper, stop) = oneshot::channel();
        Ok((
            Self {
                worker,
                entrance,
                listener,
                stop,
            },
            stopper,
        ))
    }

    pub(crate) async fn run(mut self) {
        let stop = loop {
            tokio::select! {
                biased;
                stop = &mut self.stop => break stop.unwrap_or(Stop::Close),
                accepted = self.listener.accept() => self.accepted(accepted).await,
            }
        };
        // Those who wait already are served.
        while let Poll::Ready(Ok((stream, peer))) =
            poll_fn(|context| Poll::Ready(self.listener.poll_accept(context))).await
        {
            self.take(stream, peer);
        }
        if stop == Stop::Shut {
            listener::shut(&self.listener);
        }
    }

    async fn accepted(&self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, peer)) => self.take(stream, peer),
            // Out of descriptors or memory: what is under way may end and free some.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr) {
        if stream.set_nodelay(true).is_err() {
            return;
        }
        if !self.worker.has_room() {
            self.worker.ledger.failed(Failure::TooMany);
            // One attempt: a fresh socket has room for it, and nothing is owed to this client.
            drop(stream.try_write(&answer::raw(503, "too many connections")));
            return;
        }
        let worker = self.worker.clone();
        let connection = Connection {
            worker,
            stream,
            peer,
            entrance: self.entrance,
        };
        drop(tokio::task::spawn_local(connection.run()));
    }
}
