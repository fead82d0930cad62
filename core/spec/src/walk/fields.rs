//! A map of keys that the language names.

use super::Walk;
use crate::later::{elsewhere, later};
use crate::nearest::{listed, short};
use crate::node::{Entry, MERGE_KEY, Map, Node, Span};
use crate::path::Path;
use crate::shape::{Key, Keys, Shape};

/// A map whose keys were checked, to be read key by key.
pub(super) struct Fields<'t, 'p> {
    map: &'t Map,
    keys: &'static Keys,
    pub(super) path: &'p Path<'p>,
    /// The key that holds the map.
    pub(super) at: Span,
    /// Keys that the user meant when writing something else, so that their absence is no news.
    meant: Vec<&'static str>,
}

/// A key that is there, with its row of the table.
#[derive(Clone, Copy)]
pub(super) struct Field<'t, 'p> {
    pub(super) key: &'static Key,
    pub(super) entry: &'t Entry,
    pub(super) path: Path<'p>,
}

impl<'t> Field<'t, '_> {
    /// The value.
    pub(super) fn value(&self) -> &'t Node {
        &self.entry.value
    }
}

impl<'t> Fields<'t, '_> {
    /// The key, where it has a value.
    pub(super) fn get(&self, name: &str) -> Option<Field<'t, '_>> {
        let key = self
            .keys
            .find(name)
            .expect("the walker asks for keys of the table");
        let entry = self
            .map
            .entry(name)
            .filter(|entry| !entry.value.is_null())?;
        let path = self.path.key(key.name);
        Some(Field { key, entry, path })
    }

    /// Whether the key is there, or another was written in its place.
    pub(super) fn tries(&self, name: &str) -> bool {
        self.map.entry(name).is_some() || self.meant.contains(&name)
    }

    /// Whether the same layer gives this key beside another one.
    fn gives_too(&self, name: &str, beside: &Entry) -> bool {
        let layer = |entry: &Entry| entry.value.layer;
        self.map.entry(name).map(layer) == Some(layer(beside))
    }

    /// Whether the key is there with a value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

impl Walk<'_> {
    /// Checks the keys of a map; `None` when it is no map.
    pub(super) fn fields<'t, 'p>(
        &mut self,
        node: &'t Node,
        at: Span,
        shape: Shape,
        path: &'p Path<'p>,
    ) -> Option<Fields<'t, 'p>> {
        let keys = shape
            .keys()
            .expect("the walker reads maps where the table has maps");
        let Some(map) = node.map() else {
            self.not_a_map(node, at, keys, path);
            return None;
        };
        let mut fields = Fields {
            map,
            keys,
            path,
            at,
            meant: Vec::new(),
        };
        for entry in &map.entries {
            match keys.find(&entry.key.text) {
                // Reported where it was read; it would have given any of the keys.
                None if entry.key.text == MERGE_KEY => fields.meant.extend(keys.names()),
                None => self.unknown_key(entry, &mut fields),
                Some(_) if entry.value.is_null() => self.no_value(entry, path),
                Some(_) => {}
            }
        }
        Some(fields)
    }

    fn not_a_map(&mut self, node: &Node, at: Span, keys: &'static Keys, path: &Path<'_>) {
        let token = if node.scalar().is_some() {
            node.span
        } else {
            at
        };
        let message = format!("{} is a map of keys", keys.noun);
        let hint = match node.scalar() {
            Some(scalar) if keys.title == "DomainKeys" => {
                format!(
                    "write `{}: {{ to: {} }}`",
                    short(path.name()),
                    short(&scalar.text)
                )
            }
            _ => format!(
                "indent keys below it, such as {}",
                listed(keys.names().take(4))
            ),
        };
        self.add("wrong_type", token, path, message, |fault| {
            fault.label(format!("this is {}", node.kind())).hint(hint)
        });
    }

    /// A key without a value, which changes nothing and so is a mistake.
    pub(super) fn no_value(&mut self, entry: &Entry, path: &Path<'_>) {
        let name = short(&entry.key.text);
        let below = path.key(&entry.key.text);
        self.add(
            "no_value",
            entry.key.span,
            &below,
            format!("`{name}` has no value"),
            |fault| fault.hint(format!("give `{name}` a value, or take the line away")),
        );
    }

    fn unknown_key(&mut self, entry: &Entry, fields: &mut Fields<'_, '_>) {
        let (keys, text) = (fields.keys, entry.key.text.as_str());
        if self.is_full() {
            self.unkept += 1;
            return;
        }
        let path = fields.path.key(text);
        if let Some(row) = later(keys.title, text) {
            fields.meant.extend(row.excuses);
            let message = format!("this program has no {} yet", row.what);
            self.add("not_available", entry.key.span, &path, message, |fault| {
                fault
                    .label(format!("`{text}` comes with a later version"))
                    .hint(row.instead)
            });
            return;
        }
        let known = elsewhere(keys.title, text);
        let meant = known.or_else(|| self.nearest(text, keys.names()));
        let meant = meant.and_then(|name| keys.find(name)).map(|key| key.name);
        fields.meant.extend(meant);
        let hint = match meant {
            Some(name) if fields.gives_too(name, entry) => {
                format!("did you mean `{name}`? it is given already, so take one of the two away")
            }
            Some(name) => format!("did you mean `{name}`?"),
            None => home(keys, text)
                .unwrap_or_else(|| format!("{} knows {}", keys.noun, listed(keys.names()))),
        };
        let message = format!("unknown key `{}`", short(text));
        self.add("unknown_key", entry.key.span, &path, message, |fault| {
            fault
                .label(format!("{} has no such key", keys.noun))
                .hint(hint)
        });
    }

    /// Reports a required key that is missing.
    pub(super) fn missing(&mut self, fields: &Fields<'_, '_>, name: &'static str, hint: &str) {
        if fields.tries(name) {
            return;
        }
        let message = format!("{} needs `{name}`", fields.keys.noun);
        let path = fields.path.key(name);
        self.add("missing_key", fields.at, &path, message, |fault| {
            fault.label(format!("there is no `{name}` here")).hint(hint)
        });
    }
}

/// Where a key belongs that stands one map too high.
fn home(keys: &Keys, text: &str) -> Option<String> {
    let below = keys.rows.iter().find_map(|key| {
        let inner = key.shape.keys()?;
        inner.find(text).map(|_| key.name)
    })?;
    Some(format!("`{text}` belongs under `{below}`"))
}

/// Shows the `deploy` of every service that has one, with the service's name and the path of `deploy`.
pub(super) fn deploys(fields: &Fields<'_, '_>, mut show: impl FnMut(&str, &Map, &Path<'_>)) {
    let services = fields.get("services").and_then(|field| field.value().map());
    for entry in services.into_iter().flat_map(Map::named) {
        let deploy = entry.value.map().and_then(|map| map.get("deploy"));
        if let Some(deploy) = deploy.and_then(Node::map) {
            let path = Path::ROOT;
            let path = path.key("services");
            let path = path.key(&entry.key.text);
            show(&entry.key.text, deploy, &path.key("deploy"));
        }
    }
}
