//! The body of a request on its way to an instance; trailers stay behind.

use crate::connection::ClientState;
use crate::source::Source;
use bytes::{Bytes, BytesMut};
use hyper::body::Body;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A body, as far as it has been read.
#[derive(Debug)]
pub(crate) enum Upload {
    /// Whole: none, or kept so that it can be sent again.
    Kept(Bytes),
    /// Read as it is sent.
    Stream(Streaming),
}

/// A body that is read as it is sent. While it lives, its client is watched for stalling.
#[derive(Debug)]
pub(crate) struct Streaming {
    incoming: Incoming,
    state: Arc<ClientState>,
    over: bool,
}

/// The client broke its body off, or broke a rule in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken;

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// Where a body comes from.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// The connection of an HTTP/1.1 client.
    One(Rc<RefCell<Source>>),
    /// A stream of an HTTP/2 client.
    Two(hyper::body::Incoming),
}

impl Incoming {
    fn is_over(&self) -> bool {
        match self {
            Self::One(source) => source.borrow().is_over(),
            Self::Two(incoming) => incoming.is_end_stream(),
        }
    }

    fn length(&self) -> Option<u64> {
        match self {
            Self::One(source) => source.borrow().length(),
            Self::Two(incoming) => incoming.size_hint().exact(),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        let incoming = match self {
            Self::One(source) => return source.borrow_mut().poll_body(context),
            Self::Two(incoming) => incoming,
        };
        loop {
            match ready!(Pin::new(&mut *incoming).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                    Ok(_) | Err(_) => {}
                },
                Some(Err(_)) => return Poll::Ready(Some(Err(Broken))),
                None => return Poll::Ready(None),
            }
        }
    }
}

/// Bodies up to this size may be kept for another attempt.
const KEEP: u64 = 64 * 1024;

impl Upload {
    /// Wraps what the client sends. With `keep`, a body of a known size of at most 64 KiB is read first.
    pub(crate) async fn new(
        incoming: Incoming,
        state: &Arc<ClientState>,
        keep: bool,
    ) -> Result<Self, Broken> {
        if incoming.is_over() {
            return Ok(Self::Kept(Bytes::new()));
        }
        state.upload_begins();
        let stream = Streaming {
            incoming,
            state: state.clone(),
            over: false,
        };
        let small = stream.length().is_some_and(|size| size <= KEEP);
        if keep && small {
            stream.collect().await.map(Self::Kept)
        } else {
            Ok(Self::Stream(stream))
        }
    }

    /// Its length, if that is known before it is read.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Kept(bytes) => Some(bytes.len() as u64),
            Self::Stream(stream) => stream.length(),
        }
    }
}

impl Streaming {
    fn length(&self) -> Option<u64> {
        self.incoming.length()
    }

    async fn collect(mut self) -> Result<Bytes, Broken> {
        let mut whole = BytesMut::new();
        while let Some(data) = poll_fn(|context| self.poll_data(context)).await {
            whole.extend_from_slice(&data?);
        }
        Ok(whole.freeze())
    }

    /// The next piece, never an empty one.
    pub(crate) fn poll_data(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Broken>>> {
        let next = ready!(self.incoming.poll(context));
        if !matches!(next, Some(Ok(_))) {
            self.finish();
        }
        Poll::Ready(next)
    }

    fn finish(&mut self) {
        if !std::mem::replace(&mut self.over, true) {
            self.state.upload_ends();
        }
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.finish();
    }
}
