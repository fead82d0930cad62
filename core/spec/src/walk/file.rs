//! The file as a whole.

use super::Walk;
use super::condition::Means;
use super::fields::{Field, Fields};
use super::known::{Facts, Known};
use crate::key::FileKeys;
use crate::nearest::short;
use crate::node::Entry;
use crate::node::Span;
use crate::node::{Map, Node};
use crate::path::Path;
use crate::platform::{GatewayPorts, Platform};
use crate::shape::{Shape, Shaped};
use mainstay_atoms::{EnvironmentName, PlatformName, ServiceName};
use std::collections::BTreeMap;

/// Walks the merged tree; `None` when a mistake was found. `http` is the port where the file names none.
pub(crate) fn platform(
    walk: &mut Walk<'_>,
    root: &Node,
    environment: &EnvironmentName,
    http: u16,
) -> Option<Platform> {
    let start = root.map().and_then(|map| map.entries.first());
    let at = start.map_or(root.span, |entry| entry.key.span);
    let path = Path::ROOT;
    if walk.is_other_version(root, &path) {
        return None;
    }
    let fields = walk.fields(root, at, FileKeys::SHAPE, &path)?;
    walk.version(&fields);
    let name = walk.platform_name(&fields);
    let gateway = walk.gateway(&fields, http);
    let mut known = Known::new();
    let stores = walk.things(&fields, "stores", &mut known, Walk::store);
    walk.know_stores(&fields, stores.as_ref());
    let services = walk.things(&fields, "services", &mut known, Walk::service);
    let jobs = walk.things(&fields, "jobs", &mut known, Walk::job);
    walk.needs(&known);
    walk.release_jobs(&fields, &known);
    let domains = walk.domains(&fields, &known);
    walk.previews(&fields, domains.as_ref().unwrap_or(&BTreeMap::new()));
    let gates = walk.gates(&fields);
    let signals = walk.signals(&fields);
    let mut told = services.iter().flatten();
    let told = told.any(|(_, service)| service.metrics.is_some());
    let asked = signals.as_ref().is_none_or(|signals| signals.enabled);
    let means = Means {
        signals: told || asked,
        services: services.as_ref(),
    };
    walk.condition_names(&fields, &known, means);
    let checks = signals.as_ref().and_then(|signals| signals.checks.as_ref());
    let status_page = walk.status_page(&fields, domains.as_ref(), checks);
    walk.environments(&fields);
    Some(Platform {
        name: name?,
        environment: environment.clone(),
        gateway: gateway?,
        services: services?,
        jobs: jobs?,
        stores: stores?,
        domains: domains?,
        gates: gates?,
        signals: signals?,
        status_page: status_page.ok()?,
    })
}

