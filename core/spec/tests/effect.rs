//! Every key of the schema has an effect on the platform or is refused, and its documented default
//! is what holds without it.

use mainstay_spec::{Platform, Set, check, explain, parse_file, resolve, schema};
use serde_json::Value;

const BASE: &str = "mainstay: 1
name: shop
services:
  web: { run: ./bin/web, artifact: bin, port: 80, replicas: 2 }
  api: { run: ./bin/api, port: 81, build: make api, env: { A: b } }
jobs:
  migrate: { run: ./bin/m, artifact: bin }
  warm: { run: ./bin/m, artifact: bin }
stores:
  db: { postgres: 15 }
  cache: { redis: 7 }
  logs: { postgres: 15 }
domains:
  shop.example: { to: api }
  other.example: { routes: { /: { to: api } } }
";

fn platform(sets: &[String]) -> Result<Platform, String> {
    let tree = parse_file("mainstay.yaml", BASE.as_bytes()).expect("the base is valid");
    let sets: Vec<Set> = sets
        .iter()
        .map(|set| Set::parse(set).expect("a set"))
        .collect();
    match resolve(&tree, None, &sets) {
        Ok(resolved) => Ok(resolved.platform),
        Err(faults) => Err(format!("{faults:#?}")),
    }
}

/// A value as YAML on one line.
fn yaml(value: &Value) -> String {
    match value {
        Value::String(text) if text.parse::<f64>().is_err() => text.clone(),
        other => other.to_string(),
    }
}

/// What a key needs beside it to be valid at all.
fn beside(path: &str) -> Vec<String> {
    match path {
        _ if path.contains(".ready.")
            && !path.ends_with("tcp")
            && !path.ends_with("exec")
            && !path.ends_with("path") =>
        {
            vec!["services.web.ready.path=/x".into()]
        }
        _ if path.contains(".health.")
            && !path.ends_with("tcp")
            && !path.ends_with("exec")
            && !path.ends_with("path") =>
        {
            vec!["services.web.health.path=/x".into()]
        }
        "jobs.migrate.inject" => vec!["jobs.migrate.needs=[db]".into()],
        "services.web.inject" => vec!["services.web.needs=[db]".into()],
        path if path.starts_with("services.web.deploy.canary.") => {
            vec!["services.web.deploy={ canary: {} }".into()]
        }
        "services.web.deploy.blue_green.before" => {
            vec!["services.web.deploy={ blue_green: { preview: p.example } }".into()]
        }
        path if path.starts_with("services.web.deploy.blue_green.") => {
            vec!["services.web.deploy={ blue_green: {} }".into()]
        }
        "services.web.scale" => vec![
            "services.web.replicas=null".into(),
            "services.web.size={ cpu: 1 }".into(),
        ],
        "services.web.scale.queue" | "services.web.scale.per" => vec![
            "services.web.replicas=null".into(),
            "services.web.needs=[cache]".into(),
            "services.web.scale={ min: 1, max: 9, queue: cache.mails, per: 7 }".into(),
        ],
        "services.web.scale.queue.key" => vec![
            "services.web.replicas=null".into(),
            "services.web.needs=[cache]".into(),
            "services.web.scale={ min: 1, max: 9, queue: { of: cache, key: mails }, per: 7 }"
                .into(),
        ],
        path if path.starts_with("services.web.scale.queue.") => vec![
            "services.web.replicas=null".into(),
            "services.web.needs=[db, logs]".into(),
            "services.web.inject={ LOGS_URL: logs.DATABASE_URL }".into(),
            "services.web.scale={ min: 1, max: 9, queue: { of: logs, query: SELECT 1 }, per: 7 }"
                .into(),
        ],
        path if path.starts_with("services.web.scale.") => {
            let floor = "{ office: { begins: 5 5 * * *, lasts: 2h, min: 2 } }";
            let scale = "min: 1, max: 9, requests: 1/s";
            let at = if path.contains("office") { floor } else { "{}" };
            vec![
                "services.web.replicas=null".into(),
                "services.web.size={ cpu: 1, memory: 1Gi }".into(),
                format!("services.web.scale={{ {scale}, at: {at} }}"),
            ]
        }
        path if path.starts_with("services.web.metrics.") => {
            vec!["services.web.metrics={}".into()]
        }
        path if path.starts_with("signals.remotes.far.") => {
            vec!["signals={ remotes: { far: { url: http://far.example/x } } }".into()]
        }
        path if path.starts_with("signals.targets.far.") => {
            vec!["signals={ targets: { far: { url: http://far.example/x } } }".into()]
        }
        path if path.starts_with("status_page.") => vec![
            "checks={ home: { tcp: a:1 } }".into(),
            "status_page={ at: /s }".into(),
        ],
        path if path.starts_with("signals.") => vec!["signals={}".into()],
        path if path.starts_with("gates.approvals.") => {
            vec!["gates.approvals={ need: 1 }".into()]
        }
        path if path.starts_with("gates.windows.office.") => {
            vec!["gates.windows={ office: { opens: 5 5 * * *, lasts: 2h } }".into()]
        }
        path if path.starts_with("gates.freezes.sale.") => {
            let sale = "gates.freezes={ sale: { from: 2026-11-01, until: 2026-12-24 } }";
            vec![sale.into()]
        }
        path if path.starts_with("gates.checklist.disk.") => {
            vec!["gates.checklist={ disk: {} }".into()]
        }
        path if path.starts_with("services.web.deploy.smoke.home.") => {
            vec!["services.web.deploy={ smoke: { home: { get: /x } } }".into()]
        }
        "jobs.migrate.time_zone" => vec!["jobs.migrate.schedule=0 6 * * *".into()],
        _ => Vec::new(),
    }
}

