//! Discord webhooks.

use crate::stream::Fault;
use crate::text::{clipped, discord, link};
use crate::{Attempt, http, secret};
use mainstay_alerting::{Line, Message, Secret};
use mainstay_atoms::Url;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// Longest title and text of an embed, in characters (Discord's documentation of embeds).
const TITLE_MAX: usize = 256;
const TEXT_MAX: usize = 4096;

pub(crate) fn send(attempt: &Attempt<'_>, url: &Secret, message: &Message) -> Result<(), Fault> {
    let url = Url::parse(&secret::read(attempt, url)?)?;
    let body = body(message).to_string();
    let mut answer = http::post(attempt, &url, &[], "application/json", body.as_bytes())?;
    if answer.status == 429 && answer.wait.is_none() {
        let wait = answer.json().and_then(|said| said["retry_after"].as_f64());
        answer.wait = wait
            .filter(|wait| (0.0..3600.0).contains(wait))
            .map(Duration::from_secs_f64);
    }
    answer.accepted()
}

fn body(message: &Message) -> Value {
    let text = message
        .text
        .as_deref()
        .map_or_else(|| alerts(message), discord);
    let mut embed = json!({
        "title": clipped(&discord(&message.title), TITLE_MAX),
        "description": clipped(&text, TEXT_MAX),
        "color": color(message),
    });
    if let Some(url) = link(&message.url) {
        embed["url"] = json!(url);
    }
    json!({"embeds": [embed], "allowed_mentions": {"parse": []}})
}

fn alerts(message: &Message) -> String {
    let mut parts: Vec<String> = message.alerts.iter().map(alert).collect();
    if message.more > 0 {
        parts.push(format!("and {} more", message.more));
    }
    parts.join("\n\n")
}

fn color(message: &Message) -> u32 {
    match message.severity.as_str() {
        _ if !message.is_firing => 0x2e_b67d,
        "critical" | "error" => 0xe0_1e5a,
        _ => 0xec_b22e,
    }
}

fn alert(line: &Line) -> String {
    let sign = if line.is_firing { "FIRING" } else { "resolved" };
    let mut text = format!(
        "**{sign} {}**: {}",
        discord(&line.name),
        discord(&line.summary)
    );
    for (name, fact) in line.facts() {
        let fact = match link(&fact) {
            Some(address) => format!("<{address}>"),
            None => discord(&fact),
        };
        write!(text, "\n{name}: {fact}").unwrap_or_default();
    }
    text
}
