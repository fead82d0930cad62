//! The published description of the API (OpenAPI 3.1), made from the types themselves.

use crate::api;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

struct Operation {
    path: &'static str,
    method: &'static str,
    summary: &'static str,
    body: Option<Value>,
    answer: Value,
}

/// The whole document.
pub fn openapi() -> Value {
    let mut generator = schemars::generate::SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let operations = operations(&mut generator);
    let problem = of::<api::Problem>(&mut generator);
    let mut paths = Map::new();
    for operation in operations {
        let entry = paths.entry(operation.path).or_insert_with(|| json!({}));
        entry[operation.method] = described(&operation, &problem);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Mainstay control plane",
            "version": "1",
            "description": "Spoken over the unix socket `STATE/ENV/run/control.sock`; the peer's uid says who asks.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": { "schemas": generator.take_definitions(true) },
    })
}

fn described(operation: &Operation, problem: &Value) -> Value {
    let mut described = json!({
        "summary": operation.summary,
        "responses": {
            "200": {
                "description": "done",
                "content": { "application/json": { "schema": operation.answer } },
            },
            "default": {
                "description": "refused or failed; nothing was changed",
                "content": { "application/json": { "schema": problem } },
            },
        },
    });
    let parameters: Vec<Value> = operation
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .chain(queries(operation.path))
        .collect();
    if !parameters.is_empty() {
        described["parameters"] = Value::Array(parameters);
    }
    if let Some(body) = &operation.body {
        described["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": body } } });
    }
    described
}

fn queries(path: &str) -> Vec<Value> {
    let names: &[(&str, &str)] = match path {
        "/v1/progress" => &[("after", "integer"), ("release", "string")],
        "/v1/logs/{subject}" => &[("lines", "integer"), ("cursor", "integer")],
        _ => &[],
    };
    let query = |(name, kind): &(&str, &str)| json!({ "name": name, "in": "query", "required": false, "schema": { "type": kind } });
    names.iter().map(query).collect()
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

fn operations(generator: &mut SchemaGenerator) -> Vec<Operation> {
    let g = generator;
    let none = || json!({ "type": "null" });
    let any = || json!({});
    let rows = |row: Value| json!({ "type": "array", "items": row });
    let op = |method, path, summary, body, answer| Operation {
        path,
        method,
        summary,
        body,
        answer,
    };
    let (history, hold) = (of::<api::HistoryRow>(g), of::<api::HoldRow>(g));
    let (moving, proposal) = (of::<api::Moving>(g), of::<api::Proposal>(g));
    vec![
        op(
            "get",
            "/v1/version",
            "Which control plane this is",
            None,
            of::<api::Version>(g),
        ),
        op("get", "/v1/openapi.json", "This document", None, any()),
        op(
            "get",
            "/v1/status",
            "How the platform stands",
            None,
            of::<api::Status>(g),
        ),
        op(
            "get",
            "/v1/history",
            "Every release, newest first",
            None,
            rows(history),
        ),
        op(
            "get",
            "/v1/why",
            "Why the whole is as it is",
            None,
            of::<api::Why>(g),
        ),
        op(
            "get",
            "/v1/why/{subject}",
            "Why a service or an instance is as it is",
            None,
            of::<api::Why>(g),
        ),
        op(
            "get",
            "/v1/logs/{subject}",
            "What a service or an instance wrote",
            None,
            of::<api::Logs>(g),
        ),
        op(
            "get",
            "/v1/progress",
            "How a release moves",
            None,
            of::<api::Progress>(g),
        ),
        op(
            "get",
            "/v1/metrics",
            "The gateway's metrics in Prometheus' text format",
            None,
            any(),
        ),
        op(
            "get",
            "/v1/contents",
            "The contents of the release that serves",
            None,
            any(),
        ),
        op(
            "post",
            "/v1/plan",
            "What shipping these contents would do",
            Some(proposal.clone()),
            of::<api::Planned>(g),
        ),
        op(
            "post",
            "/v1/deploy",
            "Ship these contents",
            Some(proposal),
            moving.clone(),
        ),
        op(
            "post",
            "/v1/apply",
            "Execute exactly this saved plan",
            Some(of::<api::SavedPlan>(g)),
            moving.clone(),
        ),
        op(
            "post",
            "/v1/rollback",
            "Bring back an earlier release",
            Some(of::<api::RollbackAsked>(g)),
            moving.clone(),
        ),
        op(
            "post",
            "/v1/abort",
            "Stop the release that is under way",
            None,
            moving.clone(),
        ),
        op(
            "post",
            "/v1/retry",
            "Ship the last failed release again",
            None,
            moving,
        ),
        op(
            "get",
            "/v1/holds",
            "Releases that nothing ships again by itself",
            None,
            rows(hold),
        ),
        op("delete", "/v1/holds/{release}", "Lift a hold", None, none()),
        op(
            "post",
            "/v1/leases",
            "Take or renew a lease for a deploy that is being prepared",
            Some(of::<api::LeaseAsked>(g)),
            of::<api::LeaseGiven>(g),
        ),
        op(
            "post",
            "/v1/up",
            "Let the last release run again",
            None,
            none(),
        ),
        op(
            "post",
            "/v1/down",
            "Drain and stop everything",
            None,
            none(),
        ),
    ]
}
