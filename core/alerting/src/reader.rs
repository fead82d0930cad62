//! Reads nodes into values and keeps every mistake, each at its place.

use crate::document::{Content, Entry, Node, Place};
use crate::fault::FileFault;
use crate::span;

/// Most mistakes that one run keeps.
const FAULTS_MAX: usize = 100;

/// The mistakes of one file so far.
pub(crate) struct Reader {
    file: String,
    faults: Vec<FileFault>,
}

/// A map whose keys are known ones.
#[derive(Clone)]
pub(crate) struct Fields<'n> {
    entries: &'n [Entry],
    /// Where the map begins.
    pub(crate) place: Place,
    /// Its path.
    pub(crate) path: String,
}

/// A value with its path.
#[derive(Clone)]
pub(crate) struct Value<'n> {
    pub(crate) node: &'n Node,
    pub(crate) path: String,
}

impl<'n> Fields<'n> {
    /// The value of a key; nothing is as good as absent.
    pub(crate) fn get(&self, key: &str) -> Option<Value<'n>> {
        self.given(key).filter(|value| !value.node.is_null())
    }

    /// The value of a key even where it is nothing.
    pub(crate) fn given(&self, key: &str) -> Option<Value<'n>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(Value {
            node: &entry.value,
            path: join(&self.path, key),
        })
    }

    /// Whether a key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }
}

impl Value<'_> {
    pub(crate) fn place(&self) -> Place {
        self.node.place
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

impl Reader {
    pub(crate) fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            faults: Vec::new(),
        }
    }

    /// Keeps a mistake.
    pub(crate) fn fault(&mut self, place: Place, path: &str, message: impl Into<String>) {
        let fault = FileFault::new(&self.file, place, path, message);
        self.push(fault);
    }

    /// Keeps a mistake with what to do about it.
    pub(crate) fn hinted(
        &mut self,
        place: Place,
        path: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let fault = FileFault::new(&self.file, place, path, message).hint(hint);
        self.push(fault);
    }

    fn push(&mut self, fault: FileFault) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        }
    }

    /// The value, or the mistakes in the order of the file.
    pub(crate) fn end<T>(mut self, value: T) -> Result<T, Vec<FileFault>> {
        if self.faults.is_empty() {
            return Ok(value);
        }
        self.faults.sort_by_key(|fault| fault.place);
        Err(self.faults)
    }

    /// How many mistakes there are so far.
    pub(crate) fn count(&self) -> usize {
        self.faults.len()
    }

    /// A map with nothing but these keys.
    pub(crate) fn map<'n>(&mut self, value: &Value<'n>, known: &[&str]) -> Fields<'n> {
        let entries: &[Entry] = match &value.node.content {
            Content::Map(entries) => entries,
            _ if value.node.is_null() => &[],
            _ => {
                self.wrong(value, "a map");
                &[]
            }
        };
        for entry in entries
            .iter()
            .filter(|entry| !known.contains(&entry.key.as_str()))
        {
            let path = join(&value.path, &entry.key);
            let message = format!("unknown key `{}`", entry.key);
            self.hinted(
                entry.place,
                &path,
                message,
                format!("known here: {}", known.join(", ")),
            );
        }
        Fields {
            entries,
            place: value.node.place,
            path: value.path.clone(),
        }
    }

    fn wrong(&mut self, value: &Value<'_>, expected: &str) {
        let message = format!("found {}, expected {expected}", value.node.kind());
        self.fault(value.place(), &value.path, message);
    }

    /// The items of a list.
    pub(crate) fn list<'n>(&mut self, value: &Value<'n>) -> Vec<Value<'n>> {
        let Content::List(items) = &value.node.content else {
            self.wrong(value, "a list");
            return Vec::new();
        };
        let numbered = (0..).zip(items);
        let values = numbered.map(|(place, node): (usize, _)| Value {
            node,
            path: format!("{}[{place}]", value.path),
        });
        values.collect()
    }

    /// A text, number or truth value as text.
    pub(crate) fn text(&mut self, value: &Value<'_>) -> String {
        match &value.node.content {
            Content::Scalar { .. } if value.node.is_null() => String::new(),
            Content::Scalar { text, .. } => text.clone(),
            _ => {
                self.wrong(value, "a text");
                String::new()
            }
        }
    }

    /// A text under a key; empty where it is absent.
    pub(crate) fn text_of(&mut self, fields: &Fields<'_>, key: &str) -> String {
        fields
            .get(key)
            .map_or_else(String::new, |value| self.text(&value))
    }

    /// A list of texts under a key.
    pub(crate) fn texts_of(&mut self, fields: &Fields<'_>, key: &str) -> Vec<String> {
        let Some(value) = fields.get(key) else {
            return Vec::new();
        };
        self.list(&value)
            .iter()
            .map(|item| self.text(item))
            .collect()
    }

    /// A duration in milliseconds under a key.
    pub(crate) fn duration_of(&mut self, fields: &Fields<'_>, key: &str) -> Option<i64> {
        let value = fields.get(key)?;
        let text = self.text(&value);
        match span::parse(&text) {
            Ok(duration) => Some(duration),
            Err(fault) => {
                self.fault(value.place(), &value.path, fault.to_string());
                None
            }
        }
    }

    /// A whole number under a key.
    pub(crate) fn count_of(&mut self, fields: &Fields<'_>, key: &str) -> Option<usize> {
        let value = fields.get(key)?;
        let text = self.text(&value);
        let number = text.parse().ok();
        if number.is_none() {
            let message = format!("`{text}` is not a whole number of zero or more");
            self.fault(value.place(), &value.path, message);
        }
        number
    }

    /// A truth value under a key.
    pub(crate) fn truth_of(&mut self, fields: &Fields<'_>, key: &str) -> Option<bool> {
        let value = fields.get(key)?;
        let text = self.text(&value);
        match text.as_str() {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => {
                let message = format!("`{text}` is neither `true` nor `false`");
                self.fault(value.place(), &value.path, message);
                None
            }
        }
    }

    /// A map of texts under a key, each with the place of its key and of its value.
    pub(crate) fn pairs_of(&mut self, fields: &Fields<'_>, key: &str) -> Vec<Pair> {
        let Some(value) = fields.get(key) else {
            return Vec::new();
        };
        let Content::Map(entries) = &value.node.content else {
            self.wrong(&value, "a map");
            return Vec::new();
        };
        let pairs = entries.iter().map(|entry| {
            let path = join(&value.path, &entry.key);
            let text = self.text(&Value {
                node: &entry.value,
                path: path.clone(),
            });
            Pair {
                name: entry.key.clone(),
                name_place: entry.place,
                is_null: entry.value.is_null(),
                value: text,
                place: entry.value.place,
                path,
            }
        });
        pairs.collect()
    }
}

/// One entry of a map of texts.
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) name_place: Place,
    pub(crate) value: String,
    pub(crate) place: Place,
    pub(crate) path: String,
    pub(crate) is_null: bool,
}
