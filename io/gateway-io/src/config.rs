//! What a gateway is started with.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Where a gateway keeps its things and what it allows.
#[derive(Debug, Clone)]
pub struct Config {
    /// The control socket, made with mode 0600; beside it lies its lock, `NAME.lock`. The folder exists.
    pub socket: PathBuf,
    /// The last table that was acknowledged; read at the start, written on each publication.
    pub table: PathBuf,
    /// Threads that serve; one per core, at most four, when `None`.
    pub workers: Option<NonZeroUsize>,
    /// How long to wait at the start for [`crate::Client::adopt`] before listeners are bound afresh;
    /// zero when no one hands any over.
    pub adoption: Duration,
    /// Starts beside the gateway whose sockets it adopts, and takes its place once it is told to
    /// ([`crate::Client::promote`]); one that is not told within this retires.
    pub beside: Option<Duration>,
    /// What clients and instances may take.
    pub limits: Limits,
}

impl Config {
    /// With the limits that hold in production, and no adoption.
    pub fn new(socket: impl Into<PathBuf>, table: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            table: table.into(),
            workers: None,
            adoption: Duration::ZERO,
            beside: None,
            limits: Limits::default(),
        }
    }

    pub(crate) fn worker_count(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.workers.map_or(cores.min(4), NonZeroUsize::get)
    }
}

/// Times and sizes. Times are checked twice a second, so they hold to half a second.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the first byte of a head to its last, however slowly they come.
    pub head: Duration,
    /// Between two reads of a request body.
    pub body: Duration,
    /// Between two requests of a connection.
    pub idle: Duration,
    /// A client that does not read what is written to it.
    pub stall: Duration,
    /// Making a connection to an instance.
    pub connect: Duration,
    /// From the request to the head of the answer.
    pub response: Duration,
    /// From the beginning to the end of a copy: whatever is later reaches nobody anyway.
    pub copy: Duration,
    /// A pooled connection to an instance is dropped after this; below the 5 s after which common
    /// servers close theirs.
    pub pooled: Duration,
    /// From the order to stop until what is in flight is cut.
    pub drain: Duration,
    /// From the order to stop until idle connections are closed, so that a request already under way
    /// to us is still answered.
    pub grace: Duration,
    /// How long streams may go on in a gateway whose place another one took.
    pub retired: Duration,
    /// Client connections at one time, all workers together.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_mins(1),
            stall: Duration::from_secs(30),
            connect: Duration::from_secs(1),
            response: Duration::from_mins(1),
            copy: Duration::from_secs(10),
            pooled: Duration::from_secs(4),
            drain: Duration::from_secs(30),
            grace: Duration::from_secs(1),
            retired: Duration::from_hours(24),
            connections: 16_384,
        }
    }
}

impl Limits {
    /// How often times are checked.
    pub(crate) fn tick(&self) -> Duration {
        let shortest = [
            self.head,
            self.body,
            self.idle,
            self.stall,
            self.response,
            self.grace,
        ];
        let shortest = shortest.into_iter().min().unwrap_or(Duration::ZERO);
        (shortest / 4).clamp(Duration::from_millis(10), Duration::from_millis(500))
    }
}
