//! `queue`: what waits for a service, in a store that it needs.

use super::Walk;
use super::fields::{Field, Fields};
use super::known::Facts;
use crate::nearest::{listed, short};
use crate::node::Span;
use crate::path::Path;
use crate::scale::{Queue, Waiting};
use crate::store::StoreKind;
use mainstay_atoms::ServiceName;

/// Longest key or query, in bytes.
const LONGEST: usize = 4096;

/// Where something is said, for what is wrong about it.
#[derive(Clone, Copy)]
struct Place<'p> {
    at: Span,
    path: &'p Path<'p>,
}

impl Walk<'_> {
    /// What waits, and how much of it one instance is to have.
    pub(super) fn queue(
        &mut self,
        field: &Field<'_, '_>,
        per: Option<u64>,
        facts: &Facts<'_>,
    ) -> Option<Queue> {
        let (store, waiting) = if field.value().scalar().is_some() {
            self.queue_by_key(field, facts)?
        } else {
            let at = field.entry.key.span;
            let fields = self.fields(field.value(), at, field.key.shape, &field.path)?;
            self.queue_of(&fields, facts)?
        };
        Some(Queue {
            store,
            waiting,
            per: per?,
        })
    }

    /// `cache.orders`, or `orders` where only one Redis is needed.
    fn queue_by_key(
        &mut self,
        field: &Field<'_, '_>,
        facts: &Facts<'_>,
    ) -> Option<(ServiceName, Waiting)> {
        let text = &self.scalar(field)?.text;
        let at = field.value().span;
        let place = Place {
            at,
            path: &field.path,
        };
        if text.is_empty() || text.len() > LONGEST || text.contains(char::is_whitespace) {
            self.wrong_type(field, field.value(), None);
            return None;
        }
        let Some((store, key)) = text.split_once('.') else {
            let store = self.only_redis(text, place, facts)?;
            return Some((store, Waiting::Key(text.clone())));
        };
        if key.is_empty() {
            self.wrong_type(field, field.value(), None);
            return None;
        }
        let store = self.queue_store(store, place, facts, false)?;
        Some((store, Waiting::Key(key.to_owned())))
    }

    fn queue_of(
        &mut self,
        fields: &Fields<'_, '_>,
        facts: &Facts<'_>,
    ) -> Option<(ServiceName, Waiting)> {
        let key = self.optional(fields, "key", Self::queue_text);
        let query = self.optional(fields, "query", Self::queue_text);
        self.missing(fields, "of", "name the store: `of: cache`");
        let (key, query) = (key.ok()?, query.ok()?);
        let waiting = match (key, query) {
            (Some(key), None) => Some(Waiting::Key(key)),
            (None, Some(query)) => Some(Waiting::Query(query)),
            (Some(_), Some(_)) => {
                let message = "a queue is either a `key` or a `query`".to_owned();
                self.add("conflict", fields.at, fields.path, message, |fault| {
                    fault.hint("take one of the two away")
                });
                None
            }
            (None, None) => {
                let message = "a queue needs `key` or `query`".to_owned();
                self.add("missing_key", fields.at, fields.path, message, |fault| {
                    fault.hint(
                        "name what waits: `key: orders` in Redis, or `query: \"SELECT count(*) …\"` in PostgreSQL",
                    )
                });
                None
            }
        };
        let field = fields.get("of")?;
        let name = &self.scalar(&field)?.text;
        let waiting = waiting?;
        let place = Place {
            at: field.value().span,
            path: &field.path,
        };
        let queried = matches!(waiting, Waiting::Query(_));
        let store = self.queue_store(name, place, facts, queried)?;
        Some((store, waiting))
    }

    fn queue_text(&mut self, field: &Field<'_, '_>) -> Option<String> {
        let text = self.scalar(field)?.text.trim();
        if !text.is_empty() && text.len() <= LONGEST {
            return Some(text.to_owned());
        }
        self.wrong_type(field, field.value(), None);
        None
    }

    /// The Redis that a bare key is meant of.
    fn only_redis(
        &mut self,
        key: &str,
        place: Place<'_>,
        facts: &Facts<'_>,
    ) -> Option<ServiceName> {
        let needs = facts.needs.iter().map(|(name, _)| *name);
        // One with mistakes of its own may be the one that is meant.
        if needs.clone().any(|name| self.unread.contains(name)) {
            return None;
        }
        let kind = |name: &&str| self.stores.get(*name).map(|store| &store.kind);
        let redis: Vec<&str> = needs
            .filter(|name| matches!(kind(name), Some(StoreKind::Redis(_))))
            .collect();
        if let [one] = redis.as_slice() {
            return ServiceName::new(*one).ok();
        }
        let key = short(key);
        let (message, hint) = match redis.first() {
            None => (
                format!("no Redis is among `needs`, so nobody knows where `{key}` is"),
                "add the store to `needs`; of PostgreSQL, write `queue: { of: db, query: \"SELECT count(*) …\" }`"
                    .to_owned(),
            ),
            Some(first) => (
                format!("`{key}` may be of {}", listed(redis.iter().copied())),
                format!("name the store too: `queue: {first}.{key}`"),
            ),
        };
        self.add("unknown_name", place.at, place.path, message, |fault| {
            fault.hint(hint)
        });
        None
    }

    /// A store that is needed, and can be asked in this way.
    fn queue_store(
        &mut self,
        name: &str,
        place: Place<'_>,
        facts: &Facts<'_>,
        queried: bool,
    ) -> Option<ServiceName> {
        let Place { at, path } = place;
        if !facts.needs.iter().any(|(needed, _)| *needed == name) {
            let needed = facts.needs.iter().map(|(name, _)| *name);
            let hint = self
                .did_you_mean(name, needed)
                .unwrap_or_else(|| format!("add it: `needs: [{}]`", short(name)));
            let message = format!("`{}` is not among `needs`", short(name));
            self.add("unknown_name", at, path, message, |fault| fault.hint(hint));
            return None;
        }
        if self.unread.contains(name) {
            return None;
        }
        let kind = self.stores.get(name).map(|store| &store.kind);
        let fits = match kind {
            Some(StoreKind::Redis(_)) => !queried,
            Some(StoreKind::Postgres(_)) => queried,
            _ => false,
        };
        if fits {
            return ServiceName::new(name).ok();
        }
        let name = short(name);
        let (message, hint) = match kind.map(StoreKind::word) {
            Some("redis") => (
                format!("`{name}` is a Redis, which answers no queries"),
                format!("name the key of a list or stream: `queue: {name}.orders`"),
            ),
            Some("postgres") => (
                format!("`{name}` is a PostgreSQL, which has no keys"),
                format!(
                    "count with a query: `queue: {{ of: {name}, query: \"SELECT count(*) …\" }}`"
                ),
            ),
            Some(word) => (
                format!("`{name}` is a {word}, in which no queue can be counted"),
                "a queue is in a Redis or a PostgreSQL".to_owned(),
            ),
            None => (
                format!("`{name}` is no store"),
                "a queue is in a store that the service needs".to_owned(),
            ),
        };
        self.add("wrong_reference", at, path, message, |fault| {
            fault.hint(hint)
        });
        None
    }
}
