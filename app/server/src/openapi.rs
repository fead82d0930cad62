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
    let mut operations = looking(generator);
    operations.extend(steering(generator));
    operations
}

fn operation(
    (method, path): (&'static str, &'static str),
    summary: &'static str,
    body: Option<Value>,
    answer: Value,
) -> Operation {
    Operation {
        path,
        method,
        summary,
        body,
        answer,
    }
}

/// An array of these.
fn rows(row: &Value) -> Value {
    json!({ "type": "array", "items": row })
}

fn looking(generator: &mut SchemaGenerator) -> Vec<Operation> {
    let any = json!({});
    let get = |path, summary, answer| operation(("get", path), summary, None, answer);
    let why = of::<api::Why>(generator);
    vec![
        get(
            "/v1/version",
            "Which control plane this is",
            of::<api::Version>(generator),
        ),
        get(
            "/v1/upgrade",
            "Which programs run",
            of::<api::Programs>(generator),
        ),
        get("/v1/openapi.json", "This document", any.clone()),
        get(
            "/v1/ledger/loss",
            "What going on with a halted ledger would give up",
            of::<api::LedgerLoss>(generator),
        ),
        get(
            "/v1/status",
            "How the platform stands",
            of::<api::Status>(generator),
        ),
        get(
            "/v1/history",
            "Every release, newest first",
            rows(&of::<api::HistoryRow>(generator)),
        ),
        get("/v1/why", "Why the whole is as it is", why.clone()),
        get(
            "/v1/why/{subject}",
            "Why a service or an instance is as it is",
            why,
        ),
        get(
            "/v1/logs/{subject}",
            "What a service or an instance wrote",
            of::<api::Logs>(generator),
        ),
        get(
            "/v1/jobs",
            "Every job, with its schedule and last run",
            rows(&of::<api::JobRow>(generator)),
        ),
        get(
            "/v1/jobs/{job}",
            "A job with its runs, or one run",
            of::<api::JobDetail>(generator),
        ),
        get(
            "/v1/progress",
            "How a release moves",
            of::<api::Progress>(generator),
        ),
        get(
            "/v1/metrics",
            "The gateway's metrics in Prometheus' text format",
            any.clone(),
        ),
        get(
            "/v1/contents",
            "The contents of the release that serves",
            any,
        ),
        get(
            "/v1/holds",
            "Releases that nothing ships again by itself",
            rows(&of::<api::HoldRow>(generator)),
        ),
    ]
}

fn steering(generator: &mut SchemaGenerator) -> Vec<Operation> {
    let none = json!({ "type": "null" });
    let post = |path, summary, body, answer| operation(("post", path), summary, body, answer);
    let moving = of::<api::Moving>(generator);
    let proposal = Some(of::<api::Proposal>(generator));
    let saved = Some(of::<api::SavedPlan>(generator));
    let back = Some(of::<api::RollbackAsked>(generator));
    let asked = Some(of::<api::LeaseAsked>(generator));
    let given = of::<api::LeaseGiven>(generator);
    let planned = of::<api::Planned>(generator);
    let upgrade = Some(of::<api::UpgradeAsked>(generator));
    let upgrading = of::<api::Upgrading>(generator);
    let lease = "Take or renew a lease for a deploy that is being prepared";
    vec![
        post(
            "/v1/upgrade",
            "Replace control plane and gateway by this program",
            upgrade,
            upgrading,
        ),
        post(
            "/v1/plan",
            "What shipping these contents would do",
            proposal.clone(),
            planned,
        ),
        post(
            "/v1/deploy",
            "Ship these contents",
            proposal,
            moving.clone(),
        ),
        post(
            "/v1/apply",
            "Execute exactly this saved plan",
            saved,
            moving.clone(),
        ),
        post(
            "/v1/rollback",
            "Bring back an earlier release",
            back,
            moving.clone(),
        ),
        post(
            "/v1/abort",
            "Stop the release that is under way",
            None,
            moving.clone(),
        ),
        post(
            "/v1/retry",
            "Ship the last failed release again",
            None,
            moving,
        ),
        operation(
            ("delete", "/v1/holds/{release}"),
            "Lift a hold",
            None,
            none.clone(),
        ),
        post("/v1/leases", lease, asked, given),
        post(
            "/v1/jobs/{job}/runs",
            "Run a job now",
            None,
            of::<api::RunAsked>(generator),
        ),
        post(
            "/v1/up",
            "Let the last release run again",
            None,
            none.clone(),
        ),
        post("/v1/down", "Drain and stop everything", None, none),
        post(
            "/v1/ledger/resume",
            "Go on with a halted ledger without the entries that are gone",
            Some(of::<api::LossAccepted>(generator)),
            of::<api::LedgerResumed>(generator),
        ),
    ]
}

#[cfg(test)]
mod tests {
    /// The published file is what this program serves.
    #[test]
    fn the_published_document_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        let now =
            serde_json::to_string_pretty(&super::openapi()).expect("a document is JSON") + "\n";
        if std::env::var_os("MAINSTAY_BLESS").is_some() {
            std::fs::write(path, &now).expect("the document can be written");
        }
        let published = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            published == now,
            "docs/openapi.json differs; run `cargo xtask bless`"
        );
    }

    /// Every path of the document is answered, and by nothing else than its methods.
    #[test]
    fn every_route_is_in_the_document() {
        let document = super::openapi();
        let source = include_str!("route.rs");
        let routed = source.matches(".route(\"/v1/").count();
        let paths = document["paths"].as_object().expect("there are paths");
        assert_eq!(routed, paths.len());
        for path in paths.keys() {
            assert!(source.contains(&format!(".route(\"{path}\"")), "{path}");
        }
    }
}
