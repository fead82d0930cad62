//! The published description of the API (OpenAPI 3.1), made from the types themselves by a test: what is served is
//! `docs/openapi.json`, so the binary needs none of this.

use crate::api;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

const DESCRIPTION: &str = "Spoken in HTTP/1.1 over the unix socket `STATE/ENV/run/control.sock`; the peer's uid \
says who asks, or a token in `authorization: Bearer TOKEN` does. Heads of up to 64 KiB within 10 seconds, bodies of up to 8 MiB within 30, 256 connections at a time; one \
user's changes (POST, DELETE) 100 at once and 50 a second from then on.";

struct Operation {
    path: &'static str,
    method: &'static str,
    summary: &'static str,
    body: Option<Value>,
    answer: Value,
}

/// The whole document.
fn openapi() -> Value {
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
            "description": DESCRIPTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": { "schemas": generator.take_definitions(true) },
    })
}

fn described(operation: &Operation, problem: &Value) -> Value {
    let parameters = parameters(operation.path);
    let mut described = json!({
        "summary": operation.summary,
        "responses": responses(operation, !parameters.is_empty(), problem),
    });
    if !parameters.is_empty() {
        described["parameters"] = Value::Array(parameters);
    }
    if let Some(body) = &operation.body {
        described["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": body } } });
    }
    described
}

/// What it answers, by status: what is refused depends on what it takes and does.
fn responses(operation: &Operation, asks: bool, problem: &Value) -> Value {
    let kind = match operation.path {
        "/v1/metrics" => "text/plain",
        _ => "application/json",
    };
    let changes = operation.method != "get";
    let fixed = matches!(operation.path, "/v1/version" | "/v1/openapi.json");
    let refusals: [(bool, &str, &str); 13] = [
        (
            asks || operation.body.is_some(),
            "400",
            "what was sent cannot be read",
        ),
        (true, "401", "a token was shown that nobody knows"),
        (asks || changes, "404", "there is no such thing"),
        (
            operation.body.is_some(),
            "408",
            "the body did not arrive in time",
        ),
        (
            changes || operation.path == "/v1/ledger/loss",
            "409",
            "not as things stand",
        ),
        (
            operation.body.is_some(),
            "413",
            "the body has more than 8 MiB",
        ),
        (operation.body.is_some(), "415", "the body is not JSON"),
        (
            operation.body.is_some(),
            "422",
            "the body says what cannot be",
        ),
        (changes, "429", "one user asks for too many changes"),
        (
            changes || operation.path == "/v1/logs/{subject}",
            "500",
            "a fault of Mainstay or the machine; nothing was changed",
        ),
        (!fixed, "503", "busy, stopping, or the ledger is halted"),
        (
            changes,
            "507",
            "it could not be recorded, so it was not done",
        ),
        (true, "405", "this path has other methods"),
    ];
    let mut responses = Map::new();
    let done = json!({ kind: { "schema": operation.answer } });
    responses.insert(
        "200".into(),
        json!({ "description": "done", "content": done }),
    );
    for (_, status, why) in refusals.iter().filter(|(may, ..)| *may) {
        let content = json!({ "application/json": { "schema": problem } });
        responses.insert(
            (*status).into(),
            json!({ "description": why, "content": content }),
        );
    }
    if let Some(limited) = responses.get_mut("429") {
        limited["headers"] = json!({ "Retry-After": {
            "description": "seconds; absent when what waits has to end first",
            "schema": { "type": "integer", "minimum": 1 },
        } });
    }
    Value::Object(responses)
}

fn parameters(path: &str) -> Vec<Value> {
    let parts = path.split('/');
    let parts = parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let named = parts.map(|name| {
        let (pattern, example) = match name {
            "release" => (RELEASE, "v1"),
            "job" if path.ends_with("/runs") => (NAME, "digest"),
            "job" => (SUBJECT, "digest"),
            "item" => (NAME, "backup"),
            "service" => (NAME, "web"),
            "route" => (ROUTE, "localhost/"),
            "subject" if path.starts_with("/v1/why/") => (EXPLAINED, "web"),
            "name" => ("^[A-Za-z_][A-Za-z0-9_.@-]{0,63}$", "ann"),
            _ => (SUBJECT, "web"),
        };
        let schema = json!({ "type": "string", "pattern": pattern });
        json!({ "name": name, "in": "path", "required": true, "schema": schema, "example": example })
    });
    named.chain(queries(path)).collect()
}

