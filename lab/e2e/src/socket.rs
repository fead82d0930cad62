//! A WebSocket from outside: opened once, and asked whether it still is.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// An open WebSocket to the sample.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    /// The instance at the other end.
    pub instance: String,
}

impl Socket {
    /// Opens one, and waits for the greeting.
    pub fn open(port: u16) -> io::Result<Self> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        stream.write_all(
            b"GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
              sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        if !head.starts_with(b"HTTP/1.1 101") {
            return Err(io::Error::other(String::from_utf8_lossy(&head)));
        }
        let mut socket = Self {
            stream,
            instance: String::new(),
        };
        let (_, greeting) = socket.frame()?;
        socket.instance = String::from_utf8_lossy(&greeting).into_owned();
        Ok(socket)
    }

    /// Sends a word (at most 125 bytes) and has it come back.
    pub fn echo(&mut self, word: &str) -> io::Result<()> {
        let length = u8::try_from(word.len()).unwrap_or(125);
        // Masked with zeros (RFC 6455, 5.3): the bytes stay as they are.
        let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
        frame.extend(word.as_bytes());
        self.stream.write_all(&frame)?;
        match self.frame()? {
            (1, back) if back == word.as_bytes() => Ok(()),
            (kind, back) => Err(io::Error::other(format!("{kind}: {back:?}"))),
        }
    }

    /// Waits for the close, and gives its code.
    pub fn closed(mut self) -> io::Result<u16> {
        loop {
            if let (8, payload) = self.frame()? {
                let code = payload.get(..2).map(|code| [code[0], code[1]]);
                return Ok(code.map_or(1005, u16::from_be_bytes));
            }
        }
    }

    /// A frame of at most 125 bytes: its kind and what it carries.
    fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head)?;
        let mut payload = vec![0; usize::from(head[1] & 0x7f)];
        self.stream.read_exact(&mut payload)?;
        Ok((head[0] & 0x0f, payload))
    }
}