impl Walk<'_> {
    /// Whether the file is of another version of the language, in which nothing else is judged.
    fn is_other_version(&mut self, root: &Node, path: &Path<'_>) -> bool {
        let node = root.map().and_then(|map| map.get("mainstay"));
        let scalar = node.and_then(Node::scalar).filter(|scalar| scalar.plain);
        let number = scalar.and_then(|scalar| scalar.text.parse::<u64>().ok());
        let (Some(node), Some(number)) = (node, number.filter(|&number| number != 1)) else {
            return false;
        };
        let message = format!("version {number} of the language is unknown");
        let path = path.key("mainstay");
        self.add("version", node.span, &path, message, |fault| {
            fault
                .label("this program reads version 1")
                .hint("write `mainstay: 1`, or use a newer `mainstay`")
        });
        true
    }

    /// `mainstay: 1`.
    fn version(&mut self, fields: &Fields<'_, '_>) {
        let Some(field) = fields.get("mainstay") else {
            self.missing(fields, "mainstay", "begin the file with `mainstay: 1`");
            return;
        };
        let scalar = field.value().scalar();
        if scalar.is_none_or(|scalar| !scalar.plain || scalar.text != "1") {
            self.wrong_type(&field, field.value(), Some("write `mainstay: 1`".into()));
        }
    }

    fn platform_name(&mut self, fields: &Fields<'_, '_>) -> Option<PlatformName> {
        let Some(field) = fields.get("name") else {
            self.missing(fields, "name", "name the platform: `name: shop`");
            return None;
        };
        let scalar = self.scalar(&field)?;
        match PlatformName::new(scalar.text.as_str()) {
            Ok(name) => Some(name),
            Err(fault) => {
                self.bad_name(
                    "name",
                    &scalar.text,
                    field.value().span,
                    &field.path,
                    &fault,
                );
                None
            }
        }
    }

    /// A name that is none, with one made of it.
    pub(super) fn bad_name(
        &mut self,
        noun: &str,
        text: &str,
        at: Span,
        path: &Path<'_>,
        fault: &mainstay_atoms::NameFault,
    ) {
        let message = format!("`{}` cannot be a {noun}: {fault}", short(text))
            .replace("a environment", "an environment");
        let made = made_name(text);
        self.add("invalid_name", at, path, message, |fault| match made {
            Some(made) => fault.hint(format!("did you mean `{made}`?")),
            None => fault.hint("use lower-case letters, digits and hyphens, a letter first"),
        });
    }

    /// The gateway; `otherwise` is its port where the file names none.
    fn gateway(&mut self, fields: &Fields<'_, '_>, otherwise: u16) -> Option<GatewayPorts> {
        let Some(field) = fields.get("gateway") else {
            return Some(GatewayPorts { http: otherwise });
        };
        let inner = self.fields(
            field.value(),
            field.entry.key.span,
            field.key.shape,
            &field.path,
        )?;
        let Some(http) = inner.get("http") else {
            return Some(GatewayPorts { http: otherwise });
        };
        let http = self.whole(&http)?;
        Some(GatewayPorts {
            http: u16::try_from(http).ok()?,
        })
    }

    /// A map whose keys the user chooses; `None` when it is none.
    pub(super) fn named<'t>(&mut self, field: &Field<'t, '_>) -> Option<&'t Map> {
        let map = field.value().map();
        if map.is_none() {
            let Shape::Names(names) = field.key.shape else {
                unreachable!("the table has names here");
            };
            let message = format!("`{}` is a map by {}", field.key.name, names.noun);
            let scalar = field.value().scalar().is_some();
            let token = if scalar {
                field.value().span
            } else {
                field.entry.key.span
            };
            let hint = format!(
                "write for example `{}: {}`",
                field.key.name, field.key.example
            );
            self.add("wrong_type", token, &field.path, message, |fault| {
                fault
                    .label(format!("this is {}", field.value().kind()))
                    .hint(hint)
            });
        }
        map
    }

    /// All services, jobs or stores: their names for references, and the checked ones.
    fn things<'t, T>(
        &mut self,
        fields: &Fields<'t, '_>,
        name: &'static str,
        known: &mut Known<'t>,
        read: impl Fn(&mut Self, &'t Entry, &Path<'_>) -> (Facts<'t>, Option<T>),
    ) -> Option<BTreeMap<ServiceName, T>> {
        let Some(field) = fields.get(name) else {
            known.readable &= !fields.tries(name);
            return Some(BTreeMap::new());
        };
        let Some(map) = self.named(&field) else {
            known.readable = false;
            return None;
        };
        let mut things = Some(BTreeMap::new());
        for entry in map.named() {
            let path = field.path.key(&entry.key.text);
            let (facts, thing) = read(self, entry, &path);
            let noun = facts.thing.noun();
            self.taken(&facts, entry, &path, known);
            known.add(&entry.key.text, facts);
            let name = ServiceName::new(entry.key.text.as_str());
            if let Err(fault) = &name {
                let noun = noun.trim_start_matches("a ");
                self.bad_name(noun, &entry.key.text, entry.key.span, &path, fault);
            }
            match (name, thing, &mut things) {
                (Ok(name), Some(thing), Some(all)) => {
                    all.insert(name, thing);
                }
                _ => things = None,
            }
        }
        things
    }

    /// A name that stands for two things, so that `needs` could not tell them apart.
    fn taken(&mut self, facts: &Facts<'_>, entry: &Entry, path: &Path<'_>, known: &Known<'_>) {
        let Some(other) = known.get(&entry.key.text) else {
            return;
        };
        let name = short(&entry.key.text);
        let (line, noun) = (self.line(other.at, entry.key.span), other.thing.noun());
        let message = format!("`{name}` is {noun} and {}", facts.thing.noun());
        self.add("duplicate", entry.key.span, path, message, |fault| {
            fault
                .label(format!("{noun} of that name is declared in {line}"))
                .hint("services, jobs and stores share their names; call one of them otherwise")
        });
    }

    /// Remembers the stores, for those who need them.
    fn know_stores(
        &mut self,
        fields: &Fields<'_, '_>,
        stores: Option<&BTreeMap<ServiceName, crate::store::Store>>,
    ) {
        let Some(stores) = stores else {
            let map = fields.get("stores").and_then(|field| field.value().map());
            self.unread = map
                .into_iter()
                .flat_map(Map::named)
                .map(|entry| entry.key.text.clone())
                .collect();
            return;
        };
        let known = stores.iter();
        self.stores = known
            .map(|(name, store)| (name.to_string(), store.clone()))
            .collect();
    }

    /// The names of environments; what they say was laid over the file before.
    fn environments(&mut self, fields: &Fields<'_, '_>) {
        let Some(field) = fields.get("environments") else {
            return;
        };
        let Some(map) = self.named(&field) else {
            return;
        };
        for entry in map.named() {
            let path = field.path.key(&entry.key.text);
            if let Err(fault) = EnvironmentName::new(entry.key.text.as_str()) {
                self.bad_name(
                    "environment",
                    &entry.key.text,
                    entry.key.span,
                    &path,
                    &fault,
                );
            }
        }
    }
}

/// A name in the form that names have, made of another text.
fn made_name(text: &str) -> Option<String> {
    let made: String = text
        .trim()
        .chars()
        .take(63)
        .map(|found| match found.to_ascii_lowercase() {
            found @ ('a'..='z' | '0'..='9') => found,
            _ => '-',
        })
        .collect();
    let made = made
        .trim_matches('-')
        .trim_start_matches(|c: char| c.is_ascii_digit());
    let made = made.trim_start_matches('-').to_owned();
    PlatformName::new(made.as_str()).is_ok().then_some(made)
}
