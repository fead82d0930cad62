//! The short form of alerts in the platform's file, and as it is handed from process to process.

use crate::interval::TimeInterval;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Everything that a file says about alerts. Durations are texts such as `5m`; names of secrets stand where
/// channels need one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertsFile {
    /// Rule files, as paths or patterns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// What is set for rules that come with Mainstay, by their ids.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub preset: BTreeMap<String, PresetFile>,
    /// Channels by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub channels: BTreeMap<String, ChannelFile>,
    /// Channels of everything that no route takes.
    pub to: Vec<String>,
    /// How alerts are grouped where routes say nothing; `...` is by all labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_by: Option<Vec<String>>,
    /// Routes, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteFile>,
    /// Which alerts keep others silent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inhibit: Vec<InhibitFile>,
    /// Times by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub times: BTreeMap<String, Vec<TimesFile>>,
    /// The channels that hear of a channel that fails.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<String>,
    /// Channels and people that hear of releases: that one serves, failed, or waits for somebody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<String>,
    /// People by name, each with their channels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub people: BTreeMap<String, Vec<String>>,
    /// Rotations by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub on_call: BTreeMap<String, RotationFile>,
    /// Escalations by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub escalation: BTreeMap<String, EscalationFile>,
    /// Where it is told that alerts work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<HeartbeatFile>,
    /// Link-local addresses, and those of metadata services, that channels may reach all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<IpAddr>,
    /// What alerts do by themselves, by their names; [`crate::then`] reads it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub then: BTreeMap<String, Value>,
}

/// What is set for one rule.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PresetFile {
    /// Whether the rule is off.
    pub off: bool,
    /// The threshold: a number, or a share such as `1%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<Figure>,
    /// The same for rules that fire below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<Figure>,
    /// How long it must hold.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub wait: Option<String>,
    /// How much it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// Where it goes beside the usual routes: the label `channel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Metrics of the application, by the name in the rule.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, String>,
    /// What its alert does by itself; [`crate::then`] reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<Value>,
}

/// A number, or a text that stands for one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Figure {
    /// As it is.
    Number(f64),
    /// `1%`, `2s`, `500ms`.
    Text(String),
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ChannelFile {
    /// Mail.
    Email {
        /// To whom.
        to: Vec<String>,
        /// From whom.
        from: String,
        /// The server as `host:port`.
        server: String,
        /// The user.
        #[serde(default)]
        user: String,
        /// The secret with the password.
        #[serde(default)]
        password: Option<String>,
        /// `starttls` (the default), `implicit`, or `none`.
        #[serde(default)]
        tls: Option<String>,
        /// Whether the end of an alert is told; so it is with every channel where nothing is said.
        #[serde(default)]
        resolved: Option<bool>,
    },
    /// Slack.
    Slack {
        /// The secret with the webhook's address.
        #[serde(default)]
        webhook: Option<String>,
        /// The secret with an application's token.
        #[serde(default)]
        token: Option<String>,
        /// The channel.
        #[serde(default)]
        channel: String,
        /// Whether the end is told.
        #[serde(default)]
        resolved: Option<bool>,
    },
    /// `PagerDuty`.
    Pagerduty {
        /// The secret with the integration's key.
        key: String,
        /// Another address than the usual one.
        #[serde(default)]
        url: Option<String>,
        /// Whether the end is told.
        #[serde(default)]
        resolved: Option<bool>,
    },
    /// Discord.
    Discord {
        /// The secret with the webhook's address.
        webhook: String,
        /// Whether the end is told.
        #[serde(default)]
        resolved: Option<bool>,
    },
    /// Telegram.
    Telegram {
        /// The secret with the bot's token.
        token: String,
        /// The chat.
        chat: String,
        /// The thread within the chat.
        #[serde(default)]
        thread: Option<String>,
        /// Whether the end is told.
        #[serde(default)]
        resolved: Option<bool>,
    },
    /// A webhook.
    Webhook {
        /// The address.
        #[serde(default)]
        url: Option<String>,
        /// The secret with the address, where that is one.
        #[serde(default)]
        secret_url: Option<String>,
        /// The secret with the key of the signature.
        #[serde(default)]
        key: Option<String>,
        /// The secret that `Authorization: Bearer` says.
        #[serde(default)]
        bearer: Option<String>,
        /// Whether the end is told.
        #[serde(default)]
        resolved: Option<bool>,
    },
    /// A program.
    Command {
        /// The program and its arguments.
        run: Vec<String>,
        /// Whether the end is told.
        #[serde(default)]
        resolved: Option<bool>,
    },
    /// Whoever is on duty.
    OnCall {
        /// The rotation.
        rotation: String,
        /// Whether the end is told.
        #[serde(default)]
        resolved: Option<bool>,
    },
}

