//! The bytes of one client, under the HTTP library: judged before it reads them.

use crate::answer;
use crate::connection::ClientState;
use crate::piece;
use crate::series::{Failure, Ledger};
use hyper::rt::ReadBufCursor;
use mainstay_routing::{Scanner, Then};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

/// What an HTTP/2 client says first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What is read on behind a refusal, at most.
const LINGER: usize = 1024 * 1024;

/// A client's socket. What it sends passes [`Scanner`] first; an HTTP/2 or upgraded connection passes
/// unread. A refusal is written when the library closes, after the answers to earlier requests.
#[derive(Debug)]
pub(crate) struct ClientIo {
    stream: TcpStream,
    state: Arc<ClientState>,
    ledger: Arc<Ledger>,
    scanner: Option<Scanner>,
    /// Read from the socket and not yet given on; the first `judged` bytes may be.
    window: Vec<u8>,
    judged: usize,
    then: Then,
    farewell: Farewell,
}

#[derive(Debug)]
enum Farewell {
    Unsaid,
    Saying { bytes: Vec<u8>, written: usize },
    Lingering { left: usize },
    Said,
}

impl ClientIo {
    pub(crate) fn new(stream: TcpStream, state: Arc<ClientState>, ledger: Arc<Ledger>) -> Self {
        Self {
            stream,
            state,
            ledger,
            scanner: Some(Scanner::new()),
            window: Vec::new(),
            judged: 0,
            then: Then::More,
            farewell: Farewell::Unsaid,
        }
    }

