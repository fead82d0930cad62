//! What goes to a client, and what is to be done when it has gone.

use crate::connection::ClientState;
use crate::own::Own;
use crate::reply::Reply;
use crate::series::{Failure, Series};
use crate::upstream::Ticket;
use crate::worker::Worker;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// A request that its client waits for; while one lives, the connection is not idle.
#[derive(Debug)]
pub(crate) struct Active(Arc<ClientState>);

impl Active {
    pub(crate) fn new(state: &Arc<ClientState>) -> Self {
        state.begin();
        Self(state.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A request that an instance has begun to answer. However it ends, it is counted.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) worker: Rc<Worker>,
    pub(crate) ticket: Ticket,
    pub(crate) series: Arc<Series>,
    pub(crate) code: u16,
    pub(crate) begun: Instant,
}

impl Flight {
    /// The answer is over: its connection may carry the next request.
    fn finish(self, reply: Reply) {
        if let Some(link) = reply.into_link() {
            self.ticket.upstream.keep(link);
        }
        self.record();
    }

    /// Counts the request now, for a stream whose length says nothing.
    pub(crate) fn record(&self) {
        self.series.record(self.code, self.begun.elapsed());
    }

    fn cut(self, failure: Failure) {
        self.worker.ledger.failed(failure);
        self.record();
    }
}

/// The body of an answer, and whose request waits for it.
pub(crate) struct Download {
    kind: Kind,
    _active: Option<Active>,
}

enum Kind {
    /// The gateway's own.
    Own(Own),
    /// An instance's.
    Relay(Relay),
    /// An event stream: counted apart, and ended cleanly when its instance has left.
    Stream(Stream),
    /// None: the connection is about to be something else.
    Upgrade,
}

impl Download {
    pub(crate) fn own(own: Own, active: Active) -> Self {
        Self {
            kind: Kind::Own(own),
            _active: Some(active),
        }
    }

    pub(crate) fn relay(reply: Reply, flight: Flight, active: Active) -> Self {
        let kind = Kind::Relay(Relay(Some((reply, flight))));
        Self {
            kind,
            _active: Some(active),
        }
    }

    pub(crate) fn stream(reply: Reply, flight: Flight, active: Active) -> Self {
        let kind = Kind::Stream(Stream::new(reply, flight));
        Self {
            kind,
            _active: Some(active),
        }
    }

    pub(crate) fn upgrade() -> Self {
        Self {
            kind: Kind::Upgrade,
            _active: None,
        }
    }
}

/// An answer under way, until it is over.
struct Relay(Option<(Reply, Flight)>);

struct Stream {
    reply: Reply,
    _flight: Flight,
    over: Pin<Box<dyn Future<Output = ()>>>,
    ended: bool,
}

type Polled = Poll<Option<io::Result<Frame<Bytes>>>>;

impl Relay {
    fn poll(&mut self, context: &mut Context<'_>) -> Polled {
        let Some((reply, _)) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let polled = ready!(reply.poll(context));
        let over = reply.is_over();
        if let Some(Err(_)) = &polled
            && let Some((_, flight)) = self.0.take()
        {
            flight.ticket.upstream.traffic.failures.add(1);
            flight.cut(Failure::AnswerCut);
        }
        if over && let Some((reply, flight)) = self.0.take() {
            flight.finish(reply);
        }
        Poll::Ready(polled)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some((reply, flight)) = self.0.take() {
            if reply.is_over() {
                flight.finish(reply);
            } else {
                flight.cut(Failure::ClientGone);
            }
        }
    }
}

impl Stream {
    fn new(reply: Reply, mut flight: Flight) -> Self {
        flight.record();
        flight.ticket = flight.ticket.into_stream();
        let over = Box::pin(flight.ticket.upstream.streams_over());
        Self {
            reply,
            _flight: flight,
            over,
            ended: false,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Polled {
        if self.ended || self.over.as_mut().poll(context).is_ready() {
            self.ended = true;
            return Poll::Ready(None);
        }
        self.reply.poll(context)
    }
}

impl Download {
    /// Whether an instance has no part in it.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self.kind, Kind::Own(_))
    }

    /// Whether nothing more is to come.
    pub(crate) fn is_over(&self) -> bool {
        match &self.kind {
            Kind::Own(own) => own.0.is_none(),
            Kind::Relay(Relay(under_way)) => {
                under_way.as_ref().is_none_or(|(reply, _)| reply.is_over())
            }
            Kind::Stream(stream) => stream.ended || stream.reply.is_over(),
            Kind::Upgrade => true,
        }
    }

    /// What is still to come, if that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match &self.kind {
            Kind::Own(own) => Some(own.length()),
            Kind::Relay(Relay(Some((reply, _)))) => reply.length(),
            Kind::Stream(_) => None,
            Kind::Relay(Relay(None)) | Kind::Upgrade => Some(0),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Polled {
        match &mut self.kind {
            Kind::Own(own) => Poll::Ready(own.0.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Relay(relay) => relay.poll(context),
            Kind::Stream(stream) => stream.poll(context),
            Kind::Upgrade => Poll::Ready(None),
        }
    }

    /// Goes on with a request that is not over, while nobody takes the answer.
    pub(crate) fn push(&mut self, context: &mut Context<'_>) {
        match &mut self.kind {
            Kind::Relay(Relay(Some((reply, _)))) => reply.push(context),
            Kind::Stream(stream) => stream.reply.push(context),
            Kind::Relay(Relay(None)) | Kind::Own(_) | Kind::Upgrade => {}
        }
    }

    /// The next piece, without trailers.
    pub(crate) fn poll_data(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            match ready!(self.poll(context)).transpose()? {
                None => return Poll::Ready(None),
                Some(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
            }
        }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        self.poll(context)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        self.length()
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
