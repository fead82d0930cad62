//! One entry and its stored bytes.
//!
//! Layout, numbers big-endian: version `1` (1 byte) · index (8) · at in ms (8) · epoch (8) ·
//! has generation 0 or 1 (1) · generation (8) · kind code (2) · name length (1) and name ·
//! actor length (2) and actor · idempotency key (16) · payload length (2) and payload · end.

use mainstay_atoms::{Actor, Epoch, Generation, Wall};
use std::borrow::Cow;

/// Most bytes of one stored entry: what the two-byte length of a C2SP entry bundle can say.
pub const ENTRY_LIMIT: usize = 65_535;

/// Names the one action that an entry records; a repeated request carries the same.
pub type IdempotencyKey = [u8; 16];

const VERSION: u8 = 1;
const NAME_LIMIT: usize = 64;

/// What an entry is about; the meaning belongs to the caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kind {
    code: u16,
    name: Cow<'static, str>,
}

/// Why a name cannot be a kind's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a kind's name is 1 to 64 lower-case letters, digits, `_`, `-` or `.`")]
pub struct KindFault;

impl Kind {
    /// A kind with its stable code and name, such as `(7, "step.outcome")`.
    pub fn new(code: u16, name: impl Into<Cow<'static, str>>) -> Result<Self, KindFault> {
        let name = name.into();
        let fits =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.".contains(&byte);
        if name.is_empty() || name.len() > NAME_LIMIT || !name.bytes().all(fits) {
            return Err(KindFault);
        }
        Ok(Self { code, name })
    }

    /// The number that programs match on.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The name that people read, and that a reader without our tables can still show.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// One recorded fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the log, from 0.
    pub index: u64,
    /// When, on the recorder's civil clock.
    pub at: Wall,
    /// The control plane that recorded it.
    pub epoch: Epoch,
    /// The step it belongs to, where there is one.
    pub generation: Option<Generation>,
    /// Who acted.
    pub actor: Actor,
    /// What it is about.
    pub kind: Kind,
    /// Equal for every repetition of the same request.
    pub key: IdempotencyKey,
    /// The caller's bytes, JSON by convention.
    pub payload: Vec<u8>,
}

/// Why bytes are not an entry, or an entry cannot be bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// Written by a version that this one does not know.
    #[error("entry version {found} is not known; this build reads version 1")]
    Version {
        /// The version byte.
        found: u8,
    },
    /// The bytes end early.
    #[error("the entry ends within its {field}")]
    Short {
        /// The field that is cut.
        field: &'static str,
    },
    /// Bytes follow the end.
    #[error("{extra} bytes follow the entry's end")]
    Long {
        /// How many.
        extra: usize,
    },
    /// A field holds what it cannot.
    #[error("the entry's {field} is malformed")]
    Field {
        /// The field.
        field: &'static str,
    },
    /// More than fits.
    #[error("an entry has at most {limit} bytes, found {found}")]
    Size {
        /// The most that is allowed.
        limit: usize,
        /// What it would be.
        found: usize,
    },
}

impl Entry {
    /// The bytes to store and to hash; at most [`ENTRY_LIMIT`].
    pub fn encode(&self) -> Result<Vec<u8>, EntryFault> {
        let name = self.kind.name.as_bytes();
        let actor = self.actor.0.as_bytes();
        let size = 57 + name.len() + actor.len() + self.payload.len();
        if size > ENTRY_LIMIT {
            return Err(EntryFault::Size {
                limit: ENTRY_LIMIT,
                found: size,
            });
        }
        let mut bytes = Vec::with_capacity(size);
        bytes.push(VERSION);
        bytes.extend(self.index.to_be_bytes());
        bytes.extend(self.at.0.to_be_bytes());
        bytes.extend(self.epoch.0.to_be_bytes());
        bytes.push(u8::from(self.generation.is_some()));
        bytes.extend(self.generation.unwrap_or_default().0.to_be_bytes());
        bytes.extend(self.kind.code.to_be_bytes());
        bytes.push(u8::try_from(name.len()).expect("a kind's name has at most 64 bytes"));
        bytes.extend(name);
        extend_prefixed(&mut bytes, actor);
        bytes.extend(self.key);
        extend_prefixed(&mut bytes, &self.payload);
        Ok(bytes)
    }

    /// Writes the index into bytes made by [`Entry::encode`], so that a writer can number entries that
    /// others encoded.
    pub fn assign_index(bytes: &mut [u8], index: u64) {
        bytes[1..9].copy_from_slice(&index.to_be_bytes());
    }

    /// Reads stored bytes; whatever they hold, the answer is an entry or a typed fault. Every entry has
    /// exactly one encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryFault> {
        if bytes.len() > ENTRY_LIMIT {
            return Err(EntryFault::Size {
                limit: ENTRY_LIMIT,
                found: bytes.len(),
            });
        }
        let mut rest = Rest(bytes);
        let [version] = rest.array("version")?;
        if version != VERSION {
            return Err(EntryFault::Version { found: version });
        }
        let index = rest.number("index")?;
        let at = Wall(rest.number("time")?);
        let epoch = Epoch(rest.number("epoch")?);
        let generation = rest.generation()?;
        let kind = rest.kind()?;
        let actor = Actor(rest.actor()?);
        let key = rest.array("key")?;
        let payload = rest.prefixed("payload")?.to_vec();
        if !rest.0.is_empty() {
            return Err(EntryFault::Long {
                extra: rest.0.len(),
            });
        }
        Ok(Self {
            index,
            at,
            epoch,
            generation,
            actor,
            kind,
            key,
            payload,
        })
    }
}

