//! Copies of requests, for a release on trial: sent beside the request once it is being answered, read, counted, and
//! thrown away. They wait for nothing that a client waits for, and nothing of theirs reaches one.

use crate::link::Lost;
use crate::outgoing::Outgoing;
use crate::pool::Pool;
use crate::reply::Reply;
use crate::series::{Asker, Series};
use crate::upload::Upload;
use crate::upstream::Ticket;
use crate::worker::Worker;
use bytes::Bytes;
use http::StatusCode;
use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// Copies under way at one time in one worker: with the deadline of [`crate::Limits::copy`], a canary that hangs costs
/// this many connections and no more.
const SEATS: usize = 64;

/// What is read of an answer, at most; its status and the time until here say enough of it.
const READ: usize = 1024 * 1024;

/// How many copies are under way.
#[derive(Debug, Default)]
pub(crate) struct Seats(Rc<Cell<usize>>);

/// One of them; given back when it is dropped.
#[derive(Debug)]
struct Seat(Rc<Cell<usize>>);

impl Seats {
    fn take(&self) -> Option<Seat> {
        let taken = self.0.get();
        (taken < SEATS).then(|| {
            self.0.set(taken + 1);
            Seat(self.0.clone())
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Sends a copy, or counts that it could not be sent; never waits. `head` makes its bytes.
pub(crate) fn send(
    worker: &Rc<Worker>,
    pool: &Pool,
    label: u32,
    head: impl FnOnce() -> Vec<u8>,
    bodiless: bool,
) {
    let dropped = &worker.ledger.dropped;
    let Some(seat) = worker.copies.take() else {
        return dropped.full.add(1);
    };
    let Some(upstream) = pool.pick_for_copy(worker) else {
        return dropped.no_instance.add(1);
    };
    let copy = Mirrored {
        worker: worker.clone(),
        series: upstream.series(label, Asker::Mirror, worker),
        ticket: Ticket::of_copy(&upstream),
        outgoing: Outgoing::new(head(), Upload::Kept(Bytes::new()), bodiless),
        _seat: seat,
    };
    drop(tokio::task::spawn_local(copy.run()));
}

/// A copy under way.
struct Mirrored {
    worker: Rc<Worker>,
    ticket: Ticket,
    series: Arc<Series>,
    outgoing: Outgoing,
    _seat: Seat,
}

impl Mirrored {
    /// Counts what became of it as a client would have seen it. One whose instance leaves meanwhile ends at once and
    /// says nothing of it, so that nobody waits for it to drain.
    async fn run(mut self) {
        let begun = Instant::now();
        let (upstream, limit) = (self.ticket.upstream.clone(), self.worker.limits.copy);
        let status = tokio::select! {
            answered = tokio::time::timeout(limit, self.answered()) => match answered {
                Ok(Some(status)) => status,
                Ok(None) => StatusCode::BAD_GATEWAY,
                Err(_) => StatusCode::GATEWAY_TIMEOUT,
            },
            () = upstream.leaving() => return,
        };
        // A copy sets nobody aside: what users get decides that.
        if status.is_server_error() {
            upstream.traffic.failures.add(1);
        }
        self.series.record(status.as_u16(), begun.elapsed());
    }

    /// The status of a whole answer, or of one longer than is read of it.
    async fn answered(&mut self) -> Option<StatusCode> {
        let (status, mut reply) = match self.attempt().await {
            // A connection that was kept too long says nothing of the instance.
            Err(Lost::Unsent | Lost::Died { stale: true }) if self.outgoing.rewind() => {
                self.ticket.upstream.forget_idle();
                self.attempt().await
            }
            attempted => attempted,
        }
        .ok()?;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return None;
        }
        if read(&mut reply).await?
            && let Some(link) = reply.into_link()
        {
            self.ticket.upstream.keep(link);
        }
        Some(status)
    }

    async fn attempt(&mut self) -> Result<(StatusCode, Reply), Lost> {
        let upstream = &self.ticket.upstream;
        let link = if let Some(link) = upstream.pooled() {
            link
        } else {
            let connecting = upstream.connect(&self.worker).await;
            connecting.map_err(|_| Lost::Died { stale: false })?
        };
        let answer = link.send(&mut self.outgoing).await?;
        Ok((answer.status, answer.reply))
    }
}

/// Whether all of a body could be read within [`READ`]; `None` when it broke off.
async fn read(reply: &mut Reply) -> Option<bool> {
    let mut left = READ;
    while let Some(piece) = poll_fn(|context| reply.poll(context)).await {
        let length = piece.ok()?.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(less) => left = less,
            None => return Some(false),
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_bounded_and_given_back() {
        let seats = Seats::default();
        let taken: Vec<Seat> = std::iter::from_fn(|| seats.take()).collect();
        assert_eq!(taken.len(), SEATS);
        drop(taken);
        assert!(seats.take().is_some());
    }
}
