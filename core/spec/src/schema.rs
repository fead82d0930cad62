//! The JSON Schema of the file, for editors.

use crate::alert::DEED;
use crate::key::{EnvironmentKeys, FileKeys};
use crate::node::{Content, Node, Scalar, Span};
use crate::parse::parse_value;
use crate::shape::{Keys, Shape, Shaped};
use mainstay_faults::Source;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The JSON Schema (draft 2020-12) of `mainstay.yaml`, made of the types that mirror the file.
///
/// It guides an editor and is as strict as a schema can be; what goes beyond one value (names that
/// exist, cycles, clashes) only [`crate::resolve`] judges.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut root = json!(generator.into_root_schema_for::<FileKeys>());
    let mut definitions = root["$defs"].take();
    annotate(&mut root, "FileKeys", &all_keys());
    if let Some(all) = definitions.as_object_mut() {
        for (title, definition) in all.iter_mut() {
            annotate(definition, title, &all_keys());
        }
        all.insert(DEED.into(), crate::alert::deed());
        overlay(all);
    }
    root["$defs"] = definitions;
    root["title"] = json!("mainstay.yaml");
    root
}

/// Every map of named keys, in the order in which the file reaches them.
pub(crate) fn all_keys() -> Vec<&'static Keys> {
    let mut all = Vec::new();
    gather(FileKeys::SHAPE, &mut all);
    all
}

fn gather(shape: Shape, all: &mut Vec<&'static Keys>) {
    match shape {
        Shape::Value(_) => {}
        Shape::Names(names) => gather(names.value, all),
        Shape::Map(keys) | Shape::Either(_, keys) => {
            if all.iter().all(|known| known.title != keys.title) {
                all.push(keys);
                keys.rows.iter().for_each(|key| gather(key.shape, all));
            }
        }
    }
}

