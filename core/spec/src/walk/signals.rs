//! `metrics`, `signals` and `alerts`.

use super::Walk;
use super::fields::{Field, Fields};
use crate::node::{Content, Node};
use crate::signals::{Attached, Metrics, Signals, Slo};
use serde_json::Value;
use std::time::Duration;

impl Walk<'_> {
    /// Where an instance tells its metrics; `port` says whether the service takes requests.
    pub(super) fn metrics(&mut self, field: &Field<'_, '_>, port: bool) -> Option<Metrics> {
        let usual = |path: String| Metrics {
            path,
            every: Duration::from_secs(15),
        };
        let metrics = if field.value().scalar().is_some() {
            self.url_path(field).map(usual)
        } else {
            let at = field.entry.key.span;
            let fields = self.fields(field.value(), at, field.key.shape, &field.path)?;
            let path = self.optional(&fields, "path", Self::url_path);
            let every = self.optional(&fields, "every", Self::duration);
            Some(Metrics {
                every: every.ok()?.unwrap_or(Duration::from_secs(15)),
                ..usual(path.ok()?.unwrap_or_else(|| "/metrics".into()))
            })
        };
        if !port {
            let message = "a service without a `port` cannot be asked for metrics";
            let at = field.entry.key.span;
            self.add("conflict", at, &field.path, message.into(), |fault| {
                fault.hint("give the service a `port`, or take `metrics` away")
            });
            return None;
        }
        metrics
    }

    /// Metrics, rules and alerts.
    pub(super) fn signals(&mut self, fields: &Fields<'_, '_>) -> Option<Signals> {
        let alerts = self.optional(fields, "alerts", Self::own_form);
        let checks = self.optional(fields, "checks", Self::own_form);
        let usual = Signals::default();
        let Some(field) = fields.get("signals") else {
            let (alerts, checks) = (alerts.ok()?, checks.ok()?);
            return Some(Signals {
                enabled: alerts.is_some() || checks.is_some(),
                alerts,
                checks,
                ..usual
            });
        };
        let at = field.entry.key.span;
        let inner = self.fields(field.value(), at, field.key.shape, &field.path)?;
        let enabled = self.optional(&inner, "enabled", Self::boolean);
        let keep = self.optional(&inner, "keep", Self::duration);
        let disk = self.optional(&inner, "disk", Self::bytes);
        let port = self.optional(&inner, "port", Self::port);
        let rules = self.optional(&inner, "rules", Self::attached);
        let alertmanager = self.optional(&inner, "alertmanager", Self::attached);
        let signals = Signals {
            enabled: enabled.ok()?.unwrap_or(true),
            keep: keep.ok()?.unwrap_or(usual.keep),
            disk: disk.ok()?.unwrap_or(usual.disk),
            port: port.ok()?,
            rules: rules.ok()?.unwrap_or_default(),
            alertmanager: alertmanager.ok()?.unwrap_or_default(),
            alerts: alerts.ok()?,
            checks: checks.ok()?,
        };
        self.one_routing(&inner, &signals).then_some(signals)
    }

    /// Routes come from one place.
    fn one_routing(&mut self, fields: &Fields<'_, '_>, signals: &Signals) -> bool {
        let Some(field) = fields.get("alertmanager") else {
            return true;
        };
        let message = match signals.alertmanager.len() {
            0 => return true,
            1 if signals.alerts.is_none() => return true,
            1 => "`alerts` and `alertmanager` both say who is told",
            _ => "one configuration of Alertmanager says who is told",
        };
        let at = field.entry.key.span;
        self.add("conflict", at, &field.path, message.into(), |fault| {
            fault.hint("keep one of them")
        });
        false
    }

    fn attached(&mut self, field: &Field<'_, '_>) -> Option<Vec<Attached>> {
        let attached = |path: String| Attached {
            path,
            text: String::new(),
        };
        Some(self.paths(field)?.into_iter().map(attached).collect())
    }

    /// What share of requests must go well; `port` says whether the service takes requests.
    pub(super) fn slo(&mut self, field: &Field<'_, '_>, port: bool) -> Option<Slo> {
        let at = field.entry.key.span;
        let fields = self.fields(field.value(), at, field.key.shape, &field.path)?;
        let text = |walk: &mut Self, field: &Field<'_, '_>| Some(walk.scalar(field)?.text.clone());
        let availability = self.optional(&fields, "availability", text);
        let latency = self.optional(&fields, "latency", text);
        self.takes_requests(field, port)?;
        Some(Slo {
            availability: availability.ok()?,
            latency: latency.ok()?,
        })
    }

    /// A map in a form of its own, which is judged where it is shipped from.
    fn own_form(&mut self, field: &Field<'_, '_>) -> Option<Value> {
        if field.value().map().is_none() {
            self.wrong_type(field, field.value(), None);
            return None;
        }
        Some(value(field.value()))
    }
}

/// A node as JSON says it: plain words that are truth values and numbers are such, everything else is text.
fn value(node: &Node) -> Value {
    match &node.content {
        Content::Map(map) => {
            let entries = map.entries.iter();
            let entries = entries.map(|entry| (entry.key.text.clone(), value(&entry.value)));
            Value::Object(entries.collect())
        }
        Content::List(items) => Value::Array(items.iter().map(value).collect()),
        Content::Scalar(_) if node.is_null() => Value::Null,
        Content::Scalar(scalar) if !scalar.plain => Value::String(scalar.text.clone()),
        Content::Scalar(scalar) => match scalar.text.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text => {
                let number = text.parse::<serde_json::Number>();
                number.map_or_else(|_| Value::String(text.into()), Value::Number)
            }
        },
    }
}
