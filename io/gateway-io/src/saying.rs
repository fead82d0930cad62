//! An answer on its way to an HTTP/1.1 client.

use crate::connection::ClientState;
use crate::download::Download;
use crate::pieces::Pieces;
use crate::prepare::Framing;
use crate::source::Source;
use bytes::Bytes;
use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll, ready};

/// A head, and a body as it comes.
pub(crate) struct Saying {
    pieces: Pieces,
    body: Download,
    chunked: bool,
    /// Every piece was taken out of the body.
    taken: bool,
}

impl Saying {
    pub(crate) fn new(head: Vec<u8>, body: Download, framing: Framing) -> Self {
        let bodiless = !matches!(
            framing,
            Framing::Length(1..) | Framing::Chunked | Framing::Close
        );
        Self {
            pieces: Pieces::new(head),
            body,
            chunked: framing == Framing::Chunked,
            taken: bodiless,
        }
    }

    /// Writes what can be written. A fault: the client has gone, or the answer breaks off.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        source: &RefCell<Source>,
        state: &ClientState,
    ) -> Poll<io::Result<()>> {
        self.body.push(context);
        while !(self.taken && self.pieces.is_over()) {
            if !self.taken && self.pieces.has_room() {
                let loaded = self.load(context);
                if loaded.is_pending() && self.pieces.is_over() {
                    ready!(source.borrow_mut().poll_gone(context));
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                if let Poll::Ready(Err(fault)) = loaded {
                    // What is there goes out if it can: the client sees how far the answer came.
                    let stream = &mut source.borrow_mut().stream;
                    return match self.pieces.poll(context, stream) {
                        Poll::Ready(Err(other)) => Poll::Ready(Err(other)),
                        _ => Poll::Ready(Err(fault)),
                    };
                }
            }
            ready!(self.write(context, source, state))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the next piece out of the body.
    fn load(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.body.poll_data(context)).transpose()? {
            Some(data) if data.is_empty() => {}
            Some(data) if self.chunked => self.pieces.add_chunk(data),
            Some(data) => self.pieces.add(data),
            None => {
                self.taken = true;
                if self.chunked {
                    self.pieces.add_chunk(Bytes::new());
                }
            }
        }
        self.taken |= !self.chunked && self.body.is_over();
        Poll::Ready(Ok(()))
    }

    fn write(
        &mut self,
        context: &mut Context<'_>,
        source: &RefCell<Source>,
        state: &ClientState,
    ) -> Poll<io::Result<()>> {
        let before = self.pieces.written();
        let written = self.pieces.poll(context, &mut source.borrow_mut().stream);
        if self.pieces.written() > before {
            // However slow it is, it reads.
            state.note_write(&Poll::Ready(Ok(())));
        }
        state.note_write(&written);
        written
    }
}
