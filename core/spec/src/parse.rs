//! Bytes → tree: the checks before YAML, the events, and the budgets.

use crate::budget;
use crate::faults::Faults;
use crate::node::{Content, Entry, Key, LayerId, MERGE_KEY, Map, Node, Scalar, Span};
use crate::syntax;
use crate::tree::{HTTP, Tree, mistake};
use granit_parser::{Event, Marker, Parser, ScalarStyle, StructureStyle};
use mainstay_faults::{Fault, Source};
use std::collections::BTreeMap;

/// Reads a file's bytes into a [`Tree`].
///
/// Mistakes that leave a readable tree (a duplicate key, a tag) are kept in it and reported by
/// [`crate::resolve`] together with all others; only what ends the reading is an error here.
pub fn parse_file(name: &str, bytes: &[u8]) -> Result<Tree, Vec<Fault>> {
    let text = syntax::text_of(name, bytes).map_err(|fault| vec![*fault])?;
    let sources = vec![Source {
        name: name.to_owned(),
        text: text.to_owned(),
    }];
    let mut builder = Builder::new(&sources, 0);
    let root = match builder.read(&sources[0].text) {
        Ok(root) => root,
        Err(fault) => {
            builder.mistakes.push(*fault);
            return Err(Faults::new(builder.mistakes).listed(&sources));
        }
    };
    let mistakes = builder.mistakes;
    match root {
        Some(root) if root.map().is_some() => Ok(Tree {
            sources,
            root,
            mistakes,
            http: HTTP,
        }),
        Some(root) if !root.is_null() => {
            let message = format!("a platform file is a map of keys, found {}", root.kind());
            let fault = mistake(&sources, root.span, "wrong_type", message);
            Err(vec![fault.hint(syntax::SMALLEST_FILE)])
        }
        _ => Err(vec![syntax::empty(name)]),
    }
}

/// Reads the value of one `--set` at its place within a source; `None` where nothing stands.
pub(crate) fn parse_value(
    sources: &[Source],
    span: Span,
) -> Result<(Option<Node>, Vec<Fault>), Vec<Fault>> {
    let mut builder = Builder::new(sources, span.source);
    builder.shift = Some(span);
    let text = &sources[span.source as usize].text[span.start as usize..span.end as usize];
    match builder.read(text) {
        Ok(root) => Ok((root, builder.mistakes)),
        Err(fault) => {
            builder.mistakes.push(*fault);
            Err(builder.mistakes)
        }
    }
}

/// A collection that is being read.
enum Open {
    List(Vec<Node>),
    Map {
        map: Map,
        next: Next,
        /// Keys so far, kept once there are many.
        seen: BTreeMap<String, Span>,
    },
}

/// What a map expects.
enum Next {
    Key,
    /// The value of this key.
    Value(Key),
    /// The value of a key that was refused.
    Dropped,
}

/// Where a collection began, and under which anchor.
struct Frame {
    open: Open,
    span: Span,
    anchor: usize,
    /// Deepest nesting seen below, this one included.
    depth: usize,
}

/// A named node that aliases may copy.
struct Anchored {
    node: Node,
    nodes: usize,
    depth: usize,
}

/// Turns events into nodes within the budgets.
struct Builder<'s> {
    sources: &'s [Source],
    source: u32,
    shift: Option<Span>,
    frames: Vec<Frame>,
    anchors: BTreeMap<usize, Option<Anchored>>,
    /// Nodes made so far, and how many when each open anchor began.
    nodes: usize,
    begun: Vec<usize>,
    aliases: usize,
    root: Option<Node>,
    mistakes: Vec<Fault>,
}

type Halt = Box<Fault>;

/// Above this many keys, duplicates are looked up instead of searched.
const MANY_KEYS: usize = 16;

