//! A rule group while it runs: rules in order, alerts from pending to resolved, health.

use crate::alert::{Alert, Notice, State};
use crate::at::At;
use crate::element::{Element, Outside, Store, expand};
use crate::rule::{Alerting, INTERVAL_MS, Rule, RuleGroup, RuleKind};
use mainstay_metrics::label::NAME;
use mainstay_metrics::sample::stale;
use mainstay_metrics::{Labels, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The label that names an alert.
pub const ALERT_NAME: &str = "alertname";
/// The label of `ALERTS` that says whether an alert is pending or fires.
pub const ALERT_STATE: &str = "alertstate";
/// The series of pending and firing alerts.
pub const ALERTS: &str = "ALERTS";
/// The series of when alerts became active, in seconds since 1970.
pub const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

/// How a rule fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It has not run yet.
    Unknown,
    /// Its last run went well.
    Good,
    /// Its last run failed; what it knew is kept.
    Failed(String),
}

/// A rule and what is known of it.
#[derive(Debug, Clone)]
pub struct RuleState {
    /// The rule.
    pub rule: Rule,
    /// How it fares.
    pub health: Health,
    /// Its alerts by their labels, resolved ones for a while too.
    pub alerts: BTreeMap<Labels, Alert>,
    /// When it last ran.
    pub evaluated_at: Option<At>,
    /// Series that its last good run wrote.
    written: BTreeSet<Labels>,
}

impl RuleState {
    fn new(rule: Rule) -> Self {
        Self {
            rule,
            health: Health::Unknown,
            alerts: BTreeMap::new(),
            evaluated_at: None,
            written: BTreeSet::new(),
        }
    }

    /// Takes alerts over that were written down, and so the series that they stand for.
    pub(crate) fn restore(&mut self, alerts: Vec<Alert>) {
        for alert in alerts {
            if alert.state != State::Resolved {
                self.written.insert(alerts_series(&alert));
                self.written.insert(for_state_series(&alert));
            }
            self.alerts.insert(alert.labels.clone(), alert);
        }
    }
}

/// What an evaluation of a group has come to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evaluated {
    /// What a router is to be told.
    pub notices: Vec<Notice>,
    /// Rules that failed, with why.
    pub failures: Vec<(String, String)>,
}

/// A group and what is known of its rules.
#[derive(Debug, Clone)]
pub struct Group {
    /// The file and name that it is known by.
    pub file: String,
    /// Its name.
    pub name: String,
    /// How often it runs, in milliseconds.
    pub interval_ms: i64,
    /// How far in the past it asks, in milliseconds.
    pub query_offset_ms: i64,
    /// Most series or alerts of one rule; zero is no limit.
    pub limit: usize,
    /// Its rules, in order.
    pub rules: Vec<RuleState>,
}

impl Group {
    /// Makes a group that has not run yet; without an interval it runs every minute.
    pub fn new(definition: RuleGroup) -> Self {
        Self::with_interval(definition, INTERVAL_MS)
    }

    /// Makes a group that has not run yet, with the interval for groups that name none.
    pub fn with_interval(definition: RuleGroup, interval_ms: i64) -> Self {
        Self {
            interval_ms: definition.interval_ms.unwrap_or(interval_ms).max(1),
            query_offset_ms: definition.query_offset_ms.unwrap_or(0),
            limit: definition.limit,
            file: definition.file,
            name: definition.name,
            rules: definition.rules.into_iter().map(RuleState::new).collect(),
        }
    }

    /// Where in its interval the group runs, in milliseconds: groups are spread over it by their names.
    pub fn phase_ms(&self) -> i64 {
        let name = format!("{};{}", self.file, self.name);
        // FNV-1a: it stays the same over restarts and versions.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let interval = self.interval_ms.unsigned_abs().max(1);
        i64::try_from(hash % interval).unwrap_or(0)
    }

    /// The first time after the given one at which the group runs, in steady milliseconds. Runs that were
    /// missed are not made up for.
    pub fn next_after(&self, steady_ms: i64) -> i64 {
        let phase = self.phase_ms();
        let passed = (steady_ms - phase).div_euclid(self.interval_ms);
        phase + (passed + 1) * self.interval_ms
    }