/// Every key with its definition's property, as paths from `at` on.
fn walk(schema: &Value, definition: &Value, at: &str, visit: &mut dyn FnMut(&str, &Value)) {
    let Some(properties) = definition["properties"].as_object() else {
        return;
    };
    for (name, property) in properties {
        let path = if at.is_empty() {
            name.clone()
        } else {
            format!("{at}.{name}")
        };
        visit(&path, property);
        for below in definitions(schema, property) {
            walk(schema, below, &path, visit);
        }
    }
}

/// The definitions of keys that a property leads to, alternatives included.
fn definitions<'s>(schema: &'s Value, property: &'s Value) -> Vec<&'s Value> {
    if let Some(name) = property["$ref"].as_str() {
        let name = name.rsplit('/').next().expect("a name");
        return vec![&schema["$defs"][name]];
    }
    let alternatives = property["anyOf"].as_array().into_iter().flatten();
    alternatives
        .flat_map(|alternative| definitions(schema, alternative))
        .collect()
}

fn keys_of(definition: &str, at: &str) -> Vec<(String, Value)> {
    let schema = schema();
    let mut keys = Vec::new();
    walk(
        &schema,
        &schema["$defs"][definition],
        at,
        &mut |path, property| {
            keys.push((path.to_owned(), property.clone()));
        },
    );
    keys
}

fn all_keys() -> Vec<(String, Value)> {
    let mut keys = keys_of("ServiceKeys", "services.web");
    keys.extend(keys_of("JobKeys", "jobs.migrate"));
    for (path, mut property) in keys_of("StoreKeys", "stores.db") {
        if path == "stores.db.postgres" {
            property["examples"][0] = 16.into();
        }
        let redis = ["evict", "persist"].iter().any(|key| path.ends_with(key));
        let path = if redis {
            path.replace(".db.", ".cache.")
        } else {
            path
        };
        keys.push((path, property));
    }
    keys.extend(keys_of("GatewayKeys", "gateway"));
    keys.extend(keys_of("GatesKeys", "gates"));
    keys.extend(keys_of("SignalsKeys", "signals"));
    keys.extend(keys_of("RemoteKeys", "signals.remotes.far"));
    keys.extend(keys_of("TargetKeys", "signals.targets.far"));
    keys.extend(keys_of("StatusPageKeys", "status_page"));
    keys.extend(keys_of("WindowKeys", "gates.windows.office"));
    keys.extend(keys_of("FreezeKeys", "gates.freezes.sale"));
    keys.extend(keys_of("ChecklistKeys", "gates.checklist.disk"));
    keys.extend(keys_of("FloorKeys", "services.web.scale.at.office"));
    keys.extend(keys_of("SmokeKeys", "services.web.deploy.smoke.home"));
    keys.extend(keys_of("DomainKeys", "domains.\"shop.example\""));
    keys.extend(keys_of("RouteKeys", "domains.\"other.example\".routes./"));
    keys
}

