//! One store.

use super::Walk;
use super::fields::{Field, Fields};
use super::known::{Facts, Thing};
use crate::key::StoreKeys;
use crate::node::Entry;
use crate::path::Path;
use crate::shape::Keyed as _;
use crate::shape::Shape;
use crate::store::{Postgres, Redis, Store, StoreKind};
use mainstay_atoms::Bytes;
use std::collections::BTreeMap;

/// The keys that say what a store is.
const KINDS: [&str; 4] = ["postgres", "redis", "sqlite", "volume"];

/// Keys that belong to some kinds only.
const OWN: [(&str, &[&str]); 6] = [
    ("memory", &["postgres", "redis"]),
    ("disk", &["postgres"]),
    ("extensions", &["postgres"]),
    ("settings", &["postgres"]),
    ("evict", &["redis"]),
    ("persist", &["redis"]),
];

/// Memory of a store that says nothing.
const MEMORY: Bytes = Bytes(256 << 20);

/// Settings of PostgreSQL that the platform sets itself: addresses, access, and what durability and
/// recovery rest on.
const RESERVED: [&str; 17] = [
    "listen_addresses",
    "port",
    "unix_socket_directories",
    "unix_socket_permissions",
    "data_directory",
    "hba_file",
    "ident_file",
    "config_file",
    "external_pid_file",
    "password_encryption",
    "shared_preload_libraries",
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "logging_collector",
    "log_destination",
    "archive_command",
];

