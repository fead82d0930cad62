//! Fields on their way through: what ends here goes first, then ours are set.

use http::header::{
    CONNECTION, COOKIE, EXPECT, FORWARDED, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::PathAndQuery;
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

fn remove(headers: &mut HeaderMap, unwanted: fn(&HeaderName) -> bool) {
    if headers.contains_key(CONNECTION) {
        for name in nominated(headers) {
            headers.remove(name);
        }
    }
    while let Some(name) = headers.keys().find(|name| unwanted(name)).cloned() {
        headers.remove(name);
    }
}

/// What `Connection` names; `close` and `keep-alive` are no fields, and `Keep-Alive` goes anyway.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let lists = headers.get_all(CONNECTION).into_iter();
    lists
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|element| HeaderName::from_bytes(element.trim_ascii()).ok())
        .filter(|name| *name != HOST)
        .collect()
}

/// Whether a WebSocket is asked for (RFC 6455, 4.1), by the same rule as `mainstay_routing::Scanner`.
pub(crate) fn wants_websocket(parts: &Parts) -> bool {
    let upgrade = parts.headers.get(UPGRADE);
    parts.version == Version::HTTP_11
        && parts.method == Method::GET
        && upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && nominated(&parts.headers).contains(&UPGRADE)
}

/// Makes a client's request ours: hop-by-hop and spoofed fields gone, forwarding fields set, HTTP/1.1.
/// `host` is the value of `Host`, `peer` the client's address.
pub(crate) fn request(parts: &mut Parts, host: HeaderValue, peer: &HeaderValue, websocket: bool) {
    remove(&mut parts.headers, |name| ends_here(name) || is_ours(name));
    parts.headers.insert(FORWARDED_FOR, peer.clone());
    parts.headers.insert(FORWARDED_PROTO, HTTP);
    parts.headers.insert(FORWARDED_HOST, host.clone());
    if parts.version == Version::HTTP_2 {
        parts.headers.insert(HOST, host);
        join_cookies(&mut parts.headers);
    }
    if websocket {
        upgrading(&mut parts.headers);
    }
    parts.version = Version::HTTP_11;
}

/// HTTP/2 may cut one cookie field into several; HTTP/1.1 must not see that (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

/// The length is unknown: chunks.
pub(crate) fn chunked(headers: &mut HeaderMap) {
    headers.insert(TRANSFER_ENCODING, CHUNKED);
}

fn upgrading(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, UPGRADING);
    headers.insert(UPGRADE, WEBSOCKET);
}

/// Makes an instance's answer ours.
pub(crate) fn response(headers: &mut HeaderMap, websocket: bool) {
    remove(headers, ends_here);
    if websocket {
        upgrading(headers);
    }
}

/// The target in origin form, with the normalised path; `None` where it is that already.
pub(crate) fn target(uri: &Uri, path: &str) -> Option<Uri> {
    if uri.authority().is_none() && path.len() == uri.path().len() {
        return None;
    }
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    PathAndQuery::try_from(target).ok().map(Uri::from)
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

    #[test]
    fn what_a_stranger_claims_is_replaced() {
        let mut parts = parts(&[
            ("host", "a"),
            ("x-forwarded-for", "6.6.6.6"),
            ("X-Forwarded-For", "7.7.7.7"),
            ("x-forwarded-port", "1"),
            ("forwarded", "for=6.6.6.6"),
            ("x-real-ip", "6.6.6.6"),
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "1"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("accept", "*/*"),
        ]);
        let host = HeaderValue::from_static("a");
        request(
            &mut parts,
            host,
            &HeaderValue::from_static("1.2.3.4"),
            false,
        );
        let mut fields: Vec<String> = parts
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        fields.sort();
        assert_eq!(
            fields,
            [
                "accept: */*",
                "host: a",
                "x-forwarded-for: 1.2.3.4",
                "x-forwarded-host: a",
                "x-forwarded-proto: http"
            ]
        );
    }

    #[test]
    fn cookie_crumbs_are_one_field() {
        let mut parts = parts(&[("cookie", "a=1"), ("cookie", "b=2")]);
        parts.version = Version::HTTP_2;
        request(
            &mut parts,
            HeaderValue::from_static("a"),
            &HeaderValue::from_static("1.2.3.4"),
            false,
        );
        assert_eq!(parts.headers[COOKIE], "a=1; b=2");
        assert_eq!(parts.headers[HOST], "a");
    }

    #[test]
    fn an_absolute_target_becomes_a_path() {
        let uri = Uri::from_static("http://a/b/../c?d");
        assert_eq!(target(&uri, "/c").unwrap().to_string(), "/c?d");
        assert_eq!(target(&Uri::from_static("/c?d"), "/c"), None);
    }
}
