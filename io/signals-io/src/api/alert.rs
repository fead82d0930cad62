//! Questions about rules and alerts, and silences.

use super::{Api, Asked, Ready};
use crate::answer::{self, ApiFault};
use crate::clock;
use crate::rules::Order;
use hyper::Method;
use mainstay_alerting::{
    Alert, Group, Health, Notice, RuleKind, RuleState, Silence, Standing, State, firing,
};
use mainstay_metrics::{Labels, MatchOp, Matcher, all_match};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// A time as RFC 3339 writes it.
pub(crate) fn rfc3339(at_ms: i64) -> String {
    let (days, of_day) = (at_ms.div_euclid(86_400_000), at_ms.rem_euclid(86_400_000));
    // Days since 0000-03-01, so that the leap day is the last of its year.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, millisecond) = (of_day / 1000 % 60, of_day % 1000);
    let mut out = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if millisecond > 0 {
        // Writing to a text cannot fail.
        write!(out, ".{millisecond:03}").ok();
    }
    out.push('Z');
    out
}

/// A silence as it is asked for and shown.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SilenceText {
    #[serde(default)]
    id: String,
    matchers: Vec<MatcherText>,
    starts_ms: i64,
    ends_ms: i64,
    by: String,
    comment: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MatcherText {
    name: String,
    value: String,
    #[serde(default)]
    regex: bool,
    #[serde(default)]
    not: bool,
}

impl Api {
    pub(super) fn rules(&self, asked: &Asked) -> Ready {
        let shown = self.process.rules.shown();
        let wanted = asked.form.get("type");
        let mut out = String::from("{\"groups\":[");
        for (place, one) in shown.groups.iter().enumerate() {
            if place > 0 {
                out.push(',');
            }
            group(&mut out, one, wanted);
        }
        out.push_str("]}");
        Ready::json(answer::success(&out))
    }

    pub(super) fn alerts(&self) -> Ready {
        let shown = self.process.rules.shown();
        let rules = shown.groups.iter().flat_map(|group| &group.rules);
        let mut out = String::from("{\"alerts\":[");
        alerts(&mut out, rules.flat_map(|rule| rule.alerts.values()));
        own(&mut out, &shown.own);
        out.push_str("]}");
        Ready::json(answer::success(&out))
    }

    /// Names of alerts that something may be done about now.
    pub(super) fn firing(&self) -> Ready {
        let shown = self.process.rules.shown();
        // While rules are not evaluated, what is shown grows old.
        let passed = clock::monotonic_ms().saturating_sub(shown.monotonic_ms);
        let now = shown.at.plus(i64::try_from(passed).unwrap_or(i64::MAX));
        let wall_ms = clock::wall_ms();
        let is_silenced = |labels: &Labels| {
            let mut active = shown
                .silences
                .iter()
                .filter(|one| one.standing(wall_ms) == Standing::Active);
            active.any(|one| all_match(&one.matchers, labels))
        };
        let names = firing(shown.groups.iter(), is_silenced, now);
        let json = serde_json::to_string(&names).unwrap_or_else(|_| "[]".into());
        Ready::json(answer::success(&json))
    }

    /// Shows, sets and ends silences.
    pub(super) fn silences(&self, asked: &Asked) -> Result<Ready, ApiFault> {
        match asked.method {
            Method::GET => {
                let shown = self.process.rules.shown().silences;
                let texts: Vec<SilenceText> = shown.iter().map(silence_text).collect();
                let json = serde_json::to_string(&texts);
                let json = json.map_err(|fault| ApiFault::bad(fault.to_string()))?;
                Ok(Ready::json(answer::success(&json)))
            }
            Method::PUT | Method::POST => {
                let text: SilenceText = serde_json::from_slice(&asked.body).map_err(|fault| {
                    ApiFault::bad(format!("the silence cannot be read: {fault}"))
                })?;
                self.order(Order::Silence(silence(text)?))
            }
            Method::DELETE => {
                let id = asked.form.get("id").unwrap_or_default().to_owned();
                self.order(Order::EndSilence(id))
            }
            _ => Err(ApiFault::bad("silences are shown, set and ended")),
        }
    }

