//! What goes to a client, and what is to be done when it has gone.

use crate::body::Own;
use crate::connection::ClientState;
use crate::pool::Wire;
use crate::series::{Failure, Series};
use crate::upstream::Ticket;
use crate::worker::Worker;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
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
    pub(crate) wire: Option<Wire>,
    pub(crate) series: Arc<Series>,
    pub(crate) code: u16,
    pub(crate) begun: Instant,
}

impl Flight {
    /// The answer is over: its connection may carry the next request.
    fn finish(mut self) {
        if let Some(wire) = self.wire.take() {
            self.ticket.upstream.keep(wire);
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

    pub(crate) fn relay(incoming: Incoming, flight: Flight, active: Active) -> Self {
        let kind = Kind::Relay(Relay {
            incoming,
            flight: Some(flight),
        });
        Self {
            kind,
            _active: Some(active),
        }
    }

    pub(crate) fn stream(incoming: Incoming, flight: Flight, active: Active) -> Self {
        let kind = Kind::Stream(Stream::new(incoming, flight));
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

struct Relay {
    incoming: Incoming,
    flight: Option<Flight>,
}

struct Stream {
    incoming: Incoming,
    _flight: Flight,
    over: Pin<Box<dyn Future<Output = ()>>>,
    ended: bool,
}

impl Relay {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = ready!(Pin::new(&mut self.incoming).poll_frame(context));
        let over = match &polled {
            None => true,
            Some(Ok(_)) => self.incoming.is_end_stream(),
            Some(Err(_)) => {
                if let Some(flight) = self.flight.take() {
                    flight.ticket.upstream.traffic.failures.add(1);
                    flight.cut(Failure::AnswerCut);
                }
                false
            }
        };
        if let Some(flight) = over.then(|| self.flight.take()).flatten() {
            flight.finish();
        }
        Poll::Ready(polled)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(flight) = self.flight.take() {
            if self.incoming.is_end_stream() {
                flight.finish();
            } else {
                flight.cut(Failure::ClientGone);
            }
        }
    }
}

impl Stream {
    fn new(incoming: Incoming, mut flight: Flight) -> Self {
        flight.record();
        flight.ticket = flight.ticket.into_stream();
        let over = Box::pin(flight.ticket.upstream.streams_over());
        Self {
            incoming,
            _flight: flight,
            over,
            ended: false,
        }
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.ended || self.over.as_mut().poll(context).is_ready() {
            self.ended = true;
            return Poll::Ready(None);
        }
        Pin::new(&mut self.incoming).poll_frame(context)
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.kind {
            Kind::Own(own) => {
                let frame = own.0.take().map(|bytes| Ok(Frame::data(bytes)));
                Poll::Ready(frame)
            }
            Kind::Relay(relay) => relay.poll(context),
            Kind::Stream(stream) => stream.poll(context),
            Kind::Upgrade => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Own(own) => own.is_end_stream(),
            Kind::Relay(relay) => relay.incoming.is_end_stream(),
            Kind::Stream(stream) => stream.ended || stream.incoming.is_end_stream(),
            Kind::Upgrade => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Own(own) => own.size_hint(),
            Kind::Relay(relay) => relay.incoming.size_hint(),
            Kind::Stream(_) => SizeHint::default(),
            Kind::Upgrade => SizeHint::with_exact(0),
        }
    }
}
