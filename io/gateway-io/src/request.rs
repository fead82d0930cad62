//! The head of a client's request.

use crate::fields::Fields;
use crate::head::Garbled;
use crate::name::Name;
use bytes::{Buf, Bytes};
use http::{Method, Uri};
use httparse::{ParserConfig, Status};
use mainstay_routing::Scanner;
use std::mem::MaybeUninit;

/// A head.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) target: Uri,
    pub(crate) version: Version,
    pub(crate) fields: Fields,
}

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.0.
    Old,
    /// HTTP/1.1.
    One,
    /// HTTP/2.
    Two,
}

impl Request {
    /// Takes a head out of `read`, whose bytes the scanner has passed: it is whole.
    pub(crate) fn take(read: &mut Bytes) -> Result<Self, Garbled> {
        let mut fields = [const { MaybeUninit::uninit() }; Scanner::FIELD_LIMIT];
        let mut request = httparse::Request::new(&mut []);
        let parsed = ParserConfig::default().parse_request_with_uninit_headers(
            &mut request,
            read,
            &mut fields,
        );
        let Ok(Status::Complete(length)) = parsed else {
            return Err(Garbled);
        };
        let method = Method::from_bytes(request.method.unwrap_or("").as_bytes());
        let target = read.slice_ref(request.path.unwrap_or("").as_bytes());
        let taken = Self {
            method: method.map_err(|_| Garbled)?,
            target: Uri::from_maybe_shared(target).map_err(|_| Garbled)?,
            version: if request.version == Some(0) {
                Version::Old
            } else {
                Version::One
            },
            fields: Fields::read(read.slice(..length), request.headers),
        };
        read.advance(length);
        Ok(taken)
    }

    /// What a library has read.
    pub(crate) fn two(parts: http::request::Parts) -> Self {
        Self {
            method: parts.method,
            target: parts.uri,
            version: Version::Two,
            fields: Fields::Map(parts.headers),
        }
    }

    /// Whether a WebSocket is asked for (RFC 6455, 4.1), by the same rule as the scanner.
    pub(crate) fn wants_websocket(&self) -> bool {
        let upgrade = self.fields.get(Name::Upgrade);
        upgrade.is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
            && self.version == Version::One
            && self.method == Method::GET
            && self.fields.lists(Name::Connection, b"upgrade")
    }

    /// Whether the client wants to send another request on its connection.
    pub(crate) fn keeps(&self) -> bool {
        match self.version {
            Version::Old => self.fields.lists(Name::Connection, b"keep-alive"),
            Version::One => !self.fields.lists(Name::Connection, b"close"),
            Version::Two => true,
        }
    }
}
