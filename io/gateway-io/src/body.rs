//! What goes to an instance, and the gateway's own short bodies.

use crate::connection::ClientState;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::cell::Cell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A text of the gateway's.
#[derive(Debug)]
pub(crate) struct Own(pub(crate) Option<Bytes>);

impl Body for Own {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// The body of a request on its way to an instance; trailers stay behind.
#[derive(Debug)]
pub(crate) enum Upload {
    /// None.
    Empty,
    /// Kept whole, so that it can be sent again.
    Kept(Bytes),
    /// Read as it is sent.
    Stream(Streaming),
}

/// A body that is read as it is sent. While it lives, its client is watched for stalling.
#[derive(Debug)]
pub(crate) struct Streaming {
    incoming: Incoming,
    state: Arc<ClientState>,
    broken: Rc<Cell<bool>>,
    over: bool,
}

/// Bodies up to this size may be kept for another attempt.
const KEEP: u64 = 64 * 1024;

impl Upload {
    /// Wraps what the client sends. With `keep`, a body of a known size of at most 64 KiB is read first.
    pub(crate) async fn new(
        incoming: Incoming,
        state: &Arc<ClientState>,
        keep: bool,
        broken: &Rc<Cell<bool>>,
    ) -> Self {
        if incoming.is_end_stream() {
            return Self::Empty;
        }
        let small = incoming
            .size_hint()
            .exact()
            .is_some_and(|size| size <= KEEP);
        state.upload_begins();
        let stream = Streaming {
            incoming,
            state: state.clone(),
            broken: broken.clone(),
            over: false,
        };
        if !keep || !small {
            return Self::Stream(stream);
        }
        match stream.collect().await {
            Ok(collected) => Self::Kept(collected.to_bytes()),
            Err(_) => Self::Empty,
        }
    }

    /// The same again, where nothing was spent.
    pub(crate) fn again(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Kept(bytes) => Some(Self::Kept(bytes.clone())),
            Self::Stream(_) => None,
        }
    }

    /// Whether its length is known before it is read.
    pub(crate) fn is_sized(&self) -> bool {
        self.size_hint().exact().is_some()
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Kept(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Kept(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(stream) => Pin::new(stream).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Kept(bytes) => bytes.is_empty(),
            Self::Stream(stream) => stream.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Kept(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(stream) => stream.incoming.size_hint(),
        }
    }
}

impl Streaming {
    fn finish(&mut self) {
        if !std::mem::replace(&mut self.over, true) {
            self.state.upload_ends();
        }
    }
}

impl Body for Streaming {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        loop {
            match ready!(Pin::new(&mut self.incoming).poll_frame(context)) {
                Some(Ok(frame)) if frame.is_trailers() => {}
                Some(Ok(frame)) => return Poll::Ready(Some(Ok(frame))),
                Some(Err(fault)) => {
                    self.broken.set(true);
                    self.finish();
                    return Poll::Ready(Some(Err(fault)));
                }
                None => {
                    self.finish();
                    return Poll::Ready(None);
                }
            }
        }
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.finish();
    }
}
