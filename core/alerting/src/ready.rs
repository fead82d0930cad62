//! Rules that come with Mainstay: each with the row it answers, a runbook and a rule test.
//!
//! A rule is on when the platform contains what it watches. Thresholds, waits, severities and channels are set per
//! platform and environment ([`Preset`]); a rule whose source does not exist yet says what it waits for.

mod chain;
mod check;
mod gateway;
mod host;
mod platform;
mod postgres;
mod product;
mod redis;

use crate::business::written_out;
use crate::document::Place;
use crate::rule::{Alerting, Query, Rule, RuleGroup, RuleKind};
use crate::span;
use crate::template::Template;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What of a platform a rule watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Nothing: the rule is about Mainstay itself.
    Always,
    /// The machine.
    Host,
    /// Services behind the gateway.
    Gateway,
    /// Services.
    Service,
    /// `PostgreSQL`.
    Postgres,
    /// Redis.
    Redis,
    /// Certificates.
    Certificate,
    /// Checks from outside.
    Check,
    /// Jobs.
    Job,
    /// Backups.
    Backup,
    /// Metrics of services.
    Metrics,
    /// Metrics of the application that the file names for this rule.
    Named,
    /// A chain.
    Chain,
    /// A ledger offered to applications.
    Ledger,
    /// Logs.
    Log,
    /// Costs.
    Cost,
}

/// How much an alert matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Somebody is woken.
    Critical,
    /// Somebody looks at it in working hours.
    Warning,
    /// Whoever is curious looks at it.
    Info,
}

impl Severity {
    /// The value of the label `severity`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// Series for which a rule fires, and series for which it does not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trial {
    bad: &'static [(&'static str, &'static str)],
    good: &'static [(&'static str, &'static str)],
    minutes: i64,
    /// Minutes between two values, and between two evaluations.
    step: i64,
}

/// One rule.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    /// What presets call it.
    pub id: &'static str,
    /// What it watches.
    pub need: Need,
    /// The query; `$limit` and the names of its metrics are filled in.
    pub expr: &'static str,
    /// The threshold.
    pub limit: f64,
    /// How long it must hold, in milliseconds.
    pub for_ms: i64,
    /// How much it matters.
    pub severity: Severity,
    /// Where it goes beside the usual routes; empty where nothing is said.
    pub channel: &'static str,
    /// The rows of the alert table that it answers; empty where no document asks for it.
    pub answers: &'static [&'static str],
    /// What has happened, as a template.
    pub summary: &'static str,
    /// What to do about it.
    pub runbook: &'static str,
    /// Metrics that the file names: the name in the query, and what it is.
    pub metrics: &'static [(&'static str, &'static str)],
    /// What does not exist yet, without which the rule cannot be.
    pub waits_for: &'static str,
    trial: Trial,
}

const NOTHING: Trial = Trial {
    bad: &[],
    good: &[],
    minutes: 0,
    step: 1,
};

impl Ready {
    const fn new(id: &'static str, need: Need, expr: &'static str, limit: f64) -> Self {
        Self {
            id,
            need,
            expr,
            limit,
            for_ms: 0,
            severity: Severity::Warning,
            channel: "",
            answers: &[],
            summary: "",
            runbook: "",
            metrics: &[],
            waits_for: "",
            trial: NOTHING,
        }
    }

    const fn minutes(mut self, minutes: i64) -> Self {
        self.for_ms = minutes * 60_000;
        self
    }

    const fn critical(mut self, channel: &'static str) -> Self {
        self.severity = Severity::Critical;
        self.channel = channel;
        self
    }

    const fn answers(mut self, rows: &'static [&'static str]) -> Self {
        self.answers = rows;
        self
    }

    const fn says(mut self, summary: &'static str, runbook: &'static str) -> Self {
        self.summary = summary;
        self.runbook = runbook;
        self
    }

    const fn metrics(mut self, metrics: &'static [(&'static str, &'static str)]) -> Self {
        self.metrics = metrics;
        self
    }

    const fn waits(mut self, source: &'static str) -> Self {
        self.waits_for = source;
        self
    }

    const fn trial(
        mut self,
        minutes: i64,
        bad: &'static [(&'static str, &'static str)],
        good: &'static [(&'static str, &'static str)],
    ) -> Self {
        self.trial = Trial {
            bad,
            good,
            minutes,
            step: 1,
        };
        self
    }

    /// The trial's values are hours apart.
    const fn hourly(mut self) -> Self {
        self.trial.step = 60;
        self
    }

    /// The alert's name: `disk-used` is `DiskUsed`.
    pub fn alert(&self) -> String {
        let words = self.id.split('-').map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            format!("{}{rest}", first.to_uppercase())
        });
        words.collect()
    }
}