fn extend_prefixed(bytes: &mut Vec<u8>, field: &[u8]) {
    let length = u16::try_from(field.len()).expect("the whole entry fits two bytes of length");
    bytes.extend(length.to_be_bytes());
    bytes.extend(field);
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], EntryFault> {
        let (head, tail) = self
            .0
            .split_at_checked(count)
            .ok_or(EntryFault::Short { field })?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], EntryFault> {
        let bytes = self.take(N, field)?;
        Ok(bytes.try_into().expect("exactly N bytes were taken"))
    }

    fn number(&mut self, field: &'static str) -> Result<u64, EntryFault> {
        Ok(u64::from_be_bytes(self.array(field)?))
    }

    fn prefixed(&mut self, field: &'static str) -> Result<&'a [u8], EntryFault> {
        let length = u16::from_be_bytes(self.array(field)?);
        self.take(usize::from(length), field)
    }

    fn generation(&mut self) -> Result<Option<Generation>, EntryFault> {
        let [present] = self.array("generation")?;
        match (present, self.number("generation")?) {
            (0, 0) => Ok(None),
            (1, number) => Ok(Some(Generation(number))),
            _ => Err(EntryFault::Field {
                field: "generation",
            }),
        }
    }

    fn kind(&mut self) -> Result<Kind, EntryFault> {
        let fault = EntryFault::Field { field: "kind" };
        let code = u16::from_be_bytes(self.array("kind")?);
        let [length] = self.array("kind")?;
        let name = self.take(usize::from(length), "kind")?;
        let name = std::str::from_utf8(name).map_err(|_| fault.clone())?;
        Kind::new(code, name.to_owned()).map_err(|_| fault)
    }

    fn actor(&mut self) -> Result<String, EntryFault> {
        let bytes = self.prefixed("actor")?.to_vec();
        String::from_utf8(bytes).map_err(|_| EntryFault::Field { field: "actor" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(payload: Vec<u8>, actor: String, generation: Option<u64>) -> Entry {
        Entry {
            index: 7,
            at: Wall(1_700_000_000_000),
            epoch: Epoch(3),
            generation: generation.map(Generation),
            actor: Actor(actor),
            kind: Kind::new(9, "step.outcome").unwrap(),
            key: [5; 16],
            payload,
        }
    }

    proptest! {
        #[test]
        fn entries_read_back(payload: Vec<u8>, actor: String, generation: Option<u64>) {
            let entry = entry(payload, actor, generation);
            prop_assert_eq!(Entry::decode(&entry.encode().unwrap()), Ok(entry));
        }

        #[test]
        fn hostile_bytes_give_a_fault_or_their_only_entry(bytes: Vec<u8>, cut: usize, at: usize, flip: u8) {
            let mut stored = entry(bytes.clone(), "ann".into(), Some(1)).encode().unwrap();
            prop_assert!(Entry::decode(&stored[..cut % stored.len()]).is_err());
            let at = at % stored.len();
            stored[at] ^= flip;
            for hostile in [bytes, stored] {
                if let Ok(entry) = Entry::decode(&hostile) {
                    prop_assert_eq!(entry.encode(), Ok(hostile));
                }
            }
        }
    }

    #[test]
    fn the_layout_is_frozen() {
        let bytes = entry(b"{}".to_vec(), "ann".into(), None).encode().unwrap();
        let text: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            text.concat(),
            "0100000000000000070000018bcfe568000000000000000003000000000000000000\
             00090c737465702e6f7574636f6d650003616e6e050505050505050505050505050505050002\
             7b7d"
                .replace(' ', "")
        );
    }

    #[test]
    fn the_largest_entry_fits_and_one_byte_more_does_not() {
        let room = ENTRY_LIMIT - 57 - "step.outcome".len() - "ann".len();
        let largest = entry(vec![0; room], "ann".into(), None);
        assert_eq!(largest.encode().unwrap().len(), ENTRY_LIMIT);
        let larger = entry(vec![0; room + 1], "ann".into(), None);
        assert!(matches!(larger.encode(), Err(EntryFault::Size { found, .. }) if found == 65_536));
    }

    #[test]
    fn an_index_can_be_assigned_afterwards() {
        let mut entry = entry(b"{}".to_vec(), "ann".into(), Some(1));
        let mut bytes = entry.encode().unwrap();
        Entry::assign_index(&mut bytes, u64::MAX - 1);
        entry.index = u64::MAX - 1;
        assert_eq!(Entry::decode(&bytes), Ok(entry));
    }

    #[test]
    fn names_of_kinds_cannot_forge_lines() {
        for bad in ["", "Step", "a b", "a\n", &"a".repeat(65)] {
            assert!(Kind::new(1, bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
