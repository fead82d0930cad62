//! Answers that the gateway gives itself: one line of text.

use crate::own::Own;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use mainstay_routing::Refuse;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// `status`, and `line` as its text.
pub(crate) fn text(status: StatusCode, line: impl Into<String>) -> Response<Own> {
    let mut line = line.into();
    line.push('\n');
    let mut response = Response::new(Own(Some(Bytes::from(line))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

/// Nobody can answer now; in so many seconds somebody may.
pub(crate) fn unavailable(seconds: u64, line: impl Into<String>) -> Response<Own> {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, line);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// A broken rule of framing; the connection closes behind it.
pub(crate) fn refused(refuse: Refuse) -> Response<Own> {
    let status = StatusCode::from_u16(refuse.status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = text(status, refuse.reason.to_string());
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// An answer as bytes, for a connection that no HTTP library speaks on (any more).
pub(crate) fn raw(status: u16, line: &str) -> Vec<u8> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let reason = status.canonical_reason().unwrap_or("");
    let retry = if status == StatusCode::SERVICE_UNAVAILABLE {
        "retry-after: 1\r\n"
    } else {
        ""
    };
    format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n{retry}connection: close\r\n\r\n{line}\n",
        status.as_u16(),
        line.len() + 1,
    )
    .into_bytes()
}