#[test]
fn every_key_has_an_effect() {
    let keys = all_keys();
    assert!(keys.len() >= 45, "only {} keys were found", keys.len());
    for (path, property) in keys {
        let example = yaml(&property["examples"][0]);
        let mut sets = beside(&path);
        // A connection is what a service with a port is asked by anyway.
        let default = path == "services.web.ready.tcp";
        let around = if default {
            vec!["services.web.ready=/x".into()]
        } else {
            sets.clone()
        };
        let before = platform(&around).expect("what stands beside is valid");
        let example = match path.as_str() {
            "services.web.extends" => "api".to_owned(),
            "domains.\"shop.example\".routes" => {
                sets.push("domains.\"shop.example\".to=null".into());
                "{ /x: web }".to_owned()
            }
            _ => example,
        };
        if path == "services.web.run" {
            sets.push("services.web.artifact=bin".into());
        }
        if ["redis", "sqlite", "volume"]
            .iter()
            .any(|kind| path.ends_with(&format!("db.{kind}")))
        {
            sets.push("stores.db.postgres=null".into());
        }
        sets.push(format!("{path}={example}"));
        let after = platform(&sets).unwrap_or_else(|faults| panic!("{path}: {faults}"));
        assert_ne!(before, after, "`{path}: {example}` changes nothing");
    }
}

#[test]
fn every_documented_default_is_what_holds() {
    let mut count = 0;
    for (path, property) in all_keys() {
        let Some(default) = property.get("default") else {
            continue;
        };
        // The base sets this one.
        if path == "services.web.replicas" {
            continue;
        }
        count += 1;
        let mut sets = beside(&path);
        let before = platform(&sets).expect("what stands beside is valid");
        sets.push(format!("{path}={}", yaml(default)));
        let after = platform(&sets).unwrap_or_else(|faults| panic!("{path}: {faults}"));
        assert_eq!(before, after, "the default of `{path}` is not {default}");
    }
    assert!(count >= 25, "only {count} defaults were found");
}

#[test]
fn every_key_is_explained() {
    let tree = parse_file("mainstay.yaml", BASE.as_bytes()).expect("the base is valid");
    for (path, _) in all_keys() {
        let named = [
            "gates.windows.",
            "gates.freezes.",
            "gates.checklist.",
            "services.web.deploy.smoke.",
            "services.web.scale.at.",
            "signals.remotes.far.",
            "signals.targets.far.",
        ];
        let beside = named.iter().any(|start| path.starts_with(start));
        let sets = beside.then(|| self::beside(&path)).into_iter().flatten();
        let sets: Vec<Set> = sets.map(|set| Set::parse(&set).expect("a set")).collect();
        let resolved = resolve(&tree, None, &sets).expect("the base is valid");
        let explanation =
            explain(&resolved, &path).unwrap_or_else(|fault| panic!("{path}: {fault:?}"));
        assert!(
            !explanation.meaning.is_empty() && !explanation.kind.is_empty(),
            "{path}"
        );
        assert_eq!(
            explanation.is_default,
            explanation.origins.is_empty(),
            "{path}"
        );
        assert_eq!(explanation.path, path);
    }
}

#[test]
fn keys_of_later_versions_are_refused_everywhere() {
    let places = [
        ("backups: {}\n", 1),
        (
            "environments: { staging: { target: kubernetes, protect: [], machines: {} } }\n",
            3,
        ),
        ("gateway: { https: 443 }\n", 1),
    ];
    for (text, count) in places {
        let tree = parse_file("mainstay.yaml", format!("{BASE}{text}").as_bytes()).expect("YAML");
        let faults = check(&tree, None, &[]).expect_err("refused");
        assert_eq!(faults.len(), count, "{faults:#?}");
        assert!(
            faults
                .iter()
                .all(|fault| fault.code == "not_available" && fault.hint.is_some())
        );
    }
}

/// The port of HTTP is 8080 for a user's platform, 80 for one that is installed, and what the file says for both.
#[test]
fn an_installed_platform_is_served_on_port_80_unless_the_file_says_otherwise() {
    let port = |more: &str, installed: bool| {
        let text =
            format!("mainstay: 1\nname: shop\n{more}services: {{ web: {{ run: ./web }} }}\n");
        let tree = parse_file("mainstay.yaml", text.as_bytes()).expect("YAML");
        let tree = if installed { tree.installed() } else { tree };
        resolve(&tree, None, &[])
            .expect("valid")
            .platform
            .gateway
            .http
    };
    for unsaid in ["", "gateway: {}\n"] {
        assert_eq!((port(unsaid, false), port(unsaid, true)), (8080, 80));
    }
    let said = "gateway: { http: 8081 }\n";
    assert_eq!((port(said, false), port(said, true)), (8081, 8081));
}
