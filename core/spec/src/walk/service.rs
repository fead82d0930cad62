//! One service.

use super::fields::{Field, Fields};
use super::{Reported, Walk};
use crate::key::ServiceKeys;
use crate::nearest::short;
use crate::node::{Entry, Node, Span};
use crate::path::Path;
use crate::platform::Service;
use crate::shape::Shaped;
use mainstay_atoms::{ServiceName, Size, Stop};
use std::collections::BTreeMap;

/// What references to a service need to know of it.
pub(super) struct Facts<'t> {
    /// Its key.
    pub(super) at: Span,
    /// Whether it has a port or tries to.
    pub(super) port: bool,
    /// What it needs, with the place of each name.
    pub(super) needs: Vec<(&'t str, Span)>,
}

/// Services by name, those with mistakes too, so that references to them are no second mistake.
pub(super) struct Known<'t> {
    /// Whether the services could be read at all.
    pub(super) readable: bool,
    by_name: BTreeMap<&'t str, Facts<'t>>,
}

impl<'t> Known<'t> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            readable: false,
            by_name: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, name: &'t str, facts: Facts<'t>) {
        self.by_name.insert(name, facts);
    }

    pub(super) fn get(&self, name: &str) -> Option<&Facts<'t>> {
        self.by_name.get(name)
    }

    /// The name as the tree holds it, with its facts.
    pub(super) fn entry(&self, name: &str) -> Option<(&'t str, &Facts<'t>)> {
        self.by_name
            .get_key_value(name)
            .map(|(name, facts)| (*name, facts))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'t str> {
        self.by_name.keys().copied()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&'t str, &Facts<'t>)> {
        self.by_name.iter().map(|(name, facts)| (*name, facts))
    }
}

