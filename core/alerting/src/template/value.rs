//! Values of a template.

use super::number::general;
use std::collections::BTreeMap;

/// What a template computes with.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Nil,
    /// `true` or `false`.
    Truth(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(String),
    /// Values in order.
    List(Vec<Value>),
    /// Texts by name, such as labels: a name that is not there is an empty text.
    Texts(BTreeMap<String, String>),
    /// Fields by name: one that is not there is a fault.
    Object(Box<Object>),
}

/// Fields, and what the value is when it is walked or counted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object {
    /// By name.
    pub fields: BTreeMap<String, Value>,
    /// Items of a list that has fields too.
    pub items: Option<Vec<Value>>,
}

impl Value {
    /// Texts by name.
    pub fn texts<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let pairs = pairs.into_iter();
        Self::Texts(
            pairs
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }

    /// Fields by name.
    pub fn object<N: Into<String>>(fields: impl IntoIterator<Item = (N, Self)>) -> Self {
        let fields = fields.into_iter().map(|(name, value)| (name.into(), value));
        Self::Object(Box::new(Object {
            fields: fields.collect(),
            items: None,
        }))
    }

    /// One element of a query's result.
    pub fn sample(labels: impl IntoIterator<Item = (String, String)>, value: f64) -> Self {
        Self::object([
            ("Labels", Self::texts(labels)),
            ("Value", Self::Float(value)),
        ])
    }

    /// Whether a condition holds: nothing, zero and what is empty do not.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Truth(truth) => *truth,
            Self::Integer(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Texts(texts) => !texts.is_empty(),
            Self::Object(object) => object.items.as_ref().is_none_or(|items| !items.is_empty()),
        }
    }

    /// What it is, for a message.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nothing",
            Self::Truth(_) => "a truth value",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Texts(_) | Self::Object(_) => "a map",
        }
    }

    /// A field by its name; `None` where the value cannot have it.
    pub(crate) fn field(&self, name: &str) -> Option<Self> {
        match self {
            Self::Texts(texts) => Some(Self::Text(texts.get(name).cloned().unwrap_or_default())),
            Self::Object(object) => object.fields.get(name).cloned(),
            _ => None,
        }
    }

    /// Bytes that the value holds, roughly: what an expansion is charged for keeping it.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Text(text) => text.len() + 8,
            Self::List(items) => items.iter().map(Self::weight).sum::<usize>() + 8,
            Self::Texts(texts) => {
                let pairs = texts.iter().map(|(name, value)| name.len() + value.len());
                pairs.sum::<usize>() + 8
            }
            Self::Object(object) => {
                let fields = object.fields.values().map(Self::weight).sum::<usize>();
                fields
                    + object
                        .items
                        .iter()
                        .flatten()
                        .map(Self::weight)
                        .sum::<usize>()
                    + 8
            }
            _ => 8,
        }
    }

    /// As it is printed.
    pub(crate) fn print(&self) -> String {
        match self {
            Self::Nil => "<no value>".into(),
            Self::Truth(truth) => truth.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => general(*number),
            Self::Text(text) => text.clone(),
            Self::List(items) => bracketed("", items.iter().map(Self::print)),
            Self::Texts(texts) => bracketed(
                "map",
                texts.iter().map(|(name, value)| format!("{name}:{value}")),
            ),
            Self::Object(object) => {
                if let Some(items) = &object.items {
                    return bracketed("", items.iter().map(Self::print));
                }
                let fields = object.fields.iter();
                let fields = fields.map(|(name, value)| format!("{name}:{}", value.print()));
                bracketed("map", fields)
            }
        }
    }
}

fn bracketed(name: &str, parts: impl Iterator<Item = String>) -> String {
    format!("{name}[{}]", parts.collect::<Vec<_>>().join(" "))
}
