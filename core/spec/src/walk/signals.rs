//! `metrics`, `signals` and `alerts`.

use super::Walk;
use super::fields::{Field, Fields};
use crate::node::{Content, Entry, Node};
use crate::signals::{Attached, Metrics, Protocol, Remote, Signals, Slo, Target};
use mainstay_atoms::{Bytes, Url};
use serde_json::Value;
use std::time::Duration;

/// Least memory of the process: what a small platform needs, and a query beside it.
const MEMORY_MIN: Bytes = Bytes(128 << 20);

/// Most remotes.
const REMOTES_MAX: usize = 16;

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
        let memory = self.optional(&inner, "memory", Self::signals_memory);
        let remotes = self.optional(&inner, "remotes", |walk, field| {
            walk.all_of(field, Self::remote)
        });
        let targets = self.optional(&inner, "targets", |walk, field| {
            walk.all_of(field, Self::scraped)
        });
        let port = self.optional(&inner, "port", Self::port);
        let rules = self.optional(&inner, "rules", Self::attached);
        let alertmanager = self.optional(&inner, "alertmanager", Self::attached);
        let signals = Signals {
            enabled: enabled.ok()?.unwrap_or(true),
            keep: keep.ok()?.unwrap_or(usual.keep),
            disk: disk.ok()?.unwrap_or(usual.disk),
            memory: memory.ok()?.unwrap_or(usual.memory),
            remotes: remotes.ok()?.unwrap_or_default(),
            targets: targets.ok()?.unwrap_or_default(),
            port: port.ok()?,
            rules: rules.ok()?.unwrap_or_default(),
            alertmanager: alertmanager.ok()?.unwrap_or_default(),
            alerts: alerts.ok()?,
            checks: checks.ok()?,
        };
        let fits = self.few_remotes(&inner, &signals);
        (self.one_routing(&inner, &signals) && fits).then_some(signals)
    }

    /// Each takes a thread and some memory while its other side is away.
    fn few_remotes(&mut self, fields: &Fields<'_, '_>, signals: &Signals) -> bool {
        let (count, Some(field)) = (signals.remotes.len(), fields.get("remotes")) else {
            return true;
        };
        if count <= REMOTES_MAX {
            return true;
        }
        let message = format!("samples are sent to {REMOTES_MAX} places at most, not {count}");
        let at = field.entry.key.span;
        self.add("out_of_range", at, &field.path, message, |fault| {
            fault.hint("send to one that sends on, such as an OpenTelemetry collector")
        });
        false
    }

    /// Enough for the process to work.
    fn signals_memory(&mut self, field: &Field<'_, '_>) -> Option<Bytes> {
        let bytes = self.bytes(field)?;
        if bytes >= MEMORY_MIN {
            return Some(bytes);
        }
        let hint = format!("choose {MEMORY_MIN} or more; 50,000 series take about a tenth of 1Gi");
        self.out_of_range(field, false, hint);
        None
    }

    /// Where samples are sent to as well.
    fn remote(&mut self, fields: &Fields<'_, '_>, _: &Entry) -> Option<Remote> {
        self.missing(
            fields,
            "url",
            "say where: `url: https://metrics.example/api/v1/write`",
        );
        let url = self.optional(fields, "url", Self::remote_url);
        let protocol = self.optional(fields, "protocol", Self::word);
        let token = self.optional(fields, "token", Self::secret_name);
        Some(Remote {
            url: url.ok()??,
            protocol: match protocol.ok()?.as_deref() {
                Some("otlp") => Protocol::Otlp,
                Some("remote_write_2") => Protocol::RemoteWrite2,
                _ => Protocol::RemoteWrite,
            },
            token: token.ok()?,
        })
    }

    /// Something elsewhere whose metrics are read.
    fn scraped(&mut self, fields: &Fields<'_, '_>, _: &Entry) -> Option<Target> {
        let hint = "say where: `url: https://db.example:9187/metrics`";
        self.missing(fields, "url", hint);
        let url = self.optional(fields, "url", |walk, field| walk.url(field, ""));
        let every = self.optional(fields, "every", Self::duration);
        let ca = self.optional(fields, "ca", Self::attached);
        Some(Target {
            url: url.ok()??,
            every: every.ok()?.unwrap_or(Duration::from_secs(15)),
            ca: ca.ok()?.unwrap_or_default(),
        })
    }

    fn remote_url(&mut self, field: &Field<'_, '_>) -> Option<String> {
        self.url(field, "; a token stands under `token`")
    }

    /// An address; `more` follows its hint.
    fn url(&mut self, field: &Field<'_, '_>, more: &str) -> Option<String> {
        let url = self.scalar(field)?.text.clone();
        let Err(fault) = Url::parse(&url) else {
            return Some(url);
        };
        // A password may stand in it, so it is not shown.
        let hint =
            format!("{fault}; begin with `https://` or `http://`, then host, port and path{more}");
        self.wrong_type(field, field.value(), Some(hint));
        None
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
