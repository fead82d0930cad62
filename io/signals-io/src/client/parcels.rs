//! A long answer: series by series, as they come.

use super::{Client, ClientFault, error_of};
use crate::place;
use mainstay_metrics::tsdb::{Parcel, ParcelReader};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// Bytes of the head of an answer, and of a refusal.
const HEAD_MAX: usize = 64 << 10;

/// Parcels on their way.
#[derive(Debug)]
pub struct Parcels {
    socket: PathBuf,
    stream: UnixStream,
    reader: ParcelReader,
}

impl Client {
    /// Asks for parcels. Between two pieces of the answer the client waits as long as for any answer.
    pub fn parcels(&self, path: &str) -> Result<Parcels, ClientFault> {
        let away = |source| ClientFault::Away {
            socket: self.socket.clone(),
            source,
        };
        let (stream, status, rest) = self.begin(path).map_err(away)?;
        if status != 200 {
            return Err(ClientFault::Refused(error_of(&rest)));
        }
        let mut reader = ParcelReader::default();
        reader.give(&rest);
        Ok(Parcels {
            socket: self.socket.clone(),
            stream,
            reader,
        })
    }

    /// Sends the question; the status of the answer, and the first bytes of its body: all of them where it refuses.
    fn begin(&self, path: &str) -> io::Result<(UnixStream, u16, Vec<u8>)> {
        let mut stream = place::connect(&self.socket)?;
        stream.set_write_timeout(Some(self.patience))?;
        stream.set_read_timeout(Some(self.patience))?;
        // In version 1.0 an answer without a length ends with its connection.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: signals\r\n\r\n")?;
        let garbled = || io::Error::from(io::ErrorKind::InvalidData);
        let mut answer = Vec::new();
        let mut whole: Option<(u16, usize)> = None;
        let mut piece = vec![0; 16 << 10];
        loop {
            let count = stream.read(&mut piece)?;
            answer.extend_from_slice(&piece[..count]);
            if whole.is_none() {
                whole = head(&answer).map_err(|_| garbled())?;
            }
            match whole {
                Some((status, end)) if status == 200 || count == 0 => {
                    return Ok((stream, status, answer.split_off(end)));
                }
                _ if count == 0 || answer.len() > HEAD_MAX => return Err(garbled()),
                _ => {}
            }
        }
    }
}

/// The status, and where the body begins, once the head is whole.
fn head(answer: &[u8]) -> Result<Option<(u16, usize)>, httparse::Error> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut fields);
    match response.parse(answer)? {
        httparse::Status::Partial => Ok(None),
        httparse::Status::Complete(end) => Ok(response.code.map(|status| (status, end))),
    }
}

impl Parcels {
    /// The next one. The last one is an end or a fault; nothing comes behind it.
    pub fn take(&mut self) -> Result<Parcel, ClientFault> {
        let mut piece = vec![0; 64 << 10];
        loop {
            let found = self.reader.take();
            let found = found.map_err(|fault| ClientFault::Refused(fault.to_string()))?;
            if let Some(parcel) = found {
                return Ok(parcel);
            }
            let read = self.stream.read(&mut piece).and_then(|count| match count {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                count => Ok(count),
            });
            let count = read.map_err(|source| ClientFault::Away {
                socket: self.socket.clone(),
                source,
            })?;
            self.reader.give(&piece[..count]);
        }
    }
}
