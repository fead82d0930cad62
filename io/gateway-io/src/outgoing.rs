//! A request on its way to an instance: its head and body, and what of it can be sent again.

use crate::pieces::Pieces;
use crate::upload::{Broken, Streaming, Upload};
use std::io;
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;

/// A request.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pieces: Pieces,
    rest: Option<Rest>,
    /// The body is kept, so all of it can be written once more.
    kept: bool,
    /// Something may have been written.
    begun: bool,
    /// The answer has no body, because the method is HEAD.
    pub(crate) bodiless: bool,
}

/// What is still to come of a body.
#[derive(Debug)]
struct Rest {
    stream: Streaming,
    /// Bytes to come; `None` means chunks.
    left: Option<u64>,
}

/// Why a request was not written whole.
#[derive(Debug)]
pub(crate) enum Stop {
    Client,
    Instance,
}

impl From<Broken> for Stop {
    fn from(_: Broken) -> Self {
        Self::Client
    }
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Instance
    }
}

impl Outgoing {
    /// `head` says the length of `body`, or that it comes in chunks.
    pub(crate) fn new(head: Vec<u8>, body: Upload, bodiless: bool) -> Self {
        let (left, mut pieces) = (body.length(), Pieces::new(head));
        let (kept, rest) = match body {
            Upload::Kept(bytes) => {
                pieces.add(bytes);
                (true, None)
            }
            Upload::Stream(stream) => (false, Some(Rest { stream, left })),
        };
        Self {
            pieces,
            rest,
            kept,
            begun: false,
            bodiless,
        }
    }

    /// Whether any byte was written.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether every byte was written.
    pub(crate) fn is_over(&self) -> bool {
        self.rest.is_none() && self.pieces.is_over()
    }

    /// From the start once more; whether nothing of it is spent.
    pub(crate) fn rewind(&mut self) -> bool {
        let whole = !self.begun || self.kept;
        if whole {
            self.pieces.rewind();
            self.begun = false;
        }
        whole
    }

    /// Writes what can be written.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut TcpStream,
    ) -> Poll<Result<(), Stop>> {
        while !self.is_over() {
            let waits = self.pieces.has_room() && self.load(context)?.is_pending();
            if waits && self.pieces.is_over() {
                return Poll::Pending;
            }
            let written = self.pieces.poll(context, stream);
            self.begun |= self.pieces.written() > 0;
            ready!(written)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Fetches the next piece of the body.
    fn load(&mut self, context: &mut Context<'_>) -> Result<Poll<()>, Broken> {
        let Some(rest) = &mut self.rest else {
            return Ok(Poll::Ready(()));
        };
        let Poll::Ready(next) = rest.stream.poll_data(context) else {
            return Ok(Poll::Pending);
        };
        let next = next.transpose()?;
        let ended = next.is_none();
        let data = next.unwrap_or_default();
        if let Some(left) = &mut rest.left {
            // The head has promised a length.
            *left = left.checked_sub(data.len() as u64).ok_or(Broken)?;
            if ended && *left > 0 {
                return Err(Broken);
            }
            if !ended {
                self.pieces.add(data);
            }
        } else {
            self.pieces.add_chunk(data);
        }
        if ended {
            self.rest = None;
        }
        Ok(Poll::Ready(()))
    }
}