/// `v42`, or its number alone.
const RELEASE: &str = "^v?[1-9][0-9]{0,18}$";
/// A service, job or store.
const NAME: &str = "^[a-z][a-z0-9-]{0,38}$";
/// One of these, an instance or a run: `web`, `web.v42.1`.
const SUBJECT: &str = "^[a-z][a-z0-9-]{0,38}(\\.v[0-9]{1,19}\\.[0-9]{1,10})?$";
/// Host and path prefix.
const ROUTE: &str = "^[a-z0-9.-]+/[!-~]*$";
/// A subject or a route.
const EXPLAINED: &str =
    "^([a-z][a-z0-9-]{0,38}(\\.v[0-9]{1,19}\\.[0-9]{1,10})?|[a-z0-9.-]+/[!-~]*)$";

fn queries(path: &str) -> Vec<Value> {
    let number = json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX });
    let release = json!({ "type": "string", "pattern": RELEASE });
    let names = match path {
        "/v1/progress" => vec![("after", number), ("release", release)],
        "/v1/logs/{subject}" => vec![("lines", number.clone()), ("cursor", number)],
        _ => vec![],
    };
    let query = |(name, schema)| json!({ "name": name, "in": "query", "required": false, "schema": schema });
    names.into_iter().map(query).collect()
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

fn operations(generator: &mut SchemaGenerator) -> Vec<Operation> {
    let mut operations = looking(generator);
    operations.extend(steering(generator));
    operations.extend(gating(generator));
    operations.extend(scaling(generator));
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
        get(
            "/v1/openapi.json",
            "This document",
            json!({ "type": "object", "required": ["openapi", "paths"] }),
        ),
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
            "Why a service, an instance or a route is as it is",
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
            json!({ "type": "string" }),
        ),
        get(
            "/v1/contents",
            "The contents of the release that serves; null when none does",
            of::<Option<crate::shape::Contents>>(generator),
        ),
        get(
            "/v1/holds",
            "Releases that nothing ships again by itself",
            rows(&of::<api::HoldRow>(generator)),
        ),
    ]
}

/// What people say to a release that waits, and who they are.
fn gating(generator: &mut SchemaGenerator) -> Vec<Operation> {
    let view = of::<api::GateView>(generator);
    let post = |path, summary, body, answer| operation(("post", path), summary, body, answer);
    vec![
        operation(
            ("get", "/v1/gate"),
            "How the release that moves stands at its gates; null when none moves",
            None,
            of::<Option<api::GateView>>(generator),
        ),
        operation(
            ("get", "/v1/tokens"),
            "Names under which somebody may act who shows a token",
            None,
            json!({ "type": "array", "items": { "type": "string" } }),
        ),
        post(
            "/v1/approve",
            "Agree to what the release that waits contains",
            Some(of::<api::ApproveAsked>(generator)),
            view.clone(),
        ),
        post(
            "/v1/checklist/{item}",
            "Answer an item of the checklist of the release that waits",
            Some(of::<api::TickAsked>(generator)),
            view.clone(),
        ),
        post(
            "/v1/tokens",
            "Let somebody act under a name who shows the token that is answered",
            Some(of::<api::TokenAsked>(generator)),
            of::<api::TokenMade>(generator),
        ),
        operation(
            ("delete", "/v1/tokens/{name}"),
            "Let nobody act under a name any longer",
            None,
            json!({ "type": "null" }),
        ),
    ]
}

/// Counts that follow what is measured, routes, and what alerts do.
fn scaling(generator: &mut SchemaGenerator) -> Vec<Operation> {
    let row = of::<api::ScaleRow>(generator);
    let route = of::<api::RouteRow>(generator);
    vec![
        operation(
            ("get", "/v1/routes"),
            "Routes of the gateway, and which of them are paused",
            None,
            rows(&route),
        ),
        operation(
            ("post", "/v1/pauses/{route}"),
            "Have the gateway answer for a route itself, for a time",
            Some(of::<api::PauseAsked>(generator)),
            route.clone(),
        ),
        operation(
            ("delete", "/v1/pauses/{route}"),
            "End the pause of a route before its time",
            None,
            route,
        ),
        operation(
            ("get", "/v1/actions"),
            "What alerts may do by themselves, and what they did",
            None,
            of::<api::Actions>(generator),
        ),
        operation(
            ("get", "/v1/scale"),
            "Services whose count follows what is measured: how many, and why",
            None,
            rows(&row),
        ),
        operation(
            ("post", "/v1/scale/{service}"),
            "Set how many instances of a service run, for a time",
            Some(of::<api::ScaleAsked>(generator)),
            row.clone(),
        ),
        operation(
            ("delete", "/v1/scale/{service}"),
            "Leave the count of a service to what is measured",
            None,
            row,
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
            "/v1/promote",
            "Give the release on trial its next share of the traffic, or all of it",
            Some(of::<api::PromoteAsked>(generator)),
            moving.clone(),
        ),
        post(
            "/v1/pause",
            "Hold the release on trial where it is",
            None,
            moving.clone(),
        ),
        post(
            "/v1/resume",
            "Let the release on trial go on",
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
