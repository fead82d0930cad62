//! The body of a request on its way to an instance; trailers stay behind.

use crate::connection::ClientState;
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Incoming};
use std::future::poll_fn;
use std::pin::Pin;
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

/// Bodies up to this size may be kept for another attempt.
const KEEP: u64 = 64 * 1024;

impl Upload {
    /// Wraps what the client sends. With `keep`, a body of a known size of at most 64 KiB is read first.
    pub(crate) async fn new(
        incoming: Incoming,
        state: &Arc<ClientState>,
        keep: bool,
    ) -> Result<Self, Broken> {
        if incoming.is_end_stream() {
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
        self.incoming.size_hint().exact()
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
        loop {
            let next = match ready!(Pin::new(&mut self.incoming).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                    Ok(_) | Err(_) => continue,
                },
                Some(Err(_)) => Some(Err(Broken)),
                None => None,
            };
            self.finish();
            return Poll::Ready(next);
        }
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