    fn order(&self, order: Order) -> Result<Ready, ApiFault> {
        let sent = self.process.order().send(order);
        sent.map_err(|_| ApiFault::unavailable("the rules are not evaluated"))?;
        Ok(Ready::json(b"{\"status\":\"success\"}".to_vec()))
    }
}

fn silence(text: SilenceText) -> Result<Silence, ApiFault> {
    let now_ms = clock::wall_ms();
    let matchers: Result<Vec<Matcher>, ApiFault> = text
        .matchers
        .iter()
        .map(|one| {
            let op = match (one.regex, one.not) {
                (false, false) => MatchOp::Equal,
                (false, true) => MatchOp::NotEqual,
                (true, false) => MatchOp::Regex,
                (true, true) => MatchOp::NotRegex,
            };
            Matcher::new(&one.name, op, &one.value)
                .map_err(|fault| ApiFault::bad(fault.to_string()))
        })
        .collect();
    let matchers = matchers?;
    if matchers.iter().all(Matcher::matches_empty) {
        return Err(ApiFault::bad(
            "a silence needs a matcher that does not match an empty value",
        ));
    }
    if text.ends_ms <= text.starts_ms || text.ends_ms <= now_ms {
        return Err(ApiFault::bad(
            "a silence must end after it begins, and in the future",
        ));
    }
    let id = if text.id.is_empty() {
        format!("{now_ms:x}-{}", text.by)
    } else {
        text.id
    };
    Ok(Silence {
        id,
        matchers,
        starts_ms: text.starts_ms,
        ends_ms: text.ends_ms,
        by: text.by,
        comment: text.comment,
    })
}

fn silence_text(silence: &Silence) -> SilenceText {
    let matchers = silence.matchers.iter().map(|one| MatcherText {
        name: one.name.to_string(),
        value: one.value.to_string(),
        regex: matches!(one.op, MatchOp::Regex | MatchOp::NotRegex),
        not: matches!(one.op, MatchOp::NotEqual | MatchOp::NotRegex),
    });
    SilenceText {
        id: silence.id.clone(),
        matchers: matchers.collect(),
        starts_ms: silence.starts_ms,
        ends_ms: silence.ends_ms,
        by: silence.by.clone(),
        comment: silence.comment.clone(),
    }
}

fn group(out: &mut String, group: &Group, wanted: Option<&str>) {
    out.push_str("{\"name\":");
    answer::text(out, &group.name);
    out.push_str(",\"file\":");
    answer::text(out, &group.file);
    out.push_str(",\"rules\":[");
    let is_wanted = |rule: &&RuleState| {
        let left_out = (&rule.rule.kind, wanted);
        !matches!(
            left_out,
            (RuleKind::Alerting(_), Some("record")) | (RuleKind::Recording(_), Some("alert"))
        )
    };
    for (place, one) in group.rules.iter().filter(is_wanted).enumerate() {
        if place > 0 {
            out.push(',');
        }
        rule(out, one);
    }
    let last = group
        .rules
        .iter()
        .filter_map(|rule| rule.evaluated_at)
        .max();
    let last = rfc3339(last.map_or(-62_135_596_800_000, |at| at.wall_ms));
    // Writing to a text cannot fail.
    write!(
        out,
        "],\"interval\":{},\"limit\":{},\"evaluationTime\":0,\"lastEvaluation\":\"{last}\"}}",
        group.interval_ms as f64 / 1000.0,
        group.limit
    )
    .ok();
}