/// Adds defaults and examples to the properties of a definition.
fn annotate(definition: &mut Value, title: &str, all: &[&'static Keys]) {
    let Some(keys) = all.iter().find(|keys| keys.title == title) else {
        return;
    };
    for key in keys.rows {
        let property = &mut definition["properties"][key.name];
        if let Value::Bool(true) = property {
            *property = json!({});
        }
        if let Some(default) = key.default_value() {
            property["default"] = json_of(default);
        }
        property["examples"] = json!([json_of(key.example)]);
    }
    if let Some(object) = definition.as_object_mut() {
        object.remove("title");
    }
}

/// The suffix of definitions in which everything may be absent or `null`.
const OVERLAY: &str = "Overlay";

/// Gives environments definitions of their own: nothing is required, and `null` deletes. A service
/// of the file has them too, because of `extends`.
fn overlay(definitions: &mut Map<String, Value>) {
    let mut overlays = Map::new();
    for (name, definition) in definitions.iter() {
        let mut definition = definition.clone();
        loosen(&mut definition);
        overlays.insert(format!("{name}{OVERLAY}"), definition);
    }
    let environment = <EnvironmentKeys as schemars::JsonSchema>::schema_name().into_owned();
    let take = |overlays: &mut Map<String, Value>, name: &str| {
        overlays.remove(&format!("{name}{OVERLAY}"))
    };
    if let Some(definition) = take(&mut overlays, &environment) {
        definitions.insert(environment, definition);
    }
    if let Some(service) = overlays.get("ServiceKeysOverlay") {
        let mut service = service.clone();
        service["anyOf"] = json!([{ "required": ["run"] }, { "required": ["extends"] }]);
        definitions.insert("ServiceKeys".into(), service);
    }
    definitions.extend(overlays);
}

/// Lets every property and every chosen key be absent or `null`, all the way down.
fn loosen(value: &mut Value) {
    if let Some(object) = value.as_object_mut() {
        object.remove("required");
        if let Some(Value::String(reference)) = object.get_mut("$ref") {
            reference.push_str(OVERLAY);
        }
        if let Some(chosen) = object
            .get_mut("additionalProperties")
            .filter(|chosen| chosen.is_object())
        {
            or_null(chosen);
        }
        let properties = object.get_mut("properties").and_then(Value::as_object_mut);
        properties
            .into_iter()
            .flat_map(Map::values_mut)
            .for_each(or_null);
        for (_, child) in object
            .iter_mut()
            .filter(|(name, _)| !matches!(name.as_str(), "default" | "examples"))
        {
            loosen_below(child);
        }
    }
}

fn loosen_below(child: &mut Value) {
    match child {
        Value::Array(items) => items.iter_mut().for_each(loosen),
        Value::Object(_) => loosen(child),
        _ => {}
    }
}

/// The schema or `null`, with what is said about it kept outside.
fn or_null(schema: &mut Value) {
    let mut inner = schema.take();
    let mut outer = Map::new();
    if let Some(object) = inner.as_object_mut() {
        for about in ["description", "default", "examples"] {
            outer.extend(object.remove(about).map(|value| (about.to_owned(), value)));
        }
    }
    outer.insert("anyOf".into(), json!([inner, { "type": "null" }]));
    *schema = Value::Object(outer);
}

/// A value of the table as JSON.
pub(crate) fn json_of(text: &str) -> Value {
    let source = Source::new("table", text.as_bytes());
    let span = Span {
        source: 0,
        start: 0,
        end: u32::try_from(text.len()).unwrap_or(u32::MAX),
        line: 1,
        column: 1,
    };
    let node = parse_value(&[source], span).ok().and_then(|(node, _)| node);
    to_json(&node.expect("the table holds YAML; a test reads all of it"))
}

fn to_json(node: &Node) -> Value {
    match &node.content {
        Content::Scalar(scalar) => scalar_to_json(scalar, node.is_null()),
        Content::List(items) => items.iter().map(to_json).collect(),
        Content::Map(map) => {
            let pairs = map.entries.iter();
            pairs
                .map(|entry| (entry.key.text.clone(), to_json(&entry.value)))
                .collect()
        }
    }
}

fn scalar_to_json(scalar: &Scalar, is_null: bool) -> Value {
    let plain = scalar.plain.then_some(scalar.text.as_str());
    match plain {
        _ if is_null => Value::Null,
        Some("true") => Value::Bool(true),
        Some("false") => Value::Bool(false),
        Some(text) => text
            .parse::<u64>()
            .map_or_else(|_| Value::from(text), Value::from),
        None => Value::from(scalar.text.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn property_names(definition: &Value) -> Vec<String> {
        let properties = definition["properties"].as_object();
        properties.map_or_else(Vec::new, |properties| properties.keys().cloned().collect())
    }

    #[test]
    fn the_table_holds_yaml() {
        for key in all_keys().iter().flat_map(|keys| keys.rows) {
            assert!(!json_of(key.example).is_null(), "{}", key.name);
            if let Some(default) = key.default_value() {
                assert!(!json_of(default).is_null(), "{}", key.name);
            }
        }
    }

    #[test]
    fn the_schema_has_the_keys_of_the_table_and_no_others() {
        let schema = schema();
        for keys in all_keys() {
            let definition = match keys.title {
                "FileKeys" => &schema,
                title => &schema["$defs"][title],
            };
            let mut expected: Vec<_> = keys.names().collect();
            expected.sort_unstable();
            let mut found = property_names(definition);
            found.sort_unstable();
            assert_eq!(found, expected, "{}", keys.title);
            assert_eq!(
                definition["additionalProperties"],
                json!(false),
                "{}",
                keys.title
            );
        }
    }

    #[test]
    fn layers_of_the_table_are_plain() {
        let node = Node {
            span: Span {
                source: 0,
                start: 0,
                end: 0,
                line: 1,
                column: 1,
            },
            layer: crate::node::LayerId::BASE,
            content: Content::List(Vec::new()),
        };
        assert_eq!(to_json(&node), json!([]));
    }
}
