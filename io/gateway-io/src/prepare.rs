//! Fields on their way through: what ends here goes first, then ours are set.

use crate::date;
use crate::exchange::Answer;
use crate::fields::{Field, Fields};
use crate::name::Name;
use crate::pieces;
use crate::request::Request;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use mainstay_routing::cookie;
use std::io::Write;

/// What a request to an instance says besides the client's own fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ours<'a> {
    /// The value of `Host`.
    pub(crate) host: &'a [u8],
    /// The client's address.
    pub(crate) peer: &'a str,
    /// The target: origin form, normalised.
    pub(crate) target: &'a str,
    pub(crate) websocket: bool,
    /// The length of the body; `None` means chunks.
    pub(crate) length: Option<u64>,
    /// A copy, whose answer reaches nobody.
    pub(crate) copy: bool,
}

/// Makes a client's request ours, as the bytes of a head in HTTP/1.1: hop-by-hop and spoofed fields
/// gone, forwarding fields set.
pub(crate) fn request(request: &Request, ours: &Ours<'_>) -> Vec<u8> {
    let mut head = Text::new();
    for part in [request.method.as_str(), " ", ours.target, " HTTP/1.1\r\n"] {
        head.put(part.as_bytes());
    }
    head.own("host: ", ours.host);
    let mut sized = false;
    head.fields(&request.fields, |name| {
        sized |= name == Name::ContentLength;
        name.is_ours() || matches!(name, Name::Host | Name::Cookie)
    });
    head.cookies(&request.fields);
    head.own("x-forwarded-for: ", ours.peer.as_bytes());
    head.own("x-forwarded-proto: ", b"http");
    head.own("x-forwarded-host: ", ours.host);
    if ours.copy {
        head.own("mainstay-mirror: ", b"1");
    }
    if ours.websocket {
        head.upgrade();
    }
    match ours.length {
        None => head.own("transfer-encoding: ", b"chunked"),
        Some(length) if length > 0 && !sized => head.length(length),
        Some(_) => {}
    }
    head.put(b"\r\n");
    head.0
}

/// How an answer to an HTTP/1.1 client ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// With its head, whatever that says of a length.
    None,
    Length(u64),
    Chunked,
    /// With the connection.
    Close,
    /// It does not: the connection is a WebSocket from here on.
    Switch,
}

/// Makes an instance's answer, or one of our own, the bytes of a head for an HTTP/1.1 client.
pub(crate) fn answer(answer: &Answer, framing: Framing, keeps: bool, old: bool) -> Vec<u8> {
    let (mut head, status) = (Text::new(), answer.status);
    let reason = status.canonical_reason().unwrap_or("");
    for part in ["HTTP/1.1 ", status.as_str(), " ", reason, "\r\n"] {
        head.put(part.as_bytes());
    }
    let (mut dated, mut sized) = (false, false);
    head.fields(&answer.fields, |name| {
        let length = name == Name::ContentLength;
        let again = length && sized;
        dated |= name == Name::Date;
        sized |= length;
        again
    });
    if !dated {
        date::put(&mut head.0);
    }
    if let Some(cookie) = &answer.cookie {
        head.own("set-cookie: ", cookie.as_bytes());
    }
    match framing {
        Framing::Length(length) if !sized => head.length(length),
        Framing::Chunked => head.own("transfer-encoding: ", b"chunked"),
        Framing::Switch => head.upgrade(),
        Framing::None | Framing::Length(_) | Framing::Close => {}
    }
    if !keeps {
        head.own("connection: ", b"close");
    } else if old {
        head.own("connection: ", b"keep-alive");
    }
    head.put(b"\r\n");
    head.0
}

/// Makes an instance's answer one for an HTTP/2 client.
pub(crate) fn answer_two(fields: Fields, cookie: Option<Box<str>>) -> HeaderMap {
    let gone = fields
        .iter()
        .filter(|field| field.known.ends_here() || fields.lists(Name::Connection, field.name));
    let gone: Vec<_> = gone
        .filter_map(|field| HeaderName::from_bytes(field.name).ok())
        .collect();
    let mut map = fields.into_map();
    for name in gone {
        map.remove(name);
    }
    let cookie = cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok());
    if let Some(cookie) = cookie {
        map.append(SET_COOKIE, cookie);
    }
    map
}

/// A head under way.
struct Text(Vec<u8>);

impl Text {
    fn new() -> Self {
        Self(pieces::buffer())
    }

    fn put(&mut self, text: &[u8]) {
        self.0.extend_from_slice(text);
    }

    /// A field of ours.
    fn own(&mut self, name: &str, value: &[u8]) {
        self.put(name.as_bytes());
        self.put(value);
        self.put(b"\r\n");
    }

    /// A field of a peer's, its name in lower case.
    fn field(&mut self, name: &[u8], value: &[u8]) {
        let start = self.0.len();
        self.put(name);
        self.0[start..].make_ascii_lowercase();
        self.put(b": ");
        self.put(value);
        self.put(b"\r\n");
    }