    /// Runs every rule once, in order; what a rule records is written before the next one asks.
    pub fn evaluate(&mut self, at: At, outside: &Outside, store: &mut dyn Store) -> Evaluated {
        let mut evaluated = Evaluated::default();
        let asked_ms = at.wall_ms.saturating_sub(self.query_offset_ms);
        let context = Context {
            at,
            asked_ms,
            limit: self.limit,
            outside,
        };
        for state in &mut self.rules {
            state.evaluated_at = Some(at);
            match run(state, &context, store) {
                Ok(()) => state.health = Health::Good,
                Err(why) => {
                    evaluated
                        .failures
                        .push((state.rule.name().to_owned(), why.clone()));
                    state.health = Health::Failed(why);
                }
            }
            notify(state, &context, &mut evaluated.notices);
        }
        evaluated
    }

    /// Takes over what another version of the group knows: rules of the same kind, name and labels keep their
    /// alerts. What belonged to rules that are gone is marked as ended, and alerts that fired are resolved.
    pub fn take_over(
        &mut self,
        before: Self,
        at: At,
        outside: &Outside,
        store: &mut dyn Store,
    ) -> Vec<Notice> {
        let mut gone = before.rules;
        for state in &mut self.rules {
            let key = state.rule.key();
            if let Some(place) = gone.iter().position(|old| old.rule.key() == key) {
                let old = gone.remove(place);
                state.alerts = old.alerts;
                state.written = old.written;
                state.health = old.health;
                state.evaluated_at = old.evaluated_at;
            }
        }
        let asked_ms = at.wall_ms.saturating_sub(self.query_offset_ms);
        close(gone, at, asked_ms, outside, store)
    }

    /// Ends the group: its series are marked as ended, and alerts that fired are resolved.
    pub fn end(self, at: At, outside: &Outside, store: &mut dyn Store) -> Vec<Notice> {
        let asked_ms = at.wall_ms.saturating_sub(self.query_offset_ms);
        close(self.rules, at, asked_ms, outside, store)
    }
}

/// What all rules of one run share.
struct Context<'a> {
    at: At,
    asked_ms: i64,
    limit: usize,
    outside: &'a Outside,
}

/// Runs one rule. On failure nothing that is known changes.
fn run(state: &mut RuleState, context: &Context<'_>, store: &mut dyn Store) -> Result<(), String> {
    let elements = store.query(&state.rule.query, context.asked_ms)?;
    let samples = match &state.rule.kind {
        RuleKind::Recording(name) => recorded(name, &state.rule, elements, context.limit)?,
        RuleKind::Alerting(alerting) => {
            let found = expanded(alerting, &state.rule, elements, context, store)?;
            let alerts = advance(&state.alerts, found, alerting, context)?;
            state.alerts = alerts;
            series(&state.alerts)
        }
    };
    let names: BTreeSet<Labels> = samples.iter().map(|(labels, _)| labels.clone()).collect();
    let ended = state.written.difference(&names);
    let ended = ended.map(|labels| (labels.clone(), Value::Float(stale())));
    let all: Vec<(Labels, Value)> = samples.into_iter().chain(ended).collect();
    store.write(context.asked_ms, &all);
    state.written = names;
    Ok(())
}

/// The series of a recording rule.
fn recorded(
    name: &str,
    rule: &Rule,
    elements: Vec<Element>,
    limit: usize,
) -> Result<Vec<(Labels, Value)>, String> {
    if limit > 0 && elements.len() > limit {
        return Err(format!(
            "exceeded limit of {limit} with {} series",
            elements.len()
        ));
    }
    let mut seen = BTreeSet::new();
    let mut samples = Vec::with_capacity(elements.len());
    for element in elements {
        let mut labels = element.labels.edit();
        labels.set(NAME, name);
        for (name, value) in &rule.labels {
            labels.set(name, value.text());
        }
        let labels = labels.build();
        if !seen.insert(labels.clone()) {
            let why = "vector contains metrics with the same labelset after applying rule labels";
            return Err(format!("{why}: {labels}"));
        }
        samples.push((labels, element.value));
    }
    Ok(samples)
}

/// The alerts that a result stands for, with their texts.
fn expanded(
    alerting: &Alerting,
    rule: &Rule,
    elements: Vec<Element>,
    context: &Context<'_>,
    store: &mut dyn Store,
) -> Result<BTreeMap<Labels, Alert>, String> {
    let mut found = BTreeMap::new();
    for element in elements {
        let mut labels = element.labels.without_name().edit();
        let texts = expand(
            &rule.labels,
            &element,
            context.asked_ms,
            context.outside,
            store,
        );
        for (name, value) in &texts {
            labels.set(name, value);
        }
        labels.set(ALERT_NAME, &alerting.alert);
        let labels = labels.build();
        let annotations = expand(
            &alerting.annotations,
            &element,
            context.asked_ms,
            context.outside,
            store,
        );
        let alert = Alert::new(labels.clone(), annotations, element.number(), context.at);
        if found.insert(labels.clone(), alert).is_some() {
            let why = "vector contains metrics with the same labelset after applying alert labels";
            return Err(format!("{why}: {labels}"));
        }
    }
    Ok(found)
}

