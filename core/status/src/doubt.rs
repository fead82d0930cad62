//! When a page is believed.

use crate::page::{Page, key_of};
use mainstay_ledger::{NoteFault, PublicKey};
use serde::Deserialize;

/// Longest answer that is looked at, in bytes: a page of five hundred services is shorter.
pub const BODY_MAX: usize = 256 << 10;

/// How far a page may come from the future: clocks that are kept differ by less, and a copy that was made for later
/// gains no more.
pub const SKEW_MS: u64 = 30_000;

/// What whoever asks knows beforehand.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'k> {
    /// Who signs, from a place that is trusted.
    pub key: &'k PublicKey,
    /// Now, in milliseconds since 1970.
    pub now_ms: u64,
    /// The oldest that is believed, in milliseconds.
    pub age_ms: u64,
    /// Epoch and sequence of the page before.
    pub last: Option<(u64, u64)>,
}

/// Why an answer is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// It is too long.
    #[error("the answer has {bytes} bytes, and a status page at most {BODY_MAX}")]
    Long {
        /// How many.
        bytes: usize,
    },
    /// It is no status page: a proxy, a portal or an application answers.
    #[error("the answer is no status page: {why}")]
    Form {
        /// What is wrong with it.
        why: &'static str,
    },
    /// It is not signed by the key that was given.
    #[error("it is not signed by `{name}`: somebody else answers, or its key has changed")]
    Signer {
        /// The key's name.
        name: String,
    },
    /// What was signed is not what was sent.
    #[error("the signature by `{name}` does not hold: the page was changed on its way")]
    Signature {
        /// The key's name.
        name: String,
    },
    /// It speaks of another platform.
    #[error("it is the page of `{found}`, and `{wanted}` is asked for")]
    Place {
        /// Platform and environment of the page.
        found: String,
        /// Platform and environment of the key.
        wanted: String,
    },
    /// Its maker is gone, or a copy is shown.
    #[error("it is {} old, and {} are right: whoever makes it is gone, or this is a copy", seconds(*.age_ms), seconds(*.limit_ms))]
    Old {
        /// How old it is, in milliseconds.
        age_ms: u64,
        /// How old it may be, in milliseconds.
        limit_ms: u64,
    },
    /// One of the two clocks is wrong.
    #[error("it is {} from the future: its clock or the one here is off", seconds(*.by_ms))]
    Future {
        /// How far, in milliseconds.
        by_ms: u64,
    },
    /// An earlier page is shown again.
    #[error("it is number {}.{}, and {}.{} was shown before: this is a copy", .found.0, .found.1, .last.0, .last.1)]
    Backward {
        /// Epoch and sequence of the page.
        found: (u64, u64),
        /// Epoch and sequence of the page before.
        last: (u64, u64),
    },
}

fn seconds(ms: u64) -> String {
    format!("{} s", ms / 1000)
}

#[derive(Deserialize)]
struct Envelope {
    note: String,
}

/// The page that an answer's body holds: JSON with a `note`, or the bare note. Everything is verified, and only then
/// is anything of it believed.
pub fn believe(body: &[u8], expected: &Expected<'_>) -> Result<Page, Doubt> {
    if body.len() > BODY_MAX {
        return Err(Doubt::Long { bytes: body.len() });
    }
    let form = |why| Doubt::Form { why };
    let text = std::str::from_utf8(body).map_err(|_| form("it is no UTF-8"))?;
    let note = if text.trim_start().starts_with('{') {
        let read = serde_json::from_str::<Envelope>(text);
        read.map_err(|_| form("it is JSON without a `note`"))?.note
    } else {
        text.to_owned()
    };
    let page = opened(&note, expected.key)?;
    let found = (page.epoch, page.sequence);
    if page.made_ms > expected.now_ms.saturating_add(SKEW_MS) {
        let by_ms = page.made_ms - expected.now_ms;
        return Err(Doubt::Future { by_ms });
    }
    let age_ms = expected.now_ms.saturating_sub(page.made_ms);
    if age_ms > expected.age_ms {
        let limit_ms = expected.age_ms;
        return Err(Doubt::Old { age_ms, limit_ms });
    }
    match expected.last {
        Some(last) if found < last => Err(Doubt::Backward { found, last }),
        _ => Ok(page),
    }
}

/// What a note says, once its signature holds and it speaks of the platform whose key it is.
fn opened(note: &str, key: &PublicKey) -> Result<Page, Doubt> {
    let form = |why| Doubt::Form { why };
    let text = key.verify(note).map_err(|fault| match fault {
        NoteFault::Form { why } => form(why),
        NoteFault::Key => form("its key cannot be read"),
        NoteFault::Unsigned { name } => Doubt::Signer { name },
        NoteFault::Signature { name } => Doubt::Signature { name },
    })?;
    let mut lines = text.lines();
    let (Some(name), Some(json), None) = (lines.next(), lines.next(), lines.next()) else {
        return Err(form("what is signed has not two lines"));
    };
    if name != key.name() {
        return Err(form("what is signed is for something else"));
    }
    let page: Page =
        serde_json::from_str(json).map_err(|_| form("what is signed cannot be read"))?;
    let wanted = key_of(key).ok_or(form("the key is for something else"))?;
    if wanted != (page.platform.as_str(), page.environment.as_str()) {
        return Err(Doubt::Place {
            found: format!("{}/{}", page.platform, page.environment),
            wanted: format!("{}/{}", wanted.0, wanted.1),
        });
    }
    Ok(page)
}

#[cfg(test)]
#[path = "doubt_test.rs"]
mod tests;
