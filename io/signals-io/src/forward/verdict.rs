//! What an answer means: by the rules of the protocol that was spoken, and by nothing else.

use crate::config::Protocol;
use crate::wire;
use std::time::{Duration, SystemTime};

/// Longest wait that a receiver may ask for.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// Letters of what a receiver says that are kept.
const SAID_MAX: usize = 200;

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was taken; of its samples so many were not, and will not be.
    Taken { refused: u64, why: String },
    /// So many of its samples were taken, the others will not be.
    Partly { written: u64, why: String },
    /// It will not become right by being sent again.
    Refused { why: String },
    /// It is sent again, after a time where the receiver names one.
    Later { wait: Option<Duration>, why: String },
}

/// Judges an answer. Remote-write sends again what met 429 or 5xx; OTLP what met 429, 502, 503 or 504, and nothing
/// else that says it failed. A redirect is followed by neither: whoever answers with one is not the receiver that
/// the file names, so it is waited for. So is whoever does not speak version 2.0 of remote-write, which is what 415 says
/// and a success that does not say what was written.
pub(super) fn judge(
    protocol: Protocol,
    status: u16,
    retry_after: &str,
    written: Option<u64>,
    body: &[u8],
    now: SystemTime,
) -> Verdict {
    if protocol == Protocol::RemoteWrite2 {
        match (status, written) {
            (200..300, None) | (415, _) => {
                return Verdict::Later {
                    wait: wait(retry_after, now),
                    why: foreign(status),
                };
            }
            (400..500, Some(written)) if status != 429 && written > 0 => {
                let why = said(protocol, status, body);
                return Verdict::Partly { written, why };
            }
            _ => {}
        }
    }
    let is_for_later = match protocol {
        Protocol::RemoteWrite | Protocol::RemoteWrite2 => status == 429 || status >= 500,
        Protocol::Otlp => matches!(status, 429 | 502..=504),
    };
    match status {
        200..300 if protocol == Protocol::Otlp => partly(body),
        200..300 => Verdict::Taken {
            refused: 0,
            why: String::new(),
        },
        400.. if !is_for_later => Verdict::Refused {
            why: said(protocol, status, body),
        },
        _ => Verdict::Later {
            wait: wait(retry_after, now),
            why: said(protocol, status, body),
        },
    }
}

/// Why nothing is sent to a receiver of another version. Nothing is lost: it waits here for what the file says next.
fn foreign(status: u16) -> String {
    let found = if status == 415 {
        "it answers 415"
    } else {
        "it does not say what it has written"
    };
    format!(
        "{found}: it does not speak remote-write 2.0 (status {status}); samples wait here until it does, or the file \
         says `protocol: remote_write`"
    )
}

/// A wait as `Retry-After` says it: seconds, or a date.
fn wait(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text)
            .ok()?
            .duration_since(now)
            .unwrap_or_default(),
    };
    Some(wait.min(WAIT_MAX))
}

/// `ExportMetricsServiceResponse`: points that were not taken, and why.
fn partly(body: &[u8]) -> Verdict {
    let (mut refused, mut why) = (0, String::new());
    // What cannot be read says nothing against the request.
    wire::each(body, |number, field| {
        if number == 1 {
            wire::each(field.bytes()?, |number, field| {
                match number {
                    1 => refused = u64::try_from(field.signed()?).unwrap_or_default(),
                    2 => why = short(field.text()?),
                    _ => {}
                }
                Some(())
            })?;
        }
        Some(())
    });
    Verdict::Taken { refused, why }
}

/// What a receiver says of its refusal: text, or the message of `google.rpc.Status`.
fn said(protocol: Protocol, status: u16, body: &[u8]) -> String {
    let mut text = String::new();
    if protocol == Protocol::Otlp {
        let read = wire::each(body, |number, field| {
            if number == 2 {
                text = short(field.text()?);
            }
            Some(())
        });
        if read.is_none() {
            text.clear();
        }
    }
    if text.is_empty() {
        text = short(&String::from_utf8_lossy(body));
    }
    if text.is_empty() {
        format!("it answers {status}")
    } else {
        format!("it answers {status}: {text}")
    }
}

