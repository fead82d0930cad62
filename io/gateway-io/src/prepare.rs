//! Fields on their way through: what ends here goes first, then ours are set.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const HTTP: HeaderValue = HeaderValue::from_static("http");
const CHUNKED: HeaderValue = HeaderValue::from_static("chunked");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADING: HeaderValue = HeaderValue::from_static("upgrade");

/// Fields that concern one connection only (RFC 9110, 7.6.1).
fn ends_here(name: &HeaderName) -> bool {
    *name == CONNECTION
        || *name == TRANSFER_ENCODING
        || *name == UPGRADE
        || *name == TE
        || *name == TRAILER
        || *name == PROXY_AUTHENTICATE
        || *name == PROXY_AUTHORIZATION
        || *name == KEEP_ALIVE
        || *name == PROXY_CONNECTION
        || *name == HTTP2_SETTINGS
}

/// Fields by which a stranger could pretend to be a gateway, and the expectation that we meet ourselves.
fn is_ours(name: &HeaderName) -> bool {
    *name == FORWARDED
        || *name == EXPECT
        || *name == REAL_IP
        || name.as_str().starts_with("x-forwarded-")
}

/// Whether a `Connection` of these fields names one; `close` and `keep-alive` are no fields, and
/// `Keep-Alive` goes anyway.
fn nominates(headers: &HeaderMap, name: &HeaderName) -> bool {
    let lists = headers.get_all(CONNECTION).into_iter();
    let mut elements = lists.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let name = name.as_str().as_bytes();
    elements.any(|element| element.trim_ascii().eq_ignore_ascii_case(name))
}

/// Whether a WebSocket is asked for (RFC 6455, 4.1), by the same rule as `mainstay_routing::Scanner`.
pub(crate) fn wants_websocket(parts: &Parts) -> bool {
    let upgrade = parts.headers.get(UPGRADE);
    parts.version == Version::HTTP_11
        && parts.method == Method::GET
        && upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && nominates(&parts.headers, &UPGRADE)
}

/// What a request to an instance says besides the client's own fields.
pub(crate) struct Ours<'a> {
    /// The value of `Host`.
    pub(crate) host: &'a HeaderValue,
    /// The client's address.
    pub(crate) peer: &'a HeaderValue,
    /// The target: origin form, normalised.
    pub(crate) target: &'a str,
    pub(crate) websocket: bool,
    /// The length of the body; `None` means chunks.
    pub(crate) length: Option<u64>,
}

/// Makes a client's request ours, as the bytes of a head in HTTP/1.1: hop-by-hop and spoofed fields
/// gone, forwarding fields set.
pub(crate) fn request(parts: &Parts, ours: &Ours<'_>) -> Vec<u8> {
    let mut head = Text::default();
    head.put(&[parts.method.as_str(), " ", ours.target, " HTTP/1.1\r\n"]);
    head.field(&HOST, ours.host);
    let listed = parts.headers.contains_key(CONNECTION);
    for (name, value) in &parts.headers {
        let placed = *name == HOST || *name == COOKIE;
        let gone = ends_here(name) || is_ours(name) || listed && nominates(&parts.headers, name);
        if !placed && !gone {
            head.field(name, value);
        }
    }
    head.cookies(&parts.headers);
    head.field(&FORWARDED_FOR, ours.peer);
    head.field(&FORWARDED_PROTO, &HTTP);
    head.field(&FORWARDED_HOST, ours.host);
    if ours.websocket {
        head.field(&CONNECTION, &UPGRADING);
        head.field(&UPGRADE, &WEBSOCKET);
    }
    match ours.length {
        None => head.field(&TRANSFER_ENCODING, &CHUNKED),
        Some(length) if length > 0 && !parts.headers.contains_key(CONTENT_LENGTH) => {
            head.field(&CONTENT_LENGTH, &HeaderValue::from(length));
        }
        Some(_) => {}
    }
    head.put(&["\r\n"]);
    head.0
}

/// A head under way.
struct Text(Vec<u8>);

impl Default for Text {
    fn default() -> Self {
        Self(Vec::with_capacity(512))
    }
}

impl Text {
    fn put(&mut self, texts: &[&str]) {
        for text in texts {
            self.0.extend_from_slice(text.as_bytes());
        }
    }

    fn field(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.0.extend_from_slice(name.as_str().as_bytes());
        self.0.extend_from_slice(b": ");
        self.0.extend_from_slice(value.as_bytes());
        self.0.extend_from_slice(b"\r\n");
    }

    /// HTTP/2 may cut one cookie field into several; HTTP/1.1 must not see that (RFC 9113, 8.2.3).
    fn cookies(&mut self, headers: &HeaderMap) {
        let mut before = "cookie: ";
        for crumb in headers.get_all(COOKIE) {
            self.put(&[before]);
            self.0.extend_from_slice(crumb.as_bytes());
            before = "; ";
        }
        if before == "; " {
            self.put(&["\r\n"]);
        }
    }
}

/// Makes an instance's answer ours.
pub(crate) fn response(headers: &mut HeaderMap, websocket: bool) {
    let listed = headers.contains_key(CONNECTION);
    let gone = |name: &&HeaderName| ends_here(name) || (listed && nominates(headers, name));
    let gone: Vec<HeaderName> = headers.keys().filter(gone).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
    if websocket {
        headers.insert(CONNECTION, UPGRADING);
        headers.insert(UPGRADE, WEBSOCKET);
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

    fn parts(fields: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::get("/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    /// The lines of the head, in order of the alphabet.
    fn lines(parts: &Parts, length: Option<u64>) -> Vec<String> {
        let ours = Ours {
            host: &HeaderValue::from_static("a"),
            peer: &HeaderValue::from_static("1.2.3.4"),
            target: "/",
            websocket: false,
            length,
        };
        let head = String::from_utf8(request(parts, &ours)).unwrap();
        let head = head.strip_suffix("\r\n\r\n").unwrap();
        let mut lines: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
        lines.sort();
        lines
    }

    #[test]
    fn what_a_stranger_claims_is_replaced() {
        let parts = parts(&[
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
        assert_eq!(lines(&parts, Some(0)), expected);
    }

    #[test]
    fn cookie_crumbs_are_one_field() {
        let parts = parts(&[("cookie", "a=1"), ("cookie", "b=2")]);
        assert!(lines(&parts, Some(0)).contains(&"cookie: a=1; b=2".into()));
    }

    #[test]
    fn a_body_is_framed_once() {
        let sized = parts(&[("content-length", "5")]);
        let framing = |parts: &Parts, length| {
            let lines = lines(parts, length).into_iter();
            let framing = |line: &String| line.contains("length") || line.contains("encoding");
            lines.filter(framing).collect::<Vec<_>>()
        };
        assert_eq!(framing(&sized, Some(5)), ["content-length: 5"]);
        assert_eq!(framing(&parts(&[]), Some(5)), ["content-length: 5"]);
        assert_eq!(framing(&parts(&[]), None), ["transfer-encoding: chunked"]);
        assert!(framing(&parts(&[]), Some(0)).is_empty());
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
