//! The file as a tree in which every node knows its place.

/// A stretch of one source text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// Which source, as an index.
    pub(crate) source: u32,
    /// First byte.
    pub(crate) start: u32,
    /// Byte after the last.
    pub(crate) end: u32,
    /// Line of the first byte, from 1.
    pub(crate) line: u32,
    /// Column of the first byte in characters, from 1.
    pub(crate) column: u32,
}

/// YAML 1.1's merge key: reported where it is read, kept so that nobody misses what it would give.
pub(crate) const MERGE_KEY: &str = "<<";

/// Where a node came from, as an index into the layers of a resolved file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LayerId(pub(crate) u32);

impl LayerId {
    /// The file itself, before any overlay.
    pub(crate) const BASE: Self = Self(0);
}

/// A node and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) layer: LayerId,
    pub(crate) content: Content,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Map),
}

/// A scalar's text after escapes; only a plain one can be a number, a boolean or null.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) plain: bool,
}

/// Entries in the order of the file; keys are unique.
#[derive(Debug, Clone, Default)]
pub(crate) struct Map {
    pub(crate) entries: Vec<Entry>,
    /// Whether it is written with braces, so that its place is one token.
    pub(crate) flow: bool,
}

/// A key with its value, and where else the value was given.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) value: Node,
    /// Keys of other layers whose values this one replaced or holds as well.
    pub(crate) others: Vec<(Span, LayerId)>,
}

/// A key and its place.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) span: Span,
}

impl Node {
    /// Whether it is plain `null`, `~` or nothing (YAML 1.2 core schema).
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar(scalar) if scalar.plain
            && matches!(scalar.text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The map it holds.
    pub(crate) fn map(&self) -> Option<&Map> {
        match &self.content {
            Content::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The map it holds, to change.
    pub(crate) fn map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.content {
            Content::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The scalar it holds.
    pub(crate) fn scalar(&self) -> Option<&Scalar> {
        match &self.content {
            Content::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// What it is, for a message.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.content {
            Content::Map(_) => "a map",
            Content::List(_) => "a list",
            Content::Scalar(_) if self.is_null() => "nothing",
            Content::Scalar(scalar) if !scalar.plain => "a quoted text",
            Content::Scalar(scalar) if matches!(scalar.text.as_str(), "true" | "false") => {
                "a truth value"
            }
            Content::Scalar(scalar) if scalar.text.parse::<f64>().is_ok() => "a number",
            Content::Scalar(_) => "a text",
        }
    }

    /// How many nodes the subtree has.
    pub(crate) fn count(&self) -> usize {
        match &self.content {
            Content::Scalar(_) => 1,
            Content::List(items) => 1 + items.iter().map(Self::count).sum::<usize>(),
            Content::Map(map) => {
                let values = map.entries.iter().map(|entry| entry.value.count());
                1 + values.sum::<usize>()
            }
        }
    }

    /// Takes every key away whose value is null, all the way down.
    pub(crate) fn drop_nulls(&mut self) {
        if let Content::Map(map) = &mut self.content {
            map.entries.retain(|entry| !entry.value.is_null());
            map.entries
                .iter_mut()
                .for_each(|entry| entry.value.drop_nulls());
        }
    }

    /// Gives the whole subtree to a layer.
    pub(crate) fn assign(&mut self, layer: LayerId) {
        self.layer = layer;
        match &mut self.content {
            Content::Scalar(_) => {}
            Content::List(items) => items.iter_mut().for_each(|item| item.assign(layer)),
            Content::Map(map) => map.entries.iter_mut().for_each(|entry| {
                entry.others.clear();
                entry.value.assign(layer);
            }),
        }
    }
}

impl Map {
    /// The entry of this key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key.text == key)
    }

    /// The entry of this key, to change.
    pub(crate) fn entry_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.key.text == key)
    }

    /// The value of this key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entries without YAML's merge key.
    pub(crate) fn named(&self) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .filter(|entry| entry.key.text != MERGE_KEY)
    }

    /// The keys in the order of the file.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.key.text.as_str())
    }
}
