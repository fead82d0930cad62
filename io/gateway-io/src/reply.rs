//! The body of an instance's answer, read from its connection as the client takes it.

use crate::head::Framing;
use crate::link::Link;
use crate::outgoing::Outgoing;
use crate::unchunk::{Next, Unchunk};
use bytes::Bytes;
use hyper::body::Frame;
use std::io;
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;

/// A body under way.
#[derive(Debug)]
pub(crate) struct Reply {
    link: Box<Link>,
    framing: Framing,
    /// The answer began before the request was over.
    unsent: Option<Box<Outgoing>>,
    keeps: bool,
}

impl Reply {
    pub(crate) fn new(link: Box<Link>, framing: Framing, keeps: bool) -> Self {
        Self {
            link,
            framing,
            unsent: None,
            keeps,
        }
    }

    /// The answer began before this request was over: it goes on as the answer is read.
    pub(crate) fn send_on(&mut self, unsent: Outgoing) {
        self.unsent = Some(Box::new(unsent));
    }

    /// Whether all of it was read.
    pub(crate) fn is_over(&self) -> bool {
        matches!(
            self.framing,
            Framing::Length(0) | Framing::Chunked(Unchunk::Over)
        )
    }

    /// What is still to come, if that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self.framing {
            Framing::Length(left) => Some(left),
            Framing::Chunked(_) | Framing::Close => None,
        }
    }

    /// The connection, if it may carry another request.
    pub(crate) fn into_link(mut self) -> Option<Box<Link>> {
        let whole = self.is_over() && self.unsent.is_none();
        let keeps = whole && self.keeps && self.link.read.is_empty();
        // Empty, it may still hold on to what it was cut from.
        self.link.read = Bytes::new();
        keeps.then_some(self.link)
    }

    /// The connection, if it is something else from now on, and what came behind the head.
    pub(crate) fn into_tunnel(self) -> (TcpStream, Bytes) {
        (self.link.stream, self.link.read)
    }

    /// The next piece. Its end before the connection's is a fault.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.push(context);
        loop {
            if self.is_over() {
                return Poll::Ready(None);
            }
            match self.next() {
                Ok(Next::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(Next::Trailers(fields)) => {
                    return Poll::Ready(Some(Ok(Frame::trailers(fields))));
                }
                Ok(Next::Over) => return Poll::Ready(None),
                Ok(Next::More) => {}
                Err(fault) => return Poll::Ready(Some(Err(fault))),
            }
            let wanted = match &self.framing {
                Framing::Length(left) | Framing::Chunked(Unchunk::Data(left)) => *left,
                Framing::Chunked(_) => 0,
                Framing::Close => u64::MAX,
            };
            if ready!(self.link.poll_more(context, wanted))? == 0 {
                if !matches!(self.framing, Framing::Close) {
                    return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
                }
                self.framing = Framing::Length(0);
            }
        }
    }

    /// Goes on with a request that is not over.
    pub(crate) fn push(&mut self, context: &mut Context<'_>) {
        if let Some(unsent) = &mut self.unsent
            && unsent.poll(context, &mut self.link.stream).is_ready()
            && unsent.is_over()
        {
            self.unsent = None;
        }
    }

    /// What has been read of it.
    fn next(&mut self) -> io::Result<Next> {
        let read = &mut self.link.read;
        match &mut self.framing {
            Framing::Chunked(unchunk) => {
                let garbled = |_| io::ErrorKind::InvalidData.into();
                unchunk.next(read).map_err(garbled)
            }
            _ if read.is_empty() => Ok(Next::More),
            Framing::Close => Ok(Next::Data(std::mem::take(read))),
            Framing::Length(left) => {
                let taken = usize::try_from(*left).map_or(read.len(), |left| left.min(read.len()));
                *left -= taken as u64;
                Ok(Next::Data(read.split_to(taken)))
            }
        }
    }
}
