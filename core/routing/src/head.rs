//! The head of one request, judged line by line as it arrives.

use crate::field::{self, elements, is_protected, is_token};
use crate::refuse::Reason;
use crate::{Host, Scanner, path};
use std::ops::Range;

/// What a request's head says about the bytes that follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// This many bytes, often none.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Nothing until the upgrade to a WebSocket is granted or not.
    Upgrade,
}

/// How far a head is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Not whole yet.
    More,
    /// Whole, with its length in bytes.
    Done(usize, Body),
}

/// A head under way. It is always given the same bytes from their start, with more behind them, and
/// remembers how far it has judged them; so it stores positions, and no bytes.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each notes one independent thing that was seen"
)]
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    searched: usize,
    line: usize,
    blank_first: bool,
    request: Option<Request>,
    fields: usize,
    host: Option<Range<usize>>,
    length: Option<u64>,
    coding: bool,
    upgrade_named: bool,
    upgrade_nominated: bool,
}

#[derive(Debug, Clone)]
struct Request {
    old: bool,
    get: bool,
    target: Range<usize>,
}

impl Head {
    /// Judges what is new in `bytes`.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<Step, Reason> {
        while let Some(found) = memchr::memchr(b'\n', &bytes[self.searched..]) {
            let feed = self.searched + found;
            let line = self.line..feed;
            (self.searched, self.line) = (feed + 1, feed + 1);
            if feed >= Scanner::HEAD_LIMIT {
                return Err(Reason::HeadLength);
            }
            let Some((b'\r', text)) = bytes[line.clone()].split_last() else {
                return Err(Reason::BareLineFeed);
            };
            if let Some(body) = self.line(bytes, line.start, text)? {
                return Ok(Step::Done(feed + 1, body));
            }
        }
        self.searched = bytes.len();
        if bytes.len() > Scanner::HEAD_LIMIT {
            return Err(Reason::HeadLength);
        }
        Ok(Step::More)
    }

    fn line(&mut self, bytes: &[u8], start: usize, text: &[u8]) -> Result<Option<Body>, Reason> {
        match (&self.request, text.is_empty()) {
            // One empty line before a request is ignored (RFC 9112, 2.2); more are not.
            (None, true) if !self.blank_first => self.blank_first = true,
            (None, _) => self.request = Some(Request::parse(start, text)?),
            (Some(request), true) => return self.end(bytes, request).map(Some),
            (Some(_), false) => self.field(start, text)?,
        }
        Ok(None)
    }

    fn field(&mut self, start: usize, line: &[u8]) -> Result<(), Reason> {
        self.fields += 1;
        if self.fields > Scanner::FIELD_LIMIT {
            return Err(Reason::FieldCount);
        }
        let (name, value) = field::split(line)?;
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        match name.len() {
            4 if is(b"host") => self.host(start, line, value),
            6 if is(b"expect") => expect(value),
            7 if is(b"upgrade") => {
                self.upgrade_named = value.eq_ignore_ascii_case(b"websocket");
                Ok(())
            }
            10 if is(b"connection") => self.connection(value),
            14 if is(b"content-length") => self.length(value),
            17 if is(b"transfer-encoding") => self.coding(value),
            _ => Ok(()),
        }
    }

    fn host(&mut self, start: usize, line: &[u8], value: &[u8]) -> Result<(), Reason> {
        if self.host.is_some() {
            return Err(Reason::TwoHosts);
        }
        Host::check(value).map_err(|_| Reason::OddHost)?;
        let blanks = line.len() - line.trim_ascii_end().len();
        let end = start + line.len() - blanks;
        self.host = Some(end - value.len()..end);
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) -> Result<(), Reason> {
        for element in elements(value) {
            if is_protected(element) || !element.iter().copied().all(is_token) {
                return Err(Reason::Nomination);
            }
            self.upgrade_nominated |= element.eq_ignore_ascii_case(b"upgrade");
        }
        Ok(())
    }

    fn length(&mut self, value: &[u8]) -> Result<(), Reason> {
        if self.length.is_some() {
            return Err(Reason::TwoLengths);
        }
        self.length = Some(number(value).ok_or(Reason::Length)?);
        Ok(())
    }

    fn coding(&mut self, value: &[u8]) -> Result<(), Reason> {
        if self.coding {
            return Err(Reason::TwoCodings);
        }
        self.coding = true;
        if value.eq_ignore_ascii_case(b"chunked") {
            return Ok(());
        }
        let all_chunked = elements(value).all(|element| element.eq_ignore_ascii_case(b"chunked"));
        Err(if all_chunked {
            Reason::TwoCodings
        } else {
            Reason::Coding
        })
    }

    /// The rules that need the whole head.
    fn end(&self, bytes: &[u8], request: &Request) -> Result<Body, Reason> {
        let host = self.host.clone().ok_or(Reason::NoHost)?;
        Request::check_target(&bytes[request.target.clone()], &bytes[host])?;
        if self.coding && self.length.is_some() {
            return Err(Reason::LengthAndCoding);
        }
        if self.coding && request.old {
            return Err(Reason::OldCoding);
        }
        if self.coding {
            return Ok(Body::Chunked);
        }
        let length = self.length.unwrap_or(0);
        let websocket = self.upgrade_named && self.upgrade_nominated;
        if websocket && length == 0 && request.get && !request.old {
            return Ok(Body::Upgrade);
        }
        Ok(Body::Length(length))
    }
}

