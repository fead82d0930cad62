//! Which shape the state of an environment has, and how an older shape becomes the present one.
//!
//! `STATE/ENV/schema.json` says it, and which version wrote it; a state without the file is of schema 1.
//! It is looked at before anything else: a state that is newer than this program is left as it is.

use crate::durable;
use crate::state::State;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;

/// The schema that this version writes.
pub const SCHEMA: u32 = 2;

/// Schemas before the file was: their states have none.
const FIRST: u32 = 1;

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Written {
    pub(crate) schema: u32,
    /// The version that wrote it.
    pub(crate) version: String,
}

/// Why a state is not opened.
#[derive(Debug, thiserror::Error)]
pub enum SchemaFault {
    /// A later version wrote it.
    #[error(
        "state is of schema {found}, written by mainstay {by}; this is {own}, which knows up to {SCHEMA}",
        own = env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// Its schema.
        found: u32,
        /// The version that wrote it.
        by: String,
    },
    /// The file is there and says nothing.
    #[error("`{}` cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A migration could not be done; the state is as it was, or as the migration before left it.
    #[error("the state cannot be brought to schema {to}")]
    Migrate {
        /// To which.
        to: u32,
        /// Why.
        source: io::Error,
    },
}

/// One step from a schema to the next: whole or not at all, and harmless when done twice.
struct Migration {
    to: u32,
    run: fn(&State) -> io::Result<()>,
}

/// In order, without a gap.
const MIGRATIONS: &[Migration] = &[
    // The ledger may say `upgrade_begun`, which versions before cannot read; what it says already stands.
    Migration {
        to: 2,
        run: |_| Ok(()),
    },
];

/// The schema of a state; `None` where nothing was begun. A newer one is a fault.
pub fn check(state: &State) -> Result<Option<u32>, SchemaFault> {
    let Some(written) = read(state)? else {
        let begun = state.ledger().join("ledger.db").exists();
        return Ok(begun.then_some(FIRST));
    };
    if written.schema > SCHEMA {
        return Err(SchemaFault::Newer {
            found: written.schema,
            by: written.version,
        });
    }
    Ok(Some(written.schema))
}

/// Brings a state to the present schema; whoever calls holds it against others.
pub(crate) fn settle(state: &State) -> Result<(), SchemaFault> {
    let from = check(state)?;
    let steps = MIGRATIONS
        .iter()
        .filter(|step| from.is_some_and(|from| step.to > from));
    for step in steps {
        let fault = |source| SchemaFault::Migrate {
            to: step.to,
            source,
        };
        (step.run)(state).map_err(fault)?;
        write(state, step.to).map_err(fault)?;
    }
    if from.is_none() {
        write(state, SCHEMA).map_err(|source| SchemaFault::Migrate { to: SCHEMA, source })?;
    }
    Ok(())
}

/// Whether [`settle`] has nothing to do.
pub(crate) fn is_settled(state: &State) -> Result<bool, SchemaFault> {
    let found = check(state)?;
    Ok(found == Some(SCHEMA) && read(state)?.is_some())
}

fn place(state: &State) -> PathBuf {
    state.dir().join("schema.json")
}

fn read(state: &State) -> Result<Option<Written>, SchemaFault> {
    let path = place(state);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(SchemaFault::Read { path, source }),
    };
    let read = serde_json::from_slice(&bytes).map_err(io::Error::from);
    read.map(Some)
        .map_err(|source| SchemaFault::Read { path, source })
}

fn write(state: &State, schema: u32) -> io::Result<()> {
    let written = Written {
        schema,
        version: env!("CARGO_PKG_VERSION").into(),
    };
    durable::write(&place(state), &serde_json::to_vec(&written)?, 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (tempfile::TempDir, State) {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(folder.path(), "default");
        state.create().unwrap();
        (folder, state)
    }

    #[test]
    fn migrations_lead_to_the_present_schema_without_a_gap() {
        let to: Vec<u32> = MIGRATIONS.iter().map(|step| step.to).collect();
        assert_eq!(to, (FIRST + 1..=SCHEMA).collect::<Vec<_>>());
    }

    #[test]
    fn a_fresh_state_is_of_the_present_schema_and_an_old_one_becomes_so() {
        let (_folder, fresh) = state();
        assert_eq!(check(&fresh).unwrap(), None);
        settle(&fresh).unwrap();
        assert_eq!(check(&fresh).unwrap(), Some(SCHEMA));
        let (_folder, old) = state();
        std::fs::write(old.ledger().join("ledger.db"), b"").unwrap();
        assert_eq!(check(&old).unwrap(), Some(FIRST));
        assert!(!is_settled(&old).unwrap());
        for _ in 0..2 {
            settle(&old).unwrap();
            assert!(is_settled(&old).unwrap());
        }
    }

    #[test]
    fn a_newer_state_is_named_and_left() {
        let (_folder, state) = state();
        let text = r#"{"schema":99,"version":"9.1.0"}"#;
        std::fs::write(place(&state), text).unwrap();
        let fault = settle(&state).unwrap_err().to_string();
        assert!(fault.starts_with("state is of schema 99, written by mainstay 9.1.0; this is"));
        assert_eq!(std::fs::read_to_string(place(&state)).unwrap(), text);
        std::fs::write(place(&state), "{").unwrap();
        assert!(matches!(check(&state), Err(SchemaFault::Read { .. })));
    }
}
