//! What a read fills, shared by all connections of a worker: nothing stays in it between reads.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// The most one read takes.
pub(crate) const SIZE: usize = 64 * 1024;

thread_local! {
    static PIECE: RefCell<Box<[u8]>> = RefCell::new(vec![0; SIZE].into());
}

/// Reads what is there, at most `limit` bytes, and gives it to `take`.
pub(crate) fn poll<R>(
    stream: &mut TcpStream,
    context: &mut Context<'_>,
    limit: usize,
    take: impl FnOnce(&[u8]) -> R,
) -> Poll<io::Result<R>> {
    PIECE.with_borrow_mut(|piece| {
        let mut buffer = ReadBuf::new(&mut piece[..limit.min(SIZE)]);
        ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(take(buffer.filled())))
    })
}
