//! Conditions by which releases are judged, and the names in them.

use super::Walk;
use super::fields::{Field, Fields, deploys};
use super::known::{Known, Thing};
use crate::node::{Content, Node, Span};
use crate::path::Path;
use crate::platform::Service;
use crate::tree::place;
use mainstay_atoms::ServiceName;
use mainstay_rollout::{Condition, Metric};
use std::collections::BTreeMap;

/// Most conditions of one release.
const CONDITIONS: usize = 20;

/// With what conditions can be measured.
#[derive(Clone, Copy)]
pub(super) struct Means<'t> {
    /// Queries can be asked.
    pub(super) signals: bool,
    /// The services; none: a mistake was found in one.
    pub(super) services: Option<&'t BTreeMap<ServiceName, Service>>,
}

impl Means<'_> {
    fn limits_cpu(self, service: &str) -> bool {
        let limited = |services: &BTreeMap<ServiceName, Service>| {
            let mut named = services.iter().filter(|(name, _)| name.as_str() == service);
            named.all(|(_, one)| one.size.cpu.is_some())
        };
        self.services.is_none_or(limited)
    }
}

impl Walk<'_> {
    pub(super) fn conditions(&mut self, field: &Field<'_, '_>) -> Option<Vec<Condition>> {
        let items = items(field.value());
        if items.is_empty() || items.len() > CONDITIONS {
            let message = format!("`{}` takes 1 to {CONDITIONS} conditions", field.key.name);
            self.report(
                "out_of_range",
                field.value().span,
                &field.path,
                message,
                "name at least one",
            );
            return None;
        }
        let read: Vec<_> = items
            .iter()
            .map(|item| self.condition(field, item))
            .collect();
        read.into_iter().collect()
    }

    fn condition(&mut self, field: &Field<'_, '_>, item: &Node) -> Option<Condition> {
        let Some(scalar) = item.scalar().filter(|_| !item.is_null()) else {
            self.wrong_type(field, item, None);
            return None;
        };
        let begin = Span {
            // Behind the quotation mark, where there is one.
            column: item.span.column + u32::from(!scalar.plain),
            ..item.span
        };
        match Condition::parse(&scalar.text, &place(self.sources, begin)) {
            Ok(condition) => Some(condition),
            Err(fault) => {
                self.push(fault.under(field.path.to_string()));
                None
            }
        }
    }

    /// Checks that what conditions name is there, and that what they measure can be.
    pub(super) fn condition_names(
        &mut self,
        fields: &Fields<'_, '_>,
        known: &Known<'_>,
        means: Means<'_>,
    ) {
        deploys(fields, |service, deploy, path| {
            for way in ["canary", "blue_green"] {
                let keys = deploy.get(way).and_then(Node::map);
                let Some(list) = keys.and_then(|map| map.get("abort_if")) else {
                    continue;
                };
                let path = path.key(way);
                for item in items(list) {
                    self.names_of((item, service), known, means, &path.key("abort_if"));
                }
            }
        });
    }

    fn names_of(
        &mut self,
        (item, own): (&Node, &str),
        known: &Known<'_>,
        means: Means<'_>,
        path: &Path<'_>,
    ) {
        // What does not read was told before.
        let text = item.scalar().map(|scalar| scalar.text.clone());
        let Some(condition) = text.and_then(|text| Condition::try_from(text).ok()) else {
            return;
        };
        let other = condition.of.as_ref().map(ServiceName::as_str);
        let other = other.filter(|name| *name != own);
        let (code, message, hint) = match (&condition.metric, other) {
            (Metric::Job(job), _) => {
                return self.release_job(known, (job, item.span), path);
            }
            (Metric::Promql(_), _) if !means.signals => (
                "missing_key",
                "a query needs the signals process, which this file does not ask for",
                "add `signals: {}` to the file",
            ),
            (_, Some(name)) if known.get(name).map(|facts| facts.thing) != Some(Thing::Service) => {
                return self.unknown_service(known, name, item.span, path, Some(own));
            }
            (_, Some(_)) if condition.needs_baseline() => (
                "conflict",
                "another service has no release on trial, so it has no baseline",
                "write a fixed limit such as `error_rate(api) > 1%`",
            ),
            (Metric::Restarts | Metric::Cpu | Metric::Memory, Some(_)) => (
                "not_available",
                "this program looks at the processes of the released service alone",
                "write the condition without parentheses",
            ),
            (Metric::Cpu, None) if !means.limits_cpu(own) => (
                "missing_key",
                "`cpu` is a share of a limit, and the service has none",
                "add `size: { cpu: 500m }` to the service",
            ),
            _ => return,
        };
        self.report(code, item.span, path, message.into(), hint);
    }
}

/// One condition, or a list of them.
fn items(node: &Node) -> &[Node] {
    match &node.content {
        Content::List(items) => items,
        _ => std::slice::from_ref(node),
    }
}