/// All rules, family by family.
pub fn all() -> impl Iterator<Item = &'static Ready> {
    families().into_iter().flat_map(|(_, rules)| rules)
}

fn families() -> [(&'static str, &'static [Ready]); 8] {
    [
        ("host", host::RULES),
        ("gateway", gateway::RULES),
        ("postgres", postgres::RULES),
        ("redis", redis::RULES),
        ("check", check::RULES),
        ("platform", platform::RULES),
        ("product", product::RULES),
        ("chain", chain::RULES),
    ]
}

/// What a platform contains.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parts(pub BTreeSet<Need>);

/// What a file sets for one rule.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Preset {
    /// Whether the rule is off.
    pub off: bool,
    /// The threshold instead of the usual one (`above` or `below` in the file).
    pub limit: Option<f64>,
    /// How long it must hold, in milliseconds.
    pub for_ms: Option<i64>,
    /// `critical`, `warning`, `info`, or a word of the platform's own.
    pub severity: Option<String>,
    /// Where it goes.
    pub channel: Option<String>,
    /// Metrics, by the name in the rule's query.
    pub metrics: BTreeMap<String, String>,
}

/// Presets by the ids of rules.
pub type Presets = BTreeMap<String, Preset>;

/// Why presets are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PresetFault {
    /// No rule has this id.
    #[error("no rule is called `{id}`; `mainstay alerts rules` lists all")]
    Unknown {
        /// The id.
        id: String,
    },
    /// A rule's query is broken by what the file names.
    #[error("rule `{id}`: {why}")]
    Broken {
        /// The rule.
        id: String,
        /// Why.
        why: String,
    },
}

/// Where a rule stands for a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stand {
    /// It runs.
    On,
    /// The file has put it out.
    Off,
    /// The platform does not contain what it watches.
    Absent(Need),
    /// The file does not name these metrics for it.
    Unnamed(Vec<&'static str>),
    /// Its source does not exist yet.
    Waiting(&'static str),
}

/// Where a rule stands.
pub fn stand(rule: &Ready, parts: &Parts, presets: &Presets) -> Stand {
    let preset = presets.get(rule.id);
    if preset.is_some_and(|preset| preset.off) {
        return Stand::Off;
    }
    if !rule.waits_for.is_empty() {
        return Stand::Waiting(rule.waits_for);
    }
    let named = |name: &str| preset.is_some_and(|preset| preset.metrics.contains_key(name));
    let missing: Vec<_> = rule
        .metrics
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !named(name))
        .collect();
    if !missing.is_empty() {
        return Stand::Unnamed(missing);
    }
    if !matches!(rule.need, Need::Always | Need::Named) && !parts.0.contains(&rule.need) {
        return Stand::Absent(rule.need);
    }
    Stand::On
}

/// The rules that a platform runs, as groups.
pub fn ready(parts: &Parts, presets: &Presets) -> Result<Vec<RuleGroup>, Vec<PresetFault>> {
    let mut faults: Vec<PresetFault> = presets
        .keys()
        .filter(|id| !all().any(|rule| rule.id == id.as_str()))
        .map(|id| PresetFault::Unknown { id: id.clone() })
        .collect();
    let mut groups = Vec::new();
    for (name, rules) in families() {
        let on = rules
            .iter()
            .filter(|rule| stand(rule, parts, presets) == Stand::On);
        let mut made = Vec::new();
        for rule in on {
            match make(rule, presets.get(rule.id)) {
                Ok(rule) => made.push(rule),
                Err(why) => faults.push(PresetFault::Broken {
                    id: rule.id.to_owned(),
                    why,
                }),
            }
        }
        if !made.is_empty() {
            groups.push(RuleGroup {
                file: "mainstay".to_owned(),
                name: format!("ready-{name}"),
                interval_ms: None,
                query_offset_ms: None,
                limit: 0,
                rules: made,
            });
        }
    }
    if faults.is_empty() {
        Ok(groups)
    } else {
        Err(faults)
    }
}

