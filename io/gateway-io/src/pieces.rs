//! A message on its way out: what is there already goes in one write, head and body together.

use bytes::Bytes;
use std::cell::RefCell;
use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

thread_local! {
    /// Empty buffers of heads that were written, for the next ones.
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Spare buffers of a worker, at most, and the largest that is kept: half a MiB in all.
const SPARES: usize = 64;
const SPARE_SIZE: usize = 8 * 1024;

/// An empty buffer for a head.
pub(crate) fn buffer() -> Vec<u8> {
    let spare = SPARE.with_borrow_mut(Vec::pop);
    spare.unwrap_or_else(|| Vec::with_capacity(SPARE_SIZE / 4))
}

impl Drop for Pieces {
    fn drop(&mut self) {
        let mut spare = std::mem::take(&mut self.front);
        if (1..=SPARE_SIZE).contains(&spare.capacity()) {
            spare.clear();
            SPARE.with_borrow_mut(|spares| {
                if spares.len() < SPARES {
                    spares.push(spare);
                }
            });
        }
    }
}

/// Bytes to write.
#[derive(Debug)]
pub(crate) struct Pieces {
    /// A head and, of a body in chunks, the line before `data`.
    front: Vec<u8>,
    data: Bytes,
    back: &'static [u8],
    /// How many bytes of those three are written.
    written: usize,
}

/// Data up to this size is copied behind the head: cheaper than a write of several parts.
const SMALL: usize = 4 * 1024;

impl Pieces {
    /// A head, to which a body may be added.
    pub(crate) fn new(head: Vec<u8>) -> Self {
        Self {
            front: head,
            data: Bytes::new(),
            back: b"",
            written: 0,
        }
    }

    fn length(&self) -> usize {
        self.front.len() + self.data.len() + self.back.len()
    }

    /// Whether all is written.
    pub(crate) fn is_over(&self) -> bool {
        self.written == self.length()
    }

    /// How many bytes of what is there now are written.
    pub(crate) fn written(&self) -> usize {
        self.written
    }

    /// Whether another piece of the body can be added.
    pub(crate) fn has_room(&self) -> bool {
        let bare = self.data.is_empty() && self.back.is_empty();
        self.is_over() || (self.written == 0 && bare && self.front.len() <= SMALL)
    }

    /// Writes all of it once more.
    pub(crate) fn rewind(&mut self) {
        self.written = 0;
    }

    /// Adds a piece of a body, where there is room.
    pub(crate) fn add(&mut self, data: Bytes) {
        self.clear();
        if data.len() <= SMALL && !self.front.is_empty() {
            self.front.extend_from_slice(&data);
        } else {
            self.data = data;
        }
    }

    /// Adds a piece of a body in chunks, or its end, which is an empty piece.
    pub(crate) fn add_chunk(&mut self, data: Bytes) {
        self.clear();
        write!(self.front, "{:x}\r\n", data.len()).expect("writing to a Vec cannot fail");
        self.data = data;
        self.back = b"\r\n";
    }

    fn clear(&mut self) {
        if self.is_over() {
            self.front.clear();
            self.data = Bytes::new();
            self.back = b"";
            self.written = 0;
        }
    }

    /// Writes what can be written.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut TcpStream,
    ) -> Poll<io::Result<()>> {
        while !self.is_over() {
            let mut slices = [&self.front[..], &self.data[..], self.back].map(IoSlice::new);
            let mut slices = &mut slices[..];
            IoSlice::advance_slices(&mut slices, self.written);
            let count = if let [only] | [only, ..] = slices
                && only.len() == self.length() - self.written
            {
                ready!(Pin::new(&mut *stream).poll_write(context, only))?
            } else {
                ready!(Pin::new(&mut *stream).poll_write_vectored(context, slices))?
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
        }
        Poll::Ready(Ok(()))
    }
}
