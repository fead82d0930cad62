//! What a key is, what holds there, and who said so.

use crate::key::FileKeys;
use crate::nearest::{did_you_mean, listed, short};
use crate::node::{Content, Entry, LayerId, Node, Span};
use crate::path::{join, split_known};
use crate::platform::{Platform, Service};
use crate::resolve::Resolved;
use crate::shape::{Key, Keys, Shape, Shaped};
use crate::tree::place;
use mainstay_atoms::Check;
use mainstay_faults::{Fault, Move, Place};
use serde::Serialize;

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The file as the user knows it, or `command line`.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// `base`, `overlay NAME`, `extends NAME` or `command line`.
    pub what: String,
}

/// One key of one resolved file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The key, with quotes where a name holds a dot.
    pub path: String,
    /// The value that holds, as it would be written; `None` where nothing holds.
    pub value: Option<String>,
    /// Whether nobody gave the value.
    pub is_default: bool,
    /// What the key takes: `a whole number from 0 to 1000`.
    pub kind: String,
    /// What holds when the key is absent.
    pub default: Option<String>,
    /// What it means.
    pub meaning: String,
    /// An example, as it would be written.
    pub example: Option<String>,
    /// Who gave it, in the order in which they replace one another: the last one holds.
    pub origins: Vec<Origin>,
}

/// Explains a key such as `services.web.replicas`, given or not.
///
/// Fails with the nearest key when the language has none of this name.
pub fn explain(resolved: &Resolved, path: &str) -> Result<Explanation, Box<Fault>> {
    let found = find(resolved, path)?;
    let entry = found.entry.filter(|entry| !entry.value.is_null());
    let given = entry.map(|entry| flow(&entry.value));
    let default = found.key.and_then(Key::default_text).map(str::to_owned);
    let filled = || filled_in(&resolved.platform, &found.names);
    Ok(Explanation {
        is_default: given.is_none(),
        value: given.or_else(filled).or_else(|| {
            let value = found.key.and_then(Key::default_value);
            value.map(str::to_owned)
        }),
        kind: found.shape.phrase(),
        default,
        meaning: meaning(&found),
        example: found
            .key
            .map(|key| format!("{}: {}", key.name, key.example)),
        origins: entry.map_or_else(Vec::new, |entry| origins(resolved, entry)),
        path: join(found.names.iter().map(String::as_str)),
    })
}

/// The place of a key: where its value was given last; for a key that is not given, the place of the
/// nearest key around it. `None` for a path that does not begin in the file.
pub fn place_of(resolved: &Resolved, path: &str) -> Option<Place> {
    let (mut rest, mut node, mut found) = (Some(path), &resolved.root, None);
    while let (Some(text), Some(map)) = (rest, node.map()) {
        let (name, further) = split_known(text, map.keys());
        let Some(entry) = map.entry(name) else {
            break;
        };
        found = Some(entry);
        (node, rest) = (&entry.value, further);
    }
    Some(place(&resolved.sources, found?.key.span))
}

/// What a path leads to.
struct Found<'r> {
    names: Vec<String>,
    entry: Option<&'r Entry>,
    key: Option<&'static Key>,
    shape: Shape,
    /// The map that the language names, when the path ends at one of its names.
    noun: Option<&'static str>,
}

fn find<'r>(resolved: &'r Resolved, path: &str) -> Result<Found<'r>, Box<Fault>> {
    let mut found = Found {
        names: Vec::new(),
        entry: None,
        key: None,
        shape: FileKeys::SHAPE,
        noun: None,
    };
    let mut node = Some(&resolved.root);
    let mut rest = Some(path.trim());
    while let Some(text) = rest {
        let map = node.and_then(Node::map);
        let mut known: Vec<&str> = found
            .shape
            .keys()
            .map_or_else(Vec::new, |keys| keys.names().collect());
        known.extend(
            map.into_iter()
                .flat_map(|map| map.entries.iter())
                .map(|entry| entry.key.text.as_str()),
        );
        let (name, further) = split_known(text, known.iter().copied());
        let entry = map.and_then(|map| map.entry(name));
        let child = found.shape.child(name);
        let is_known = match found.shape {
            Shape::Names(_) => entry.is_some(),
            _ => child.is_some(),
        };
        let (Some(child), true) = (child, is_known) else {
            return Err(Box::new(unknown(&found, name, &known)));
        };
        found.key = found.shape.keys().and_then(|keys| keys.find(name));
        found.noun = match found.shape {
            Shape::Names(names) => Some(names.noun),
            _ => None,
        };
        found.names.push(name.to_owned());
        (found.entry, found.shape, rest) = (entry, child, further);
        node = entry.map(|entry| &entry.value);
    }
    Ok(found)
}

