//! Checks: what is asked from outside, as the platform's file says it, and as it is to be done.
//!
//! Names of metrics are those of the field's `blackbox_exporter`. A check of a URL is a flow of one step. In a
//! flow's later steps `{name}` stands for what an earlier one extracted, and everywhere `{secret.NAME}` for a secret.

mod read;

pub use read::read_checks;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One check as the file says it: one of `url`, `tcp`, `dns`, `certificate`, `status` and `flow`, and what is right.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckFile {
    /// An address that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A `host:port` that takes connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<String>,
    /// A name that has addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<String>,
    /// A `host:port` whose certificate is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The address of another platform's status page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Who signs the status page: a key as `mainstay status` shows it there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How old the status page may be, such as `2m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<String>,
    /// Requests in order, each a step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flow: Vec<StepFile>,
    /// The status that is right; any from 200 to 299 where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<u16>,
    /// What the answer holds: a text of the body, an address of the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// Fields of the request's head.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Longest time that is right, such as `500ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<String>,
    /// How long a certificate is valid at least, such as `14d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
    /// How often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
    /// How long it may take at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
}

/// One step of a flow: `get` or `post`, and what is right.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StepFile {
    /// An address that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get: Option<String>,
    /// An address that something is sent to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post: Option<String>,
    /// What is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Fields of the request's head.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The status that is right; any from 200 to 299 where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<u16>,
    /// A text of the answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// What later steps use, by name: a regular expression whose first group is taken.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extract: BTreeMap<String, String>,
}

/// One check as it is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Its name.
    pub name: String,
    /// What is asked, for people: the label `instance`.
    pub instance: String,
    /// How often, in milliseconds.
    pub every_ms: u64,
    /// How long it may take, in milliseconds.
    pub timeout_ms: u64,
    /// Longest time that is right, in milliseconds.
    pub latency_ms: Option<u64>,
    /// Secrets that it uses, by name.
    pub secrets: BTreeSet<String>,
    /// What is asked.
    pub kind: ProbeKind,
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeKind {
    /// Requests in order.
    Http(Vec<Step>),
    /// A connection to `host:port`.
    Tcp(String),
    /// An address for a name, and one that is among them.
    Dns(String, Option<String>),
    /// A certificate at `host:port`, and how many milliseconds it is valid at least.
    Certificate(String, u64),
    /// A status page.
    Status(StatusProbe),
}

/// A status page that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusProbe {
    /// The request; any status of 2xx is right.
    pub step: Step,
    /// The key that signs, in the form of signed notes.
    pub key: String,
    /// The oldest that is believed, in milliseconds.
    pub age_ms: u64,
}

/// One request, and what is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Whether by TLS.
    pub secure: bool,
    /// `host:port`.
    pub address: String,
    /// What `Host` says.
    pub host: String,
    /// Path and query.
    pub path: String,
    /// What is sent; a GET where it is nothing.
    pub body: Option<String>,
    /// Fields of the head.
    pub headers: BTreeMap<String, String>,
    /// The status that is right; any from 200 to 299 where none is given.
    pub expect: Option<u16>,
    /// A text of the answer's body.
    pub contains: Option<String>,
    /// What later steps use, by name.
    pub extract: BTreeMap<String, String>,
}

impl Probe {
    /// Whether it sees a certificate.
    pub fn sees_certificate(&self) -> bool {
        match &self.kind {
            ProbeKind::Http(steps) => steps.iter().any(|step| step.secure),
            ProbeKind::Certificate(..) => true,
            ProbeKind::Status(probe) => probe.step.secure,
            ProbeKind::Tcp(_) | ProbeKind::Dns(..) => false,
        }
    }
}

fn is_word(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    !text.is_empty() && text.len() <= 64 && text.bytes().all(good)
}

/// The words in braces of a text; whatever else stands in braces, such as JSON, is text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let pieces = text.split('{').skip(1);
    let words = pieces.filter_map(|piece| piece.split_once('}').map(|(word, _)| word));
    words.filter(|word| is_word(word))
}

/// A text with what its words stand for; words that stand for nothing stay as they are.
pub fn filled(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut pieces = text.split('{');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let word = piece.split_once('}').filter(|(word, _)| is_word(word));
        let known = word.and_then(|(word, rest)| Some((known.get(word)?, rest)));
        if let Some((value, rest)) = known {
            out.push_str(value);
            out.push_str(rest);
        } else {
            out.push('{');
            out.push_str(piece);
        }
    }
    out
}
