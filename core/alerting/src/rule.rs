//! Rules and their groups, read and checked.

use crate::document::Place;
use crate::template::Template;
use mainstay_metrics::Labels;
use mainstay_promql::{Expr, Kind, Options, ParseFault, parse};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The interval of a group that names none, in milliseconds: the field's default.
pub const INTERVAL_MS: i64 = 60_000;

/// A checked query with its text.
#[derive(Debug, Clone)]
pub struct Query {
    /// As it was written.
    pub text: Arc<str>,
    /// Parsed.
    pub expr: Arc<Expr>,
}

impl PartialEq for Query {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Query {
    /// Parses and checks.
    pub fn parse(text: &str) -> Result<Self, ParseFault> {
        Self::parse_with(text, Options::default())
    }

    /// Parses and checks with parts of the language on or off.
    pub fn parse_with(text: &str, options: Options) -> Result<Self, ParseFault> {
        Ok(Self {
            expr: Arc::new(parse(text, options)?),
            text: text.into(),
        })
    }

    /// The metrics that it reads at the time of its evaluation or near it, by name: neither those under a
    /// positive `offset` nor those at a fixed time, which a rule may read of itself.
    pub fn reads_now(&self) -> Vec<String> {
        let mut names = Vec::new();
        metrics(&self.expr, &mut names);
        names
    }
}

fn metrics(expr: &Expr, names: &mut Vec<String>) {
    match &expr.kind {
        Kind::Select(selector) => names.extend(read_now(selector)),
        Kind::Range(range) => names.extend(read_now(&range.selector)),
        Kind::Subquery(subquery) => {
            if is_now(&subquery.modifiers) {
                metrics(&subquery.inner, names);
            }
        }
        Kind::Call(call) => call
            .arguments
            .iter()
            .for_each(|argument| metrics(argument, names)),
        Kind::Aggregate(aggregate) => {
            metrics(&aggregate.inner, names);
            if let Some(parameter) = &aggregate.parameter {
                metrics(parameter, names);
            }
        }
        Kind::Binary(binary) => {
            metrics(&binary.left, names);
            metrics(&binary.right, names);
        }
        Kind::Negate(inner) | Kind::Paren(inner) => metrics(inner, names),
        Kind::Number(_) | Kind::Text(_) => {}
    }
}

fn is_now(modifiers: &mainstay_promql::Modifiers) -> bool {
    modifiers.offset.is_none() && modifiers.at.is_none()
}

fn read_now(selector: &mainstay_promql::Selector) -> Option<String> {
    if !is_now(&selector.modifiers) {
        return None;
    }
    let name = selector.matchers.iter().find(|matcher| matcher.is_name())?;
    (name.op == mainstay_metrics::MatchOp::Equal).then(|| name.value.to_string())
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// What it makes of the result.
    pub kind: RuleKind,
    /// The query.
    pub query: Query,
    /// Labels that are set on every result; those of a recording rule are taken as they stand.
    pub labels: BTreeMap<String, Template>,
    /// Where it stands in its file.
    pub place: Place,
}

/// What a rule makes of its query's result.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleKind {
    /// A series of this name.
    Recording(String),
    /// An alert for each element.
    Alerting(Alerting),
}

/// The parts of an alerting rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Alerting {
    /// The alert's name.
    pub alert: String,
    /// How long an element must be there before the alert fires, in milliseconds.
    pub for_ms: i64,
    /// How long an alert goes on firing after its element is gone, in milliseconds.
    pub keep_firing_for_ms: i64,
    /// Texts for people.
    pub annotations: BTreeMap<String, Template>,
}

impl Rule {
    /// The name of the series or alert.
    pub fn name(&self) -> &str {
        match &self.kind {
            RuleKind::Recording(name) => name,
            RuleKind::Alerting(alerting) => &alerting.alert,
        }
    }

    /// What a rule is known by when its group is loaded again: kind, name and labels.
    pub fn key(&self) -> String {
        let kind = match self.kind {
            RuleKind::Recording(_) => "record",
            RuleKind::Alerting(_) => "alert",
        };
        let pairs = self.labels.iter();
        let labels = Labels::new(pairs.map(|(name, value)| (name.as_str(), value.text())));
        format!("{kind} {}{labels}", self.name())
    }
}

/// Rules that run together, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleGroup {
    /// The file it comes from, or what made it.
    pub file: String,
    /// Its name, single within its file.
    pub name: String,
    /// How often it runs, in milliseconds; the caller's default where it names none.
    pub interval_ms: Option<i64>,
    /// How far in the past it asks, in milliseconds.
    pub query_offset_ms: Option<i64>,
    /// Most series or alerts of one rule; zero is no limit.
    pub limit: usize,
    /// Its rules; labels of the group are in their labels already.
    pub rules: Vec<Rule>,
}
