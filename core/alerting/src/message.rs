//! What people read: title, values, plots, runbooks, and the release that preceded an alert.

use crate::alert::Notice;
use crate::at::At;
use crate::group::ALERT_NAME;
use crate::notification::{Notification, Told};
use crate::template::{NoQueries, Object, Value, humanize, humanize_duration};
use mainstay_metrics::Labels;
use std::collections::BTreeMap;

/// Most alerts that one message spells out; the rest is counted.
pub const ALERTS_SHOWN: usize = 20;
/// Longest text of one field, in characters.
const FIELD_MAX: usize = 1000;

/// A release that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Its number as people say it: `v42`.
    pub name: String,
    /// The services that it changed; none stands for all.
    pub services: Vec<String>,
    /// When all traffic was on it, in civil milliseconds.
    pub at_ms: i64,
}

/// What messages know of the world.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The address of the dashboard, without a slash at its end; empty where there is none.
    pub url: String,
    /// The platform and environment, for the title.
    pub place: String,
    /// Releases, in any order.
    pub releases: Vec<Release>,
}

/// A message, before a channel gives it its form.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The same for every attempt: receivers tell repetitions by it.
    pub key: String,
    /// The same for all messages of a group until it has ended.
    pub group: String,
    /// One line.
    pub title: String,
    /// A text that replaces the usual one, where the channel sets it.
    pub text: Option<String>,
    /// Whether any alert fires.
    pub is_firing: bool,
    /// The gravest severity of its alerts.
    pub severity: String,
    /// The alerts that are spelled out.
    pub alerts: Vec<Line>,
    /// How many more there are.
    pub more: usize,
    /// Where to see all of it; empty where there is no dashboard.
    pub url: String,
}

/// One alert of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Whether it fires.
    pub is_firing: bool,
    /// What has happened.
    pub summary: String,
    /// The value that the rule saw.
    pub value: String,
    /// Its labels but for its name.
    pub labels: Labels,
    /// Since when, in civil milliseconds.
    pub since_ms: i64,
    /// When it ended, in civil milliseconds.
    pub ended_ms: Option<i64>,
    /// How long it has lasted.
    pub lasted: String,
    /// Where its plot is; empty where there is none.
    pub plot: String,
    /// What to do.
    pub runbook: String,
    /// The release that preceded it, and how long before.
    pub release: Option<String>,
}

impl Message {
    /// Puts a message together.
    pub fn of(notification: &Notification, around: &Surroundings, at: At) -> Self {
        let shown = notification.alerts.iter().take(ALERTS_SHOWN);
        let alerts: Vec<Line> = shown.map(|told| line(told, around, at)).collect();
        let data = data(notification, around);
        let expand = |template: &Option<crate::Template>| {
            let text = template.as_ref()?.expand(&data, &[], &mut NoQueries);
            Some(text.unwrap_or_else(|fault| format!("<error expanding template: {fault}>")))
        };
        let title = expand(&notification.channel.title);
        Self {
            key: format!("{}-{}", group_id(&notification.group_key), notification.id),
            group: group_id(&format!(
                "{}/{}",
                notification.group_key, notification.receiver
            )),
            title: clipped(&title.unwrap_or_else(|| title_of(notification, around))),
            text: expand(&notification.channel.text),
            is_firing: notification.is_firing(),
            severity: gravest(&notification.alerts),
            more: notification.alerts.len() - alerts.len(),
            alerts,
            url: if around.url.is_empty() {
                String::new()
            } else {
                format!("{}/alerts", around.url)
            },
        }
    }

    /// The usual text, plain.
    pub fn plain(&self) -> String {
        if let Some(text) = &self.text {
            return text.clone();
        }
        let mut parts: Vec<String> = self.alerts.iter().map(Line::plain).collect();
        if self.more > 0 {
            parts.push(format!("and {} more", self.more));
        }
        parts.join("\n\n")
    }
}

impl Line {
    /// Its facts, each with its name; empty ones are left out.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let labels = self
            .labels
            .iter()
            .map(|label| format!("{}={}", label.name, label.value));
        let state = match self.ended_ms {
            Some(ended) => format!("ended {} after {}", time(ended), self.lasted),
            None => format!("firing since {} ({})", time(self.since_ms), self.lasted),
        };
        let facts = [
            ("state", state),
            ("value", self.value.clone()),
            ("labels", clipped(&labels.collect::<Vec<_>>().join(" "))),
            ("release before", self.release.clone().unwrap_or_default()),
            ("plot", self.plot.clone()),
            ("runbook", self.runbook.clone()),
        ];
        facts
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .collect()
    }

    fn plain(&self) -> String {
        let sign = if self.is_firing { "FIRING" } else { "resolved" };
        let facts = self
            .facts()
            .into_iter()
            .map(|(name, text)| format!("  {name}: {text}"));
        let facts: Vec<String> = facts.collect();
        format!(
            "{sign} {}: {}\n{}",
            self.name,
            self.summary,
            facts.join("\n")
        )
    }
}

