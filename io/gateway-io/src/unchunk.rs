//! Takes the data out of a chunked body (RFC 9112, 7.1).

use crate::head::Garbled;
use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::Status;

/// A chunked body under way.
#[derive(Debug)]
pub(crate) enum Unchunk {
    Size,
    Data(u64),
    /// The CRLF behind the data.
    End,
    Trailers,
    Over,
}

/// What is next in a body.
#[derive(Debug)]
pub(crate) enum Next {
    Data(Bytes),
    Trailers(HeaderMap),
    /// Nothing without more bytes.
    More,
    Over,
}

/// The longest chunk-size line or trailer section.
const LIMIT: usize = 8 * 1024;
const TRAILERS: usize = 32;

impl Unchunk {
    /// Takes what is next out of `read`.
    pub(crate) fn next(&mut self, read: &mut Bytes) -> Result<Next, Garbled> {
        loop {
            let stepped = match self {
                Self::Size => self.size(read)?,
                Self::Data(_) if read.is_empty() => false,
                Self::Data(left) => {
                    let taken = read.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= taken as u64;
                    if *left == 0 {
                        *self = Self::End;
                    }
                    return Ok(Next::Data(read.split_to(taken)));
                }
                Self::End => self.end(read)?,
                Self::Trailers => match trailers(read)? {
                    None => false,
                    Some(fields) => {
                        *self = Self::Over;
                        if !fields.is_empty() {
                            return Ok(Next::Trailers(fields));
                        }
                        true
                    }
                },
                Self::Over => return Ok(Next::Over),
            };
            if !stepped {
                return if read.len() > LIMIT {
                    Err(Garbled)
                } else {
                    Ok(Next::More)
                };
            }
        }
    }

    fn size(&mut self, read: &mut Bytes) -> Result<bool, Garbled> {
        match httparse::parse_chunk_size(read) {
            Err(_) => Err(Garbled),
            Ok(Status::Partial) => Ok(false),
            Ok(Status::Complete((length, size))) => {
                read.advance(length);
                *self = if size == 0 {
                    Self::Trailers
                } else {
                    Self::Data(size)
                };
                Ok(true)
            }
        }
    }

    fn end(&mut self, read: &mut Bytes) -> Result<bool, Garbled> {
        match read.get(..2) {
            Some(b"\r\n") => {
                read.advance(2);
                *self = Self::Size;
                Ok(true)
            }
            Some(_) => Err(Garbled),
            None => Ok(false),
        }
    }
}

fn trailers(read: &mut Bytes) -> Result<Option<HeaderMap>, Garbled> {
    let mut fields = [httparse::EMPTY_HEADER; TRAILERS];
    let (length, fields) = match httparse::parse_headers(read, &mut fields) {
        Err(_) => return Err(Garbled),
        Ok(Status::Partial) => return Ok(None),
        Ok(Status::Complete(found)) => found,
    };
    let mut map = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Garbled)?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| Garbled)?;
        map.append(name, value);
    }
    read.advance(length);
    Ok(Some(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Data, trailers, and what is left; `None` when it is garbled.
    fn read(body: &str, size: usize) -> Option<(String, usize, String)> {
        let (mut unchunk, mut data, mut trailers) = (Unchunk::Size, Vec::new(), 0);
        let (mut held, mut pieces) = (Bytes::new(), body.as_bytes().chunks(size));
        loop {
            match unchunk.next(&mut held).ok()? {
                Next::Data(bytes) => data.extend_from_slice(&bytes),
                Next::Trailers(fields) => trailers += fields.len(),
                Next::More => held = Bytes::from([&held, pieces.next()?].concat()),
                Next::Over => {
                    let rest = String::from_utf8(held.to_vec()).unwrap();
                    return Some((String::from_utf8(data).unwrap(), trailers, rest));
                }
            }
        }
    }

    #[test]
    fn pieces_change_nothing() {
        let body = "3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nA: b\r\n\r\nrest";
        let whole = read(body, body.len()).unwrap();
        assert_eq!(whole, ("hello".into(), 1, "rest".into()));
        for size in 1..body.len() {
            let (data, trailers, _) = read(body, size).unwrap();
            assert_eq!((data.as_str(), trailers), ("hello", 1), "{size}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_a_fault() {
        for bad in [
            "x\r\n",
            "4\r\nhello\r\n0\r\n\r\n",
            "fffffffffffffffff\r\n",
            "\r\n",
        ] {
            assert_eq!(read(bad, bad.len()), None, "{bad}");
        }
    }
}