impl Request {
    fn parse(start: usize, line: &[u8]) -> Result<Self, Reason> {
        field::check_value(line)?;
        let first = memchr::memchr(b' ', line).ok_or(Reason::RequestLine)?;
        let last = memchr::memrchr(b' ', line).ok_or(Reason::RequestLine)?;
        let (method, version) = (&line[..first], &line[last + 1..]);
        if first == last || method.is_empty() || !method.iter().copied().all(is_token) {
            return Err(Reason::RequestLine);
        }
        let old = old_version(version)?;
        if method == b"CONNECT" || method == b"TRACE" {
            return Err(Reason::Method);
        }
        let target = &line[first + 1..last];
        if target.is_empty() {
            return Err(Reason::RequestLine);
        }
        path::check(target).map_err(|_| Reason::Target)?;
        let target = start + first + 1..start + last;
        Ok(Self {
            old,
            get: method == b"GET",
            target,
        })
    }

    fn check_target(target: &[u8], host: &[u8]) -> Result<(), Reason> {
        if target.starts_with(b"/") {
            return Ok(());
        }
        if target == b"*" {
            return Err(Reason::Asterisk);
        }
        let authority = authority(target).ok_or(Reason::Target)?;
        if authority.eq_ignore_ascii_case(host) {
            Ok(())
        } else {
            Err(Reason::HostMismatch)
        }
    }
}

/// Whether it is HTTP/1.0.
fn old_version(version: &[u8]) -> Result<bool, Reason> {
    match version {
        b"HTTP/1.1" => Ok(false),
        b"HTTP/1.0" => Ok(true),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Reason::Version)
        }
        _ => Err(Reason::RequestLine),
    }
}

/// The authority of an absolute target (RFC 9112, 3.2.2).
fn authority(target: &[u8]) -> Option<&[u8]> {
    let rest = ["http://", "https://"].iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start
            .eq_ignore_ascii_case(scheme.as_bytes())
            .then_some(rest)
    })?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
    Some(&rest[..end.unwrap_or(rest.len())])
}

fn expect(value: &[u8]) -> Result<(), Reason> {
    if value.eq_ignore_ascii_case(b"100-continue") {
        Ok(())
    } else {
        Err(Reason::Expectation)
    }
}

/// A plain number of at most 18 digits, so that it fits whatever adds to it.
fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, byte| {
        byte.is_ascii_digit()
            .then(|| sum * 10 + u64::from(byte - b'0'))
    })
}
