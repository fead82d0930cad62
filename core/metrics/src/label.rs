//! Label sets: what tells one series from another.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The label that holds the metric's name.
pub const NAME: &str = "__name__";

/// The label that holds the upper bound of a classic histogram's bucket.
pub const BUCKET: &str = "le";

/// One name and its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    /// Any non-empty UTF-8 text.
    pub name: Arc<str>,
    /// Never empty: a label without a value is a label that is not there.
    pub value: Arc<str>,
}

/// Labels sorted by name, each name once, no empty value. Cloning shares.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[Label]>);

impl Default for Labels {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}

impl Labels {
    /// Sorts labels; of two with one name the later wins, and empty values go.
    pub fn new<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }

    /// Takes labels that are sorted by name already, each name once, none empty.
    pub fn from_sorted(labels: Vec<Label>) -> Self {
        debug_assert!(labels.windows(2).all(|pair| pair[0].name < pair[1].name));
        Self(labels.into())
    }

    /// The value of a label; empty when it is not there.
    pub fn get(&self, name: &str) -> &str {
        self.find(name).map_or("", |label| &label.value)
    }

    /// A label by its name.
    pub fn find(&self, name: &str) -> Option<&Label> {
        // Sets are small and sorted: a scan that stops early beats a bisection.
        self.0
            .iter()
            .take_while(|label| &*label.name <= name)
            .find(|label| &*label.name == name)
    }

    /// The metric's name; empty when there is none.
    pub fn metric(&self) -> &str {
        self.get(NAME)
    }

    /// All labels, by name.
    pub fn iter(&self) -> std::slice::Iter<'_, Label> {
        self.0.iter()
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same set, keeping the labels that `keep` accepts.
    #[must_use]
    pub fn filtered(&self, mut keep: impl FnMut(&Label) -> bool) -> Self {
        Self(self.0.iter().filter(|label| keep(label)).cloned().collect())
    }

    /// The same set without the metric's name.
    #[must_use]
    pub fn without_name(&self) -> Self {
        if self.find(NAME).is_none() {
            return self.clone();
        }
        self.filtered(|label| &*label.name != NAME)
    }

    /// A builder that starts from this set.
    pub fn edit(&self) -> LabelsBuilder {
        LabelsBuilder {
            labels: self
                .iter()
                .map(|label| (label.name.clone(), label.value.clone()))
                .collect(),
        }
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = &'a Label;
    type IntoIter = std::slice::Iter<'a, Label>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// As the query language writes a selector of exactly this series, `__name__` spelled out.
impl fmt::Display for Labels {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("{")?;
        for (place, label) in self.iter().enumerate() {
            if place > 0 {
                out.write_str(", ")?;
            }
            if is_plain(&label.name) {
                out.write_str(&label.name)?;
            } else {
                out.write_str(&quoted(label.name.as_bytes()))?;
            }
            write!(out, "={}", quoted(label.value.as_bytes()))?;
        }
        out.write_str("}")
    }
}

/// Whether a label's name needs no quotes: letters, digits and underscores, no digit first.
pub fn is_plain(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes
        .first()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Whether a metric's name needs no quotes: as a label's, with colons.
pub fn is_plain_metric(name: &str) -> bool {
    !name.is_empty()
        && !name.as_bytes()[0].is_ascii_digit()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')
}

/// A text in double quotes, with the escapes that the query language reads back.
pub fn quoted(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 2);
    text.push('"');
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            escape(letter, &mut text);
        }
        for byte in chunk.invalid() {
            hex(*byte, &mut text);
        }
    }
    text.push('"');
    text
}

/// A byte as `\\x0a`.
fn hex(byte: u8, text: &mut String) {
    text.push_str("\\x");
    for digit in [byte >> 4, byte & 15] {
        text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
    }
}

fn escape(letter: char, text: &mut String) {
    match letter {
        '"' => text.push_str("\\\""),
        '\\' => text.push_str("\\\\"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        control if control < ' ' || control == '\u{7f}' => {
            hex(control as u8, text);
        }
        control if control.is_control() => text.extend(
            control
                .escape_unicode()
                .filter(|part| !matches!(part, '{' | '}')),
        ),
        other => text.push(other),
    }
}

/// Changes to a label set.
#[derive(Debug, Clone, Default)]
pub struct LabelsBuilder {
    labels: BTreeMap<Arc<str>, Arc<str>>,
}

impl LabelsBuilder {
    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.remove(name);
        } else {
            self.labels.insert(name.into(), value.into());
        }
    }

    /// Takes a label away.
    pub fn remove(&mut self, name: &str) {
        self.labels.remove(name);
    }

    /// The set.
    pub fn build(self) -> Labels {
        let labels = self.labels.into_iter();
        Labels(labels.map(|(name, value)| Label { name, value }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_sorted_and_has_no_empty_value() {
        let labels = Labels::new([("job", "a"), (NAME, "up"), ("x", ""), ("job", "b")]);
        assert_eq!(labels.to_string(), r#"{__name__="up", job="b"}"#);
        assert_eq!(labels.get("x"), "");
        assert_eq!(labels.metric(), "up");
        assert_eq!(labels.without_name().to_string(), r#"{job="b"}"#);
    }

    #[test]
    fn names_beyond_the_plain_are_quoted() {
        let labels = Labels::new([("http.method", "a\"b\n")]);
        assert_eq!(labels.to_string(), "{\"http.method\"=\"a\\\"b\\n\"}");
        assert_eq!(quoted(b"a\xc5z"), "\"a\\xc5z\"");
    }
}
