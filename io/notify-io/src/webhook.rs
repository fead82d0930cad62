//! Webhooks: the message as JSON, in the form that receivers of Alertmanager know, and signed.
//!
//! `X-Mainstay-Signature: t=SECONDS,v1=HEX` is the HMAC-SHA256, under the channel's key, of the seconds, a full stop
//! and the body. A receiver that checks it and refuses old seconds cannot be fooled or replayed.

use crate::stream::Fault;
use crate::{Attempt, http, secret};
use aws_lc_rs::hmac;
use mainstay_alerting::{At, Message, Notification, Told, Webhook};
use mainstay_atoms::Url;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

pub(crate) fn send(
    attempt: &Attempt<'_>,
    webhook: &Webhook,
    notification: &Notification,
    message: &Message,
) -> Result<(), Fault> {
    let url = Url::parse(&secret::read(attempt, &webhook.url)?)?;
    let body = body(notification, message, webhook.alerts_max).to_string();
    let mut headers = vec![("idempotency-key", message.key.clone())];
    if let Some(key) = &webhook.key {
        let key = secret::read(attempt, key)?;
        headers.push((
            "x-mainstay-signature",
            signature(&key, attempt.now_ms / 1000, &body),
        ));
    }
    if let Some(bearer) = &webhook.bearer {
        headers.push((
            "authorization",
            format!("Bearer {}", secret::read(attempt, bearer)?),
        ));
    }
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    http::post(attempt, &url, &headers, "application/json", body.as_bytes())?.accepted()
}

/// The signature of a body at a time in seconds since 1970.
fn signature(key: &str, at_s: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let tag = hmac::sign(&key, format!("{at_s}.{body}").as_bytes());
    let mut text = format!("t={at_s},v1=");
    for byte in tag.as_ref() {
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}

/// The message, version 4 of the field's form, with what Mainstay knows besides.
pub(crate) fn body(notification: &Notification, message: &Message, alerts_max: usize) -> Value {
    let most = if alerts_max == 0 {
        usize::MAX
    } else {
        alerts_max
    };
    let alerts: Vec<Value> = notification.alerts.iter().take(most).map(alert).collect();
    json!({
        "version": "4",
        "groupKey": notification.group_key,
        "truncatedAlerts": notification.alerts.len() - alerts.len(),
        "status": status(notification.is_firing()),
        "receiver": notification.receiver,
        "groupLabels": labels(&notification.group_labels),
        "commonLabels": labels(&notification.common_labels()),
        "commonAnnotations": notification.common_annotations(),
        "externalURL": message.url,
        "alerts": alerts,
        "mainstay": {
            "key": message.key,
            "group": message.group,
            "title": message.title,
            "reason": notification.reason.name(),
            "attempt": notification.attempts,
            "severity": message.severity,
            "alerts": message.alerts.iter().map(facts).collect::<Vec<_>>(),
        },
    })
}

fn facts(line: &mainstay_alerting::Line) -> Value {
    let facts = line
        .facts()
        .into_iter()
        .map(|(name, fact)| (name.replace(' ', "_"), json!(fact)));
    let mut facts: Map<String, Value> = facts.collect();
    facts.insert("name".into(), json!(line.name));
    Value::Object(facts)
}

fn status(is_firing: bool) -> &'static str {
    if is_firing { "firing" } else { "resolved" }
}

fn labels<'l>(labels: impl IntoIterator<Item = &'l mainstay_metrics::Label>) -> Value {
    let pairs = labels
        .into_iter()
        .map(|label| (label.name.to_string(), json!(*label.value)));
    Value::Object(pairs.collect())
}

fn alert(told: &Told) -> Value {
    let notice = &told.notice;
    let never = "0001-01-01T00:00:00Z".to_owned();
    let ended = notice.ended_at.or(notice.expires_at);
    json!({
        "status": status(told.is_firing),
        "labels": labels(&notice.labels),
        "annotations": notice.annotations,
        "startsAt": time(notice.starts_at),
        "endsAt": ended.filter(|_| !told.is_firing).map_or(never, time),
        "generatorURL": "",
        "value": notice.value.to_string(),
        "query": notice.query,
    })
}

fn time(at: At) -> String {
    jiff::Timestamp::from_millisecond(at.wall_ms)
        .unwrap_or_default()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_rfc_4231_s_hash() {
        // HMAC-SHA256 of "0.Hi There" under twenty bytes 0x0b, computed with OpenSSL.
        let key = "\u{0b}".repeat(20);
        let found = signature(&key, 0, "Hi There");
        assert_eq!(found, EXPECTED);
    }

    const EXPECTED: &str =
        "t=0,v1=1213f1e2774e705a48de67768bc45d543b56dd26189ab8c568f880c092effdc4";
}
