//! What differs between two releases, in the words of the file.

use crate::Contents;
use mainstay_atoms::ServiceName;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// How a resource changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It is new.
    Added,
    /// It goes.
    Removed,
    /// Some of it differs.
    Changed,
}

/// One resource that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// `services.web`, `domains.shop.example`, `gateway`.
    pub resource: String,
    /// How.
    pub mark: Mark,
    /// What, field by field; for an added or removed resource, its main facts.
    pub fields: Vec<Field>,
}

/// One field that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Below the resource: `env.GREETING`.
    pub path: String,
    /// Before; none when it is new.
    pub before: Option<Value>,
    /// After; none when it goes.
    pub after: Option<Value>,
}

/// One thing of a release as the file says it.
type Of = fn(Option<&Contents>, &ServiceName) -> Option<Value>;

/// What changes from one release to the next; `None` is nothing at all.
pub fn changes(before: Option<&Contents>, after: Option<&Contents>) -> Vec<Change> {
    let mut changes = Vec::new();
    let maps: [(&str, Of); 3] = [("services", service), ("jobs", job), ("stores", store)];
    for (map, of) in maps {
        for name in names(map, [before, after]) {
            let (before, after) = (of(before, name), of(after, name));
            let resource = format!("{map}.{name}");
            push(&mut changes, resource, before.as_ref(), after.as_ref());
        }
    }
    let hosts: BTreeSet<_> = [before, after]
        .into_iter()
        .flatten()
        .flat_map(|one| one.platform.domains.keys())
        .collect();
    for host in hosts {
        let of = |one: Option<&Contents>| value(one.and_then(|one| one.platform.domains.get(host)));
        let (before, after) = (of(before), of(after));
        push(
            &mut changes,
            format!("domains.{host}"),
            before.as_ref(),
            after.as_ref(),
        );
    }
    let of = |one: Option<&Contents>| value(one.map(|one| one.platform.gateway));
    push(
        &mut changes,
        "gateway".into(),
        of(before).as_ref(),
        of(after).as_ref(),
    );
    changes
}

/// The names in one map of either release.
fn names<'c>(map: &str, releases: [Option<&'c Contents>; 2]) -> BTreeSet<&'c ServiceName> {
    let platforms = releases.into_iter().flatten().map(|one| &one.platform);
    match map {
        "services" => platforms.flat_map(|one| one.services.keys()).collect(),
        "jobs" => platforms.flat_map(|one| one.jobs.keys()).collect(),
        _ => platforms.flat_map(|one| one.stores.keys()).collect(),
    }
}

/// A job with its artifact, without what it was built by.
fn job(contents: Option<&Contents>, name: &ServiceName) -> Option<Value> {
    let contents = contents?;
    with_artifact(contents, name, value(contents.platform.jobs.get(name))?)
}

fn store(contents: Option<&Contents>, name: &ServiceName) -> Option<Value> {
    let mut found = value(contents?.platform.stores.get(name))?;
    // `kind: { postgres: { memory } }` reads as the file does: `memory`.
    let kind = found.as_object_mut()?.remove("kind")?;
    let fields = found.as_object_mut()?;
    match kind {
        Value::Object(kinds) => {
            for (kind, settings) in kinds {
                fields.insert("kind".into(), Value::String(kind));
                fields.extend(settings.as_object().cloned().unwrap_or_default());
            }
        }
        word => drop(fields.insert("kind".into(), word)),
    }
    Some(found)
}

fn value<T: Serialize>(thing: Option<T>) -> Option<Value> {
    thing.map(|thing| serde_json::to_value(thing).expect("a platform is what JSON can say"))
}

/// A service with its artifact, without what it was built by.
fn service(contents: Option<&Contents>, name: &ServiceName) -> Option<Value> {
    let contents = contents?;
    with_artifact(contents, name, value(contents.platform.services.get(name))?)
}

fn with_artifact(contents: &Contents, name: &ServiceName, mut found: Value) -> Option<Value> {
    let fields = found.as_object_mut()?;
    fields.remove("build");
    let artifact = contents
        .artifacts
        .get(name)
        .map(|digest| format!("sha256:{digest}"));
    fields.insert(
        "artifact".into(),
        artifact.map_or(Value::Null, Value::String),
    );
    Some(found)
}

fn push(
    changes: &mut Vec<Change>,
    resource: String,
    before: Option<&Value>,
    after: Option<&Value>,
) {
    let mark = match (before, after) {
        (None, None) => return,
        (None, Some(_)) => Mark::Added,
        (Some(_), None) => Mark::Removed,
        (Some(before), Some(after)) if before == after => return,
        _ => Mark::Changed,
    };
    let mut fields = Vec::new();
    compare(&mut fields, String::new(), before, after);
    changes.push(Change {
        resource,
        mark,
        fields,
    });
}

fn compare(fields: &mut Vec<Field>, path: String, before: Option<&Value>, after: Option<&Value>) {
    let empty = serde_json::Map::new();
    let maps = (
        before.and_then(Value::as_object),
        after.and_then(Value::as_object),
    );
    if maps != (None, None) {
        let (before, after) = (maps.0.unwrap_or(&empty), maps.1.unwrap_or(&empty));
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for key in keys {
            let below = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            compare(fields, below, before.get(key), after.get(key));
        }
    } else if before != after {
        let set = |value: Option<&Value>| value.filter(|value| !value.is_null()).cloned();
        let (before, after) = (set(before), set(after));
        if before != after {
            fields.push(Field {
                path,
                before,
                after,
            });
        }
    }
}
