//! A YAML text as a tree in which every node knows its place, within budgets.

use crate::fault::FileFault;
use granit_parser::{Event, Marker, Parser, ScalarStyle};
use std::collections::BTreeMap;

/// Longest file, in bytes: the largest public rule collections take a tenth.
const BYTES_MAX: usize = 8 << 20;
/// Most nodes, aliases followed.
const NODES_MAX: usize = 500_000;
/// Deepest nesting of maps and lists; a route tree of thirty levels needs half.
const DEPTH_MAX: usize = 64;
/// Most aliases that are followed.
const ALIASES_MAX: usize = 1000;
/// Characters of a key that YAML looks ahead for its colon.
const KEY_CHARACTERS: usize = 1024;

/// Where something stands: line and column in characters, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// A node and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) content: Content,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Scalar { text: String, plain: bool },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) value: Node,
}

impl Node {
    /// Whether it is plain `null`, `~` or nothing.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// What it is, for a message.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.content {
            Content::Map(_) => "a map",
            Content::List(_) => "a list",
            Content::Scalar { .. } if self.is_null() => "nothing",
            Content::Scalar { .. } => "a text",
        }
    }
}

/// A collection that is being read.
enum Open {
    List(Vec<Node>),
    Map(Vec<Entry>, Option<(String, Place)>),
}

struct Frame {
    open: Open,
    place: Place,
    anchor: usize,
    begun: usize,
    depth: usize,
}

struct Anchored {
    node: Node,
    nodes: usize,
    depth: usize,
}

struct Builder<'f> {
    file: &'f str,
    frames: Vec<Frame>,
    anchors: BTreeMap<usize, Option<Anchored>>,
    nodes: usize,
    aliases: usize,
    root: Option<Node>,
}

/// Reads the one document of a text; `None` where it says nothing.
pub(crate) fn parse(file: &str, text: &str) -> Result<Option<Node>, FileFault> {
    let mut builder = Builder {
        file,
        frames: Vec::new(),
        anchors: BTreeMap::new(),
        nodes: 0,
        aliases: 0,
        root: None,
    };
    if text.len() > BYTES_MAX {
        let why = format!("the file has {} bytes, the most is {BYTES_MAX}", text.len());
        return Err(builder.fault(Place { line: 1, column: 1 }, why));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let options = granit_parser::options! {
        emit_comments: false,
        simple_key_max_lookahead: KEY_CHARACTERS,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut documents = 0;
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| {
            builder.fault(place(error.marker()), format!("not YAML: {}", error.info()))
        })?;
        let at = place(&span.start);
        if matches!(event, Event::DocumentStart(..)) {
            documents += 1;
            if documents > 1 {
                return Err(builder.fault(at, "a second document begins here, only one is read"));
            }
        }
        builder.event(event, at)?;
    }
    Ok(builder.root.filter(|root| !root.is_null()))
}

