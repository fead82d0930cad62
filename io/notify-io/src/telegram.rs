//! Telegram bots.

use crate::stream::Fault;
use crate::text::{clipped, html, link};
use crate::{Attempt, http, secret};
use mainstay_alerting::{Line, Message, Secret};
use mainstay_atoms::Url;
use serde_json::json;
use std::fmt::Write as _;
use std::time::Duration;

/// Longest text, in characters after its entities are read (Telegram's documentation of `sendMessage`).
const TEXT_MAX: usize = 4096;

pub(crate) fn send(
    attempt: &Attempt<'_>,
    (token, url): (&Secret, &str),
    (chat, thread): (&str, Option<&str>),
    message: &Message,
) -> Result<(), Fault> {
    let token = secret::read(attempt, token)?;
    if !token
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_'))
    {
        return Err(Fault::Refused(
            "the bot's token holds letters that no token has".into(),
        ));
    }
    let url = Url::parse(&format!(
        "{}/bot{token}/sendMessage",
        url.trim_end_matches('/')
    ))?;
    // A number, or a channel's name.
    let chat = chat
        .parse::<i64>()
        .map_or_else(|_| json!(chat), |number| json!(number));
    let mut body = json!({
        "chat_id": chat,
        "text": text(message),
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": true},
    });
    if let Some(thread) = thread.and_then(|thread| thread.parse::<i64>().ok()) {
        body["message_thread_id"] = json!(thread);
    }
    let mut answer = http::post(
        attempt,
        &url,
        &[],
        "application/json",
        body.to_string().as_bytes(),
    )?;
    if answer.status == 429 && answer.wait.is_none() {
        let wait = answer
            .json()
            .and_then(|said| said["parameters"]["retry_after"].as_u64());
        answer.wait = wait.map(Duration::from_secs);
    }
    answer.accepted()
}

/// Alert by alert as long as there is room, so that no tag is ever cut.
fn text(message: &Message) -> String {
    let mut text = format!("<b>{}</b>", html(&clipped(&message.title, 300)));
    if let Some(own) = &message.text {
        return text + "\n" + &html(&clipped(own, TEXT_MAX / 2));
    }
    let mut left_out = message.more;
    for line in &message.alerts {
        let part = alert(line);
        if text.chars().count() + part.chars().count() > TEXT_MAX - 100 {
            left_out += 1;
        } else {
            text.push_str(&part);
        }
    }
    if left_out > 0 {
        write!(text, "\n\nand {left_out} more").unwrap_or_default();
    }
    text
}

fn alert(line: &Line) -> String {
    let sign = if line.is_firing { "FIRING" } else { "resolved" };
    let summary = clipped(&line.summary, 400);
    let mut text = format!(
        "\n\n<b>{sign} {}</b>: {}",
        html(&clipped(&line.name, 100)),
        html(&summary)
    );
    for (name, fact) in line.facts() {
        let fact = match link(&fact) {
            Some(address) => format!("<a href=\"{}\">open</a>", html(address)),
            None => html(&clipped(&fact, 400)),
        };
        write!(text, "\n{name}: {fact}").unwrap_or_default();
    }
    text
}
