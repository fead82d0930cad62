//! The least an HTTP/1.1 server can do: the same prebuilt answer for every head that arrives.

use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Serves until the process ends: 1 KiB and six fields for each request without a body.
pub fn serve(address: SocketAddr) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            drop(tokio::spawn(answer(stream)));
        }
    })
}

fn answers() -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\nserver: bench\r\ndate: Sun, 22 Nov 2026 00:00:00 GMT\r\ncontent-type: text/plain\r\n\
                content-length: 1024\r\ncache-control: no-store\r\netag: \"bench\"\r\n\r\n";
    [head.as_bytes(), &[b'x'; 1024]].concat()
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let (answer, mut piece, mut matched) = (answers(), vec![0; 16 * 1024], 0);
    loop {
        let count = stream.read(&mut piece).await?;
        if count == 0 {
            return Ok(());
        }
        for byte in &piece[..count] {
            matched = follow(matched, *byte);
            if matched == 4 {
                matched = 0;
                stream.write_all(&answer).await?;
            }
        }
    }
}

/// How much of the blank line that ends a head has been seen.
fn follow(matched: usize, byte: u8) -> usize {
    match byte {
        b'\r' if matched == 2 => 3,
        b'\r' => 1,
        b'\n' if matched == 1 || matched == 3 => matched + 1,
        _ => 0,
    }
}
