//! Receivers and their channels, as data; `io/notify-io` speaks to them.

use crate::template::Template;
use std::fmt;

/// Something that is not shown: a password, a token, an address that holds one.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The value itself, as imported configurations write it.
    Inline(String),
    /// The file that holds it.
    File(String),
    /// Its name in the platform's secrets.
    Named(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => out.write_str("Inline(…)"),
            Self::File(file) => write!(out, "File({file:?})"),
            Self::Named(name) => write!(out, "Named({name:?})"),
        }
    }
}

/// Who is told, over one channel or more.
#[derive(Debug, Clone, PartialEq)]
pub struct Receiver {
    /// Its name.
    pub name: String,
    /// Over what; none says nothing.
    pub channels: Vec<Channel>,
}

/// One way to tell somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// Over what.
    pub kind: ChannelKind,
    /// Whether the end of an alert is told.
    pub send_resolved: bool,
    /// The title instead of the usual one.
    pub title: Option<Template>,
    /// The text instead of the usual one.
    pub text: Option<Template>,
    /// When it is used at all.
    pub turn: Turn,
}

/// When a channel of a receiver is used: always, where nothing is said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Turn {
    /// The escalation that calls it, and at which of its levels, from zero.
    pub level: Option<(String, usize)>,
    /// The rotation, and the person of it whose channel this is.
    pub duty: Option<(String, String)>,
}

/// Over what a message goes, and what that needs.
#[derive(Debug, Clone, PartialEq)]
pub enum ChannelKind {
    /// Mail.
    Email(Email),
    /// A Slack webhook, or its API with an application's token.
    Slack {
        /// The address; the API's where a token is given.
        url: Secret,
        /// An application's token.
        token: Option<Secret>,
        /// The channel; webhooks know theirs.
        channel: String,
    },
    /// `PagerDuty` Events v2.
    PagerDuty {
        /// The integration's key.
        routing_key: Secret,
        /// The address of the events.
        url: String,
    },
    /// A Discord webhook.
    Discord {
        /// The address.
        url: Secret,
    },
    /// A Telegram bot.
    Telegram {
        /// The bot's token.
        token: Secret,
        /// The chat.
        chat: String,
        /// The thread within the chat.
        thread: Option<String>,
        /// The address of the API.
        url: String,
    },
    /// JSON by POST.
    Webhook(Webhook),
    /// A program, with the message as JSON on its input.
    Command {
        /// The program and its arguments.
        arguments: Vec<String>,
    },
    /// A channel of an imported configuration that Mainstay does not speak.
    Foreign {
        /// Its key, such as `opsgenie_configs`.
        key: String,
    },
}

impl ChannelKind {
    /// Its name, for people and metrics.
    pub fn name(&self) -> &str {
        match self {
            Self::Email(_) => "email",
            Self::Slack { .. } => "slack",
            Self::PagerDuty { .. } => "pagerduty",
            Self::Discord { .. } => "discord",
            Self::Telegram { .. } => "telegram",
            Self::Webhook(_) => "webhook",
            Self::Command { .. } => "command",
            Self::Foreign { key } => key,
        }
    }
}

impl ChannelKind {
    /// Whom it reaches, without anything secret: of an address that may hold a key the host alone.
    pub fn whom(&self) -> String {
        match self {
            Self::Email(email) => format!("{} by {}", email.to.join(", "), email.server),
            Self::Slack { channel, url, .. } if channel.is_empty() => host(url),
            Self::Slack { channel, .. } => channel.clone(),
            Self::PagerDuty { url, .. } => host_of(url),
            Self::Discord { url } => host(url),
            Self::Telegram { chat, .. } => format!("chat {chat}"),
            Self::Webhook(webhook) => host(&webhook.url),
            // Its arguments may say more than they should.
            Self::Command { arguments } => arguments.first().cloned().unwrap_or_default(),
            Self::Foreign { key } => key.clone(),
        }
    }
}

/// The host of an address that is there, else where the address is kept.
fn host(secret: &Secret) -> String {
    match secret {
        Secret::Inline(url) => host_of(url),
        Secret::File(path) => format!("the address in `{path}`"),
        Secret::Named(name) => format!("the address in secret `{name}`"),
    }
}

fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    host.to_owned()
}

/// How mail is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Email {
    /// To whom, one address or more.
    pub to: Vec<String>,
    /// From whom.
    pub from: String,
    /// The server as `host:port`.
    pub server: String,
    /// The name said in greeting.
    pub hello: String,
    /// The user, where the server asks for one.
    pub user: String,
    /// The password.
    pub password: Option<Secret>,
    /// Whether TLS begins with the connection; else it is begun by STARTTLS.
    pub implicit_tls: bool,
    /// Whether a server without TLS is refused.
    pub require_tls: bool,
    /// Further headers.
    pub headers: Vec<(String, String)>,
}

/// How a webhook is called.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// The address.
    pub url: Secret,
    /// The key of the signature in `X-Mainstay-Signature`.
    pub key: Option<Secret>,
    /// What `Authorization: Bearer` says.
    pub bearer: Option<Secret>,
    /// Most alerts of one message; zero is no limit.
    pub alerts_max: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_channel_reaches_is_said_without_its_key() {
        let hook = |url: Secret| ChannelKind::Discord { url };
        let inline = Secret::Inline("https://u:pw@hooks.example:8443/services/T0/key?k=1".into());
        assert_eq!(hook(inline).whom(), "hooks.example:8443");
        let named = hook(Secret::Named("chat".into()));
        assert_eq!(named.whom(), "the address in secret `chat`");
        let command = ChannelKind::Command {
            arguments: vec!["./tell".into(), "--token=abc".into()],
        };
        assert_eq!(command.whom(), "./tell");
    }
}
