//! The status page: what the control plane handed over, answered as it is for as long as nobody hands over another.
//!
//! Its time is inside it, signed, and is not ours to renew: once its maker is gone it gets old, and whoever asks from
//! outside sees how old.

use crate::answer;
use crate::fields::Fields;
use crate::gateway::Gateway;
use crate::own::Own;
use crate::request::Request;
use crate::wire::{Page, Refusal};
use crate::worker::Command;
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Response, StatusCode};
use mainstay_routing::Host;
use std::sync::Arc;

/// Longest form of a page, in bytes.
const PAGE_MAX: usize = 1 << 20;

impl Page {
    /// Whether it is what a request asks for; a page for `localhost` is one for every name of the loopback network.
    pub(crate) fn is_at(&self, host: &Host<'_>, path: &str) -> bool {
        let is_host = |own: &str| own == host.as_str() || own == "localhost" && host.is_loopback();
        let own = self.host.as_ref();
        path == self.path && own.is_none_or(|own| is_host(own.as_str()))
    }

    /// The answer: for people who say so, for machines else.
    pub(crate) fn answer(&self, request: &Request) -> Response<Own> {
        if !matches!(request.method, Method::GET | Method::HEAD) {
            let line = "the status page is only read: GET or HEAD";
            let mut response = answer::text(StatusCode::METHOD_NOT_ALLOWED, line);
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(ALLOW, allowed);
            return response;
        }
        let (text, kind) = if wants_html(&request.fields) {
            (&self.html, "text/html; charset=utf-8")
        } else {
            (&self.json, "application/json")
        };
        let mut response = Response::new(Own(Some(Bytes::from(text.clone()))));
        let fields = response.headers_mut();
        for (name, value) in [
            (CONTENT_TYPE, kind),
            (CACHE_CONTROL, "no-store"),
            (VARY, "accept"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (
                CONTENT_SECURITY_POLICY,
                "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
            ),
        ] {
            fields.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// Whether `Accept` names HTML, as browsers do (RFC 9110, 12.5.1); `q=0` says that it is not wanted.
fn wants_html(fields: &Fields) -> bool {
    let named = fields
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case(b"accept"));
    let mut ranges = named.flat_map(|field| field.value.split(|byte| *byte == b','));
    ranges.any(|range| {
        let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let is_html = parts
            .next()
            .is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/html"));
        let mut refused = parts.filter_map(|part| {
            let (name, value) = part.split_at_checked(2)?;
            name.eq_ignore_ascii_case(b"q=").then_some(value)
        });
        let is_zero = |value: &[u8]| value.iter().all(|byte| matches!(byte, b'0' | b'.'));
        is_html && !refused.any(is_zero)
    })
}

impl Gateway {
    /// Answers this page from now on, or none.
    pub(crate) async fn show(&self, page: Option<Page>) -> Result<(), Refusal> {
        let long = |page: &Page| page.html.len().max(page.json.len()) > PAGE_MAX;
        if page.as_ref().is_some_and(long) {
            let message = format!("a status page has at most {PAGE_MAX} bytes");
            return Err(Refusal::Invalid { message });
        }
        let page = page.map(Arc::new);
        let show = |_, done| Command::Show {
            page: page.clone(),
            done,
        };
        self.tell(show).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(accept: &[&str]) -> Fields {
        let mut request = http::Request::get("/");
        for value in accept {
            request = request.header("accept", *value);
        }
        Fields::Map(request.body(()).unwrap().into_parts().0.headers)
    }

    #[test]
    fn people_are_those_who_ask_for_html() {
        for (accept, expected) in [
            (&["text/html,application/xhtml+xml,*/*;q=0.8"][..], true),
            (&["application/json", "TEXT/HTML ; q=0.5"], true),
            (&["text/html;q=0, */*"], false),
            (&["text/html;level=1;q=0.0"], false),
            (&["*/*"], false),
            (&["application/json"], false),
            (&["text/htmlx"], false),
            (&[], false),
        ] {
            assert_eq!(wants_html(&fields(accept)), expected, "{accept:?}");
        }
    }
}
