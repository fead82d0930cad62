//! One request by HTTP/1.1: a POST or a GET, an answer read up to a bound, no redirects.

use crate::Attempt;
use crate::stream::{Fault, Stream, told};
use mainstay_atoms::Url;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::time::Duration;

/// Most bytes of an answer that are read: head and what is looked at of the body.
const ANSWER_MAX: usize = 64 << 10;

/// What the other side said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// How long it asks to wait.
    pub(crate) wait: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

/// Asks for an address.
pub(crate) fn get(attempt: &Attempt<'_>, url: &Url) -> Result<Answer, Fault> {
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: {}\r\nuser-agent: mainstay\r\nconnection: close\r\n\r\n",
        url.path,
        url.host_field()
    );
    exchange(attempt, url, head.as_bytes())
}

/// Sends a body.
pub(crate) fn post(
    attempt: &Attempt<'_>,
    url: &Url,
    headers: &[(&str, &str)],
    kind: &str,
    body: &[u8],
) -> Result<Answer, Fault> {
    let mut head = format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\nuser-agent: mainstay\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n",
        url.path,
        url.host_field(),
        body.len()
    );
    for (name, value) in headers {
        if value.bytes().any(|byte| !(0x20..0x7f).contains(&byte)) {
            return Err(Fault::Refused(format!(
                "header `{name}` holds letters that it cannot"
            )));
        }
        write!(head, "{name}: {value}\r\n").unwrap_or_default();
    }
    head.push_str("\r\n");
    exchange(attempt, url, &[head.as_bytes(), body].concat())
}

fn exchange(attempt: &Attempt<'_>, url: &Url, message: &[u8]) -> Result<Answer, Fault> {
    let mut stream = Stream::connect(attempt, &url.authority.host, url.authority.port)?;
    if url.is_secure {
        stream = stream.secure(attempt, &url.authority.host)?;
    }
    // A body cut short is not taken; but whether it was cut is not always known.
    let sent = stream.write_all(message).and_then(|()| stream.flush());
    sent.map_err(|fault| failed(url, &told(&fault)))?;
    let bytes = read(&mut stream, url)?;
    let answer = parse(&bytes);
    let answer =
        answer.ok_or_else(|| failed(url, "what it answered is not HTTP").after_handing_over())?;
    let said = answer.said();
    attempt.heard.hear(format!("HTTP {}{said}", answer.status));
    Ok(answer)
}

fn failed(url: &Url, why: &str) -> Fault {
    Fault::failed(format!("`{}`: {why}", url.host_field()))
}

/// Reads until the answer ends or is long enough.
fn read(stream: &mut Stream, url: &Url) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while bytes.len() < ANSWER_MAX && !is_whole(&bytes) {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(fault) if fault.kind() == std::io::ErrorKind::Interrupted => {}
            // Some close without saying so by TLS; what came is looked at.
            Err(fault) if bytes.is_empty() || !has_head(&bytes) => {
                return Err(failed(url, &told(&fault)).after_handing_over());
            }
            Err(_) => break,
        }
    }
    if bytes.is_empty() {
        return Err(failed(url, "it closed the connection without an answer").after_handing_over());
    }
    Ok(bytes)
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|place| place + 4)
}

fn has_head(bytes: &[u8]) -> bool {
    head_end(bytes).is_some()
}

/// Whether head and declared body are there.
fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = head_end(bytes) else {
        return false;
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    if header(&head, "transfer-encoding").is_some() {
        return bytes.ends_with(b"0\r\n\r\n");
    }
    match header(&head, "content-length").and_then(|length| length.parse::<usize>().ok()) {
        Some(length) => bytes.len() - end >= length,
        None => head.starts_with("HTTP/1.1 204") || head.starts_with("HTTP/1.1 304"),
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = head_end(bytes).unwrap_or(bytes.len());
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut words = head.lines().next()?.split(' ');
    words
        .next()
        .filter(|version| version.starts_with("HTTP/1."))?;
    let status = words
        .next()?
        .parse()
        .ok()
        .filter(|status| (100..600).contains(status))?;
    let wait = header(&head, "retry-after").and_then(|wait| wait.parse().ok());
    Some(Answer {
        status,
        wait: wait.map(Duration::from_secs),
        body: bytes[end..].to_vec(),
    })
}

impl Answer {
    /// Whether the message was taken.
    pub(crate) fn accepted(&self) -> Result<(), Fault> {
        let said = self.said();
        let status = self.status;
        match status {
            200..=299 => Ok(()),
            300..=399 => Err(Fault::Refused(format!(
                "it answered {status}: redirects are not followed; give the final address"
            ))),
            408 | 425 | 429 | 500..=599 => Err(Fault::Failed {
                why: format!("it answered {status}{said}"),
                maybe_accepted: status == 504,
                wait: self.wait,
            }),
            _ => Err(Fault::Refused(format!("it answered {status}{said}"))),
        }
    }

    /// The beginning of what it said, on one line.
    pub(crate) fn said(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let line: String = text
            .chars()
            .map(|one| if one.is_control() { ' ' } else { one })
            .take(200)
            .collect();
        if line.trim().is_empty() {
            String::new()
        } else {
            format!(": {}", line.trim())
        }
    }

    /// The body as JSON, where it is; chunks are put together first.
    pub(crate) fn json(&self) -> Option<serde_json::Value> {
        let text = String::from_utf8_lossy(&self.body);
        let (start, end) = (text.find('{')?, text.rfind('}')?);
        serde_json::from_str(text.get(start..=end)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_sorted_into_taken_later_and_never() {
        let answer = |text: &str| parse(text.as_bytes()).unwrap().accepted();
        assert!(answer("HTTP/1.1 204 No Content\r\n\r\n").is_ok());
        assert!(matches!(
            answer("HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\n\r\n"),
            Err(Fault::Refused(_))
        ));
        assert!(
            matches!(answer("HTTP/1.1 404 Not Found\r\n\r\nno such hook"), Err(Fault::Refused(why)) if why.ends_with("404: no such hook"))
        );
        let Err(Fault::Failed { wait, .. }) = answer("HTTP/1.1 429 Slow\r\nRetry-After: 7\r\n\r\n")
        else {
            panic!("it is tried again");
        };
        assert_eq!(wait, Some(Duration::from_secs(7)));
        assert!(parse(b"SSH-2.0\r\n\r\n").is_none());
        assert!(is_whole(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok"));
    }
}
