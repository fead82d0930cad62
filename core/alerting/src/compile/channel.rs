//! Channels of the short form.

use super::Compiler;
use crate::file::ChannelFile;
use crate::receiver::{Channel, ChannelKind, Email, Secret, Turn, Webhook};

const SLACK_URL: &str = "https://slack.com/api/chat.postMessage";
const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";
const TELEGRAM_URL: &str = "https://api.telegram.org";

fn named(name: &str) -> Secret {
    Secret::Named(name.to_owned())
}

fn maybe(name: Option<&String>) -> Option<Secret> {
    name.map(|name| named(name))
}

impl Compiler<'_> {
    pub(super) fn channel(&mut self, path: &str, channel: &ChannelFile) -> Option<Channel> {
        Some(Channel {
            kind: self.kind(path, channel)?,
            send_resolved: resolved(channel).unwrap_or(true),
            title: None,
            text: None,
            turn: Turn::default(),
        })
    }

    fn kind(&mut self, path: &str, channel: &ChannelFile) -> Option<ChannelKind> {
        Some(match channel {
            ChannelFile::Email { .. } => ChannelKind::Email(self.email(path, channel)?),
            ChannelFile::Slack {
                webhook,
                token,
                channel,
                ..
            } => {
                let url = match (webhook, token) {
                    (Some(webhook), None) => named(webhook),
                    (None, Some(_)) => Secret::Inline(SLACK_URL.into()),
                    _ => {
                        return self.refused(
                            path,
                            "slack",
                            "either `webhook` or `token` must be given",
                        );
                    }
                };
                let (token, channel) = (maybe(token.as_ref()), channel.clone());
                ChannelKind::Slack {
                    url,
                    token,
                    channel,
                }
            }
            ChannelFile::Pagerduty { key, url, .. } => ChannelKind::PagerDuty {
                routing_key: named(key),
                url: url.clone().unwrap_or_else(|| PAGERDUTY_URL.into()),
            },
            ChannelFile::Discord { webhook, .. } => ChannelKind::Discord {
                url: named(webhook),
            },
            ChannelFile::Telegram {
                token,
                chat,
                thread,
                ..
            } => ChannelKind::Telegram {
                token: named(token),
                chat: chat.clone(),
                thread: thread.clone(),
                url: TELEGRAM_URL.into(),
            },
            ChannelFile::Webhook {
                url,
                secret_url,
                key,
                bearer,
                ..
            } => {
                let url = match (url, secret_url) {
                    (Some(url), None) => Secret::Inline(url.clone()),
                    (None, Some(name)) => named(name),
                    _ => {
                        return self.refused(
                            path,
                            "webhook",
                            "either `url` or `secret_url` must be given",
                        );
                    }
                };
                ChannelKind::Webhook(Webhook {
                    url,
                    key: maybe(key.as_ref()),
                    bearer: maybe(bearer.as_ref()),
                    alerts_max: 0,
                })
            }
            ChannelFile::Command { run, .. } if run.is_empty() => {
                return self.refused(path, "command", "no program is named");
            }
            ChannelFile::Command { run, .. } => ChannelKind::Command {
                arguments: run.clone(),
            },
            // A rotation stands for the channels of its people.
            ChannelFile::OnCall { .. } => return None,
        })
    }

    fn refused(&mut self, path: &str, kind: &str, why: &str) -> Option<ChannelKind> {
        self.fault(&format!("{path}.{kind}"), why);
        None
    }

    fn email(&mut self, path: &str, channel: &ChannelFile) -> Option<Email> {
        let ChannelFile::Email {
            to,
            from,
            server,
            user,
            password,
            tls,
            ..
        } = channel
        else {
            return None;
        };
        let tls = tls.as_deref().unwrap_or("starttls");
        if !matches!(tls, "starttls" | "implicit" | "none") {
            let why = format!("`{tls}` is neither `starttls`, `implicit` nor `none`");
            self.fault(&format!("{path}.email.tls"), why);
        }
        Some(Email {
            to: to.clone(),
            from: from.clone(),
            server: server.clone(),
            hello: String::new(),
            user: user.clone(),
            password: maybe(password.as_ref()),
            implicit_tls: tls == "implicit",
            require_tls: tls != "none",
            headers: Vec::new(),
        })
    }
}

fn resolved(channel: &ChannelFile) -> Option<bool> {
    match channel {
        ChannelFile::Email { resolved, .. }
        | ChannelFile::Slack { resolved, .. }
        | ChannelFile::Pagerduty { resolved, .. }
        | ChannelFile::Discord { resolved, .. }
        | ChannelFile::Telegram { resolved, .. }
        | ChannelFile::Webhook { resolved, .. }
        | ChannelFile::Command { resolved, .. }
        | ChannelFile::OnCall { resolved, .. } => *resolved,
    }
}
