//! A WebSocket between a client and an instance: bytes both ways, and a clean close when its time is up.

use crate::download::Flight;
use bytes::Bytes;
use mainstay_routing::Frames;
use std::io::{self, Cursor};
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Chain};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Close, 1001 "going away" (RFC 6455, 7.4.1), as a server sends it.
const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xe9];
/// What a peer has left to end its side once the other has ended.
const PARTING: Duration = Duration::from_secs(2);
const PIECE: usize = 16 * 1024;

/// The instance's side of a WebSocket.
pub(crate) struct Tunnel {
    pub(crate) instance: TcpStream,
    /// What the instance sent behind its head.
    pub(crate) early: Bytes,
    pub(crate) flight: Flight,
}

impl Tunnel {
    /// Runs until either side has ended; `early` is what the client sent before it was answered.
    pub(crate) async fn run(self, client: TcpStream, early: Vec<u8>) {
        let over = Box::pin(self.flight.ticket.upstream.streams_over());
        let (from_client, to_client) = client.into_split();
        let (from_instance, to_instance) = self.instance.into_split();
        let down = Down {
            from: Cursor::new(self.early).chain(from_instance),
            to: to_client,
            frames: Frames::default(),
            over,
        };
        let up = pump(
            Cursor::new(Bytes::from(early)).chain(from_client),
            to_instance,
        );
        join(down.run(), up).await;
    }
}

/// A side of a socket, behind what was read from it already.
type Side = Chain<Cursor<Bytes>, OwnedReadHalf>;

/// Runs both directions; when one has ended, the other gets a little longer.
async fn join(
    down: impl Future<Output = io::Result<()>>,
    up: impl Future<Output = io::Result<()>>,
) {
    let (mut down, mut up) = (std::pin::pin!(down), std::pin::pin!(up));
    // How a direction ended changes nothing for the other.
    tokio::select! {
        _ = &mut down => drop(tokio::time::timeout(PARTING, up).await),
        _ = &mut up => drop(tokio::time::timeout(PARTING, down).await),
    }
}

async fn pump(mut from: Side, mut to: OwnedWriteHalf) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let count = from.read(&mut piece).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&piece[..count]).await?;
    }
}

/// From the instance to the client.
struct Down {
    from: Side,
    to: OwnedWriteHalf,
    frames: Frames,
    over: Pin<Box<dyn Future<Output = ()>>>,
}

impl Down {
    async fn run(mut self) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        loop {
            tokio::select! {
                () = &mut self.over => break,
                count = self.from.read(&mut piece) => match count? {
                    0 => return self.to.shutdown().await,
                    count => {
                        self.frames.advance(&piece[..count]);
                        self.to.write_all(&piece[..count]).await?;
                    }
                },
            }
        }
        // A frame that cannot be finished in time is cut: the close is the client's only news then.
        drop(tokio::time::timeout(PARTING, self.finish_frame(&mut piece)).await);
        self.to.write_all(&GOING_AWAY).await?;
        self.to.shutdown().await
    }

    async fn finish_frame(&mut self, piece: &mut [u8]) -> io::Result<()> {
        while !self.frames.at_boundary() {
            // One byte at a time, so that nothing of the frame behind it is taken.
            let count = self.from.read(&mut piece[..1]).await?;
            if count == 0 {
                return Ok(());
            }
            self.frames.advance(&piece[..count]);
            self.to.write_all(&piece[..count]).await?;
        }
        Ok(())
    }
}
