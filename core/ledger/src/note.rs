//! C2SP signed notes with one Ed25519 signature.
//!
//! A note is its text, an empty line, and lines of `— NAME BASE64(key id, signature)`. A public key
//! is written `NAME+KEYID+BASE64(1, key)`; the key id is the first four bytes of
//! SHA-256(name, newline, 1, key). Source: <https://c2sp.org/signed-note>.

use crate::Timeline;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_atoms::Digest;
use std::fmt;

/// The algorithm byte of Ed25519 notes.
const ED25519_NOTE: u8 = 1;

/// Why a note or key cannot be read or does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteFault {
    /// Not a key in the note format.
    #[error("this is not a public key in the signed-note format")]
    Key,
    /// Not a note.
    #[error("this is not a signed note: {why}")]
    Form {
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nobody we know signed it.
    #[error("the note has no signature by `{name}`")]
    Unsigned {
        /// The key's name.
        name: String,
    },
    /// A signature that does not hold.
    #[error("the signature by `{name}` does not hold")]
    Signature {
        /// The key's name.
        name: String,
    },
}

/// Who may have signed: a name and an Ed25519 key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    key: [u8; 32],
}

/// Signs notes.
pub struct SigningKey {
    public: PublicKey,
    pair: Ed25519KeyPair,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SigningKey({})", self.public.name)
    }
}

impl SigningKey {
    /// The key of a log that grows from 32 random bytes: `mainstay.ledger/` and 16 hex digits.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, NoteFault> {
        Self::named(seed, "mainstay.ledger")
    }

    /// The key that grows from 32 random bytes, for notes of one purpose. Its name is derived from the key itself, so
    /// two never share one: `purpose`, a slash, and 16 hex digits of the public key's digest. A signature names the
    /// key, so what is signed for one purpose is not taken for another.
    ///
    /// # Errors
    /// [`NoteFault::Key`] where a name cannot hold `purpose`: it is empty, or has a blank or `+`.
    pub fn named(seed: &[u8; 32], purpose: &str) -> Result<Self, NoteFault> {
        if purpose.is_empty() || purpose.contains(|c: char| c.is_whitespace() || c == '+') {
            return Err(NoteFault::Key);
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteFault::Key)?;
        let key: [u8; 32] = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| NoteFault::Key)?;
        let name = format!("{purpose}/{}", &Digest::of(&key).to_hex()[..16]);
        Ok(Self {
            public: PublicKey { name, key },
            pair,
        })
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The whole note for a text, which ends in a newline and has no empty line, under the key's own name.
    pub fn note(&self, text: &str) -> String {
        self.sign(Timeline::FIRST, text)
    }

    /// The whole note for a text, which ends in a newline, under the name that this timeline has.
    pub(crate) fn sign(&self, timeline: Timeline, text: &str) -> String {
        let public = self.public.on(timeline);
        let mut blob = public.id().to_vec();
        blob.extend(self.pair.sign(text.as_bytes()).as_ref());
        let (name, blob) = (&public.name, STANDARD.encode(blob));
        format!("{text}\n\u{2014} {name} {blob}\n")
    }
}

impl PublicKey {
    /// The key's name, which is also the log's origin line.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name without its timeline: equal for all timelines of a log.
    pub fn base(&self) -> &str {
        Timeline::split(&self.name).0
    }

    /// The timeline that the name says.
    pub fn timeline(&self) -> Timeline {
        Timeline::split(&self.name).1
    }

    /// The same key under the name that it has on another timeline.
    #[must_use]
    pub fn on(&self, timeline: Timeline) -> Self {
        Self {
            name: timeline.origin(self.base()),
            key: self.key,
        }
    }

    fn id(&self) -> [u8; 4] {
        let digest = Digest::of_parts(&[self.name.as_bytes(), b"\n", &[ED25519_NOTE], &self.key]);
        [digest.0[0], digest.0[1], digest.0[2], digest.0[3]]
    }

