//! Channels: hands messages to people and machines, each attempt within a deadline, and says what came of it.
//!
//! - [`Notifier::send`] makes one attempt. It blocks for at most its deadline: call it on a thread of its own.
//! - [`Notifier::beat`] tells an address outside of the machine that alerts work.
//!
//! Invariants: redirects are not followed; link-local and metadata addresses are refused after a name was looked
//! up, unless they are listed; what the other side answers is read up to a bound; no secret is part of a fault, of
//! arguments or of an environment; text of alerts is escaped for each channel.
//!
//! What this crate never does: decide whether, when or whom to tell, or try again.

mod address;
mod command;
mod discord;
mod http;
mod mail;
mod pagerduty;
mod secret;
mod slack;
mod smtp;
mod stream;
mod telegram;
mod text;
mod trust;
mod url;
mod webhook;

pub use address::Allowed;
use mainstay_alerting::{Channel, ChannelKind, Message, Notification, Outcome};
pub use secret::Vault;
use std::time::{Duration, Instant, SystemTime};
use stream::Fault;
pub use trust::{Trust, TrustFault};

/// How long one attempt takes at most: a channel that needs longer fails.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// For the router.
    pub outcome: Outcome,
    /// Something that a person should know although the message was taken.
    pub remark: Option<String>,
}

/// Speaks to channels.
pub struct Notifier {
    trust: Trust,
    vault: Box<dyn Vault + Send + Sync>,
    allowed: Allowed,
    deadline: Duration,
}

/// What one attempt works with.
pub(crate) struct Attempt<'a> {
    trust: &'a Trust,
    vault: &'a (dyn Vault + Send + Sync),
    allowed: &'a Allowed,
    ends: Instant,
    /// Civil time, in milliseconds since 1970.
    now_ms: i64,
}

impl Notifier {
    /// Makes a notifier that trusts these certificates, knows these secrets, and may reach these addresses
    /// although they are link-local.
    pub fn new(trust: Trust, vault: Box<dyn Vault + Send + Sync>, allowed: Allowed) -> Self {
        Self {
            trust,
            vault,
            allowed,
            deadline: DEADLINE,
        }
    }

    /// Changes how long one attempt takes at most.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    fn attempt(&self) -> Attempt<'_> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Attempt {
            trust: &self.trust,
            vault: &*self.vault,
            allowed: &self.allowed,
            ends: Instant::now() + self.deadline,
            now_ms: now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX)),
        }
    }

    /// Hands a message to its notification's channel.
    pub fn send(&self, notification: &Notification, message: &Message) -> Sent {
        self.send_over(&notification.channel, notification, message)
    }

    /// Hands a message to another channel than the notification's: to whoever is on call.
    pub fn send_over(
        &self,
        channel: &Channel,
        notification: &Notification,
        message: &Message,
    ) -> Sent {
        let attempt = self.attempt();
        let result = match &channel.kind {
            ChannelKind::Email(email) => return sent_mail(smtp::send(&attempt, email, message)),
            ChannelKind::Slack {
                url,
                token,
                channel,
            } => slack::send(&attempt, url, token.as_ref(), channel, message),
            ChannelKind::PagerDuty { routing_key, url } => {
                pagerduty::send(&attempt, routing_key, url, message)
            }
            ChannelKind::Discord { url } => discord::send(&attempt, url, message),
            ChannelKind::Telegram {
                token,
                chat,
                thread,
                url,
            } => telegram::send(&attempt, (token, url), (chat, thread.as_deref()), message),
            ChannelKind::Webhook(webhook) => {
                webhook::send(&attempt, webhook, notification, message)
            }
            ChannelKind::Command { arguments } => {
                command::send(&attempt, arguments, notification, message)
            }
            ChannelKind::Foreign { key } => Err(Fault::Refused(format!(
                "`{key}` is not spoken; give the receiver another channel"
            ))),
        };
        Sent {
            outcome: outcome(result),
            remark: None,
        }
    }

    /// Tells an address outside of the machine that alerts work.
    pub fn beat(&self, url: &mainstay_alerting::Secret) -> Outcome {
        let attempt = self.attempt();
        let beat = || {
            let url = url::Url::parse(&secret::read(&attempt, url)?)?;
            let answer = http::post(&attempt, &url, &[], "text/plain", b"")?;
            answer.accepted()
        };
        outcome(beat())
    }
}

fn sent_mail(result: Result<Option<String>, Fault>) -> Sent {
    match result {
        Ok(remark) => Sent {
            outcome: Outcome::Accepted,
            remark,
        },
        Err(fault) => Sent {
            outcome: outcome(Err(fault)),
            remark: None,
        },
    }
}

fn outcome(result: Result<(), Fault>) -> Outcome {
    match result {
        Ok(()) => Outcome::Accepted,
        Err(Fault::Refused(why)) => Outcome::Refused { why },
        Err(Fault::Failed {
            why,
            maybe_accepted,
            wait,
        }) => Outcome::Failed {
            why,
            maybe_accepted,
            wait_ms: wait.map(|wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)),
        },
    }
}