/// The first line, without letters that a terminal would obey.
fn short(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    let plain = line.chars().filter(|letter| !letter.is_control());
    plain.take(SAID_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Protocol::{Otlp, RemoteWrite, RemoteWrite2};

    fn judged(protocol: Protocol, status: u16, retry_after: &str) -> &'static str {
        let now = SystemTime::UNIX_EPOCH;
        match judge(protocol, status, retry_after, Some(0), b"", now) {
            Verdict::Taken { .. } => "taken",
            Verdict::Partly { .. } => "partly",
            Verdict::Refused { .. } => "refused",
            Verdict::Later { wait: None, .. } => "later",
            Verdict::Later { .. } => "told when",
        }
    }

    #[test]
    fn each_protocol_has_its_rules() {
        for (status, by_remote_write, by_otlp) in [
            (200, "taken", "taken"),
            (204, "taken", "taken"),
            (301, "later", "later"),
            (307, "later", "later"),
            (400, "refused", "refused"),
            (401, "refused", "refused"),
            (413, "refused", "refused"),
            (429, "later", "later"),
            (500, "later", "refused"),
            (501, "later", "refused"),
            (502, "later", "later"),
            (503, "later", "later"),
            (504, "later", "later"),
            (599, "later", "refused"),
        ] {
            assert_eq!(judged(RemoteWrite, status, ""), by_remote_write, "{status}");
            assert_eq!(
                judged(RemoteWrite2, status, ""),
                by_remote_write,
                "{status}"
            );
            assert_eq!(judged(Otlp, status, ""), by_otlp, "{status}");
        }
        assert_eq!(judged(Otlp, 429, "7"), "told when");
    }

    #[test]
    fn a_wait_is_read_in_both_forms_and_has_an_end() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let date = "Thu, 01 Jan 1970 00:01:00 GMT";
        for (text, expected) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("99999999999", Some(3600)),
            (date, Some(50)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(wait(text, at(10)), expected, "{text}");
        }
    }

    #[test]
    fn what_was_taken_in_part_is_counted() {
        let (mut part, mut body) = (Vec::new(), Vec::new());
        wire::put_number(&mut part, 1, 3);
        wire::put_bytes(&mut part, 2, b"too\x1b[31m old\nand more");
        wire::put_bytes(&mut body, 1, &part);
        let found = judge(Otlp, 200, "", None, &body, SystemTime::UNIX_EPOCH);
        let why = "too[31m old".to_owned();
        assert_eq!(found, Verdict::Taken { refused: 3, why });
        // Answers that are no message, or lie.
        for body in [&b"{}"[..], b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b""] {
            let found = judge(Otlp, 200, "", None, body, SystemTime::UNIX_EPOCH);
            assert!(
                matches!(found, Verdict::Taken { refused: 0, .. }),
                "{found:?}"
            );
        }
    }

    #[test]
    fn the_second_version_says_what_was_written() {
        let now = SystemTime::UNIX_EPOCH;
        let judged = |status, written| judge(RemoteWrite2, status, "9", written, b"bad\n", now);
        for status in [200, 204] {
            assert!(matches!(
                judged(status, Some(7)),
                Verdict::Taken { refused: 0, .. }
            ));
        }
        // One that takes it for version 1.0 answers so, and has stored nothing.
        for (status, written) in [(204, None), (200, None), (415, None), (415, Some(0))] {
            let Verdict::Later { wait, why } = judged(status, written) else {
                panic!("{status}");
            };
            assert_eq!(wait, Some(Duration::from_secs(9)));
            assert!(why.contains("does not speak remote-write 2.0"), "{why}");
            assert!(why.contains("`protocol: remote_write`"), "{why}");
        }
        let why = "it answers 400: bad".to_owned();
        let partly = Verdict::Partly {
            written: 3,
            why: why.clone(),
        };
        assert_eq!(judged(400, Some(3)), partly);
        for written in [None, Some(0)] {
            assert_eq!(judged(400, written), Verdict::Refused { why: why.clone() });
        }
        for status in [429, 500, 503] {
            assert!(matches!(judged(status, Some(3)), Verdict::Later { .. }));
        }
    }

    #[test]
    fn a_reason_is_read_as_message_or_text() {
        let mut status = Vec::new();
        wire::put_number(&mut status, 1, 3);
        wire::put_bytes(&mut status, 2, b"bad data");
        let now = SystemTime::UNIX_EPOCH;
        let why = |protocol, body: &[u8]| match judge(protocol, 400, "", None, body, now) {
            Verdict::Refused { why } => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(why(Otlp, &status), "it answers 400: bad data");
        assert_eq!(why(Otlp, b"no such path"), "it answers 400: no such path");
        assert_eq!(
            why(RemoteWrite, b"out of order\n"),
            "it answers 400: out of order"
        );
        assert_eq!(why(RemoteWrite, b""), "it answers 400");
    }
}
