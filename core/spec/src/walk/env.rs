//! `env` and `inject`: what a process is told.

use super::Walk;
use super::fields::Fields;
use super::known::Facts;
use crate::nearest::{listed, short};
use crate::node::{Entry, Node, Span};
use crate::path::Path;
use crate::platform::Injection;
use mainstay_atoms::ServiceName;
use std::collections::BTreeMap;

impl Walk<'_> {
    /// `inject`: variables under names that the file chooses.
    pub(super) fn inject(
        &mut self,
        fields: &Fields<'_, '_>,
        facts: &Facts<'_>,
    ) -> Option<BTreeMap<String, Injection>> {
        let Some(field) = fields.get("inject") else {
            return Some(BTreeMap::new());
        };
        let map = self.named(&field)?;
        let mut inject = Some(BTreeMap::new());
        for entry in map.named() {
            let path = field.path.key(&entry.key.text);
            let name = self.own_name(entry, &path);
            let value = self.variable_value(entry, &field.path, &path);
            let value = value.and_then(|value| self.injection(value, entry, &path, facts));
            match (name, value, &mut inject) {
                (Some(()), Some(value), Some(all)) => {
                    all.insert(entry.key.text.clone(), value);
                }
                _ => inject = None,
            }
        }
        inject
    }

    /// What a store tells those who need it; none: no store, or one with mistakes of its own.
    fn variables(&self, store: &str) -> Option<Vec<String>> {
        let name = ServiceName::new(store).ok()?;
        Some(self.stores.get(store)?.variables(&name))
    }

    /// `db.DATABASE_URL`: a store that is needed, and one of its variables.
    fn injection(
        &mut self,
        text: &str,
        entry: &Entry,
        path: &Path<'_>,
        facts: &Facts<'_>,
    ) -> Option<Injection> {
        let at = entry.value.span;
        let parts = text.split_once('.');
        let named =
            parts.and_then(|(store, variable)| Some((ServiceName::new(store).ok()?, variable)));
        let Some((store, variable)) = named else {
            let message = format!(
                "`{}` takes a store and its variable",
                short(&entry.key.text)
            );
            self.add("wrong_type", at, path, message, |fault| {
                fault.hint("write for example `db.DATABASE_URL`")
            });
            return None;
        };
        if !facts.needs.iter().any(|(name, _)| *name == store.as_str()) {
            let needed = facts.needs.iter().map(|(name, _)| *name);
            let hint = self
                .did_you_mean(store.as_str(), needed)
                .unwrap_or_else(|| format!("add it: `needs: [{}]`", short(store.as_str())));
            let message = format!("`{}` is not among `needs`", short(store.as_str()));
            self.add("unknown_name", at, path, message, |fault| fault.hint(hint));
            return None;
        }
        let Some(variables) = self.variables(store.as_str()) else {
            // No store, or one with mistakes of its own.
            return self.no_store_to_inject(&store, at, path);
        };
        if !variables.iter().any(|known| known == variable) {
            let names = || variables.iter().map(String::as_str);
            let hint = self
                .did_you_mean(variable, names())
                .unwrap_or_else(|| format!("it tells {}", listed(names())));
            let message = format!("`{store}` tells nothing called `{}`", short(variable));
            self.add("unknown_name", at, path, message, |fault| fault.hint(hint));
            return None;
        }
        Some(Injection {
            store,
            variable: variable.to_owned(),
        })
    }

    fn no_store_to_inject(
        &mut self,
        name: &ServiceName,
        at: Span,
        path: &Path<'_>,
    ) -> Option<Injection> {
        if !self.unread.contains(name.as_str()) {
            let message = format!("`{name}` is no store");
            self.add("unknown_name", at, path, message, |fault| {
                fault.hint("only what stores tell can have another name")
            });
        }
        None
    }

    pub(super) fn env(
        &mut self,
        fields: &Fields<'_, '_>,
        facts: &Facts<'_>,
        inject: Option<&BTreeMap<String, Injection>>,
    ) -> Option<BTreeMap<String, String>> {
        let Some(field) = fields.get("env") else {
            return Some(BTreeMap::new());
        };
        let map = self.named(&field)?;
        let mut env = Some(BTreeMap::new());
        for entry in map.named() {
            let path = field.path.key(&entry.key.text);
            let name = self.variable_name(entry, &path, facts, inject);
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

    /// The name of a variable which nobody else sets.
    fn variable_name(
        &mut self,
        entry: &Entry,
        path: &Path<'_>,
        facts: &Facts<'_>,
        inject: Option<&BTreeMap<String, Injection>>,
    ) -> Option<()> {
        let text = entry.key.text.as_str();
        self.own_name(entry, path)?;
        let (message, hint) = if inject.is_some_and(|inject| inject.contains_key(text)) {
            let message = format!("`{}` is set by `inject`", short(text));
            (message, "take one of the two lines away".to_owned())
        } else if let Some((needed, at)) = self.teller(text, facts, inject) {
            let line = self.line(at, entry.key.span);
            let message = format!("`{}` is set by `needs: [{}]`", short(text), short(needed));
            let hint = format!(
                "take the line away, or take `{}` out of `needs` ({line})",
                short(needed)
            );
            (message, hint)
        } else {
            return Some(());
        };
        self.add("reserved_name", entry.key.span, path, message, |fault| {
            fault.hint(hint)
        });
        None
    }

    /// Which thing that is needed sets this variable, and where it is needed.
    fn teller<'t>(
        &self,
        variable: &str,
        facts: &Facts<'t>,
        inject: Option<&BTreeMap<String, Injection>>,
    ) -> Option<(&'t str, Span)> {
        let tells = |name: &str| {
            if let Some(variables) = self.variables(name) {
                return !chosen(name, inject) && variables.iter().any(|one| one == variable);
            }
            let ends = ["_URL", "_HOST", "_PORT"];
            let stem = ends.iter().find_map(|end| variable.strip_suffix(end));
            stem.is_some_and(|stem| {
                ServiceName::new(name).is_ok_and(|name| name.variable() == stem)
            })
        };
        facts.needs.iter().copied().find(|(name, _)| tells(name))
    }

    /// Two stores that tell the same variable, of which the later one needs another name.
    pub(super) fn told_twice(
        &mut self,
        facts: &Facts<'_>,
        inject: Option<&BTreeMap<String, Injection>>,
        path: &Path<'_>,
    ) {
        let mut told: BTreeMap<String, &str> = BTreeMap::new();
        let mut clashes = Vec::new();
        for (name, at) in &facts.needs {
            let Some(variables) = self.variables(name).filter(|_| !chosen(name, inject)) else {
                continue;
            };
            for variable in variables {
                let first = told.insert(variable.clone(), name);
                if let Some(first) = first.filter(|first| first != name) {
                    clashes.push((first.to_owned(), (*name).to_owned(), variable, *at));
                    break;
                }
            }
        }
        for (first, second, variable, at) in clashes {
            let message = format!(
                "`{}` and `{}` both set `{variable}`",
                short(&first),
                short(&second)
            );
            let own = ServiceName::new(second.as_str())
                .map_or_else(|_| "OTHER".into(), |name| name.variable());
            let hint = format!(
                "choose another name: `inject: {{ {own}_URL: {}.{variable} }}`",
                short(&second)
            );
            self.add("conflict", at, path, message, |fault| fault.hint(hint));
        }
    }

    /// The name of a variable (POSIX: letters, digits, underscores) that is not one of ours.
    fn own_name(&mut self, entry: &Entry, path: &Path<'_>) -> Option<()> {
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
        } else {
            return Some(());
        };
        self.add(code, entry.key.span, path, message, |fault| {
            fault.hint(hint)
        });
        None
    }

    /// The value of a variable, exactly as it is written.
    pub(super) fn variable_value<'t>(
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

/// Whether the file chose names for what this store tells.
fn chosen(store: &str, inject: Option<&BTreeMap<String, Injection>>) -> bool {
    // Where `inject` has mistakes nobody knows what it chose.
    inject.is_none_or(|inject| inject.values().any(|one| one.store.as_str() == store))
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
