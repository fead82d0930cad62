//! `blue_green`, and what it shares with `canary`.

use super::Walk;
use super::fields::{Field, Fields, deploys};
use crate::node::{Content, Node, Span};
use crate::platform::BlueGreen;
use mainstay_atoms::{HostName, ServiceName};
use mainstay_rollout::Condition;
use std::collections::BTreeMap;
use std::time::Duration;

/// What releases are judged by where nothing is said.
const BAD: &str = "error_rate > 1%";

/// How often and by how much is measured.
pub(super) struct Measuring {
    pub(super) every: Duration,
    pub(super) least: u64,
    pub(super) patience: Duration,
}

impl Walk<'_> {
    /// `every`, `least` and `patience`.
    pub(super) fn measuring(&mut self, fields: &Fields<'_, '_>) -> Option<Measuring> {
        let every = self.optional(fields, "every", Self::duration);
        let least = self.optional(fields, "least", Self::whole);
        let patience = self.optional(fields, "patience", Self::duration);
        Some(Measuring {
            every: every.ok()?.unwrap_or(Duration::from_secs(10)),
            least: least.ok()?.unwrap_or(100),
            patience: patience.ok()?.unwrap_or(Duration::from_mins(30)),
        })
    }

    /// Refuses what shares traffic where there is none.
    pub(super) fn takes_requests(&mut self, field: &Field<'_, '_>, port: bool) -> Option<()> {
        if port {
            return Some(());
        }
        let message = "a service without a `port` takes no requests that could be shared";
        let (at, name) = (field.entry.key.span, field.key.name);
        self.add("conflict", at, &field.path, message.into(), |fault| {
            fault.hint(format!("take `{name}` away, or give the service a `port`"))
        });
        None
    }

    /// A release that takes all of the traffic at once; `port` says whether the service takes requests.
    pub(super) fn blue_green(&mut self, field: &Field<'_, '_>, port: bool) -> Option<BlueGreen> {
        let at = field.entry.key.span;
        let fields = self.fields(field.value(), at, field.key.shape, &field.path)?;
        let preview = self.optional(&fields, "preview", Self::host_name);
        let flip = self.optional(&fields, "flip", Self::word);
        let before = self.optional(&fields, "before", Self::duration);
        let after = self.optional(&fields, "after", Self::duration);
        let abort_if = self.optional(&fields, "abort_if", Self::conditions);
        let alone = fields.get("abort_if");
        let alone =
            alone.is_none_or(|field| self.compares_with_nothing(&field, abort_if.as_ref().ok()));
        let measuring = self.measuring(&fields);
        let warm = self.optional(&fields, "warm", Self::duration);
        self.takes_requests(field, port)?;
        let before = before.ok()?.unwrap_or_default();
        let preview = preview.ok()?;
        if before > Duration::ZERO && preview.is_none() {
            self.no_preview(&fields);
            return None;
        }
        let measuring = measuring.filter(|_| alone)?;
        Some(BlueGreen {
            preview,
            manual: flip.ok()?.is_some_and(|word| word == "manual"),
            before,
            after: after.ok()?.unwrap_or(Duration::from_mins(5)),
            abort_if: match abort_if.ok()? {
                Some(conditions) => conditions,
                None => vec![Condition::try_from(BAD.to_owned()).ok()?],
            },
            every: measuring.every,
            least: measuring.least,
            patience: measuring.patience,
            warm: warm.ok()?.unwrap_or(Duration::from_mins(1)),
        })
    }

    fn no_preview(&mut self, fields: &Fields<'_, '_>) {
        let Some(field) = fields.get("before") else {
            return;
        };
        let message = "`before` judges by the requests of a `preview`, and there is none";
        let at = field.entry.key.span;
        self.add("conflict", at, &field.path, message.into(), |fault| {
            fault.hint("name a host: `preview: preview.shop.example`, or take `before` away")
        });
    }

    /// After the flip nothing serves beside the release, so there is no baseline.
    fn compares_with_nothing(
        &mut self,
        field: &Field<'_, '_>,
        conditions: Option<&Option<Vec<Condition>>>,
    ) -> bool {
        let conditions = conditions.and_then(Option::as_ref).into_iter().flatten();
        let items = match &field.value().content {
            Content::List(items) => items.as_slice(),
            _ => std::slice::from_ref(field.value()),
        };
        let mut alone = true;
        for (condition, item) in conditions.zip(items) {
            if condition.needs_baseline() {
                alone = false;
                let message = "nothing serves beside a blue-green release, so it has no baseline";
                self.add(
                    "conflict",
                    item.span,
                    &field.path,
                    message.into(),
                    |fault| {
                        fault.hint("write a fixed limit such as `error_rate > 1%`, or use `canary`")
                    },
                );
            }
        }
        alone
    }

    fn host_name(&mut self, field: &Field<'_, '_>) -> Option<HostName> {
        let scalar = self.scalar(field)?;
        let name = HostName::new(scalar.text.as_str());
        if name.is_err() {
            self.wrong_type(field, field.value(), None);
        }
        name.ok()
    }

    /// A host under which a release is looked at belongs to it alone.
    pub(super) fn previews(
        &mut self,
        fields: &Fields<'_, '_>,
        domains: &BTreeMap<HostName, BTreeMap<String, ServiceName>>,
    ) {
        let mut taken: BTreeMap<HostName, Option<Span>> =
            domains.keys().map(|host| (host.clone(), None)).collect();
        deploys(fields, |service, deploy, path| {
            let way = deploy.get("blue_green").and_then(Node::map);
            let preview = way.and_then(|map| map.get("preview"));
            let Some(preview) = preview else { return };
            let text = preview.scalar().map(|scalar| scalar.text.as_str());
            let Some(host) = text.and_then(|text| HostName::new(text).ok()) else {
                return;
            };
            let owner = match taken.get(&host) {
                None => {
                    taken.insert(host, Some(preview.span));
                    return;
                }
                Some(None) => "a domain of the file".to_owned(),
                Some(Some(other)) => {
                    format!("another preview, in {}", self.line(*other, preview.span))
                }
            };
            let path = path.key("blue_green");
            let path = path.key("preview");
            let message = format!("`{host}` is {owner}");
            self.add("duplicate", preview.span, &path, message, |fault| {
                fault.hint(format!(
                    "give each preview a host of its own, such as `preview.{service}`"
                ))
            });
        });
    }
}
