//! The signed statement of a log's size and root.

use crate::Timeline;
use crate::note::{NoteFault, PublicKey, SigningKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_atoms::{Digest, Wall};

/// Size, root and time of a log. As text (<https://c2sp.org/tlog-checkpoint>): origin, size, base64 of
/// the root, and one extension line `at MILLISECONDS`, signed as a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which life of the log: part of the origin.
    pub timeline: Timeline,
    /// How many entries.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Digest,
    /// When it was signed.
    pub at: Wall,
}

/// Why a text is no checkpoint of this log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointFault {
    /// The note around it does not hold.
    #[error("the signed note does not hold")]
    Note(#[source] NoteFault),
    /// Signed, but not in the form of a checkpoint of this log.
    #[error("the checkpoint's {field} is malformed")]
    Form {
        /// The line that is.
        field: &'static str,
    },
}

impl Checkpoint {
    /// The signed text.
    pub fn sign(&self, key: &SigningKey) -> String {
        let root = STANDARD.encode(self.root.0);
        let origin = self.timeline.origin(key.public().base());
        let text = format!("{origin}\n{}\n{root}\nat {}\n", self.size, self.at.0);
        key.sign(self.timeline, &text)
    }

    /// Reads a checkpoint of any timeline whose signature by this key holds.
    pub fn verify(note: &str, key: &PublicKey) -> Result<Self, CheckpointFault> {
        let (_, timeline) = Timeline::split(note.lines().next().unwrap_or_default());
        let key = key.on(timeline);
        let text = key.verify(note).map_err(CheckpointFault::Note)?;
        let form = |field| CheckpointFault::Form { field };
        let lines: Vec<&str> = text.lines().collect();
        let &[origin, size, root, at] = lines.as_slice() else {
            return Err(form("number of lines"));
        };
        if origin != key.name() {
            return Err(form("origin"));
        }
        let root = STANDARD.decode(root).ok();
        let root = root.and_then(|bytes| bytes.try_into().ok());
        let at = at.strip_prefix("at ").and_then(number);
        Ok(Self {
            timeline,
            size: number(size).ok_or(form("size"))?,
            root: Digest(root.ok_or(form("root"))?),
            at: Wall(at.ok_or(form("time"))?),
        })
    }
}

/// A decimal without sign or leading zeros, as the format has it.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> (SigningKey, Checkpoint, String) {
        let key = SigningKey::from_seed(&[3; 32]).unwrap();
        let checkpoint = Checkpoint {
            timeline: Timeline::FIRST,
            size: 42,
            root: Digest::of(b"root"),
            at: Wall(1_700_000_000_000),
        };
        let text = checkpoint.sign(&key);
        (key, checkpoint, text)
    }

    #[test]
    fn checkpoints_read_back() {
        let (key, checkpoint, text) = signed();
        assert_eq!(Checkpoint::verify(&text, key.public()), Ok(checkpoint));
        assert!(text.starts_with("mainstay.ledger/"), "{text}");
    }

    #[test]
    fn another_timeline_is_another_origin_of_the_same_key() {
        let (key, first, text) = signed();
        let timeline = Timeline(2);
        let later = Checkpoint { timeline, ..first };
        let resumed = later.sign(&key);
        assert_eq!(Checkpoint::verify(&resumed, key.public()), Ok(later));
        assert_eq!(
            Checkpoint::verify(&text, &key.public().on(timeline)),
            Ok(first)
        );
        let origin = resumed.lines().next().unwrap();
        assert_eq!(origin, format!("{}/timeline-2", key.public().name()));
        // A signature for one timeline is none for the other.
        let moved = resumed.replace("/timeline-2", "");
        assert!(Checkpoint::verify(&moved, key.public()).is_err());
    }

    #[test]
    fn no_changed_byte_passes() {
        let (key, _, text) = signed();
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let Ok(changed) = String::from_utf8(bytes) else {
                    continue;
                };
                assert!(
                    Checkpoint::verify(&changed, key.public()).is_err(),
                    "byte {at}"
                );
            }
        }
    }

    #[test]
    fn another_logs_checkpoint_is_refused() {
        let (_, checkpoint, text) = signed();
        let other = SigningKey::from_seed(&[4; 32]).unwrap();
        assert!(matches!(
            Checkpoint::verify(&text, other.public()),
            Err(CheckpointFault::Note(NoteFault::Unsigned { .. }))
        ));
        let renamed = text.replace("42", "41");
        assert!(Checkpoint::verify(&renamed, other.public()).is_err());
        assert_ne!(checkpoint.sign(&other), text);
    }
}
