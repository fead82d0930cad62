//! The bytes of an HTTP/1.1 client: judged, then read as requests and bodies.

use crate::connection::ClientState;
use crate::head::Garbled;
use crate::name::Name;
use crate::piece;
use crate::request::{Request, Version};
use crate::series::{Failure, Ledger};
use crate::unchunk::{Next, Unchunk};
use crate::upload::Broken;
use bytes::Bytes;
use mainstay_routing::{Reason, Scanner, Then};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

/// A client's socket. Nothing that it sends is read as HTTP before [`Scanner`] has passed it.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) stream: TcpStream,
    state: Arc<ClientState>,
    ledger: Arc<Ledger>,
    scanner: Scanner,
    /// Read and not passed.
    window: Vec<u8>,
    /// Passed and not read yet.
    passed: Bytes,
    then: Then,
    body: Body,
    /// The client waits for `100 Continue`; how much of it is written.
    expects: Option<usize>,
}

/// What is to come of a request's body.
#[derive(Debug)]
enum Body {
    Length(u64),
    Chunks(Unchunk),
}

/// What a look at the socket brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Brought {
    Bytes,
    /// Nothing more will come, or nothing more is read.
    End,
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl Source {
    /// `window` was read already.
    pub(crate) fn new(
        stream: TcpStream,
        window: Vec<u8>,
        state: Arc<ClientState>,
        ledger: Arc<Ledger>,
    ) -> Self {
        let mut source = Self {
            stream,
            state,
            ledger,
            scanner: Scanner::new(),
            window,
            passed: Bytes::new(),
            then: Then::More,
            body: Body::Length(0),
            expects: None,
        };
        source.judge();
        source
    }

    /// The next request; `None` when there is none: the client has ended, was refused, or is idle and
    /// told to go.
    pub(crate) fn poll_request(&mut self, context: &mut Context<'_>) -> Poll<Option<Request>> {
        while self.passed.is_empty() {
            let idle = self.window.is_empty() && self.then == Then::More;
            if idle && self.state.is_told_to_finish() {
                return Poll::Ready(None);
            }
            let Ok(Brought::Bytes) = ready!(self.poll_fill(context)) else {
                return Poll::Ready(None);
            };
        }
        let Ok(request) = Request::take(&mut self.passed) else {
            self.refuse(Reason::RequestLine);
            return Poll::Ready(None);
        };
        self.begin_body(&request);
        Poll::Ready(Some(request))
    }

    fn begin_body(&mut self, request: &Request) {
        let length = || request.fields.get(Name::ContentLength);
        let number = |value| std::str::from_utf8(value).ok()?.parse().ok();
        self.body = if request.fields.get(Name::TransferEncoding).is_some() {
            Body::Chunks(Unchunk::Size)
        } else {
            Body::Length(length().and_then(number).unwrap_or(0))
        };
        let may = request.version == Version::One && !self.is_over();
        let expects = may && request.fields.get(Name::Expect).is_some();
        self.expects = expects.then_some(0);
    }

    /// Whether the body of the request was read to its end.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.body, Body::Length(0) | Body::Chunks(Unchunk::Over))
    }

    /// The length of what is to come of the body, if that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self.body {
            Body::Length(left) => Some(left),
            Body::Chunks(_) => None,
        }
    }

    /// The next piece of the body.
    pub(crate) fn poll_body(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Broken>>> {
        loop {
            match self.next() {
                Ok(Next::Data(data)) => return Poll::Ready(Some(Ok(data))),
                Ok(Next::Trailers(_)) => {}
                Ok(Next::Over) => return Poll::Ready(None),
                Err(Garbled) => return Poll::Ready(Some(Err(Broken))),
                Ok(Next::More) => {
                    ready!(self.poll_continue(context))?;
                    if ready!(self.poll_fill(context))? != Brought::Bytes {
                        return Poll::Ready(Some(Err(Broken)));
                    }
                }
            }
        }
    }

    fn next(&mut self) -> Result<Next, Garbled> {
        match &mut self.body {
            Body::Chunks(unchunk) => unchunk.next(&mut self.passed),
            Body::Length(0) => Ok(Next::Over),
            Body::Length(_) if self.passed.is_empty() => Ok(Next::More),
            Body::Length(left) => {
                let there = self.passed.len();
                let taken = usize::try_from(*left).map_or(there, |left| left.min(there));
                *left -= taken as u64;
                Ok(Next::Data(self.passed.split_to(taken)))
            }
        }
    }

    /// Somebody wants the body: the client may send it.
    fn poll_continue(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(written) = &mut self.expects {
            let rest = &CONTINUE[*written..];
            *written += ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            if *written == CONTINUE.len() {
                self.expects = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// What is left of the body is thrown away, as far as it is here; whether that was all of it.
    pub(crate) fn skip_body(&mut self, context: &mut Context<'_>) -> bool {
        while self.expects.is_none() && !self.is_over() {
            if !matches!(self.poll_body(context), Poll::Ready(None | Some(Ok(_)))) {
                return false;
            }
        }
        self.is_over()
    }

    /// Resolves when the client has gone while it waits. What it sends meanwhile is kept.
    pub(crate) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let refused = matches!(self.then, Then::Refuse(_));
        if refused || !self.is_over() || !self.passed.is_empty() || !self.window.is_empty() {
            return Poll::Pending;
        }
        match self.poll_fill(context) {
            Poll::Ready(Ok(Brought::End)) if self.then == Then::More => Poll::Ready(()),
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        }
    }

    /// Reads once and judges what came.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Brought>> {
        if matches!(self.then, Then::Refuse(_)) {
            return Poll::Ready(Ok(Brought::End));
        }
        let (scanner, window, passed) = (&mut self.scanner, &mut self.window, &mut self.passed);
        let first = window.is_empty();
        let filled = piece::poll(&mut self.stream, context, piece::SIZE, |bytes| {
            if !first {
                window.extend_from_slice(bytes);
                return (bytes.len(), None);
            }
            // The common case: nothing is left over, and what is read passes whole.
            let scan = scanner.scan(bytes);
            add(passed, &bytes[..scan.pass]);
            window.extend_from_slice(&bytes[scan.pass..]);
            (bytes.len(), Some(scan.then))
        });
        let (count, then) = ready!(filled)?;
        self.note_read(count, first);
        match then {
            Some(then) => self.settle(then),
            None => self.judge(),
        }
        // Where bytes came and none passed, a refusal is the next thing to be seen.
        Poll::Ready(Ok(if count == 0 {
            Brought::End
        } else {
            Brought::Bytes
        }))
    }

    fn note_read(&self, count: usize, first: bool) {
        let now = crate::worker::now_ms();
        self.state.read_ms.store(now, Relaxed);
        if count > 0 && first && self.state.head_ms.load(Relaxed) == 0 {
            self.state.head_ms.store(now, Relaxed);
        }
    }

    fn judge(&mut self) {
        let scan = self.scanner.scan(&self.window);
        add(&mut self.passed, &self.window[..scan.pass]);
        if scan.pass == self.window.len() {
            self.window = Vec::new();
        } else {
            self.window.drain(..scan.pass);
        }
        self.settle(scan.then);
    }

    fn settle(&mut self, then: Then) {
        self.then = then;
        if self.scanner.in_body() || !self.scanner.inside(&self.window) {
            self.state.head_ms.store(0, Relaxed);
        }
        let Then::Refuse(refuse) = then else { return };
        self.ledger.failed(Failure::Refused);
        if self.scanner.is_cut() {
            self.state.refuse(refuse);
        } else {
            let series = &self.ledger.own;
            series.record(refuse.status, std::time::Duration::ZERO);
        }
    }

    /// What the scanner has passed makes no request all the same.
    fn refuse(&mut self, reason: Reason) {
        self.settle(Then::Refuse(reason.refuse()));
    }

    /// The upgrade that was asked for, if one was, is not granted.
    pub(crate) fn resume(&mut self) {
        if self.then == Then::Hold {
            self.scanner.resume();
            self.judge();
        }
    }

    /// It is no HTTP from here on: the socket, and what the client sent too early.
    pub(crate) fn into_tunnel(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.window)
    }

    /// Why nothing more is read, if the client is to be told.
    pub(crate) fn refusal(&self) -> Option<mainstay_routing::Refuse> {
        match self.then {
            Then::Refuse(refuse) if !self.scanner.is_cut() => Some(refuse),
            _ => None,
        }
    }

    /// Whether bytes of the client's may be on their way that nobody is going to read.
    pub(crate) fn is_unread(&self) -> bool {
        matches!(self.then, Then::Refuse(_)) || !self.is_over()
    }
}

/// Puts bytes behind those that are not read yet, most often none.
fn add(passed: &mut Bytes, bytes: &[u8]) {
    if passed.is_empty() {
        *passed = Bytes::copy_from_slice(bytes);
    } else if !bytes.is_empty() {
        *passed = [&passed[..], bytes].concat().into();
    }
}
