//! What rules ask of the world: results of queries, and a place for what they record.

use crate::rule::Query;
use crate::template::{self, Lookup, Template};
use mainstay_metrics::{Labels, Source, Value};
use mainstay_promql::{Answer, Settings, When, evaluate};
use std::collections::BTreeMap;

/// One element of a query's result.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: Value,
}

impl Element {
    /// The value as a number; zero for a histogram, as in the field.
    pub fn number(&self) -> f64 {
        match self.value {
            Value::Float(number) => number,
            Value::Histogram(_) => 0.0,
        }
    }
}

/// Where rules read and write.
pub trait Store {
    /// The result of a query at a time in milliseconds since 1970. An error keeps all states as they are.
    fn query(&mut self, query: &Query, at_ms: i64) -> Result<Vec<Element>, String>;
    /// Writes samples of one time; they are seen by the next query.
    fn write(&mut self, at_ms: i64, samples: &[(Labels, Value)]);
}

/// What rules know of the world around them.
#[derive(Debug, Clone, PartialEq)]
pub struct Outside {
    /// Labels of this installation; alerts that lack them get them when they are told.
    pub labels: Labels,
    /// The address under which people reach it.
    pub url: String,
    /// How often an active alert is told again, in milliseconds.
    pub resend_ms: i64,
}

impl Default for Outside {
    /// Told again every minute, as in the field.
    fn default() -> Self {
        Self {
            labels: Labels::default(),
            url: String::new(),
            resend_ms: 60_000,
        }
    }
}

/// Evaluates a query over a source as a rule does: once, and the result must be a vector or a number.
pub fn ask(
    source: &dyn Source,
    query: &Query,
    at_ms: i64,
    settings: &Settings,
    expired: &dyn Fn() -> bool,
) -> Result<Vec<Element>, String> {
    let outcome = evaluate(
        source,
        &query.text,
        &query.expr,
        When::Instant(at_ms),
        settings,
        expired,
    );
    match outcome.map_err(|fault| fault.to_string())?.answer {
        Answer::Scalar { value, .. } => Ok(vec![Element {
            labels: Labels::default(),
            value: Value::Float(value),
        }]),
        Answer::Vector(series) => Ok(series
            .into_iter()
            .filter_map(|mut one| {
                let value = one.samples.pop()?.value;
                Some(Element {
                    labels: one.labels,
                    value,
                })
            })
            .collect()),
        Answer::Text(_) | Answer::Matrix(_) => Err("rule result is not a vector or scalar".into()),
    }
}

/// Queries of templates, answered by a store.
struct Asking<'a> {
    store: &'a mut dyn Store,
    at_ms: i64,
}

impl Lookup for Asking<'_> {
    fn query(&mut self, query: &str) -> Result<Vec<template::Value>, String> {
        let query = Query::parse(query).map_err(|fault| fault.to_string())?;
        let elements = self.store.query(&query, self.at_ms)?;
        Ok(elements.iter().map(sample).collect())
    }
}

fn pairs(labels: &Labels) -> impl Iterator<Item = (String, String)> {
    labels
        .iter()
        .map(|label| (label.name.to_string(), label.value.to_string()))
}

fn sample(element: &Element) -> template::Value {
    template::Value::sample(pairs(&element.labels), element.number())
}

/// Expands the texts of a rule for one element; a template that fails says so in its place.
pub(crate) fn expand(
    templates: &BTreeMap<String, Template>,
    element: &Element,
    at_ms: i64,
    outside: &Outside,
    store: &mut dyn Store,
) -> BTreeMap<String, String> {
    let labels = template::Value::texts(pairs(&element.labels));
    let value = template::Value::Float(element.number());
    let external = template::Value::texts(pairs(&outside.labels));
    let url = template::Value::Text(outside.url.clone());
    let data = template::Value::object([
        ("Labels", labels.clone()),
        ("Value", value.clone()),
        ("ExternalLabels", external.clone()),
        ("ExternalURL", url.clone()),
    ]);
    let variables = [
        ("labels", labels),
        ("value", value),
        ("externalLabels", external),
        ("externalURL", url),
    ];
    let mut asking = Asking { store, at_ms };
    let texts = templates.iter().map(|(name, template)| {
        let text = template.expand(&data, &variables, &mut asking);
        let text = text.unwrap_or_else(|fault| format!("<error expanding template: {fault}>"));
        (name.clone(), text)
    });
    texts.collect()
}