fn rule(out: &mut String, state: &RuleState) {
    out.push('{');
    if let RuleKind::Alerting(alerting) = &state.rule.kind {
        let names = |wanted: State| state.alerts.values().any(|alert| alert.state == wanted);
        let standing = match (names(State::Firing), names(State::Pending)) {
            (true, _) => "firing",
            (_, true) => "pending",
            _ => "inactive",
        };
        write!(
            out,
            "\"state\":\"{standing}\",\"duration\":{},\"keepFiringFor\":{},\"annotations\":",
            alerting.for_ms as f64 / 1000.0,
            alerting.keep_firing_for_ms as f64 / 1000.0
        )
        .ok();
        let annotations = alerting.annotations.iter();
        pairs(
            out,
            annotations.map(|(name, text)| (name.as_str(), text.text())),
        );
        out.push_str(",\"alerts\":[");
        alerts(out, state.alerts.values());
        out.push_str("],");
    }
    out.push_str("\"name\":");
    answer::text(out, state.rule.name());
    out.push_str(",\"query\":");
    answer::text(out, &state.rule.query.text);
    out.push_str(",\"labels\":");
    let labels = state.rule.labels.iter();
    pairs(out, labels.map(|(name, text)| (name.as_str(), text.text())));
    let health = match &state.health {
        Health::Unknown => "unknown",
        Health::Good => "ok",
        Health::Failed(why) => {
            out.push_str(",\"lastError\":");
            answer::text(out, why);
            "err"
        }
    };
    let last = state
        .evaluated_at
        .map_or(-62_135_596_800_000, |at| at.wall_ms);
    let kind = match state.rule.kind {
        RuleKind::Alerting(_) => "alerting",
        RuleKind::Recording(_) => "recording",
    };
    write!(
        out,
        ",\"health\":\"{health}\",\"evaluationTime\":0,\"lastEvaluation\":\"{}\",\"type\":\"{kind}\"}}",
        rfc3339(last)
    ).ok();
}

fn pairs<'a>(out: &mut String, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    out.push('{');
    for (place, (name, value)) in pairs.enumerate() {
        if place > 0 {
            out.push(',');
        }
        answer::text(out, name);
        out.push(':');
        answer::text(out, value);
    }
    out.push('}');
}

/// Alerts of the process about itself, behind those of rules.
fn own(out: &mut String, notices: &[Notice]) {
    for notice in notices {
        let comma = if out.ends_with('[') { "" } else { "," };
        write!(out, "{comma}{{\"labels\":").ok();
        answer::labels(out, &notice.labels);
        out.push_str(",\"annotations\":");
        let annotations = notice.annotations.iter();
        pairs(
            out,
            annotations.map(|(name, text)| (name.as_str(), text.as_str())),
        );
        write!(
            out,
            ",\"state\":\"firing\",\"activeAt\":\"{}\",\"value\":\"{}\"}}",
            rfc3339(notice.starts_at.wall_ms),
            answer::scientific(notice.value)
        )
        .ok();
    }
}

fn alerts<'a>(out: &mut String, alerts: impl Iterator<Item = &'a Alert>) {
    let active = alerts.filter(|alert| alert.state != State::Resolved);
    for (place, alert) in active.enumerate() {
        out.push_str(if place == 0 {
            "{\"labels\":"
        } else {
            ",{\"labels\":"
        });
        answer::labels(out, &alert.labels);
        out.push_str(",\"annotations\":");
        let annotations = alert.annotations.iter();
        pairs(
            out,
            annotations.map(|(name, text)| (name.as_str(), text.as_str())),
        );
        write!(
            out,
            ",\"state\":\"{}\",\"activeAt\":\"{}\",\"value\":\"{}\"}}",
            alert.state.name(),
            rfc3339(alert.active_at.wall_ms),
            answer::scientific(alert.value)
        )
        .ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_they_are_read() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2000-02-29T23:59:59.050Z",
            "2026-11-26T15:04:05Z",
            "0001-01-01T00:00:00Z",
            "2100-12-31T00:00:00Z",
        ] {
            let read = crate::form::time_ms(text).unwrap();
            assert_eq!(rfc3339(read), text);
        }
    }
}