/// The alerts after a run that found these.
fn advance(
    known: &BTreeMap<Labels, Alert>,
    mut found: BTreeMap<Labels, Alert>,
    alerting: &Alerting,
    context: &Context<'_>,
) -> Result<BTreeMap<Labels, Alert>, String> {
    let at = context.at;
    let mut alerts = BTreeMap::new();
    for (labels, old) in known {
        let mut alert = old.clone();
        match found.remove(labels) {
            Some(new) if old.state == State::Resolved => {
                // It came back: another alert. That the one before ended may not be told yet, but the new one
                // is, if it fires in time.
                alert = Alert {
                    told_firing: old.told_firing,
                    ..new
                };
                alert.seen(alerting.for_ms, at);
            }
            Some(new) => {
                (alert.value, alert.annotations) = (new.value, new.annotations);
                alert.seen(alerting.for_ms, at);
            }
            None if !alert.missed(alerting.keep_firing_for_ms, at) => continue,
            None => {}
        }
        alerts.insert(labels.clone(), alert);
    }
    for (labels, mut alert) in found {
        alert.seen(alerting.for_ms, at);
        alerts.insert(labels, alert);
    }
    let active = alerts
        .values()
        .filter(|alert| alert.state != State::Resolved)
        .count();
    if context.limit > 0 && active > context.limit {
        return Err(format!(
            "exceeded limit of {} with {active} alerts",
            context.limit
        ));
    }
    Ok(alerts)
}

fn series(alerts: &BTreeMap<Labels, Alert>) -> Vec<(Labels, Value)> {
    let mut samples = Vec::new();
    for alert in alerts
        .values()
        .filter(|alert| alert.state != State::Resolved)
    {
        samples.push((alerts_series(alert), Value::Float(1.0)));
        let active_s = alert.active_at.wall_ms.div_euclid(1000);
        samples.push((for_state_series(alert), Value::Float(active_s as f64)));
    }
    samples
}

fn alerts_series(alert: &Alert) -> Labels {
    let mut labels = alert.labels.edit();
    labels.set(NAME, ALERTS);
    labels.set(ALERT_STATE, alert.state.name());
    labels.build()
}

fn for_state_series(alert: &Alert) -> Labels {
    let mut labels = alert.labels.edit();
    labels.set(NAME, ALERTS_FOR_STATE);
    labels.build()
}

/// Makes the notices that are due, and remembers that they were made.
fn notify(state: &mut RuleState, context: &Context<'_>, notices: &mut Vec<Notice>) {
    for alert in state.alerts.values_mut() {
        if alert.is_due(context.outside.resend_ms, context.at) {
            notices.push(notice(alert, &state.rule, context.outside));
            alert.sent_at = Some(context.at);
            alert.told_firing = alert.state == State::Firing;
        }
    }
}

fn notice(alert: &Alert, rule: &Rule, outside: &Outside) -> Notice {
    let mut labels = alert.labels.edit();
    for label in &outside.labels {
        if alert.labels.find(&label.name).is_none() {
            labels.set(&label.name, &label.value);
        }
    }
    Notice {
        labels: labels.build(),
        annotations: alert.annotations.clone(),
        value: alert.value,
        query: rule.query.text.to_string(),
        starts_at: alert.fired_at.unwrap_or(alert.active_at),
        ended_at: alert.resolved_at.filter(|_| alert.state == State::Resolved),
        expires_at: None,
    }
}

/// Ends rules that are no more.
fn close(
    gone: Vec<RuleState>,
    at: At,
    asked_ms: i64,
    outside: &Outside,
    store: &mut dyn Store,
) -> Vec<Notice> {
    let mut notices = Vec::new();
    for mut state in gone {
        let ended = state.written.iter();
        let ended: Vec<_> = ended
            .map(|labels| (labels.clone(), Value::Float(stale())))
            .collect();
        store.write(asked_ms, &ended);
        for alert in state.alerts.values_mut() {
            if alert.told_firing {
                alert.state = State::Resolved;
                alert.resolved_at = Some(at);
                notices.push(notice(alert, &state.rule, outside));
            }
        }
    }
    notices
}

#[cfg(test)]
#[path = "group_test.rs"]
mod tests;
