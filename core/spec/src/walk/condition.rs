//! Conditions by which releases are judged, and the names in them.

use super::Walk;
use super::fields::{Field, Fields, deploys};
use super::known::{Known, Thing};
use crate::node::{Content, Node, Span};
use crate::path::Path;
use crate::tree::place;
use mainstay_atoms::ServiceName;
use mainstay_rollout::{Condition, Metric};

/// Most conditions of one release.
const CONDITIONS: usize = 20;

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
            Ok(condition) => self.measurable(condition, field, item),
            Err(fault) => {
                self.push(fault.under(field.path.to_string()));
                None
            }
        }
    }

    /// What processes use is not measured yet.
    fn measurable(
        &mut self,
        condition: Condition,
        field: &Field<'_, '_>,
        item: &Node,
    ) -> Option<Condition> {
        if !matches!(condition.metric, Metric::Cpu | Metric::Memory) {
            return Some(condition);
        }
        let message = "this program cannot judge a release by what its processes use yet";
        let hint = "use `promql(\"…\") > 0.8` on the metrics of its instances";
        self.report(
            "not_available",
            item.span,
            &field.path,
            message.into(),
            hint,
        );
        None
    }

    /// Checks the services and jobs that conditions name; `signals` says whether queries can be asked.
    pub(super) fn condition_names(
        &mut self,
        fields: &Fields<'_, '_>,
        known: &Known<'_>,
        signals: bool,
    ) {
        deploys(fields, |service, deploy, path| {
            for way in ["canary", "blue_green"] {
                let keys = deploy.get(way).and_then(Node::map);
                let Some(list) = keys.and_then(|map| map.get("abort_if")) else {
                    continue;
                };
                let path = path.key(way);
                for item in items(list) {
                    self.names_of((item, service), known, signals, &path.key("abort_if"));
                }
            }
        });
    }

    fn names_of(
        &mut self,
        (item, own): (&Node, &str),
        known: &Known<'_>,
        signals: bool,
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
            (Metric::Promql(_), _) if !signals => (
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
            (Metric::Restarts, Some(_)) => (
                "not_available",
                "this program counts the restarts of the released service alone",
                "write `restarts > 0`, without parentheses",
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