    /// All fields but those that end here, those that `Connection` names, and those left out.
    fn fields(&mut self, fields: &Fields, mut leave: impl FnMut(Name) -> bool) {
        let listed = fields.get(Name::Connection).is_some();
        for Field { known, name, value } in fields.iter() {
            let gone = known.ends_here() || listed && fields.lists(Name::Connection, name);
            if !leave(known) && !gone {
                self.field(name, value);
            }
        }
    }

    fn length(&mut self, length: u64) {
        write!(self.0, "content-length: {length}\r\n").expect("writing to a Vec cannot fail");
    }

    fn upgrade(&mut self) {
        self.own("connection: ", b"upgrade");
        self.own("upgrade: ", b"websocket");
    }

    /// HTTP/2 may cut one cookie field into several; HTTP/1.1 must not see that (RFC 9113, 8.2.3). Our own cookies
    /// stay behind.
    fn cookies(&mut self, fields: &Fields) {
        let mut before = "cookie: ";
        for crumb in fields.all(Name::Cookie).flat_map(cookie::foreign) {
            self.put(before.as_bytes());
            self.put(crumb);
            before = "; ";
        }
        if before == "; " {
            self.put(b"\r\n");
        }
    }
}

/// The target in origin form, with the normalised path; `None` where it is that already.
pub(crate) fn target(uri: &Uri, path: &str) -> Option<String> {
    // Normalising takes away and never exchanges.
    if uri.authority().is_none() && path.len() == uri.path().len() {
        return None;
    }
    Some(match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(fields: &[(&str, &str)]) -> Request {
        let mut request = http::Request::get("/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        Request::two(request.body(()).unwrap().into_parts().0)
    }

    /// The lines of the head, in order of the alphabet.
    fn lines(asked: &Request, length: Option<u64>) -> Vec<String> {
        let ours = Ours {
            host: b"a",
            peer: "1.2.3.4",
            target: "/",
            websocket: false,
            length,
            copy: false,
        };
        let head = String::from_utf8(request(asked, &ours)).unwrap();
        let head = head.strip_suffix("\r\n\r\n").unwrap();
        let mut lines: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
        lines.sort();
        lines
    }

    #[test]
    fn what_a_stranger_claims_is_replaced() {
        let asked = asked(&[
            ("host", "a"),
            ("x-forwarded-for", "6.6.6.6"),
            ("X-Forwarded-For", "7.7.7.7"),
            ("x-forwarded-port", "1"),
            ("forwarded", "for=6.6.6.6"),
            ("x-real-ip", "6.6.6.6"),
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "1"),
            ("te", "trailers"),
            ("mainstay-mirror", "1"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("accept", "*/*"),
        ]);
        let expected = [
            "GET / HTTP/1.1",
            "accept: */*",
            "host: a",
            "x-forwarded-for: 1.2.3.4",
            "x-forwarded-host: a",
            "x-forwarded-proto: http",
        ];
        assert_eq!(lines(&asked, Some(0)), expected);
    }

    #[test]
    fn cookie_crumbs_are_one_field() {
        let asked = asked(&[("cookie", "a=1"), ("cookie", "b=2")]);
        assert!(lines(&asked, Some(0)).contains(&"cookie: a=1; b=2".into()));
    }

    #[test]
    fn our_own_cookies_stay_behind() {
        let both = asked(&[("cookie", "mainstay-web=00ff; a=1"), ("cookie", "b=2")]);
        assert!(lines(&both, Some(0)).contains(&"cookie: a=1; b=2".into()));
        let alone = lines(&asked(&[("cookie", "mainstay-web=00ff")]), Some(0));
        assert!(
            !alone.iter().any(|line| line.contains("cookie")),
            "{alone:?}"
        );
    }

    #[test]
    fn a_body_is_framed_once() {
        let sized = asked(&[("content-length", "5")]);
        let framing = |asked: &Request, length| {
            let lines = lines(asked, length).into_iter();
            let framing = |line: &String| line.contains("length") || line.contains("encoding");
            lines.filter(framing).collect::<Vec<_>>()
        };
        assert_eq!(framing(&sized, Some(5)), ["content-length: 5"]);
        assert_eq!(framing(&asked(&[]), Some(5)), ["content-length: 5"]);
        assert_eq!(framing(&asked(&[]), None), ["transfer-encoding: chunked"]);
        assert!(framing(&asked(&[]), Some(0)).is_empty());
    }

    #[test]
    fn an_absolute_target_becomes_a_path() {
        let uri = Uri::from_static("http://a/b/../c?d");
        assert_eq!(target(&uri, "/c").as_deref(), Some("/c?d"));
        assert_eq!(target(&Uri::from_static("/c?d"), "/c"), None);
        let bare = Uri::from_static("http://a?d");
        assert_eq!(target(&bare, "/").as_deref(), Some("/?d"));
    }
}