impl Walk<'_> {
    /// Reads one service.
    pub(super) fn service<'t>(
        &mut self,
        entry: &'t Entry,
        path: &Path<'_>,
    ) -> (Facts<'t>, Option<Service>) {
        let mut facts = Facts {
            at: entry.key.span,
            port: true,
            needs: Vec::new(),
        };
        if entry.value.is_null() {
            self.no_service(entry, path);
            return (facts, None);
        }
        let Some(fields) = self.fields(&entry.value, entry.key.span, ServiceKeys::SHAPE, path)
        else {
            return (facts, None);
        };
        facts.port = fields.tries("port") || self.is_incomplete(path.name());
        if let Some(field) = fields.get("needs") {
            facts.needs = self.names(&field);
        }
        let service = self.service_of(&fields, &facts);
        (facts, service)
    }

    fn no_service(&mut self, entry: &Entry, path: &Path<'_>) {
        let message = "a service needs `run`".to_owned();
        self.add("missing_key", entry.key.span, path, message, |fault| {
            fault
                .label("this service says nothing")
                .hint("name its program: `run: ./bin/web`")
        });
    }

    /// Every key is read, so that every mistake is found, before any missing one ends it.
    fn service_of(&mut self, fields: &Fields<'_, '_>, facts: &Facts<'_>) -> Option<Service> {
        let build = self.optional(fields, "build", Self::words);
        let program = self.program(fields);
        let port = self.optional(fields, "port", Self::port);
        let health = self.health(fields);
        let ready = self.ready(fields);
        let replicas = self.optional(fields, "replicas", Self::whole);
        let size = self.optional(fields, "size", Self::size);
        let env = self.env(fields, facts);
        let stop = self.optional(fields, "stop", Self::stop);
        // Unknown where it is wrong, so that nothing is judged by a count that nobody wrote.
        let count = replicas.ok();
        let count = count.map(|count| count.map_or(1, |count| u32::try_from(count).unwrap_or(1)));
        let deploy = self.deploy(fields, count);
        self.extends(fields);
        let (run, artifact) = program?;
        let needs = facts
            .needs
            .iter()
            .map(|(name, _)| ServiceName::new(*name).ok());
        Some(Service {
            build: build.ok()?,
            run,
            artifact,
            port: port.ok()?,
            needs: needs.collect::<Option<_>>()?,
            health: health.ok()?,
            ready: ready.ok()?,
            replicas: count?,
            size: size.ok()?.unwrap_or_default(),
            env: env?,
            stop: stop.ok()?.unwrap_or_default(),
            deploy: deploy?,
        })
    }

    /// A key that may be absent; an error when it was wrong.
    pub(super) fn optional<'t, T>(
        &mut self,
        fields: &Fields<'t, '_>,
        name: &str,
        read: impl FnOnce(&mut Self, &Field<'t, '_>) -> Option<T>,
    ) -> Result<Option<T>, Reported> {
        match fields.get(name) {
            None => Ok(None),
            Some(field) => read(self, &field).map(Some).ok_or(Reported),
        }
    }

    fn port(&mut self, field: &Field<'_, '_>) -> Option<u16> {
        u16::try_from(self.whole(field)?).ok()
    }

    /// `extends` was followed before; only its type is left to judge.
    fn extends(&mut self, fields: &Fields<'_, '_>) {
        if let Some(field) = fields.get("extends") {
            self.scalar(&field);
        }
    }

    /// A list of names, as it stands.
    fn names<'t>(&mut self, field: &Field<'t, '_>) -> Vec<(&'t str, Span)> {
        let crate::node::Content::List(items) = &field.value().content else {
            let text = field.value().scalar().map(|scalar| short(&scalar.text));
            let hint = text.map(|text| format!("write a list: `{}: [{text}]`", field.key.name));
            self.wrong_type(field, field.value(), hint);
            return Vec::new();
        };
        let mut names = Vec::with_capacity(items.len());
        for item in items {
            match item.scalar().filter(|_| !item.is_null()) {
                Some(scalar) => names.push((scalar.text.as_str(), item.span)),
                None => self.wrong_type(field, item, None),
            }
        }
        names
    }

    fn size(&mut self, field: &Field<'_, '_>) -> Option<Size> {
        let fields = self.fields(
            field.value(),
            field.entry.key.span,
            field.key.shape,
            &field.path,
        )?;
        let cpu = self.optional(&fields, "cpu", Self::cores);
        let memory = self.optional(&fields, "memory", Self::memory);
        let processes = self.optional(&fields, "processes", Self::whole);
        let files = self.optional(&fields, "files", Self::whole);
        let small = |count: Option<u64>| count.and_then(|count| u32::try_from(count).ok());
        Some(Size {
            cpu: cpu.ok()?,
            memory: memory.ok()?,
            processes: small(processes.ok()?),
            files: small(files.ok()?),
        })
    }

    fn stop(&mut self, field: &Field<'_, '_>) -> Option<Stop> {
        let fields = self.fields(
            field.value(),
            field.entry.key.span,
            field.key.shape,
            &field.path,
        )?;
        let signal = self.optional(&fields, "signal", Self::signal);
        let grace = self.optional(&fields, "grace", Self::duration);
        let drain = self.optional(&fields, "drain", Self::duration);
        let streams = self.optional(&fields, "streams", Self::duration);
        let default = Stop::default();
        Some(Stop {
            signal: signal.ok()?.unwrap_or(default.signal),
            grace: grace.ok()?.unwrap_or(default.grace),
            drain: drain.ok()?.unwrap_or(default.drain),
            streams: streams.ok()?.unwrap_or(default.streams),
        })
    }

    fn env(
        &mut self,
        fields: &Fields<'_, '_>,
        facts: &Facts<'_>,
    ) -> Option<BTreeMap<String, String>> {
        let Some(field) = fields.get("env") else {
            return Some(BTreeMap::new());
        };
        let map = self.named(&field)?;
        let mut env = Some(BTreeMap::new());
        for entry in map.named() {
            let path = field.path.key(&entry.key.text);
            let name = self.variable_name(entry, &path, facts);
            let value = self.variable_value(entry, &field.path, &path);
            match (name, value, &mut env) {
                (Some(()), Some(value), Some(all)) => {
                    all.insert(entry.key.text.clone(), value.to_owned());
                }
                _ => env = None,
            }
        }
        env
    }

    /// The name of a variable (POSIX: letters, digits, underscores), which nobody else sets.
    fn variable_name(&mut self, entry: &Entry, path: &Path<'_>, facts: &Facts<'_>) -> Option<()> {
        let text = entry.key.text.as_str();
        let (code, message, hint) = if !is_variable(text) {
            let message = format!("`{}` cannot be the name of a variable", short(text));
            let hint = made_variable(text).map_or_else(
                || "use letters, digits and underscores, no digit first".to_owned(),
                |made| format!("did you mean `{made}`?"),
            );
            ("invalid_name", message, hint)
        } else if text == "PORT" || text.starts_with("MAINSTAY_") {
            let message = format!("`{}` is set by mainstay", short(text));
            let hint = "take the line away; each instance is told its own `PORT` and `MAINSTAY_*`";
            ("reserved_name", message, hint.to_owned())
        } else if let Some((needed, at)) = injected(text, facts) {
            let line = self.line(at, entry.key.span);
            let message = format!("`{}` is set by `needs: [{}]`", short(text), short(needed));
            let hint = format!(
                "take the line away, or take `{}` out of `needs` ({line})",
                short(needed)
            );
            ("reserved_name", message, hint)
        } else {
            return Some(());
        };
        self.add(code, entry.key.span, path, message, |fault| {
            fault.hint(hint)
        });
        None
    }

    /// The value of a variable, exactly as it is written.
    fn variable_value<'t>(
        &mut self,
        entry: &'t Entry,
        around: &Path<'_>,
        path: &Path<'_>,
    ) -> Option<&'t str> {
        if entry.value.is_null() {
            let name = short(&entry.key.text);
            let message = format!("`{name}` has no value");
            self.add(
                "no_value",
                entry.key.span,
                &around.key(&entry.key.text),
                message,
                |fault| fault.hint(format!("write `{name}: \"\"` for an empty text")),
            );
            return None;
        }
        let Some(scalar) = entry.value.scalar() else {
            self.not_text(entry, path);
            return None;
        };
        self.without_zero(&scalar.text, &entry.value, path)
            .then_some(&scalar.text)
    }

    fn not_text(&mut self, entry: &Entry, path: &Path<'_>) {
        let node: &Node = &entry.value;
        let message = format!(
            "`{}` takes a text, a number or a truth value",
            short(&entry.key.text)
        );
        self.add("wrong_type", entry.key.span, path, message, |fault| {
            fault
                .label(format!("its value is {}", node.kind()))
                .hint("put the value into quotes")
        });
    }
}

/// Which needed service sets this variable, and where it is needed.
fn injected<'t>(variable: &str, facts: &Facts<'t>) -> Option<(&'t str, Span)> {
    let (stem, _) = ["_URL", "_HOST", "_PORT"]
        .iter()
        .find_map(|end| variable.strip_suffix(end).map(|stem| (stem, end)))?;
    facts
        .needs
        .iter()
        .copied()
        .find(|(name, _)| ServiceName::new(*name).is_ok_and(|name| name.variable() == stem))
}

fn is_variable(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn made_variable(text: &str) -> Option<String> {
    let made: String = text
        .trim()
        .chars()
        .take(60)
        .map(|found| {
            if found.is_ascii_alphanumeric() {
                found
            } else {
                '_'
            }
        })
        .collect();
    is_variable(&made).then_some(made)
}