/// A text of at most so many characters.
fn clipped(text: &str) -> String {
    if text.chars().count() <= FIELD_MAX {
        return text.to_owned();
    }
    text.chars().take(FIELD_MAX - 1).chain(['…']).collect()
}

/// An identity that fits into any field: 128 bits of FNV-1a as hexadecimal digits.
fn group_id(key: &str) -> String {
    let hash = key.bytes().fold(
        0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128,
        |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b),
    );
    format!("{hash:032x}")
}

fn title_of(notification: &Notification, around: &Surroundings) -> String {
    let firing = notification.firing();
    let state = if firing > 0 {
        format!("FIRING:{firing}")
    } else {
        "RESOLVED".into()
    };
    let common = notification.common_labels();
    let name = common.get(ALERT_NAME);
    let name = if name.is_empty() {
        "several alerts"
    } else {
        name
    };
    let subject = ["service", "instance", "store", "job"]
        .iter()
        .map(|label| common.get(label));
    let subject = subject.into_iter().find(|value| !value.is_empty());
    let subject = subject.map_or_else(String::new, |value| format!(" {value}"));
    let place = if around.place.is_empty() {
        String::new()
    } else {
        format!(" ({})", around.place)
    };
    format!("[{state}] {name}{subject}{place}")
}

fn gravest(alerts: &[Told]) -> String {
    let severities = || alerts.iter().map(|told| told.notice.labels.get("severity"));
    let known = ["critical", "error", "warning", "info"];
    let found = known
        .iter()
        .find(|severity| severities().any(|one| one == **severity));
    let other = severities().find(|severity| !severity.is_empty());
    found.copied().or(other).unwrap_or("warning").to_owned()
}

fn line(told: &Told, around: &Surroundings, at: At) -> Line {
    let notice = &told.notice;
    let annotation = |names: &[&str]| {
        let found = names.iter().find_map(|name| notice.annotations.get(*name));
        clipped(found.map_or("", String::as_str))
    };
    let ended = notice
        .ended_at
        .or(notice.expires_at.filter(|_| !told.is_firing));
    let ended = ended.filter(|_| !told.is_firing);
    let lasted = ended.unwrap_or(at).since(notice.starts_at).max(0);
    Line {
        name: notice.labels.get(ALERT_NAME).to_owned(),
        is_firing: told.is_firing,
        summary: annotation(&["summary", "message", "description"]),
        value: if notice.query.is_empty() {
            String::new()
        } else {
            humanize(notice.value)
        },
        labels: notice.labels.filtered(|label| &*label.name != ALERT_NAME),
        since_ms: notice.starts_at.wall_ms,
        ended_ms: ended.map(|ended| ended.wall_ms),
        lasted: humanize_duration((lasted / 1000) as f64),
        plot: plot(notice, around),
        runbook: annotation(&["runbook", "runbook_url"]),
        release: release(notice, &around.releases),
    }
}

fn plot(notice: &Notice, around: &Surroundings) -> String {
    if around.url.is_empty() || notice.query.is_empty() {
        return String::new();
    }
    let query = crate::template::query_escaped(&clipped(&notice.query));
    format!(
        "{}/graph?query={query}&at={}",
        around.url,
        notice.starts_at.wall_ms / 1000
    )
}

/// The newest release before an alert that changed the alert's service.
fn release(notice: &Notice, releases: &[Release]) -> Option<String> {
    let start = notice.starts_at.wall_ms;
    let service = notice.labels.get("service");
    let concerns = |release: &&Release| {
        release.at_ms <= start
            && (service.is_empty()
                || release.services.is_empty()
                || release.services.iter().any(|one| one == service))
    };
    let found = releases
        .iter()
        .filter(concerns)
        .max_by_key(|release| release.at_ms)?;
    let before = humanize_duration(((start - found.at_ms) / 1000) as f64);
    Some(format!("{} ({before} before)", found.name))
}