impl<'s> Builder<'s> {
    fn new(sources: &'s [Source], source: u32) -> Self {
        Self {
            sources,
            source,
            shift: None,
            frames: Vec::new(),
            anchors: BTreeMap::new(),
            nodes: 0,
            begun: Vec::new(),
            aliases: 0,
            root: None,
            mistakes: Vec::new(),
        }
    }

    /// Reads the one document of a text.
    fn read(&mut self, text: &str) -> Result<Option<Node>, Halt> {
        let options = granit_parser::options! {
            emit_comments: false,
            disallow_directives: true,
            simple_key_max_lookahead: budget::KEY_CHARACTERS,
            flow_nesting_limit: budget::DEPTH,
            block_nesting_limit: budget::DEPTH,
        };
        let mut documents = 0;
        for next in Parser::new_from_str_with_options(text, options) {
            let (event, span) = next.map_err(|error| self.syntax(&error))?;
            if matches!(event, Event::DocumentStart(..)) {
                documents += 1;
                if documents > 1 {
                    let span = self.span(&span);
                    return Err(Box::new(syntax::several(self.sources, span)));
                }
            }
            self.event(event, &span)?;
        }
        Ok(self.root.take())
    }

    fn syntax(&self, error: &granit_parser::ScanError) -> Halt {
        let at = self.span_between(error.marker(), error.marker());
        Box::new(syntax::scan(self.sources, at, error.kind(), &error.info()))
    }

    fn span(&self, span: &granit_parser::Span) -> Span {
        self.span_between(&span.start, &span.end)
    }

    fn span_between(&self, start: &Marker, end: &Marker) -> Span {
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let first = small(start.byte_offset().unwrap_or(0));
        let span = Span {
            source: self.source,
            start: first,
            end: small(end.byte_offset().unwrap_or(0)).max(first),
            line: small(start.line().max(1)),
            column: small(start.col() + 1),
        };
        match self.shift {
            None => span,
            Some(shift) => Span {
                start: span.start + shift.start,
                end: span.end + shift.start,
                line: shift.line,
                column: shift.column + span.column - 1,
                ..span
            },
        }
    }