impl Walk<'_> {
    /// Reads one store.
    pub(super) fn store<'t>(
        &mut self,
        entry: &'t Entry,
        path: &Path<'_>,
    ) -> (Facts<'t>, Option<Store>) {
        let facts = Facts::new(entry.key.span, Thing::Store);
        if let Some(scalar) = entry.value.scalar().filter(|_| !entry.value.is_null()) {
            return (facts, self.short_store(entry, &scalar.text, path));
        }
        if entry.value.is_null() {
            let message = "a store needs to say what it is".to_owned();
            self.add("missing_key", entry.key.span, path, message, |fault| {
                fault
                    .label("this store says nothing")
                    .hint("write for example `postgres: 15`")
            });
            return (facts, None);
        }
        let shape = Shape::Map(&StoreKeys::KEYS);
        let store = self
            .fields(&entry.value, entry.key.span, shape, path)
            .and_then(|fields| self.store_of(&fields));
        (facts, store)
    }

    fn short_store(&mut self, entry: &Entry, word: &str, path: &Path<'_>) -> Option<Store> {
        let kind = match word {
            "sqlite" => StoreKind::Sqlite,
            "volume" => StoreKind::Volume,
            _ => {
                let hint = if KINDS.contains(&word) {
                    format!(
                        "say which version: `{{ {word}: {} }}`",
                        if word == "redis" { 7 } else { 15 }
                    )
                } else {
                    self.did_you_mean(word, ["sqlite", "volume"].into_iter())
                        .unwrap_or_else(|| {
                            "write `sqlite`, `volume`, or keys such as `{ postgres: 15 }`".into()
                        })
                };
                let message = "a store is `sqlite`, `volume`, or a map of keys".to_owned();
                self.add("wrong_type", entry.value.span, path, message, |fault| {
                    fault.hint(hint)
                });
                return None;
            }
        };
        Some(Store {
            kind,
            external: None,
        })
    }

    fn store_of(&mut self, fields: &Fields<'_, '_>) -> Option<Store> {
        let kind = self.one_kind(fields);
        let postgres = self.optional(fields, "postgres", Self::whole);
        let redis = self.optional(fields, "redis", Self::whole);
        let sqlite = self.optional(fields, "sqlite", Self::truth);
        let volume = self.optional(fields, "volume", Self::truth);
        let external = self.optional(fields, "external", Self::secret_name);
        let memory = self.optional(fields, "memory", Self::bytes);
        let disk = self.optional(fields, "disk", Self::bytes);
        let extensions = self.optional(fields, "extensions", Self::extensions);
        let settings = self.optional(fields, "settings", Self::settings);
        let evict = self.optional(fields, "evict", Self::word);
        let persist = self.optional(fields, "persist", Self::boolean);
        let kind = kind?;
        self.own_keys(fields, kind);
        let (postgres, redis) = (postgres.ok()?, redis.ok()?);
        sqlite.ok()?;
        volume.ok()?;
        let (memory, disk, extensions) = (memory.ok()?, disk.ok()?, extensions.ok()?);
        let (settings, evict, persist) = (settings.ok()?, evict.ok()?, persist.ok()?);
        let version = |version: Option<u64>| u16::try_from(version.unwrap_or(0)).unwrap_or(0);
        let kind = match kind {
            "postgres" => StoreKind::Postgres(Postgres {
                version: version(postgres),
                memory: memory.unwrap_or(MEMORY),
                disk,
                extensions: extensions.unwrap_or_default(),
                settings: settings.unwrap_or_default(),
            }),
            "redis" => StoreKind::Redis(Redis {
                version: version(redis),
                memory: memory.unwrap_or(MEMORY),
                evict: evict.unwrap_or_else(|| "noeviction".into()),
                persist: persist.unwrap_or(true),
            }),
            "sqlite" => StoreKind::Sqlite,
            _ => StoreKind::Volume,
        };
        Some(Store {
            kind,
            external: external.ok()?,
        })
    }

    /// The one key that says what the store is.
    fn one_kind(&mut self, fields: &Fields<'_, '_>) -> Option<&'static str> {
        let mut given = KINDS.into_iter().filter(|kind| fields.get(kind).is_some());
        let (first, second) = (given.next(), given.next());
        match (first, second) {
            (Some(first), Some(second)) => {
                let field = fields.get(second)?;
                let message =
                    format!("a store is one thing, and this one has both `{first}` and `{second}`");
                self.add(
                    "conflict",
                    field.entry.key.span,
                    &field.path,
                    message,
                    |fault| fault.hint("keep one; an inherited one goes with `null`"),
                );
                None
            }
            (Some(kind), None) => Some(kind),
            (None, _) => {
                if !KINDS.iter().any(|kind| fields.tries(kind)) {
                    let message = "a store needs to say what it is".to_owned();
                    self.add("missing_key", fields.at, fields.path, message, |fault| {
                        fault
                            .label("none of `postgres`, `redis`, `sqlite` and `volume` is here")
                            .hint("add for example `postgres: 15`")
                    });
                }
                None
            }
        }
    }

    /// Keys of another kind of store.
    fn own_keys(&mut self, fields: &Fields<'_, '_>, kind: &str) {
        for (name, kinds) in OWN {
            let Some(field) = fields.get(name).filter(|_| !kinds.contains(&kind)) else {
                continue;
            };
            let message = format!(
                "`{name}` belongs to {} and this store is {kind}",
                kinds.join(" and ")
            );
            self.add(
                "conflict",
                field.entry.key.span,
                &field.path,
                message,
                |fault| fault.hint("take the line away"),
            );
        }
    }

    fn settings(&mut self, field: &Field<'_, '_>) -> Option<BTreeMap<String, String>> {
        let map = self.named(field)?;
        let mut settings = Some(BTreeMap::new());
        for entry in map.named() {
            let path = field.path.key(&entry.key.text);
            let name = self.setting_name(entry, &path);
            let value = self.variable_value(entry, &field.path, &path);
            match (name, value, &mut settings) {
                (Some(()), Some(value), Some(all)) => {
                    all.insert(entry.key.text.clone(), value.to_owned());
                }
                _ => settings = None,
            }
        }
        settings
    }

    fn setting_name(&mut self, entry: &Entry, path: &Path<'_>) -> Option<()> {
        let text = entry.key.text.as_str();
        let fits = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.');
        let (code, message, hint) = if !fits {
            let made = text.to_ascii_lowercase();
            (
                "invalid_name",
                "it cannot be the name of a setting",
                format!(
                    "write it in small letters, such as `{}`",
                    crate::nearest::short(&made)
                ),
            )
        } else if RESERVED.contains(&text) {
            (
                "reserved_name",
                "the platform sets this itself",
                "take the line away".to_owned(),
            )
        } else {
            return Some(());
        };
        let message = format!("`{}`: {message}", crate::nearest::short(text));
        self.add(code, entry.key.span, path, message, |fault| {
            fault.hint(hint)
        });
        None
    }
}