    /// The text of a note, once its signature by this key holds.
    pub fn verify<'a>(&self, note: &'a str) -> Result<&'a str, NoteFault> {
        let (text, signatures) = split(note)?;
        let unsigned = || NoteFault::Unsigned {
            name: self.name.clone(),
        };
        let blob = signatures
            .lines()
            .find_map(|line| self.blob(line))
            .ok_or_else(unsigned)?;
        UnparsedPublicKey::new(&ED25519, &self.key)
            .verify(text.as_bytes(), &blob)
            .map_err(|_| NoteFault::Signature {
                name: self.name.clone(),
            })?;
        Ok(text)
    }

    /// The signature on a line, where it is one of this key's.
    fn blob(&self, line: &str) -> Option<Vec<u8>> {
        let rest = line.strip_prefix("\u{2014} ")?;
        let blob = rest.strip_prefix(self.name.as_str())?.strip_prefix(' ')?;
        let blob = STANDARD.decode(blob).ok()?;
        blob.strip_prefix(&self.id()[..]).map(<[u8]>::to_vec)
    }
}

/// Text with its last newline, and the signature lines.
fn split(note: &str) -> Result<(&str, &str), NoteFault> {
    let form = |why| NoteFault::Form { why };
    if note.chars().any(|c| c.is_control() && c != '\n') {
        return Err(form("it holds control characters"));
    }
    let at = note
        .rfind("\n\n")
        .ok_or(form("no empty line before the signatures"))?;
    let (text, signatures) = (&note[..=at], &note[at + 2..]);
    if !signatures.ends_with('\n') {
        return Err(form("its last line is cut"));
    }
    if !signatures.lines().all(|line| line.starts_with('\u{2014}')) {
        return Err(form("a signature line is malformed"));
    }
    Ok((text, signatures))
}

impl fmt::Display for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = u32::from_be_bytes(self.id());
        let mut key = vec![ED25519_NOTE];
        key.extend(self.key);
        write!(out, "{}+{id:08x}+{}", self.name, STANDARD.encode(key))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PublicKey({})", self.name)
    }
}

impl std::str::FromStr for PublicKey {
    type Err = NoteFault;
    fn from_str(text: &str) -> Result<Self, NoteFault> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteFault::Key);
        };
        let bytes = STANDARD.decode(key).map_err(|_| NoteFault::Key)?;
        let key = bytes.strip_prefix(&[ED25519_NOTE]).ok_or(NoteFault::Key)?;
        let key = key.try_into().map_err(|_| NoteFault::Key)?;
        let name = name.to_owned();
        let parsed = Self { name, key };
        if parsed.to_string() == text && !parsed.name.contains(char::is_whitespace) {
            Ok(parsed)
        } else {
            Err(NoteFault::Key)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_the_reference_implementation_reads_and_verifies() {
        // The example of golang.org/x/mod/sumdb/note.
        let key: PublicKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
            .parse()
            .unwrap();
        let note = "If you think cryptography is the answer to your problem,\n\
            then you don't know what your problem is.\n\n\
            \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        assert_eq!(key.verify(note).unwrap().lines().count(), 2);
        let forged = note.replace("answer", "Answer");
        assert!(matches!(
            key.verify(&forged),
            Err(NoteFault::Signature { .. })
        ));
    }

    #[test]
    fn a_key_signs_for_one_purpose() {
        let ledger = SigningKey::from_seed(&[7; 32]).unwrap();
        let other = SigningKey::named(&[7; 32], "mainstay.other").unwrap();
        let note = other.note("text\n");
        assert_eq!(other.public().verify(&note), Ok("text\n"));
        let renamed = note.replace("mainstay.other", "mainstay.ledger");
        for note in [note, renamed] {
            let verified = ledger.public().verify(&note);
            assert!(matches!(verified, Err(NoteFault::Unsigned { .. })));
        }
        for purpose in ["", "a b", "a+b"] {
            assert!(SigningKey::named(&[7; 32], purpose).is_err(), "{purpose}");
        }
    }

    #[test]
    fn keys_read_back_and_changed_ones_do_not() {
        let key = SigningKey::from_seed(&[7; 32]).unwrap();
        let text = key.public().to_string();
        assert_eq!(text.parse::<PublicKey>().as_ref(), Ok(key.public()));
        assert_eq!(
            text.replace("mainstay", "Mainstay").parse::<PublicKey>(),
            Err(NoteFault::Key)
        );
    }
}
