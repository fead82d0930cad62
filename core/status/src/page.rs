//! What a page says, and how it is signed.

use crate::html;
use mainstay_ledger::{NoteFault, PublicKey, SigningKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The purpose that names of keys begin with, so that a page is never taken for a checkpoint of a ledger.
const PURPOSE: &str = "mainstay.status";

/// How something is, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Ok,
    /// Nobody knows.
    Unknown,
    /// It works, with less than it should have.
    Degraded,
    /// It does not work.
    Down,
}

impl State {
    /// The word that stands in pages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

/// What a platform says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Its name.
    pub platform: String,
    /// Which environment.
    pub environment: String,
    /// When it was seen so, in milliseconds since 1970.
    pub made_ms: u64,
    /// Which life of the control plane made it: each start has a higher one.
    pub epoch: u64,
    /// Counts pages within the epoch.
    pub sequence: u64,
    /// The whole, as [`overall`] has it.
    pub state: State,
    /// Services that answer from outside, by name.
    #[serde(default)]
    pub services: BTreeMap<String, State>,
    /// Checks that the file names for the page, by name.
    #[serde(default)]
    pub checks: BTreeMap<String, State>,
}

/// A page, ready to be handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// For machines: the page as JSON, and `note`, the same signed. What stands beside the note is for tools that
    /// verify nothing.
    pub json: String,
    /// For people: no scripts, nothing from elsewhere, and every state in words.
    pub html: String,
}

/// How the whole is: down once a service is, degraded while anything else is not as it should be. A check that fails
/// alone does not make the whole down: what it asks may be somebody else's.
pub fn overall(services: &BTreeMap<String, State>, checks: &BTreeMap<String, State>) -> State {
    let mut services = services.values();
    let mut checks = checks.values();
    if services.clone().any(|state| *state == State::Down) {
        State::Down
    } else if services.any(|state| *state != State::Ok) || checks.any(|state| *state != State::Ok) {
        State::Degraded
    } else {
        State::Ok
    }
}

/// The key that grows from 32 random bytes for the pages of one platform and environment:
/// `mainstay.status/PLATFORM/ENVIRONMENT/` and 16 hex digits.
pub fn key(seed: &[u8; 32], platform: &str, environment: &str) -> Result<SigningKey, NoteFault> {
    SigningKey::named(seed, &format!("{PURPOSE}/{platform}/{environment}"))
}

/// Platform and environment of a key of pages; nothing where it is a key for something else.
pub fn key_of(key: &PublicKey) -> Option<(&str, &str)> {
    let mut parts = key.name().split('/');
    let is_ours = parts.next() == Some(PURPOSE);
    let (platform, environment, digits) = (parts.next()?, parts.next()?, parts.next()?);
    let is_whole = digits.len() == 16 && parts.next().is_none();
    (is_ours && is_whole).then_some((platform, environment))
}

#[derive(Serialize)]
struct Beside<'p> {
    #[serde(flatten)]
    page: &'p Page,
    note: &'p str,
}

impl Page {
    /// The page in every form in which it is handed out.
    ///
    /// # Panics
    /// Never: a page of names and numbers is always JSON.
    pub fn sign(&self, key: &SigningKey) -> Signed {
        let text = serde_json::to_string(self).expect("names and numbers are JSON");
        let note = key.note(&format!("{}\n{text}\n", key.public().name()));
        let beside = Beside {
            page: self,
            note: &note,
        };
        let mut json = serde_json::to_string_pretty(&beside).expect("names and numbers are JSON");
        json.push('\n');
        Signed {
            json,
            html: html::render(self, &note),
        }
    }

    /// Why it is no good news, if it says that the platform is down.
    pub fn trouble(&self) -> Option<String> {
        (self.state == State::Down).then(|| {
            let down = self.named(State::Down);
            if down.is_empty() {
                "the page says that it is down".to_owned()
            } else {
                format!("the page says that {down} is down")
            }
        })
    }

    /// What is not as it should be, in words; empty where everything is.
    pub fn remarks(&self) -> String {
        let states = [State::Down, State::Degraded, State::Unknown];
        let parts = states.into_iter().filter_map(|state| {
            let named = self.named(state);
            (!named.is_empty()).then(|| format!("{named}: {state}"))
        });
        parts.collect::<Vec<_>>().join("; ")
    }

    fn named(&self, state: State) -> String {
        let parts = self.services.iter().chain(&self.checks);
        let named = parts.filter(|(_, one)| **one == state);
        let named: Vec<String> = named.map(|(name, _)| format!("`{name}`")).collect();
        named.join(", ")
    }
}
