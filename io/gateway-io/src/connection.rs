//! One client connection: what is known of it, and the task that drives it.

use crate::client_io::ClientIo;
use crate::exchange::Exchange;
use crate::worker::Worker;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::net::TcpStream;

/// What the reader, the exchanges and the sweeper of one client connection tell each other.
///
/// All of them run on one worker; the fields are atomic because an upgraded connection must be `Send`.
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
    /// The last upgrade that was asked for was not granted.
    pub(crate) resumed: AtomicBool,
    /// The reader waits for an answer rather than for bytes, so nobody else wakes it.
    pub(crate) parked: AtomicBool,
    /// The status of a body that broke a rule of framing, and the place of its reason.
    pub(crate) refused: Mutex<Option<mainstay_routing::Refuse>>,
    order: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

/// What a connection is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Go on.
    Serve,
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
        self.unpark();
    }

    /// The upgrade that was asked for is not granted.
    pub(crate) fn resume(&self) {
        self.resumed.store(true, Relaxed);
        self.unpark();
    }

    fn unpark(&self) {
        if self.parked.load(Relaxed) {
            self.parked.store(false, Relaxed);
            self.wake();
        }
    }

    fn wake(&self) {
        let waker = self
            .waker
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
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
        let mut held = self
            .waker
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *held = Some(waker.clone());
    }

    fn ordered(&self) -> Order {
        match self.order.load(Relaxed) {
            0 => Order::Serve,
            1 => Order::Finish,
            _ => Order::Kill,
        }
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
        let seat = Rc::new(Seat {
            worker: self.worker.clone(),
            number,
        });
        let exchange = Exchange::new(
            self.worker.clone(),
            state.clone(),
            self.peer,
            self.entrance,
            &seat,
        );
        let exchange = Rc::new(exchange);
        let mut io = ClientIo::new(self.stream, state.clone(), self.worker.ledger.clone());
        let two = heed(&state, pin!(io.sniff()), |_| {}).await;
        match two {
            Some(Ok(true)) => serve_two(io, &state, exchange).await,
            Some(Ok(false)) => serve_one(io, &state, exchange).await,
            Some(Err(_)) | None => {}
        }
        drop(seat);
    }
}

async fn serve_one(io: ClientIo, state: &Arc<ClientState>, exchange: Rc<Exchange>) {
    let service = service_fn(move |request| {
        let active = exchange.begin();
        exchange.clone().answer(request, active)
    });
    let mut builder = http1::Builder::new();
    // The scanner's limits are the stricter ones and answer first.
    builder
        .max_headers(128)
        .header_read_timeout(None)
        .pipeline_flush(true);
    let connection = builder.serve_connection(io, service).with_upgrades();
    let inner = pin!(connection);
    let finish =
        |connection: Pin<&mut http1::UpgradeableConnection<_, _>>| connection.graceful_shutdown();
    // What ends a connection early is counted where it happens.
    drop(heed(state, inner, finish).await);
}

async fn serve_two(io: ClientIo, state: &Arc<ClientState>, exchange: Rc<Exchange>) {
    let service = service_fn(move |request| {
        let active = exchange.begin();
        exchange.clone().answer(request, active)
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
    let inner = pin!(builder.serve_connection(io, service));
    let finish = |connection: Pin<&mut http2::Connection<_, _, _>>| connection.graceful_shutdown();
    drop(heed(state, inner, finish).await);
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

/// Drives a connection and heeds its orders; `None` when it was killed.
async fn heed<F: Future>(
    state: &ClientState,
    mut inner: Pin<&mut F>,
    finish: impl Fn(Pin<&mut F>),
) -> Option<F::Output> {
    let (mut known, mut finished) = (false, false);
    poll_fn(move |context| {
        if !std::mem::replace(&mut known, true) {
            state.remember(context.waker());
        }
        match state.ordered() {
            Order::Kill => return Poll::Ready(None),
            Order::Finish if !finished => {
                finished = true;
                finish(inner.as_mut());
            }
            Order::Finish | Order::Serve => {}
        }
        inner.as_mut().poll(context).map(Some)
    })
    .await
}