fn place(marker: &Marker) -> Place {
    Place {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

impl Builder<'_> {
    fn fault(&self, at: Place, why: impl Into<String>) -> FileFault {
        FileFault::new(self.file, at, "", why)
    }

    fn event(&mut self, event: Event<'_>, at: Place) -> Result<(), FileFault> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let text = text.into_owned();
                self.count(1, at)?;
                self.finish(Content::Scalar { text, plain }, at, anchor, 0, 1)
            }
            Event::SequenceStart(_, anchor, _) => self.open(Open::List(Vec::new()), at, anchor),
            Event::MappingStart(_, anchor, _) => self.open(Open::Map(Vec::new(), None), at, anchor),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => self.alias(id, at),
            _ => Ok(()),
        }
    }

    fn count(&mut self, nodes: usize, at: Place) -> Result<(), FileFault> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            let why = format!("more than {NODES_MAX} values, aliases followed");
            return Err(self.fault(at, why));
        }
        Ok(())
    }

    fn deep(&self, depth: usize, at: Place) -> Result<(), FileFault> {
        if depth > DEPTH_MAX {
            let why = format!("more than {DEPTH_MAX} maps and lists within one another");
            return Err(self.fault(at, why));
        }
        Ok(())
    }

    fn open(&mut self, open: Open, at: Place, anchor: usize) -> Result<(), FileFault> {
        self.count(1, at)?;
        self.deep(self.frames.len() + 1, at)?;
        if anchor > 0 {
            self.anchors.insert(anchor, None);
        }
        self.frames.push(Frame {
            open,
            place: at,
            anchor,
            begun: self.nodes - 1,
            depth: 1,
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), FileFault> {
        let Some(frame) = self.frames.pop() else {
            return Ok(());
        };
        let content = match frame.open {
            Open::List(items) => Content::List(items),
            Open::Map(entries, _) => Content::Map(self.merged(entries)?),
        };
        let nodes = self.nodes - frame.begun;
        self.finish(content, frame.place, frame.anchor, frame.depth, nodes)
    }

    /// Follows the merge key `<<` (YAML 1.1), which files of the field use: keys given beside it win.
    fn merged(&mut self, entries: Vec<Entry>) -> Result<Vec<Entry>, FileFault> {
        let (merges, mut own): (Vec<Entry>, Vec<Entry>) =
            entries.into_iter().partition(|entry| entry.key == "<<");
        for merge in merges {
            let parts = match merge.value.content {
                Content::Map(entries) => vec![entries],
                Content::List(items) => {
                    let maps = items.into_iter().filter_map(|item| match item.content {
                        Content::Map(entries) => Some(entries),
                        _ => None,
                    });
                    maps.collect()
                }
                Content::Scalar { .. } => {
                    return Err(self.fault(merge.place, "`<<` takes a map or a list of maps"));
                }
            };
            for entry in parts.into_iter().flatten() {
                if !own.iter().any(|known| known.key == entry.key) {
                    own.push(entry);
                }
            }
        }
        Ok(own)
    }

    fn finish(
        &mut self,
        content: Content,
        at: Place,
        anchor: usize,
        depth: usize,
        nodes: usize,
    ) -> Result<(), FileFault> {
        let node = Node { place: at, content };
        if anchor > 0 {
            let node = node.clone();
            self.count(nodes, at)?;
            let anchored = Anchored { node, nodes, depth };
            self.anchors.insert(anchor, Some(anchored));
        }
        self.give(node, depth)
    }

    fn alias(&mut self, id: usize, at: Place) -> Result<(), FileFault> {
        self.aliases += 1;
        if self.aliases > ALIASES_MAX {
            return Err(self.fault(at, format!("more than {ALIASES_MAX} aliases")));
        }
        let Some(Some(anchored)) = self.anchors.get(&id) else {
            return Err(self.fault(at, "an alias cannot stand inside what it names"));
        };
        let (nodes, depth) = (anchored.nodes, anchored.depth);
        // The budgets are looked at before anything is copied.
        if self.nodes + nodes > NODES_MAX {
            return self.count(nodes, at);
        }
        self.deep(self.frames.len() + depth, at)?;
        let mut node = anchored.node.clone();
        node.place = at;
        self.count(nodes, at)?;
        self.give(node, depth)
    }

    /// Puts a node where the innermost open collection wants it.
    fn give(&mut self, node: Node, depth: usize) -> Result<(), FileFault> {
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.depth = frame.depth.max(depth + 1);
        let (entries, key) = match &mut frame.open {
            Open::List(items) => {
                items.push(node);
                return Ok(());
            }
            Open::Map(entries, key) => (entries, key),
        };
        if let Some((key, place)) = key.take() {
            entries.push(Entry {
                key,
                place,
                value: node,
            });
            return Ok(());
        }
        let Content::Scalar { text, .. } = node.content else {
            return Err(self.fault(node.place, "a key is a single text"));
        };
        let first = entries.iter().find(|entry| entry.key == text);
        if let Some(first) = first.filter(|_| text != "<<") {
            let why = format!("duplicate key `{text}`, first in line {}", first.place.line);
            return Err(self.fault(node.place, why));
        }
        *key = Some((text, node.place));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_know_their_places() {
        let root = parse("f", "a:\n  - b: 'x'\n    c:\n").unwrap().unwrap();
        let Content::Map(entries) = root.content else {
            panic!("a map");
        };
        let Content::List(items) = &entries[0].value.content else {
            panic!("a list");
        };
        let Content::Map(inner) = &items[0].content else {
            panic!("a map");
        };
        assert_eq!(inner[0].value.place, Place { line: 2, column: 8 });
        assert!(inner[1].value.is_null());
    }

    #[test]
    fn the_merge_key_is_followed() {
        let root = parse("f", "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n").unwrap();
        let Content::Map(entries) = root.unwrap().content else {
            panic!("a map");
        };
        let Content::Map(merged) = &entries[1].value.content else {
            panic!("a map");
        };
        let keys: Vec<_> = merged.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["y", "x"]);
    }

    #[test]
    fn hostile_texts_are_refused() {
        let bomb = (0..20).fold(
            String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"),
            |text, n| {
                let refs = vec![format!("*a{n}"); 10].join(",");
                format!("{text}a{}: &a{} [{refs}]\n", n + 1, n + 1)
            },
        );
        for text in [
            &bomb,
            &"[".repeat(1000),
            "a: 1\na: 2\n",
            "a: &a [*a]\n",
            "---\na: 1\n---\nb: 1\n",
            "{[x]: 1}",
        ] {
            let fault = parse("f", text).unwrap_err();
            assert!(fault.place.line >= 1, "{fault}");
        }
    }
}