    /// Reads the first bytes and says whether they are HTTP/2's.
    pub(crate) async fn sniff(&mut self) -> io::Result<bool> {
        loop {
            let known = self.window.len().min(PREFACE.len());
            if self.window[..known] != PREFACE[..known] {
                self.judge(0);
                return Ok(false);
            }
            if known == PREFACE.len() {
                self.scanner = None;
                self.judge(0);
                return Ok(true);
            }
            if std::future::poll_fn(|context| self.poll_more(context, piece::SIZE)).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads what is there into the window, at most `limit` bytes.
    fn poll_more(&mut self, context: &mut Context<'_>, limit: usize) -> Poll<io::Result<usize>> {
        let (stream, window) = (&mut self.stream, &mut self.window);
        let was_empty = window.is_empty();
        let count = ready!(piece::poll(stream, context, limit, |piece| {
            window.extend_from_slice(piece);
            piece.len()
        }))?;
        self.note_read(count, was_empty);
        Poll::Ready(Ok(count))
    }

    fn note_read(&self, count: usize, first: bool) {
        let now = crate::worker::now_ms();
        self.state.read_ms.store(now, Relaxed);
        if count > 0 && first && self.state.head_ms.load(Relaxed) == 0 {
            self.state.head_ms.store(now, Relaxed);
        }
    }

    /// Judges the window from `from`, where the unjudged part begins.
    fn judge(&mut self, from: usize) {
        let Some(scanner) = &mut self.scanner else {
            self.judged = self.window.len();
            self.state.head_ms.store(0, Relaxed);
            return;
        };
        let scan = scanner.scan(&self.window[from..]);
        self.judged = from + scan.pass;
        self.settle(scan.then);
    }

    fn settle(&mut self, then: Then) {
        self.then = then;
        let Some(scanner) = &self.scanner else { return };
        let partial = !scanner.in_body() && scanner.inside(&self.window[self.judged..]);
        if !partial {
            self.state.head_ms.store(0, Relaxed);
        }
        if let Then::Refuse(refuse) = then {
            self.ledger.failed(Failure::Refused);
            if scanner.is_cut() {
                let mut refused = self
                    .state
                    .refused
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                *refused = Some(refuse);
            } else {
                self.ledger
                    .own
                    .record(refuse.status, std::time::Duration::ZERO);
            }
        }
    }

    /// Applies what became of an upgrade.
    fn decide_upgrade(&mut self) {
        if self.then != Then::Hold {
            return;
        }
        let Some(scanner) = &mut self.scanner else {
            return;
        };
        if self.state.tunnel.load(Relaxed) {
            scanner.tunnel();
        } else if self.state.resumed.swap(false, Relaxed) {
            scanner.resume();
        } else {
            return;
        }
        self.then = Then::More;
        self.judge(self.judged);
    }

    /// Gives judged bytes on, as many as fit.
    fn give(&mut self, cursor: &mut ReadBufCursor<'_>) {
        let count = self.judged.min(cursor.remaining());
        cursor.put_slice(&self.window[..count]);
        self.judged -= count;
        if count == self.window.len() {
            self.window.clear();
            self.window.shrink_to(4096);
        } else {
            self.window.drain(..count);
        }
    }

    /// The common case: nothing is left over, and what is read passes whole.
    fn poll_straight(
        &mut self,
        context: &mut Context<'_>,
        cursor: &mut ReadBufCursor<'_>,
    ) -> Poll<io::Result<usize>> {
        let limit = cursor.remaining();
        let (stream, scanner, window) = (&mut self.stream, &mut self.scanner, &mut self.window);
        let (count, then) = ready!(piece::poll(stream, context, limit, |bytes| {
            let scan = scanner.as_mut().map(|scanner| scanner.scan(bytes));
            let pass = scan.map_or(bytes.len(), |scan| scan.pass);
            cursor.put_slice(&bytes[..pass]);
            window.extend_from_slice(&bytes[pass..]);
            (bytes.len(), scan.map(|scan| scan.then))
        }))?;
        self.note_read(count, true);
        match then {
            Some(then) => self.settle(then),
            None => self.state.head_ms.store(0, Relaxed),
        }
        Poll::Ready(Ok(count))
    }

    fn poll_judged(
        &mut self,
        context: &mut Context<'_>,
        cursor: &mut ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let room = cursor.remaining();
        loop {
            self.decide_upgrade();
            if self.judged > 0 {
                self.give(cursor);
                return Poll::Ready(Ok(()));
            }
            match self.then {
                Then::Hold => return self.park(),
                Then::Refuse(_) => return self.poll_refused(),
                Then::More => {}
            }
            let count = if self.window.is_empty() {
                ready!(self.poll_straight(context, cursor))?
            } else {
                let count = ready!(self.poll_more(context, room))?;
                self.judge(0);
                count
            };
            if count == 0 || cursor.remaining() < room {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// The library sees the end of the stream once it has answered everything before the refusal; one
    /// that reads the refused body sees a fault.
    fn poll_refused(&self) -> Poll<io::Result<()>> {
        if self.scanner.as_ref().is_some_and(Scanner::is_cut) {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        if self.state.is_idle() {
            return Poll::Ready(Ok(()));
        }
        self.park()
    }

    /// Waits for an answer under way, not for bytes.
    fn park(&self) -> Poll<io::Result<()>> {
        self.state.parked.store(true, Relaxed);
        Poll::Pending
    }

    fn poll_farewell(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.farewell {
                Farewell::Unsaid => self.begin_farewell(),
                Farewell::Saying { bytes, written } if *written < bytes.len() => {
                    *written +=
                        ready!(Pin::new(&mut self.stream).poll_write(context, &bytes[*written..]))?;
                }
                Farewell::Saying { .. } => {
                    ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
                    self.state.linger_ms.store(crate::worker::now_ms(), Relaxed);
                    self.farewell = Farewell::Lingering { left: LINGER };
                }
                Farewell::Lingering { left } => {
                    let left = *left;
                    let (stream, length) = (&mut self.stream, |piece: &[u8]| piece.len());
                    let count = ready!(piece::poll(stream, context, piece::SIZE, length))?;
                    self.farewell = match left.checked_sub(count) {
                        Some(left) if count > 0 => Farewell::Lingering { left },
                        _ => Farewell::Said,
                    };
                }
                Farewell::Said => return Poll::Ready(Ok(())),
            }
        }
    }

    fn begin_farewell(&mut self) {
        let cut = self.scanner.as_ref().is_some_and(Scanner::is_cut);
        self.farewell = match self.then {
            Then::Refuse(refuse) if !cut => {
                let bytes = answer::raw(refuse.status, &refuse.reason.to_string());
                Farewell::Saying { bytes, written: 0 }
            }
            Then::Refuse(_) => Farewell::Saying {
                bytes: Vec::new(),
                written: 0,
            },
            _ => Farewell::Said,
        };
    }

    fn note_write<T>(&self, written: &Poll<io::Result<T>>) {
        match written {
            Poll::Ready(_) if self.state.stalled_ms.load(Relaxed) != 0 => {
                self.state.stalled_ms.store(0, Relaxed);
            }
            Poll::Pending if self.state.stalled_ms.load(Relaxed) == 0 => {
                self.state
                    .stalled_ms
                    .store(crate::worker::now_ms(), Relaxed);
            }
            _ => {}
        }
    }
}

impl Drop for ClientIo {
    /// The library leaves without a shutdown when an upgrade was asked for earlier; one attempt then.
    fn drop(&mut self) {
        let cut = self.scanner.as_ref().is_some_and(Scanner::is_cut);
        if let (Then::Refuse(refuse), Farewell::Unsaid, false) = (self.then, &self.farewell, cut) {
            let bytes = answer::raw(refuse.status, &refuse.reason.to_string());
            self.stream.try_write(&bytes).ok();
        }
    }
}

impl hyper::rt::Read for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_judged(context, &mut cursor)
    }
}

impl hyper::rt::Write for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note_write(&written);
        written
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.then, Then::Refuse(_)) {
            return self.poll_farewell(context);
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note_write(&written);
        written
    }
}
