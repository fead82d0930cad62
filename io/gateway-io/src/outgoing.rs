//! A request on its way to an instance: its head and body, and how much of them is written.

use crate::upload::{Broken, Streaming, Upload};
use bytes::Bytes;
use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

/// A request. What is there already goes out in one write, head and body together.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// The head and, of a body in chunks, the line before `data`.
    front: Vec<u8>,
    data: Bytes,
    back: &'static [u8],
    /// How many bytes of those three are written.
    written: usize,
    rest: Option<Rest>,
    /// The body is kept, so all of it can be written once more.
    kept: bool,
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
        let (left, kept) = (body.length(), matches!(body, Upload::Kept(_)));
        let (data, rest) = match body {
            Upload::Kept(bytes) => (bytes, None),
            Upload::Stream(stream) => (Bytes::new(), Some(Rest { stream, left })),
        };
        Self {
            front: head,
            data,
            back: b"",
            written: 0,
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
        self.rest.is_none() && self.written == self.length()
    }

    fn length(&self) -> usize {
        self.front.len() + self.data.len() + self.back.len()
    }

    /// The same once more, if nothing of it is spent.
    pub(crate) fn again(mut self) -> Option<Self> {
        if self.begun && !self.kept {
            return None;
        }
        (self.written, self.begun) = (0, false);
        Some(self)
    }

    /// Writes what can be written.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut TcpStream,
    ) -> Poll<Result<(), Stop>> {
        while !self.is_over() {
            if self.written == self.length() {
                self.clear();
            }
            if self.written == 0 && self.data.is_empty() {
                let loaded = self.load(context)?;
                if loaded.is_pending() && self.front.is_empty() {
                    return Poll::Pending;
                }
            }
            ready!(self.write(context, stream))?;
        }
        Poll::Ready(Ok(()))
    }

    fn clear(&mut self) {
        self.front.clear();
        self.data = Bytes::new();
        self.back = b"";
        self.written = 0;
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
        let size = next.as_ref().map_or(0, Bytes::len);
        if let Some(left) = &mut rest.left {
            // The head has promised a length.
            *left = left.checked_sub(size as u64).ok_or(Broken)?;
            if next.is_none() && *left > 0 {
                return Err(Broken);
            }
        } else {
            write!(self.front, "{size:x}\r\n").expect("writing to a Vec cannot fail");
            self.back = b"\r\n";
        }
        match next {
            Some(data) => self.data = data,
            None => self.rest = None,
        }
        Ok(Poll::Ready(()))
    }

    fn write(&mut self, context: &mut Context<'_>, stream: &mut TcpStream) -> Poll<io::Result<()>> {
        let slices = [&self.front[..], &self.data[..], self.back];
        let mut slices = slices.map(IoSlice::new);
        let mut slices = &mut slices[..];
        IoSlice::advance_slices(&mut slices, self.written);
        if slices.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let count = ready!(Pin::new(stream).poll_write_vectored(context, slices))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.written += count;
        self.begun = true;
        Poll::Ready(Ok(()))
    }
}
