//! `status_page`.

use super::fields::{Field, Fields};
use super::{Reported, Walk};
use crate::nearest::{listed, short};
use crate::status_page::StatusPage;
use mainstay_atoms::{HostName, ServiceName};
use serde_json::Value;
use std::collections::BTreeMap;

type Domains = BTreeMap<HostName, BTreeMap<String, ServiceName>>;

impl Walk<'_> {
    /// The status page; its place is free, and its checks are those of the file.
    pub(super) fn status_page(
        &mut self,
        fields: &Fields<'_, '_>,
        domains: Option<&Domains>,
        checks: Option<&Value>,
    ) -> Result<Option<StatusPage>, Reported> {
        let Some(field) = fields.get("status_page") else {
            return Ok(None);
        };
        let at = field.entry.key.span;
        let inner = self.fields(field.value(), at, field.key.shape, &field.path);
        let inner = inner.ok_or(Reported)?;
        let hint = "say where it is answered: `at: /status`";
        self.missing(&inner, "at", hint);
        let place = self.optional(&inner, "at", |walk, field| walk.page_place(field, domains));
        let named = self.optional(&inner, "checks", |walk, field| {
            walk.named_checks(field, checks)
        });
        let (host, path) = place?.ok_or(Reported)?;
        Ok(Some(StatusPage {
            host,
            path,
            checks: named?.unwrap_or_default(),
        }))
    }

    fn page_place(
        &mut self,
        field: &Field<'_, '_>,
        domains: Option<&Domains>,
    ) -> Option<(Option<HostName>, String)> {
        let text = &self.scalar(field)?.text;
        let Some((host, path)) = StatusPage::place(text) else {
            self.wrong_type(field, field.value(), None);
            return None;
        };
        let Some(domains) = domains else {
            return Some((host, path));
        };
        if let Some(host) = host.as_ref().filter(|host| !domains.contains_key(*host)) {
            let message = format!("the file declares no domain `{host}`");
            let known = domains.keys().map(HostName::as_str);
            let meant = self.did_you_mean(host.as_str(), known.clone());
            let hint = meant.unwrap_or_else(|| format!("domains of the file: {}", listed(known)));
            let at = field.value().span;
            self.add("unknown_name", at, &field.path, message, |fault| {
                fault.hint(hint)
            });
            return None;
        }
        let own = |name: &HostName| host.as_ref().is_none_or(|host| host == name);
        let mut routed = domains.iter().filter(|(name, _)| own(name));
        let Some((name, service)) =
            routed.find_map(|(name, routes)| Some((name, routes.get(&path)?)))
        else {
            return Some((host, path));
        };
        let message = format!("`{name}{path}` leads to `{service}` already");
        let at = field.value().span;
        self.add("conflict", at, &field.path, message, |fault| {
            fault.hint("give the status page a path that no route has")
        });
        None
    }

    fn named_checks(
        &mut self,
        field: &Field<'_, '_>,
        checks: Option<&Value>,
    ) -> Option<Vec<String>> {
        let none = serde_json::Map::new();
        let known = checks.and_then(Value::as_object).unwrap_or(&none);
        let mut named = Some(Vec::new());
        for (name, at) in self.names(field) {
            if known.contains_key(name) {
                if let Some(named) = &mut named {
                    named.push(name.to_owned());
                }
                continue;
            }
            let message = format!("the file declares no check `{}`", short(name));
            let meant = self.did_you_mean(name, known.keys().map(String::as_str));
            let hint = meant.unwrap_or_else(|| match known.len() {
                0 => "declare it under `checks`".to_owned(),
                _ => format!(
                    "checks of the file: {}",
                    listed(known.keys().map(String::as_str))
                ),
            });
            self.add("unknown_name", at, &field.path, message, |fault| {
                fault.hint(hint)
            });
            named = None;
        }
        named
    }
}
