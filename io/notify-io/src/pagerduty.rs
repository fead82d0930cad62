//! `PagerDuty` Events v2.

use crate::stream::Fault;
use crate::text::{clipped, link};
use crate::{Attempt, http, secret};
use mainstay_alerting::{Message, Secret};
use mainstay_atoms::Url;
use serde_json::{Value, json};

/// Longest summary, in characters (documentation of Events v2).
const SUMMARY_MAX: usize = 1024;
/// Most alerts in the details: an event holds 512 KB.
const DETAILS_MAX: usize = 20;

pub(crate) fn send(
    attempt: &Attempt<'_>,
    key: &Secret,
    url: &str,
    message: &Message,
) -> Result<(), Fault> {
    let url = Url::parse(url)?;
    let key = secret::read(attempt, key)?;
    let body = body(&key, message).to_string();
    http::post(attempt, &url, &[], "application/json", body.as_bytes())?.accepted()
}

fn body(key: &str, message: &Message) -> Value {
    let action = if message.is_firing {
        "trigger"
    } else {
        "resolve"
    };
    let severity = match message.severity.as_str() {
        known @ ("critical" | "error" | "warning" | "info") => known,
        _ => "warning",
    };
    let first = message
        .alerts
        .iter()
        .find(|line| line.is_firing)
        .or(message.alerts.first());
    let label =
        |name: &str| first.map_or_else(String::new, |line| line.labels.get(name).to_owned());
    let source = ["instance", "service", "store"]
        .iter()
        .map(|name| label(name))
        .find(|value| !value.is_empty());
    let details = message.alerts.iter().take(DETAILS_MAX).map(|line| {
        let facts = line
            .facts()
            .into_iter()
            .map(|(name, fact)| (name.to_owned(), json!(fact)));
        let mut facts: serde_json::Map<String, Value> = facts.collect();
        facts.insert("alert".into(), json!(line.name));
        facts.insert("summary".into(), json!(line.summary));
        Value::Object(facts)
    });
    let plots = message.alerts.iter().filter_map(|line| link(&line.plot));
    let links: Vec<Value> = plots
        .take(5)
        .map(|href| json!({"href": href, "text": "plot"}))
        .collect();
    let summary = match first {
        Some(line) if !line.summary.is_empty() => format!("{}: {}", message.title, line.summary),
        _ => message.title.clone(),
    };
    json!({
        "routing_key": key,
        "event_action": action,
        "dedup_key": message.group,
        "client": "Mainstay",
        "client_url": link(&message.url).unwrap_or_default(),
        "links": links,
        "payload": {
            "summary": clipped(&summary, SUMMARY_MAX),
            "source": source.unwrap_or_else(|| "mainstay".into()),
            "severity": severity,
            "component": label("service"),
            "class": first.map_or("", |line| &line.name),
            "custom_details": {"alerts": details.collect::<Vec<_>>(), "more": message.more, "text": message.text},
        },
    })
}