/// A route.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteFile {
    /// Matchers: `severity=critical, service=~"web|api"`.
    pub when: String,
    /// Channels; its parent's where nothing is said.
    pub to: Vec<String>,
    /// How alerts are grouped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_by: Option<Vec<String>>,
    /// How long a new group waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<String>,
    /// How long a group waits between notices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// After how long it is told again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<String>,
    /// Times in which it says nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mute: Vec<String>,
    /// Times outside of which it says nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Whether routes after it are looked at too.
    #[serde(rename = "continue")]
    pub goes_on: bool,
    /// Its children.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteFile>,
}

/// Which alerts keep which silent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InhibitFile {
    /// Matchers of those that fire.
    pub when: String,
    /// Matchers of those that are kept silent.
    pub silence: String,
    /// Labels that must be the same.
    #[serde(default)]
    pub same: Vec<String>,
}

/// A time that comes again.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimesFile {
    /// Times of the day: `09:00-17:00`.
    pub hours: Vec<String>,
    /// Days of the week: `monday:friday`.
    pub weekdays: Vec<String>,
    /// Days of the month: `1:7`, `-3:-1`.
    pub days: Vec<String>,
    /// Months: `january:march`.
    pub months: Vec<String>,
    /// The zone: `Europe/Berlin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// People who take turns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotationFile {
    /// Who takes turns: each name is a channel's or that of a list under `people`.
    pub people: Vec<String>,
    /// The first hand-over: `2026-03-02 09:00`.
    pub from: String,
    /// How many days a turn takes; a week where nothing is said.
    #[serde(default)]
    pub days: Option<u16>,
    /// The zone; UTC where nothing is said.
    #[serde(default)]
    pub zone: Option<String>,
    /// Names of times in which anybody is on duty; always where nothing is said.
    #[serde(default)]
    pub only: Vec<String>,
    /// Turns that are swapped.
    #[serde(default)]
    pub swaps: Vec<SwapFile>,
}

/// Somebody stands in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwapFile {
    /// Who.
    pub person: String,
    /// From when: `2026-12-24T09:00:00+01:00`.
    pub from: String,
    /// Until when.
    pub until: String,
}

/// Who is called when nobody answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EscalationFile {
    /// Levels: rotations or channels, and how long they have.
    pub levels: Vec<LevelFile>,
    /// How often it begins anew.
    #[serde(default)]
    pub repeats: u32,
}

/// One level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelFile {
    /// Rotations or channels.
    pub to: Vec<String>,
    /// How long they have.
    pub wait: String,
}

/// Where it is told that alerts work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatFile {
    /// The address.
    #[serde(default)]
    pub url: Option<String>,
    /// The secret with the address, where that is one.
    #[serde(default)]
    pub secret_url: Option<String>,
    /// How often.
    pub every: String,
    /// `post` (the default) or `get`.
    #[serde(default)]
    pub method: Option<String>,
}

/// Times as intervals, for whoever writes them down.
pub(crate) type Times = BTreeMap<String, Vec<TimeInterval>>;
