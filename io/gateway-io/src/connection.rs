//! One client connection: what is known of it, and the task that drives it.

use crate::client_io::ClientIo;
use crate::exchange::Exchange;
use crate::http1::Http1;
use crate::sniff::sniff;
use crate::source::Source;
use crate::worker::Worker;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use mainstay_routing::Refuse;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::net::TcpStream;

/// What the reader, the exchanges and the sweeper of one client connection tell each other.
///
/// Times are the worker's milliseconds plus one; zero is never.
#[derive(Debug, Default)]
pub(crate) struct ClientState {
    pub(crate) active: AtomicU32,
    uploads: AtomicU32,
    pub(crate) read_ms: AtomicU64,
    pub(crate) head_ms: AtomicU64,
    pub(crate) idle_ms: AtomicU64,
    pub(crate) stalled_ms: AtomicU64,
    pub(crate) linger_ms: AtomicU64,
    /// A WebSocket now.
    pub(crate) tunnel: AtomicBool,
    /// The rule of framing that a body broke.
    refused: Mutex<Option<Refuse>>,
    order: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

/// What a connection is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Go on.
    Serve,
    /// Answer what comes; say that another connection is to be made for what comes after that.
    Part,
    /// Answer what is under way, then close.
    Finish,
    /// Close at once.
    Kill,
}

impl ClientState {
    pub(crate) fn upload_begins(&self) {
        self.uploads.fetch_add(1, Relaxed);
    }

    pub(crate) fn upload_ends(&self) {
        self.uploads.fetch_sub(1, Relaxed);
    }

    pub(crate) fn begin(&self) {
        self.active.fetch_add(1, Relaxed);
    }

    pub(crate) fn end(&self) {
        self.idle_ms.store(crate::worker::now_ms(), Relaxed);
        self.active.fetch_sub(1, Relaxed);
    }

    /// A body broke a rule of framing while somebody was reading it.
    pub(crate) fn refuse(&self, refuse: Refuse) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(refuse);
    }

    /// What [`Self::refuse`] noted, once.
    pub(crate) fn take_refused(&self) -> Option<Refuse> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.take()
    }

    /// Notes whether the client reads what is written to it.
    pub(crate) fn note_write<T>(&self, written: &Poll<io::Result<T>>) {
        let stalled = self.stalled_ms.load(Relaxed) != 0;
        match written {
            Poll::Ready(_) if stalled => self.stalled_ms.store(0, Relaxed),
            Poll::Pending if !stalled => {
                self.stalled_ms.store(crate::worker::now_ms(), Relaxed);
            }
            _ => {}
        }
    }

    /// Whether no request may be begun any more.
    pub(crate) fn is_told_to_finish(&self) -> bool {
        self.order.load(Relaxed) >= Order::Finish as u8
    }

    /// Whether the client is to make another connection for its next request.
    fn is_told_to_part(&self) -> bool {
        self.order.load(Relaxed) != Order::Serve as u8
    }

    fn wake(&self) {
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = &*waker {
            waker.wake_by_ref();
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.active.load(Relaxed) == 0
    }

    /// Tells the connection's task what to do, unless it was told more already.
    pub(crate) fn order(&self, order: Order) {
        if self.order.fetch_max(order as u8, Relaxed) < order as u8 {
            self.wake();
        }
    }

    fn remember(&self, waker: &Waker) {
        let mut held = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some(waker.clone());
    }

    /// Which limit this connection is over, at `now`.
    pub(crate) fn overdue(&self, now: u64, limits: &crate::Limits) -> Option<Order> {
        let over = |since: u64, limit: Duration| {
            since != 0 && u128::from(now.saturating_sub(since)) > limit.as_millis()
        };
        if self.tunnel.load(Relaxed) {
            return None;
        }
        let stuck = over(self.head_ms.load(Relaxed), limits.head)
            || over(self.stalled_ms.load(Relaxed), limits.stall)
            || over(self.linger_ms.load(Relaxed), LINGER)
            || (self.uploads.load(Relaxed) > 0 && over(self.read_ms.load(Relaxed), limits.body));
        if stuck {
            return Some(Order::Kill);
        }
        let idle = self.is_idle() && over(self.idle_ms.load(Relaxed), limits.idle);
        idle.then_some(Order::Finish)
    }
}

