//! The first bytes of a connection: which version of HTTP they begin.

use crate::connection::ClientState;
use crate::piece;
use std::future::poll_fn;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use tokio::net::TcpStream;

/// What an HTTP/2 client says first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What was read, and whether it begins HTTP/2.
pub(crate) async fn sniff(
    stream: &mut TcpStream,
    state: &ClientState,
) -> io::Result<(Vec<u8>, bool)> {
    let mut read = Vec::new();
    loop {
        let count = poll_fn(|context| {
            piece::poll(stream, context, piece::SIZE, |piece| {
                read.extend_from_slice(piece);
                piece.len()
            })
        })
        .await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let now = crate::worker::now_ms();
        state.read_ms.store(now, Relaxed);
        if state.head_ms.load(Relaxed) == 0 {
            state.head_ms.store(now, Relaxed);
        }
        let known = read.len().min(PREFACE.len());
        if read[..known] != PREFACE[..known] {
            return Ok((read, false));
        }
        if known == PREFACE.len() {
            state.head_ms.store(0, Relaxed);
            return Ok((read, true));
        }
    }
}