/// The query with everything filled in.
fn filled(rule: &Ready, preset: Option<&Preset>) -> Result<String, String> {
    let limit = preset.and_then(|preset| preset.limit).unwrap_or(rule.limit);
    if !limit.is_finite() {
        return Err(format!("the threshold {limit} is not a number"));
    }
    let mut expr = rule.expr.replace("$limit", &format!("{limit}"));
    for (name, _) in rule.metrics {
        let given = preset.and_then(|preset| preset.metrics.get(*name));
        let metric = given.map_or(*name, String::as_str);
        expr = expr.replace(&format!("${name}"), metric);
    }
    written_out(&expr).map_err(|fault| fault.to_string())
}

fn make(rule: &Ready, preset: Option<&Preset>) -> Result<Rule, String> {
    let query = Query::parse(&filled(rule, preset)?).map_err(|fault| fault.to_string())?;
    let severity = preset
        .and_then(|preset| preset.severity.as_deref())
        .unwrap_or(rule.severity.name());
    let channel = preset
        .and_then(|preset| preset.channel.as_deref())
        .unwrap_or(rule.channel);
    let mut labels = BTreeMap::from([("severity".to_owned(), Template::literal(severity))]);
    if !channel.is_empty() {
        labels.insert("channel".to_owned(), Template::literal(channel));
    }
    let summary = Template::of_rule(rule.summary).map_err(|fault| fault.to_string())?;
    let annotations = BTreeMap::from([
        ("summary".to_owned(), summary),
        ("runbook".to_owned(), Template::literal(rule.runbook)),
        ("rule".to_owned(), Template::literal(rule.id)),
    ]);
    Ok(Rule {
        kind: RuleKind::Alerting(Alerting {
            alert: rule.alert(),
            for_ms: preset
                .and_then(|preset| preset.for_ms)
                .unwrap_or(rule.for_ms),
            keep_firing_for_ms: 0,
            annotations,
        }),
        query,
        labels,
        place: Place::default(),
    })
}

/// The rule alone in a rule file's text, with its usual threshold.
pub fn rule_file_of(rule: &Ready) -> Result<String, String> {
    let query = filled(rule, None)?;
    let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
    Ok(format!(
        "groups:\n- name: ready\n  rules:\n  - alert: {}\n    expr: {}\n    for: {}\n    labels: {{severity: {}}}\n    annotations:\n      summary: {}\n      runbook: {}\n",
        rule.alert(),
        quoted(&query),
        span::format(rule.for_ms),
        rule.severity.name(),
        quoted(rule.summary),
        quoted(rule.runbook),
    ))
}

/// The rule's test in promtool's format, for the file that [`rule_file_of`] gives as `rules.yml`.
pub fn rule_test_of(rule: &Ready) -> String {
    let step = rule.trial.step;
    let mut text = format!("rule_files: [rules.yml]\nevaluation_interval: {step}m\ntests:\n");
    for (name, series, fires) in [
        ("fires", rule.trial.bad, true),
        ("is quiet", rule.trial.good, false),
    ] {
        // The heartbeat is never quiet: that is what it is for.
        if !fires && series.is_empty() {
            continue;
        }
        write!(
            text,
            "- name: {} {name}\n  interval: {step}m\n  input_series:\n",
            rule.id
        )
        .unwrap_or_default();
        for (series, values) in series {
            let series = serde_json::to_string(series).unwrap_or_default();
            writeln!(text, "  - {{series: {series}, values: \"{values}\"}}").unwrap_or_default();
        }
        let expected = if fires { "[{value: 1}]" } else { "[]" };
        write!(
            text,
            "  promql_expr_test:\n  - expr: group(ALERTS{{alertname=\"{}\", alertstate=\"firing\"}})\n    eval_time: {}m\n    exp_samples: {expected}\n",
            rule.alert(),
            rule.trial.minutes
        )
        .unwrap_or_default();
    }
    text
}

#[cfg(test)]
#[path = "ready_test.rs"]
mod tests;