/// A time as people read it, in UTC.
fn time(milliseconds: i64) -> String {
    let Ok(at) = jiff::Timestamp::from_millisecond(milliseconds) else {
        return format!("{milliseconds} ms");
    };
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The data that templates of channels see, under the names of the field.
fn data(notification: &Notification, around: &Surroundings) -> Value {
    let alerts: Vec<Value> = notification.alerts.iter().map(alert_data).collect();
    let part = |firing: bool| {
        let part = notification
            .alerts
            .iter()
            .filter(|told| told.is_firing == firing);
        Value::List(part.map(alert_data).collect())
    };
    let status = if notification.is_firing() {
        "firing"
    } else {
        "resolved"
    };
    let listed = Value::Object(Box::new(Object {
        fields: BTreeMap::from([
            ("Firing".to_owned(), part(true)),
            ("Resolved".to_owned(), part(false)),
        ]),
        items: Some(alerts),
    }));
    Value::object([
        ("Receiver", Value::Text(notification.receiver.clone())),
        ("Status", Value::Text(status.into())),
        ("Alerts", listed),
        ("GroupLabels", labels(&notification.group_labels)),
        ("CommonLabels", labels(&notification.common_labels())),
        (
            "CommonAnnotations",
            Value::Texts(notification.common_annotations()),
        ),
        ("ExternalURL", Value::Text(around.url.clone())),
    ])
}

fn labels(labels: &Labels) -> Value {
    Value::texts(labels.iter().map(|label| (&*label.name, &*label.value)))
}

fn alert_data(told: &Told) -> Value {
    let notice = &told.notice;
    let ends = notice
        .ended_at
        .map_or_else(String::new, |ended| time(ended.wall_ms));
    Value::object([
        (
            "Status",
            Value::Text(if told.is_firing { "firing" } else { "resolved" }.into()),
        ),
        ("Labels", labels(&notice.labels)),
        ("Annotations", Value::Texts(notice.annotations.clone())),
        ("StartsAt", Value::Text(time(notice.starts_at.wall_ms))),
        ("EndsAt", Value::Text(ends)),
        ("Value", Value::Float(notice.value)),
        ("GeneratorURL", Value::Text(String::new())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::Reason;
    use crate::receiver::{Channel, ChannelKind, Turn};
    use crate::template::Template;

    fn notification(count: usize) -> Notification {
        let alert = |place: usize| {
            let instance = format!("i{place}");
            Told {
                is_firing: place > 0 || count == 1,
                notice: Notice {
                    labels: Labels::new([
                        (ALERT_NAME, "ErrorRate"),
                        ("service", "web"),
                        ("severity", "critical"),
                        ("instance", &instance),
                    ]),
                    annotations: BTreeMap::from([
                        ("summary".to_owned(), "5% fail <b>".to_owned()),
                        ("runbook".to_owned(), "roll back".to_owned()),
                    ]),
                    value: 0.05,
                    query: "a > 1".into(),
                    starts_at: At::both(3_600_000),
                    ended_at: (place == 0 && count > 1).then(|| At::both(3_660_000)),
                    expires_at: None,
                },
            }
        };
        Notification {
            id: 7,
            receiver: "all".into(),
            place: 0,
            channel: Channel {
                kind: ChannelKind::Command {
                    arguments: Vec::new(),
                },
                send_resolved: true,
                title: None,
                text: None,
                turn: Turn::default(),
            },
            group_key: "{}:{}".into(),
            group_labels: Labels::default(),
            alerts: (0..count).map(alert).collect(),
            reason: Reason::First,
            made_at: At::both(3_700_000),
            attempts: 0,
        }
    }

    fn around() -> Surroundings {
        let release = |name: &str, service: &str, at_ms| Release {
            name: name.into(),
            services: vec![service.into()],
            at_ms,
        };
        Surroundings {
            url: "https://m.example".into(),
            place: "shop/production".into(),
            releases: vec![
                release("v41", "web", 1000),
                release("v42", "web", 3_480_000),
                release("v43", "api", 3_500_000),
                release("v44", "web", 3_700_000),
            ],
        }
    }

    #[test]
    fn a_message_says_value_plot_runbook_and_the_release_before() {
        let message = Message::of(&notification(1), &around(), At::both(3_700_000));
        assert_eq!(message.title, "[FIRING:1] ErrorRate web (shop/production)");
        assert_eq!(
            message.plain(),
            "FIRING ErrorRate: 5% fail <b>\n  state: firing since 1970-01-01 01:00:00 UTC (1m 40s)\n  value: 50m\n  labels: instance=i0 service=web severity=critical\n  release before: v42 (2m 0s before)\n  plot: https://m.example/graph?query=a+%3E+1&at=3600\n  runbook: roll back"
        );
        assert_eq!(message.severity, "critical");
    }

    #[test]
    fn many_alerts_are_counted_and_ended_ones_say_so() {
        let message = Message::of(&notification(25), &around(), At::both(3_700_000));
        assert_eq!((message.alerts.len(), message.more), (20, 5));
        assert!(message.plain().ends_with("and 5 more"));
        assert!(message.plain().starts_with("resolved ErrorRate"));
        assert!(
            message
                .plain()
                .contains("ended 1970-01-01 01:01:00 UTC after 1m 0s")
        );
    }

    #[test]
    fn a_channels_own_texts_replace_the_usual_ones() {
        let mut notification = notification(2);
        let parse = |text: &str| Some(Template::parse(text, &[]).unwrap());
        notification.channel.title =
            parse("{{ .Status | toUpper }} {{ len .Alerts.Firing }}/{{ len .Alerts }}");
        notification.channel.text = parse(
            "{{ range .Alerts }}{{ .Labels.instance }} {{ .Annotations.summary }};{{ end }}{{ .CommonLabels.service }}",
        );
        let message = Message::of(&notification, &Surroundings::default(), At::both(0));
        assert_eq!(message.title, "FIRING 1/2");
        assert_eq!(message.plain(), "i0 5% fail <b>;i1 5% fail <b>;web");
    }

    #[test]
    fn keys_stay_the_same_over_attempts() {
        let mut again = notification(1);
        again.attempts = 3;
        let first = Message::of(&notification(1), &around(), At::both(0));
        let second = Message::of(&again, &around(), At::both(99));
        assert_eq!((first.key, first.group), (second.key, second.group));
    }
}
