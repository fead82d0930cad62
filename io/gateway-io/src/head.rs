//! The head of an instance's answer, and how its body ends.

use crate::fields::Fields;
use crate::name::Name;
use crate::unchunk::Unchunk;
use bytes::{Buf, Bytes};
use http::StatusCode;
use httparse::{ParserConfig, Response, Status};
use std::mem::MaybeUninit;

/// A head.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) fields: Fields,
    pub(crate) framing: Framing,
    /// The connection may carry another request once the body has ended.
    pub(crate) keeps: bool,
}

/// How a body ends.
#[derive(Debug)]
pub(crate) enum Framing {
    /// After this many bytes, often none.
    Length(u64),
    Chunked(Unchunk),
    /// With the connection.
    Close,
}

/// What an instance sent cannot be understood, or can be in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Garbled;

/// The longest head.
const LIMIT: usize = 256 * 1024;
const FIELDS: usize = 128;

/// Takes a head out of `read`, once it is whole; interim answers before it are skipped, but for 101.
/// `bodiless`: the answer to HEAD has none, whatever its fields say.
pub(crate) fn take(read: &mut Bytes, bodiless: bool) -> Result<Option<Head>, Garbled> {
    while !read.is_empty() {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
        let mut response = Response::new(&mut []);
        let parsed = ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            read,
            &mut fields,
        );
        let length = match parsed {
            Err(_) => return Err(Garbled),
            Ok(Status::Partial) if read.len() > LIMIT => return Err(Garbled),
            Ok(Status::Partial) => return Ok(None),
            Ok(Status::Complete(length)) => length,
        };
        let head = head(&response, read.slice(..length), bodiless)?;
        read.advance(length);
        if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

fn head(response: &Response<'_, '_>, text: Bytes, bodiless: bool) -> Result<Head, Garbled> {
    let status = StatusCode::from_u16(response.code.unwrap_or(0)).map_err(|_| Garbled)?;
    let fields = Fields::read(text, response.headers);
    let old = response.version == Some(0);
    let empty = bodiless || status.is_informational() || status == 204 || status == 304;
    let framing = framing(&fields, old, empty)?;
    let keeps = if old {
        fields.lists(Name::Connection, b"keep-alive")
    } else {
        !fields.lists(Name::Connection, b"close")
    };
    Ok(Head {
        status,
        keeps: keeps && !matches!(framing, Framing::Close),
        framing,
        fields,
    })
}

/// RFC 9112, 6.3, but what the RFC lets one repair is refused: a length beside a coding, two lengths
/// that differ, a coding in HTTP/1.0 or one that does not end in `chunked`.
fn framing(fields: &Fields, old: bool, empty: bool) -> Result<Framing, Garbled> {
    let mut codings = fields.all(Name::TransferEncoding);
    let (coding, more) = (codings.next(), codings.next().is_some());
    let length = length(fields)?;
    match coding {
        Some(_) if old || length.is_some() => Err(Garbled),
        _ if empty => Ok(Framing::Length(0)),
        Some(value) if value.eq_ignore_ascii_case(b"chunked") && !more => {
            Ok(Framing::Chunked(Unchunk::Size))
        }
        Some(_) => Err(Garbled),
        None => Ok(length.map_or(Framing::Close, Framing::Length)),
    }
}

/// The length that is said, however often the same.
fn length(fields: &Fields) -> Result<Option<u64>, Garbled> {
    let mut lengths = fields.all(Name::ContentLength);
    let Some(first) = lengths.next() else {
        return Ok(None);
    };
    let digits = !first.is_empty() && first.iter().all(u8::is_ascii_digit);
    if !digits || lengths.any(|other| other != first) {
        return Err(Garbled);
    }
    let text = std::str::from_utf8(first).map_err(|_| Garbled)?;
    text.parse().map(Some).map_err(|_| Garbled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Head>, Garbled> {
        take(&mut Bytes::copy_from_slice(text.as_bytes()), false)
    }

    fn framed(fields: &str) -> String {
        match read(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")) {
            Ok(Some(head)) => format!("{:?} {}", head.framing, head.keeps),
            Ok(None) => "partial".into(),
            Err(Garbled) => "garbled".into(),
        }
    }

    #[test]
    fn fields_say_how_a_body_ends() {
        for (fields, expected) in [
            ("Content-Length: 5\r\n", "Length(5) true"),
            (
                "Content-Length: 5\r\nConnection: x, Close\r\n",
                "Length(5) false",
            ),
            (
                "Content-Length: 5\r\nContent-Length: 5\r\n",
                "Length(5) true",
            ),
            ("Transfer-Encoding: Chunked\r\n", "Chunked(Size) true"),
            ("", "Close false"),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", "garbled"),
            ("Content-Length: +5\r\n", "garbled"),
            (
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                "garbled",
            ),
            ("Transfer-Encoding: gzip\r\n", "garbled"),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                "garbled",
            ),
            ("A : b\r\n", "garbled"),
        ] {
            assert_eq!(framed(fields), expected, "{fields}");
        }
    }

    #[test]
    fn some_answers_have_no_body() {
        for status in [
            "204 No Content",
            "304 Not Modified",
            "101 Switching Protocols",
        ] {
            let head = read(&format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n"));
            assert!(matches!(head.unwrap().unwrap().framing, Framing::Length(0)));
        }
    }

    #[test]
    fn an_old_answer_keeps_the_connection_only_when_it_says_so() {
        let old = |field| {
            read(&format!(
                "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n{field}\r\n"
            ))
        };
        assert!(!old("").unwrap().unwrap().keeps);
        assert!(old("Connection: keep-alive\r\n").unwrap().unwrap().keeps);
        assert!(old("Transfer-Encoding: chunked\r\n").is_err());
    }

    #[test]
    fn interim_answers_are_skipped() {
        let two = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let mut bytes = Bytes::copy_from_slice(two.as_bytes());
        assert_eq!(take(&mut bytes, false).unwrap().unwrap().status, 200);
        assert!(bytes.is_empty());
        for length in 0..two.len() {
            assert!(read(&two[..length]).unwrap().is_none(), "{length}");
        }
    }

    #[test]
    fn a_head_without_end_is_garbled() {
        let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(LIMIT));
        assert!(read(&endless).is_err());
    }
}
