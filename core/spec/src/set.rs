//! `--set path=value`: one more overlay, from the command line.

use crate::key::EnvironmentKeys;
use crate::nearest::{did_you_mean, listed, short};
use crate::node::{Content, Entry, Key, LayerId, Map, Node, Span};
use crate::parse::parse_value;
use crate::path::{join, split_known};
use crate::shape::{Shape, Shaped};
use crate::tree::mistake;
use mainstay_faults::{Fault, Move, Source};

/// The name that places on the command line have.
pub const COMMAND_LINE: &str = "command line";

/// One value of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// The key: `services.web.replicas`.
    path: String,
    /// The value as YAML.
    value: String,
}

/// How a set is shown in the text that places point into.
const PREFIX: &str = "--set ";

impl Set {
    /// Reads `path=value`; the value is YAML on one line.
    pub fn parse(text: &str) -> Result<Self, Box<Fault>> {
        let fault = |message: String| {
            let fault = Fault::new(Move::You, "set_syntax", message);
            Box::new(fault.hint("write for example `--set services.web.replicas=3`"))
        };
        if text.contains(|c: char| c.is_control()) {
            let message = format!("`--set {}` holds a control character", short(text));
            return Err(fault(message));
        }
        match text.split_once('=') {
            Some((path, value)) if !path.trim().is_empty() => Ok(Self {
                path: path.trim().to_owned(),
                value: value.to_owned(),
            }),
            _ => Err(fault(format!("`--set {}` is no `path=value`", short(text)))),
        }
    }

    /// The key: `services.web.replicas`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value as it was given.
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// The text that places of these sets point into, one line each; `None` without sets.
pub(crate) fn source(sets: &[Set]) -> Option<Source> {
    let lines = sets
        .iter()
        .map(|set| format!("{PREFIX}{}={}\n", set.path, set.value));
    (!sets.is_empty()).then(|| Source {
        name: COMMAND_LINE.to_owned(),
        text: lines.collect(),
    })
}

/// The sets as overlays over this tree; the source of their places is the last one.
pub(crate) fn overlays(sets: &[Set], sources: &[Source], root: &Node) -> (Vec<Node>, Vec<Fault>) {
    let (mut nodes, mut mistakes) = (Vec::new(), Vec::new());
    let mut start = 0;
    for (line, set) in sets.iter().enumerate() {
        let span = spans(sources, set, line, start);
        start = span.1.end as usize + 1;
        match overlay(set, sources, root, span) {
            Ok((node, more)) => {
                nodes.push(node);
                mistakes.extend(more);
            }
            Err(faults) => mistakes.extend(faults),
        }
    }
    (nodes, mistakes)
}

/// Places of a set's path and value.
fn spans(sources: &[Source], set: &Set, line: usize, start: usize) -> (Span, Span) {
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let path = start + PREFIX.len();
    let value = path + set.path.len() + 1;
    let span = |from: usize, to: usize, column: usize| Span {
        source: small(sources.len() - 1),
        start: small(from),
        end: small(to),
        line: small(line + 1),
        column: small(column),
    };
    let column = PREFIX.len() + 1;
    (
        span(path, value - 1, column),
        span(
            value,
            value + set.value.len(),
            column + set.path.chars().count() + 1,
        ),
    )
}

/// One set as nested maps around its value.
fn overlay(
    set: &Set,
    sources: &[Source],
    root: &Node,
    (path_at, value_at): (Span, Span),
) -> Result<(Node, Vec<Fault>), Vec<Fault>> {
    let keys = keys_of(set, sources, root, path_at).map_err(|fault| vec![*fault])?;
    let (value, mut mistakes) = parse_value(sources, value_at)?;
    for fault in &mut mistakes {
        fault.path = Some(join(keys.iter().map(|(name, _)| name.as_str())));
    }
    let empty = Content::Scalar(crate::node::Scalar {
        text: String::new(),
        plain: false,
    });
    let mut node = value.unwrap_or(Node {
        span: value_at,
        layer: LayerId::BASE,
        content: empty,
    });
    for (text, span) in keys.into_iter().rev() {
        let entry = Entry {
            key: Key { text, span },
            value: node,
            others: Vec::new(),
        };
        node = Node {
            span,
            layer: LayerId::BASE,
            content: Content::Map(Map {
                entries: vec![entry],
                flow: true,
            }),
        };
    }
    Ok((node, mistakes))
}

/// The keys of a set's path, each known to the language, with their places.
fn keys_of(
    set: &Set,
    sources: &[Source],
    root: &Node,
    at: Span,
) -> Result<Vec<(String, Span)>, Box<Fault>> {
    let mut keys: Vec<(String, Span)> = Vec::new();
    let (mut shape, mut node) = (EnvironmentKeys::SHAPE, Some(root));
    let mut rest = Some(set.path.as_str());
    while let Some(text) = rest {
        let mut known: Vec<&str> = shape
            .keys()
            .map_or_else(Vec::new, |keys| keys.names().collect());
        if let Some(map) = node.and_then(Node::map) {
            known.extend(map.keys());
        }
        let (name, further) = split_known(text, known.into_iter());
        let begin = set.path.len() - text.len();
        let span = Span {
            start: at.start + u32::try_from(begin).unwrap_or(0),
            end: at.start + u32::try_from(begin + name.len()).unwrap_or(0),
            column: at.column + u32::try_from(set.path[..begin].chars().count()).unwrap_or(0),
            ..at
        };
        let Some(child) = shape.child(name) else {
            let path = join(keys.iter().map(|(name, _)| name.as_str()).chain([name]));
            return Err(Box::new(unknown(sources, span, shape, name).under(path)));
        };
        keys.push((name.to_owned(), span));
        node = node.and_then(Node::map).and_then(|map| map.get(name));
        shape = child;
        rest = further;
    }
    Ok(keys)
}

fn unknown(sources: &[Source], span: Span, shape: Shape, name: &str) -> Fault {
    let message = format!("unknown key `{}`", short(name));
    let fault = mistake(sources, span, "unknown_key", message);
    let Some(keys) = shape.keys() else {
        return fault.hint("the key before it holds one value");
    };
    let hint = did_you_mean(name, keys.names())
        .unwrap_or_else(|| format!("{} knows {}", keys.noun, listed(keys.names())));
    fault
        .label(format!("{} has no such key", keys.noun))
        .hint(hint)
}
