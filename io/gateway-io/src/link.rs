//! A connection to an instance: HTTP/1.1, one request at a time, driven by whoever waits for the answer.

use crate::fields::Fields;
use crate::head::{self, Head};
use crate::lifeline::Lifeline;
use crate::outgoing::{Outgoing, Stop};
use crate::piece;
use crate::reply::Reply;
use crate::worker::Worker;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;

/// A connection; dropping it closes it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) stream: TcpStream,
    /// Read and not yet given on.
    pub(crate) read: Bytes,
    lifeline: Rc<Lifeline>,
    /// It carried a request before.
    pub(crate) reused: bool,
}

/// An answer: its head, and what brings its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) fields: Fields,
    pub(crate) reply: Reply,
}

/// Why no answer came.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lost {
    /// The connection was dead, and no byte of the request went out.
    Unsent,
    /// The connection broke or brought nonsense.
    Died {
        /// Not one byte came, on a connection that had carried a request before.
        stale: bool,
    },
    /// The head took too long.
    Late,
    /// The client broke its request off.
    Client,
}

/// Bodies of which more is to come are read in pieces of at least this size without a copy.
const LARGE: usize = 16 * 1024;

impl Link {
    pub(crate) async fn connect(address: SocketAddr, worker: &Worker) -> io::Result<Box<Self>> {
        let connecting = TcpStream::connect(address);
        let stream = tokio::time::timeout(worker.limits.connect, connecting).await??;
        stream.set_nodelay(true)?;
        let lifeline = Rc::<Lifeline>::default();
        worker.watch(&lifeline);
        Ok(Box::new(Self {
            stream,
            read: Bytes::new(),
            lifeline,
            reused: false,
        }))
    }

    /// Whether nothing came since the last answer: neither the end nor bytes that nobody asked for.
    pub(crate) fn is_quiet(&self) -> bool {
        // Costs a system call only when the event queue has told of something.
        let read = self.stream.try_read(&mut [0]);
        self.read.is_empty() && read.is_err_and(|fault| fault.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends a request and waits for the head of the answer; the request may not be over then.
    pub(crate) async fn send(mut self: Box<Self>, outgoing: &mut Outgoing) -> Result<Answer, Lost> {
        self.lifeline.waiting_ms.set(crate::worker::now_ms());
        let head = poll_fn(|context| self.poll_answer(context, outgoing)).await;
        self.lifeline.waiting_ms.set(0);
        let Head {
            status,
            fields,
            framing,
            keeps,
        } = head?;
        Ok(Answer {
            status,
            fields,
            reply: Reply::new(self, framing, keeps),
        })
    }

    fn poll_answer(
        &mut self,
        context: &mut Context<'_>,
        outgoing: &mut Outgoing,
    ) -> Poll<Result<Head, Lost>> {
        self.lifeline.remember(context.waker());
        if self.lifeline.is_expired() {
            return Poll::Ready(Err(Lost::Late));
        }
        match outgoing.poll(context, &mut self.stream) {
            Poll::Ready(Err(Stop::Client)) => return Poll::Ready(Err(Lost::Client)),
            Poll::Ready(Err(Stop::Instance)) if !outgoing.has_begun() => {
                return Poll::Ready(Err(Lost::Unsent));
            }
            // One that stops reading may have answered why.
            Poll::Ready(_) | Poll::Pending => {}
        }
        loop {
            match head::take(&mut self.read, outgoing.bodiless) {
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Ok(None) => {}
                Err(head::Garbled) => return Poll::Ready(Err(Lost::Died { stale: false })),
            }
            match ready!(self.poll_more(context, 0)) {
                Ok(count) if count > 0 => {}
                Ok(_) | Err(_) => return Poll::Ready(Err(self.died(outgoing))),
            }
        }
    }

    fn died(&self, outgoing: &Outgoing) -> Lost {
        if outgoing.has_begun() {
            let stale = self.reused && self.read.is_empty();
            Lost::Died { stale }
        } else {
            Lost::Unsent
        }
    }

    /// Reads more behind `read`; `wanted` is how much is to come, as far as that is known.
    pub(crate) fn poll_more(
        &mut self,
        context: &mut Context<'_>,
        wanted: u64,
    ) -> Poll<io::Result<usize>> {
        if self.read.is_empty() && wanted >= LARGE as u64 {
            return self.poll_large(context, wanted);
        }
        let (stream, read) = (&mut self.stream, &mut self.read);
        piece::poll(stream, context, piece::SIZE, |piece| {
            if read.is_empty() {
                *read = Bytes::copy_from_slice(piece);
            } else {
                *read = [&read[..], piece].concat().into();
            }
            piece.len()
        })
    }

    fn poll_large(&mut self, context: &mut Context<'_>, wanted: u64) -> Poll<io::Result<usize>> {
        let size = usize::try_from(wanted).map_or(piece::SIZE, |wanted| wanted.min(piece::SIZE));
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            let mut fresh = BytesMut::with_capacity(size);
            match self.stream.try_read_buf(&mut fresh) {
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
                Err(fault) => return Poll::Ready(Err(fault)),
                Ok(count) => {
                    self.read = fresh.freeze();
                    return Poll::Ready(Ok(count));
                }
            }
        }
    }
}
