//! Metadata: kind, help and unit of metrics, as targets say them.

use mainstay_metrics::exposition::Entry;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Metrics that are remembered: more than any platform has, few enough to hold.
const METRICS_MAX: usize = 20_000;

/// Bytes of a help text that are kept.
const HELP_MAX: usize = 512;

/// What is known of a metric.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) unit: String,
}

/// What is known of all of them; the first target that says something is believed.
#[derive(Debug, Default)]
pub(crate) struct Metadata(Mutex<BTreeMap<String, Meta>>);

impl Metadata {
    /// Takes a comment of a body.
    pub(crate) fn note(&self, entry: &Entry<'_>) {
        let metric = match entry {
            Entry::Sample(_) => return,
            Entry::Type { metric, .. }
            | Entry::Help { metric, .. }
            | Entry::Unit { metric, .. } => metric,
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(&**metric) {
            if all.len() >= METRICS_MAX {
                return;
            }
            all.insert(metric.to_string(), Meta::default());
        }
        let Some(meta) = all.get_mut(&**metric) else {
            return;
        };
        match entry {
            Entry::Type { kind, .. } if meta.kind.is_empty() => (*kind).clone_into(&mut meta.kind),
            Entry::Unit { unit, .. } if meta.unit.is_empty() => (*unit).clone_into(&mut meta.unit),
            Entry::Help { text, .. } if meta.help.is_empty() => {
                meta.help = text.chars().take(HELP_MAX).collect();
            }
            _ => {}
        }
    }

    /// Takes what somebody who sends samples says of a metric.
    pub(crate) fn learn(&self, metric: &str, meta: Meta) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.contains_key(metric) || all.len() >= METRICS_MAX {
            return;
        }
        let help = meta.help.chars().take(HELP_MAX).collect();
        all.insert(metric.to_owned(), Meta { help, ..meta });
    }

    /// What is known of a metric.
    pub(crate) fn find(&self, metric: &str) -> Option<Meta> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(metric).cloned()
    }

    /// What is known, of one metric or of all.
    pub(crate) fn all(&self, metric: Option<&str>) -> BTreeMap<String, Meta> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match metric {
            None => all.clone(),
            Some(name) => {
                let found = all.get(name).cloned();
                found
                    .map(|meta| (name.to_owned(), meta))
                    .into_iter()
                    .collect()
            }
        }
    }
}
