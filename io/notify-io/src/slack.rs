//! Slack: a webhook, or the API with an application's token.

use crate::stream::Fault;
use crate::text::{clipped, link, slack};
use crate::{Attempt, http, secret};
use mainstay_alerting::{Line, Message, Secret};
use mainstay_atoms::Url;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// Longest text of one block, in characters (Slack's documentation of blocks).
const BLOCK_MAX: usize = 3000;
/// Most blocks of one message that are used; fifty are allowed.
const BLOCKS_MAX: usize = 40;

pub(crate) fn send(
    attempt: &Attempt<'_>,
    url: &Secret,
    token: Option<&Secret>,
    channel: &str,
    message: &Message,
) -> Result<(), Fault> {
    let url = Url::parse(&secret::read(attempt, url)?)?;
    let body = body(channel, message).to_string();
    let bearer = match token {
        Some(token) => format!("Bearer {}", secret::read(attempt, token)?),
        None => String::new(),
    };
    let headers = [("authorization", bearer.as_str())];
    let headers = if token.is_some() { &headers[..] } else { &[] };
    let answer = http::post(
        attempt,
        &url,
        headers,
        "application/json; charset=utf-8",
        body.as_bytes(),
    )?;
    answer.accepted()?;
    // The API says 200 to everything.
    match answer.json() {
        Some(said) if said["ok"] == json!(false) => Err(refusal(&said, answer.wait)),
        _ => Ok(()),
    }
}

fn refusal(said: &Value, wait: Option<Duration>) -> Fault {
    let why = said["error"].as_str().unwrap_or("no reason given");
    let why = format!("Slack says `{}`", clipped(why, 100));
    match said["error"].as_str() {
        Some(
            "ratelimited"
            | "rate_limited"
            | "service_unavailable"
            | "internal_error"
            | "fatal_error",
        ) => Fault::Failed {
            why,
            maybe_accepted: false,
            wait,
        },
        _ => Fault::Refused(why),
    }
}

fn body(channel: &str, message: &Message) -> Value {
    let title = slack(&message.title);
    let section = |text: String| json!({"type": "section", "text": {"type": "mrkdwn", "text": clipped(&text, BLOCK_MAX)}});
    let mut blocks = vec![section(format!("*{title}*"))];
    match &message.text {
        Some(text) => blocks.push(section(slack(text))),
        None => blocks.extend(
            message
                .alerts
                .iter()
                .take(BLOCKS_MAX)
                .map(|line| section(alert(line))),
        ),
    }
    if message.more > 0 {
        blocks.push(section(format!("and {} more", message.more)));
    }
    let mut body = json!({
        "text": clipped(&title, BLOCK_MAX),
        "attachments": [{"color": color(message), "blocks": blocks}],
    });
    if !channel.is_empty() {
        body["channel"] = json!(channel);
    }
    body
}

fn color(message: &Message) -> &'static str {
    match message.severity.as_str() {
        _ if !message.is_firing => "#2eb67d",
        "critical" | "error" => "#e01e5a",
        "info" => "#36c5f0",
        _ => "#ecb22e",
    }
}

fn alert(line: &Line) -> String {
    let sign = if line.is_firing { "FIRING" } else { "resolved" };
    let mut text = format!("*{sign} {}*: {}", slack(&line.name), slack(&line.summary));
    for (name, fact) in line.facts() {
        let fact = match link(&fact) {
            Some(address) => format!("<{address}>"),
            None => slack(&fact),
        };
        write!(text, "\n{name}: {fact}").unwrap_or_default();
    }
    text
}