/// How long a refused client's bytes are read on, so that it gets to read the refusal (RFC 9112, 9.6).
const LINGER: Duration = Duration::from_secs(1);

/// The task of one connection.
pub(crate) struct Connection {
    pub(crate) worker: Rc<Worker>,
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    /// The address it came in at, as the table has it.
    pub(crate) entrance: SocketAddr,
}

/// A connection's place among the worker's; given back when the last who holds it goes.
#[derive(Debug)]
pub(crate) struct Seat {
    worker: Rc<Worker>,
    number: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.worker.leave(self.number);
    }
}

impl Connection {
    pub(crate) async fn run(self) {
        let state = Arc::new(ClientState::default());
        state.idle_ms.store(crate::worker::now_ms(), Relaxed);
        let number = self.worker.enter(state.clone());
        let seat = Seat {
            worker: self.worker.clone(),
            number,
        };
        let served = pin!(self.serve(&state));
        // What ends a connection early is counted where it happens.
        heed(&state, served).await;
        drop(seat);
    }

    async fn serve(self, state: &Arc<ClientState>) {
        let Self {
            worker,
            mut stream,
            peer,
            entrance,
        } = self;
        let Ok((early, two)) = sniff(&mut stream, state).await else {
            return;
        };
        let ledger = worker.ledger.clone();
        let exchange = Rc::new(Exchange::new(worker, state.clone(), peer, entrance));
        let state = state.clone();
        if two {
            let early = early.into();
            let io = ClientIo {
                stream,
                early,
                state: state.clone(),
            };
            return Box::pin(serve_two(io, state, exchange)).await;
        }
        let source = Source::new(stream, early, state.clone(), ledger);
        let http1 = Http1 {
            source: Rc::new(RefCell::new(source)),
            state,
            exchange,
        };
        http1.run().await;
    }
}

async fn serve_two(io: ClientIo, state: Arc<ClientState>, exchange: Rc<Exchange>) {
    let parting = exchange.clone();
    let service = service_fn(move |request| {
        let active = exchange.begin();
        exchange.clone().answer_two(request, active)
    });
    let mut builder = http2::Builder::new(Local);
    builder
        .max_concurrent_streams(100)
        .max_header_list_size(32 * 1024)
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        .max_send_buf_size(256 * 1024);
    let mut inner = pin!(builder.serve_connection(io, service));
    let mut told = false;
    let served = poll_fn(|context| {
        let parts = state.is_told_to_part() || parting.is_draining();
        if parts && !std::mem::replace(&mut told, true) {
            inner.as_mut().graceful_shutdown();
        }
        inner.as_mut().poll(context)
    });
    drop(served.await);
}

/// Spawns on the worker's own runtime.
#[derive(Clone, Copy)]
struct Local;

impl<F: Future + 'static> Executor<F> for Local {
    fn execute(&self, future: F) {
        drop(tokio::task::spawn_local(async move {
            future.await;
        }));
    }
}

/// Drives a connection, wakes it when it is told something, and drops it when that is to end at once.
async fn heed<F: Future>(state: &ClientState, mut inner: Pin<&mut F>) -> Option<F::Output> {
    let mut known = false;
    poll_fn(move |context| {
        if !std::mem::replace(&mut known, true) {
            state.remember(context.waker());
        }
        if state.order.load(Relaxed) == Order::Kill as u8 {
            return Poll::Ready(None);
        }
        inner.as_mut().poll(context).map(Some)
    })
    .await
}