fn unknown(found: &Found<'_>, name: &str, known: &[&str]) -> Fault {
    let around = join(found.names.iter().map(String::as_str));
    let message = match found.shape {
        Shape::Value(_) => format!(
            "`{around}` holds one value, so there is no `{}` below it",
            short(name)
        ),
        Shape::Names(names) => format!("there is no {} `{}`", names.noun, short(name)),
        Shape::Map(keys) | Shape::Either(_, keys) => {
            format!("{} has no key `{}`", keys.noun, short(name))
        }
    };
    let full = |name: &str| join(found.names.iter().map(String::as_str).chain([name]));
    let hint = match did_you_mean(name, known.iter().copied()) {
        Some(_) => mainstay_faults::nearest(name, known.iter().copied())
            .map(|name| format!("did you mean `{}`?", full(name))),
        None if known.is_empty() => Some(format!(
            "explain `{}`",
            if around.is_empty() { "name" } else { &around }
        )),
        None => Some(format!("it has {}", listed(known.iter().copied()))),
    };
    let fault = Fault::new(Move::You, "unknown_path", message).under(full(name));
    Fault { hint, ..fault }
}

/// The meaning of a key, or of the map that it holds.
fn meaning(found: &Found<'_>) -> String {
    let about = |keys: &Keys| sentence(keys.docs);
    match (found.key, found.shape) {
        (Some(key), _) => sentence(key.docs),
        (None, Shape::Map(keys) | Shape::Either(_, keys)) => about(keys),
        (None, _) => format!("One {} of the user's own.", found.noun.unwrap_or("key")),
    }
}

/// Lines of documentation as one text.
pub(crate) fn sentence(docs: &[&str]) -> String {
    let lines: Vec<_> = docs.iter().map(|line| line.trim()).collect();
    lines.join(" ")
}

/// All keys that gave a value, in the order in which they replace one another.
fn given(resolved: &Resolved, entry: &Entry) -> Vec<(Span, LayerId)> {
    let mut all = entry.others.clone();
    all.push((entry.key.span, entry.value.layer));
    all.sort_by_key(|&(_, layer)| resolved.layers.rank(layer));
    all.dedup();
    all
}

fn origins(resolved: &Resolved, entry: &Entry) -> Vec<Origin> {
    given(resolved, entry)
        .into_iter()
        .map(|(span, layer)| {
            let place = place(&resolved.sources, span);
            Origin {
                file: place.file,
                line: place.line,
                column: place.column,
                what: resolved.layers.get(layer).to_string(),
            }
        })
        .collect()
}

/// Values that depend on other keys of the service and so are in no table.
fn filled_in(platform: &Platform, names: &[String]) -> Option<String> {
    let [services, name, key] = names else {
        return None;
    };
    let service: &Service = platform
        .services
        .get(name.as_str())
        .filter(|_| services == "services")?;
    match key.as_str() {
        "artifact" => Some(format!("[{}]", service.artifact.join(", "))),
        "ready" => match service.ready.as_ref()?.check {
            Check::Tcp => Some("{ tcp: true }".to_owned()),
            Check::Http(_) | Check::Exec(_) => None,
        },
        _ => None,
    }
}

/// A value in one line of YAML.
pub(crate) fn flow(node: &Node) -> String {
    match &node.content {
        Content::Scalar(scalar) if scalar.plain && !scalar.text.contains('\n') => {
            scalar.text.clone()
        }
        Content::Scalar(scalar) => quoted(&scalar.text),
        Content::List(items) => {
            let items: Vec<_> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Content::Map(map) if map.entries.is_empty() => "{}".to_owned(),
        Content::Map(map) => {
            let entries = map.entries.iter().filter(|entry| !entry.value.is_null());
            let pairs: Vec<_> = entries
                .map(|entry| format!("{}: {}", entry.key.text, flow(&entry.value)))
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        }
    }
}

/// A text in double quotes, escaped as JSON, which YAML reads.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
