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
mod heard;
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
mod webhook;

pub use address::Allowed;
use heard::Heard;
use mainstay_alerting::{ChannelKind, Message, Notification, Outcome};
use mainstay_atoms::Url;
pub use secret::Vault;
use std::sync::{Mutex, MutexGuard, PoisonError};
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
    /// What the other side answered, on one line and without secrets; empty where it said nothing.
    pub answer: String,
}

/// Speaks to channels.
pub struct Notifier {
    trust: Trust,
    vault: Box<dyn Vault + Send + Sync>,
    allowed: Mutex<Allowed>,
    deadline: Duration,
}

/// What one attempt works with.
pub(crate) struct Attempt<'a> {
    trust: &'a Trust,
    vault: &'a (dyn Vault + Send + Sync),
    allowed: Allowed,
    heard: Heard,
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
            allowed: Mutex::new(allowed),
            deadline: DEADLINE,
        }
    }

    /// Changes which addresses may be reached although they are link-local.
    pub fn allow(&self, allowed: Allowed) {
        *lock(&self.allowed) = allowed;
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
            allowed: lock(&self.allowed).clone(),
            heard: Heard::default(),
            ends: Instant::now() + self.deadline,
            now_ms: now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX)),
        }
    }

    /// Hands a message to its notification's channel.
    pub fn send(&self, notification: &Notification, message: &Message) -> Sent {
        let attempt = self.attempt();
        let mut remark = None;
        let result = match &notification.channel.kind {
            ChannelKind::Email(email) => {
                let sent = smtp::send(&attempt, email, message);
                sent.map(|refused| remark = refused)
            }
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
            remark,
            answer: attempt.heard.said(),
        }
    }

    /// Tells an address outside of the machine that alerts work; `get` is for those who take no POST.
    pub fn beat(&self, url: &mainstay_alerting::Secret, get: bool) -> Outcome {
        let attempt = self.attempt();
        let beat = || {
            let url = Url::parse(&secret::read(&attempt, url)?)?;
            if get {
                return http::get(&attempt, &url)?.accepted();
            }
            http::post(&attempt, &url, &[], "text/plain", b"")?.accepted()
        };
        outcome(beat())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
