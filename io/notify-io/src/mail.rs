//! The text of a mail: headers, a plain part and one in HTML (RFC 5322, 2045, 2047).

use crate::text::{html, link};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_alerting::{Email, Line, Message};
use std::fmt::Write as _;

/// Longest line of base64 (RFC 2045).
const LINE_MAX: usize = 76;
/// Bytes of text in one encoded word, so that it stays below 75 letters (RFC 2047).
const WORD_BYTES: usize = 42;

/// The whole mail with lines that end in CR LF; dots are not doubled yet.
pub(crate) fn compose(email: &Email, message: &Message, now_ms: i64) -> String {
    let host = domain(&email.from);
    let boundary = format!("mainstay-{}", message.key);
    let date = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default();
    let date = date.strftime("%a, %d %b %Y %H:%M:%S +0000");
    let mut mail = String::new();
    let mut header =
        |name: &str, value: &str| write!(mail, "{name}: {value}\r\n").unwrap_or_default();
    header("From", &email.from);
    header("To", &email.to.join(", "));
    header("Subject", &encoded(&message.title));
    header("Date", &date.to_string());
    // The same for every attempt: mail servers drop what they have already.
    header("Message-ID", &format!("<{}@{host}>", message.key));
    header("References", &format!("<{}@{host}>", message.group));
    header("Auto-Submitted", "auto-generated");
    if message.is_firing && message.severity == "critical" {
        header("Importance", "high");
    }
    for (name, value) in email.headers.iter().filter(|(name, _)| is_free(name)) {
        header(name, &encoded(value));
    }
    header("MIME-Version", "1.0");
    header(
        "Content-Type",
        &format!("multipart/alternative; boundary=\"{boundary}\""),
    );
    for (kind, text) in [("plain", message.plain()), ("html", page(message))] {
        let part = format!(
            "\r\n--{boundary}\r\nContent-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
            lines(&text)
        );
        mail.push_str(&part);
    }
    write!(mail, "\r\n--{boundary}--\r\n").unwrap_or_default();
    mail
}

/// The domain of an address.
pub(crate) fn domain(address: &str) -> &str {
    let bare = address.trim_end_matches('>');
    bare.rsplit_once('@')
        .map_or("localhost", |(_, domain)| domain)
}

/// The bare address in `Name <address>`, where it is one that can be put into the dialogue as it stands.
pub(crate) fn bare(address: &str) -> Option<&str> {
    let inner = match address.rsplit_once('<') {
        Some((_, rest)) => rest.strip_suffix('>')?,
        None => address,
    };
    let inner = inner.trim();
    let clean = inner
        .bytes()
        .all(|byte| (0x21..0x7f).contains(&byte) && !b"<>,;:\\\"()[]".contains(&byte));
    let (user, domain) = inner.rsplit_once('@')?;
    (clean && !user.is_empty() && !domain.is_empty() && inner.len() <= 254).then_some(inner)
}

/// Headers that a file may add: none of those that are written here, none that route.
fn is_free(name: &str) -> bool {
    let taken = [
        "from",
        "to",
        "cc",
        "bcc",
        "subject",
        "date",
        "message-id",
        "references",
        "mime-version",
        "content-type",
        "content-transfer-encoding",
        "auto-submitted",
        "importance",
    ];
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !taken.contains(&name.to_ascii_lowercase().as_str())
}

/// A header's value: plain where it can be, else in encoded words. No line end gets through.
fn encoded(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|one| if one.is_control() { ' ' } else { one })
        .collect();
    if text.is_ascii() && text.len() < 900 && !text.contains("=?") {
        return text;
    }
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    for letter in text.chars().take(900) {
        if word.len() + letter.len_utf8() > WORD_BYTES {
            words.push(std::mem::take(&mut word));
        }
        word.push(letter);
    }
    words.push(word);
    let words: Vec<String> = words
        .iter()
        .map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word)))
        .collect();
    words.join("\r\n ")
}

fn lines(text: &str) -> String {
    let encoded = STANDARD.encode(text);
    let mut out = String::with_capacity(encoded.len() + encoded.len() / 38);
    for (place, letter) in encoded.chars().enumerate() {
        if place > 0 && place % LINE_MAX == 0 {
            out.push_str("\r\n");
        }
        out.push(letter);
    }
    out
}

/// The part in HTML: no scripts, no pictures, everything escaped.
fn page(message: &Message) -> String {
    let mut page = format!(
        "<!doctype html><meta charset=utf-8><body style=\"font-family:sans-serif\"><h2>{}</h2>",
        html(&message.title)
    );
    match &message.text {
        Some(text) => write!(page, "<pre>{}</pre>", html(text)).unwrap_or_default(),
        None => message
            .alerts
            .iter()
            .for_each(|line| page.push_str(&alert(line))),
    }
    if message.more > 0 {
        write!(page, "<p>and {} more</p>", message.more).unwrap_or_default();
    }
    if let Some(url) = link(&message.url) {
        write!(page, "<p><a href=\"{}\">all alerts</a></p>", html(url)).unwrap_or_default();
    }
    page
}

fn alert(line: &Line) -> String {
    let (sign, color) = if line.is_firing {
        ("FIRING", "#b00020")
    } else {
        ("resolved", "#1b7f3b")
    };
    let mut text = format!(
        "<h3><span style=\"color:{color}\">{sign}</span> {}</h3><p>{}</p><table>",
        html(&line.name),
        html(&line.summary)
    );
    for (name, fact) in line.facts() {
        let fact = match link(&fact) {
            Some(address) => format!("<a href=\"{0}\">{0}</a>", html(address)),
            None => html(&fact),
        };
        write!(text, "<tr><td>{name}</td><td>{fact}</td></tr>").unwrap_or_default();
    }
    text.push_str("</table>");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_end_gets_into_a_header() {
        assert_eq!(encoded("a\r\nBcc: x@y"), "a  Bcc: x@y");
        assert_eq!(encoded("größer"), "=?utf-8?B?Z3LDtsOfZXI=?=");
        let long = encoded(&"ü".repeat(100));
        assert!(
            long.split("\r\n ")
                .all(|word| word.len() <= 75 && word.starts_with("=?utf-8?B?"))
        );
        assert!(!is_free("Subject") && !is_free("X: y") && is_free("X-Team"));
    }

    #[test]
    fn only_clean_addresses_get_into_the_dialogue() {
        assert_eq!(bare("Ada <ada@example.org>"), Some("ada@example.org"));
        assert_eq!(bare("ada+x@example.org"), Some("ada+x@example.org"));
        for address in [
            "",
            "ada",
            "a@b>\r\nRCPT TO:<c@d",
            "a b@c",
            "<a@b",
            "@b",
            "a@",
        ] {
            assert_eq!(bare(address), None, "{address}");
        }
        assert_eq!(domain("Ada <ada@example.org>"), "example.org");
    }
}
