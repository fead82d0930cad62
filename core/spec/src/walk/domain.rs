//! `domains`: hosts, routes, and the services that answer.

use super::Walk;
use super::fields::{Field, Fields};
use super::known::{Known, Thing};
use crate::key::{DomainKeys, RouteKeys};
use crate::nearest::short;
use crate::node::{Entry, Node, Span};
use crate::path::Path;
use crate::shape::Shaped;
use mainstay_atoms::{HostName, ServiceName};
use std::collections::BTreeMap;

/// The routes of one host.
type Routes = BTreeMap<String, ServiceName>;

impl Walk<'_> {
    /// All domains.
    pub(super) fn domains(
        &mut self,
        fields: &Fields<'_, '_>,
        known: &Known<'_>,
    ) -> Option<BTreeMap<HostName, Routes>> {
        let Some(field) = fields.get("domains") else {
            return Some(BTreeMap::new());
        };
        let map = self.named(&field)?;
        let mut domains = Some(BTreeMap::new());
        for entry in map.named() {
            let path = field.path.key(&entry.key.text);
            let host = self.host(entry, &path);
            let routes = self.domain(entry, &path, known);
            match (host, routes, &mut domains) {
                (Some(host), Some(routes), Some(all)) => {
                    all.insert(host, routes);
                }
                _ => domains = None,
            }
        }
        domains
    }

    fn host(&mut self, entry: &Entry, path: &Path<'_>) -> Option<HostName> {
        let text = entry.key.text.as_str();
        let fault = match HostName::new(text) {
            Ok(host) => return Some(host),
            Err(fault) => fault,
        };
        let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
        let bare = bare
            .split(['/', ':'])
            .next()
            .unwrap_or("")
            .trim_end_matches('.')
            .to_lowercase();
        let hint = if text.starts_with("*.") {
            "name each host; wildcards come with a later version".to_owned()
        } else if HostName::new(bare.as_str()).is_ok() {
            format!("did you mean `{bare}`?")
        } else {
            "write a host name such as `shop.example` or `localhost`".to_owned()
        };
        let message = format!("`{}` cannot be a host name: {fault}", short(text));
        self.add("invalid_name", entry.key.span, path, message, |fault| {
            fault.hint(hint)
        });
        None
    }

    fn domain(&mut self, entry: &Entry, path: &Path<'_>, known: &Known<'_>) -> Option<Routes> {
        let at = entry.key.span;
        if entry.value.is_null() {
            self.no_value(entry, &path.parent());
            return None;
        }
        let fields = self.fields(&entry.value, at, DomainKeys::SHAPE, path)?;
        match (fields.get("to"), fields.get("routes")) {
            (Some(to), Some(routes)) => {
                let line = self.line(to.entry.key.span, routes.entry.key.span);
                let message = "a domain has `to` or `routes`, not both".to_owned();
                self.add(
                    "conflict",
                    routes.entry.key.span,
                    &routes.path,
                    message,
                    |fault| {
                        fault
                            .label(format!("`to` is given in {line}"))
                            .hint("write `to` as the route `/`, or take it away with `to: null`")
                    },
                );
                None
            }
            (Some(to), None) => {
                let service = self.target(&to, to.value(), &to.path, known)?;
                Some(Routes::from([("/".to_owned(), service)]))
            }
            (None, Some(routes)) => self.routes(&routes, known),
            (None, None) => {
                if !fields.tries("routes") {
                    self.missing(
                        &fields,
                        "to",
                        "name the service that answers: `to: web`, or `routes: { /: web }`",
                    );
                }
                None
            }
        }
    }

    fn routes(&mut self, field: &Field<'_, '_>, known: &Known<'_>) -> Option<Routes> {
        let map = self.named(field)?;
        let mut routes = Some(Routes::new());
        let mut seen: BTreeMap<String, (&str, Span)> = BTreeMap::new();
        for entry in map.named() {
            let path = field.path.key(&entry.key.text);
            let prefix = self.prefix(entry, &path);
            let service = self.route(field, entry, &path, known);
            let clash = prefix
                .as_ref()
                .is_some_and(|prefix| self.clashes(&mut seen, prefix, entry, &path));
            match (prefix, service, &mut routes) {
                (Some(prefix), Some(service), Some(all)) if !clash => {
                    all.insert(prefix, service);
                }
                _ => routes = None,
            }
        }
        routes
    }

    /// A path prefix that matches what the gateway sees: plain segments, nothing to decode.
    fn prefix(&mut self, entry: &Entry, path: &Path<'_>) -> Option<String> {
        let text = entry.key.text.as_str();
        let dots = || text.split('/').any(|part| matches!(part, "." | ".."));
        let (problem, hint) = if text.is_empty() {
            ("is empty", "write `/` for every path".to_owned())
        } else if !text.starts_with('/') {
            (
                "does not begin with `/`",
                format!("did you mean `/{}`?", short(text)),
            )
        } else if text.contains(['?', '#']) {
            (
                "holds more than a path",
                "routes go by path only; take `?` or `#` and what follows away".to_owned(),
            )
        } else if text.contains("//") {
            (
                "has an empty segment",
                format!("did you mean `{}`?", short(&collapsed(text))),
            )
        } else if text.contains('%') {
            (
                "is percent-encoded",
                "write the path as it reads when decoded".to_owned(),
            )
        } else if dots() {
            (
                "has the segment `.` or `..`",
                "write the path that it leads to".to_owned(),
            )
        } else if text.contains('*') {
            (
                "is a pattern",
                format!(
                    "a route matches all paths below it: `{}`",
                    short(text.split('*').next().unwrap_or("/"))
                ),
            )
        } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            (
                "holds a character that a path cannot hold",
                "use letters, digits and `-._~!$&'()+,;=:@/`".to_owned(),
            )
        } else {
            let whole = text.trim_end_matches('/');
            return Some(if whole.is_empty() { "/" } else { whole }.to_owned());
        };
        let message = format!("the route `{}` {problem}", short(text));
        self.add("invalid_name", entry.key.span, path, message, |fault| {
            fault.hint(hint)
        });
        None
    }

    /// Whether an earlier route matches the same paths.
    fn clashes<'t>(
        &mut self,
        seen: &mut BTreeMap<String, (&'t str, Span)>,
        prefix: &str,
        entry: &'t Entry,
        path: &Path<'_>,
    ) -> bool {
        let text = entry.key.text.as_str();
        let Some(&(first, at)) = seen.get(prefix) else {
            seen.insert(prefix.to_owned(), (text, entry.key.span));
            return false;
        };
        let line = self.line(at, entry.key.span);
        let message = format!(
            "the routes `{}` and `{}` match the same paths",
            short(first),
            short(text)
        );
        self.add("route_clash", entry.key.span, path, message, |fault| {
            fault
                .label(format!("`{}` is in {line}", short(first)))
                .hint("keep one of the two; a trailing `/` makes no difference")
        });
        true
    }

    /// The service of one route: `web` or `{ to: web }`.
    fn route(
        &mut self,
        routes: &Field<'_, '_>,
        entry: &Entry,
        path: &Path<'_>,
        known: &Known<'_>,
    ) -> Option<ServiceName> {
        if entry.value.is_null() {
            self.no_value(entry, &routes.path);
            return None;
        }
        if entry.value.scalar().is_some() {
            return self.service_name(&entry.value, path, known);
        }
        let fields = self.fields(&entry.value, entry.key.span, RouteKeys::SHAPE, path)?;
        let Some(to) = fields.get("to") else {
            self.missing(&fields, "to", "name the service that answers: `to: web`");
            return None;
        };
        self.target(&to, to.value(), &to.path, known)
    }

    fn target(
        &mut self,
        field: &Field<'_, '_>,
        node: &Node,
        path: &Path<'_>,
        known: &Known<'_>,
    ) -> Option<ServiceName> {
        self.scalar(field)?;
        self.service_name(node, path, known)
    }

    /// A service that exists and takes requests.
    fn service_name(
        &mut self,
        node: &Node,
        path: &Path<'_>,
        known: &Known<'_>,
    ) -> Option<ServiceName> {
        let name = &node.scalar()?.text;
        match known.get(name) {
            None => self.unknown_service(known, name, node.span, path, None),
            Some(there) if there.thing != Thing::Service => {
                self.unknown_service(known, name, node.span, path, None);
            }
            Some(there) if !there.port => self.no_port(there, name, node.span, path),
            Some(_) => return ServiceName::new(name.as_str()).ok(),
        }
        None
    }
}

/// The path without empty segments.
fn collapsed(text: &str) -> String {
    let parts: Vec<_> = text.split('/').filter(|part| !part.is_empty()).collect();
    format!("/{}", parts.join("/"))
}