    fn event(&mut self, event: Event<'_>, at: &granit_parser::Span) -> Result<(), Halt> {
        if event.tag().is_some() {
            let span = at.tag_span().map_or(self.span(at), |tag| self.span(&tag));
            self.mistakes.push(syntax::tag(self.sources, span));
        }
        // What lies beyond the most that is kept would never be shown.
        self.mistakes.truncate(budget::FAULTS_KEPT);
        let span = self.span(at);
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let scalar = Scalar {
                    text: text.into_owned(),
                    plain,
                };
                self.count(1, span)?;
                self.anchor(anchor, 0);
                self.place(Content::Scalar(scalar), span, anchor, 0)
            }
            Event::SequenceStart(_, anchor, _) => self.open(Open::List(Vec::new()), span, anchor),
            Event::MappingStart(style, anchor, _) => {
                let open = Open::Map {
                    map: Map {
                        entries: Vec::new(),
                        flow: style == StructureStyle::Flow,
                    },
                    next: Next::Key,
                    seen: BTreeMap::new(),
                };
                self.open(open, span, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(id) => self.alias(id, span),
            _ => Ok(()),
        }
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Halt> {
        self.nodes += nodes;
        if self.nodes > budget::NODES {
            return Err(Box::new(syntax::too_many_nodes(self.sources, span)));
        }
        Ok(())
    }

    fn anchor(&mut self, anchor: usize, _depth: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, None);
        }
    }

    fn open(&mut self, open: Open, span: Span, anchor: usize) -> Result<(), Halt> {
        self.count(1, span)?;
        self.anchor(anchor, 0);
        if self.frames.len() >= budget::DEPTH {
            return Err(Box::new(syntax::too_deep(self.sources, span)));
        }
        self.begun.push(self.nodes - 1);
        self.frames.push(Frame {
            open,
            span,
            anchor,
            depth: 1,
        });
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Halt> {
        let Some(frame) = self.frames.pop() else {
            return Ok(());
        };
        let span = Span {
            end: end.end.max(frame.span.end),
            ..frame.span
        };
        let content = match frame.open {
            Open::List(items) => Content::List(items),
            Open::Map { map, .. } => Content::Map(map),
        };
        let begun = self.begun.pop().unwrap_or(0);
        self.finish(content, span, frame.anchor, frame.depth, self.nodes - begun)
    }

    fn place(
        &mut self,
        content: Content,
        span: Span,
        anchor: usize,
        depth: usize,
    ) -> Result<(), Halt> {
        self.finish(content, span, anchor, depth, 1)
    }

    /// A node is complete: remember it under its anchor and give it to the collection around it.
    fn finish(
        &mut self,
        content: Content,
        span: Span,
        anchor: usize,
        depth: usize,
        nodes: usize,
    ) -> Result<(), Halt> {
        let node = Node {
            span,
            layer: LayerId::BASE,
            content,
        };
        if anchor > 0 {
            let node = node.clone();
            self.count(nodes, span)?;
            self.anchors
                .insert(anchor, Some(Anchored { node, nodes, depth }));
        }
        self.give(node, depth);
        Ok(())
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Halt> {
        self.aliases += 1;
        if self.aliases > budget::ALIASES {
            return Err(Box::new(syntax::too_many_aliases(self.sources, span)));
        }
        let (node, nodes, depth) = match self.anchors.get(&id) {
            Some(Some(anchored)) => (&anchored.node, anchored.nodes, anchored.depth),
            _ => return Err(Box::new(syntax::alias_of_itself(self.sources, span))),
        };
        if self.nodes + nodes > budget::NODES {
            return Err(Box::new(syntax::too_many_nodes(self.sources, span)));
        }
        if self.frames.len() + depth > budget::DEPTH {
            return Err(Box::new(syntax::too_deep(self.sources, span)));
        }
        let node = node.clone();
        self.nodes += nodes;
        self.give(node, depth);
        Ok(())
    }

    /// Puts a node where the innermost open collection wants it.
    fn give(&mut self, node: Node, depth: usize) {
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(node);
            return;
        };
        frame.depth = frame.depth.max(depth + 1);
        // The depth of a parent is known when its child closes, so it rises frame by frame.
        match &mut frame.open {
            Open::List(items) => items.push(node),
            Open::Map { map, next, seen } => match std::mem::replace(next, Next::Key) {
                Next::Key => {
                    let key = key(&mut self.mistakes, self.sources, node, map, seen);
                    *next = key.map_or(Next::Dropped, Next::Value);
                }
                Next::Dropped => {}
                Next::Value(key) => map.entries.push(Entry {
                    key,
                    value: node,
                    others: Vec::new(),
                }),
            },
        }
    }
}

/// The key that a node is, unless it is none or stands there already.
fn key(
    mistakes: &mut Vec<Fault>,
    sources: &[Source],
    node: Node,
    map: &Map,
    seen: &mut BTreeMap<String, Span>,
) -> Option<Key> {
    let span = node.span;
    let Content::Scalar(scalar) = node.content else {
        mistakes.push(syntax::key_is_collection(sources, span));
        return None;
    };
    if scalar.text == MERGE_KEY {
        mistakes.push(syntax::merge_key(sources, span));
    }
    if map.entries.len() == MANY_KEYS {
        let keys = map.entries.iter().map(|entry| &entry.key);
        seen.extend(keys.map(|key| (key.text.clone(), key.span)));
    }
    let first = if map.entries.len() < MANY_KEYS {
        map.entry(&scalar.text).map(|entry| entry.key.span)
    } else {
        let first = seen.get(&scalar.text).copied();
        seen.entry(scalar.text.clone()).or_insert(span);
        first
    };
    if let Some(first) = first {
        mistakes.push(syntax::duplicate(sources, span, &scalar.text, first));
        return None;
    }
    Some(Key {
        text: scalar.text,
        span,
    })
}
