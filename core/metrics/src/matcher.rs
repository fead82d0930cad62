//! Matchers: which label sets a selector means.

use crate::label::{Labels, NAME};
use crate::pattern::{Pattern, PatternFault};
use std::fmt;
use std::sync::Arc;

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`: the whole value matches an expression.
    Regex,
    /// `!~`
    NotRegex,
}

impl MatchOp {
    /// As it is written.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// One condition on one label. A label that is not there has the empty value.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// The label's name.
    pub name: Arc<str>,
    /// The comparison.
    pub op: MatchOp,
    /// The value or expression.
    pub value: Arc<str>,
    pattern: Option<Pattern>,
}

impl Matcher {
    /// Makes a condition; an expression is compiled, within limits.
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Self, PatternFault> {
        let pattern = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(Pattern::new(value)?),
        };
        Ok(Self {
            name: name.into(),
            op,
            value: value.into(),
            pattern,
        })
    }

    /// The condition that a label has exactly this value.
    pub fn equal(name: &str, value: &str) -> Self {
        Self {
            name: name.into(),
            op: MatchOp::Equal,
            value: value.into(),
            pattern: None,
        }
    }

    /// Whether a value fulfils the condition.
    pub fn matches(&self, value: &str) -> bool {
        let found = self
            .pattern
            .as_ref()
            .map_or(&*self.value == value, |pattern| pattern.matches(value));
        match self.op {
            MatchOp::Equal | MatchOp::Regex => found,
            MatchOp::NotEqual | MatchOp::NotRegex => !found,
        }
    }

    /// Whether series without the label fulfil it.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    /// Whether it is about the metric's name.
    pub fn is_name(&self) -> bool {
        &*self.name == NAME
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = crate::label::quoted(self.value.as_bytes());
        write!(out, "{}{}{value}", self.name, self.op.sign())
    }
}

/// Whether a label set fulfils every condition.
pub fn all_match(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers
        .iter()
        .all(|matcher| matcher.matches(labels.get(&matcher.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_label_is_empty() {
        let labels = Labels::new([("job", "api")]);
        for (name, op, value, expected) in [
            ("job", MatchOp::Equal, "api", true),
            ("job", MatchOp::NotEqual, "api", false),
            ("x", MatchOp::Equal, "", true),
            ("x", MatchOp::NotEqual, "", false),
            ("x", MatchOp::Regex, ".*", true),
            ("x", MatchOp::Regex, ".+", false),
            ("x", MatchOp::NotRegex, "y|z", true),
            ("job", MatchOp::NotRegex, "a.*", false),
        ] {
            let matcher = Matcher::new(name, op, value).unwrap();
            assert_eq!(all_match(&[matcher], &labels), expected, "{name} {value}");
        }
    }
}
