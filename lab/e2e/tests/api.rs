//! The API under bad input: every answer is one that the published document lists, nothing is half done.

use mainstay_e2e::api::{ask, over_tcp, schemathesis, send};
use mainstay_e2e::{Platform, until};
use serde_json::{Value, json};
use std::process::Command;

/// The whole run of the fuzzer, in seconds.
const FUZZED: &str = "45";

fn platform(name: &str) -> Platform {
    let keys = "    run: ./bin/mainstay-sample\n    port: 3000\n    ready: { path: /ready }";
    let platform = Platform::single(name, keys);
    let text = std::fs::read_to_string(platform.file()).expect("it was written");
    let job = "jobs:\n  digest: { run: ./bin/digest }\n\ndomains:";
    platform.script("digest", "exit 0");
    platform.write(&text.replace("domains:", job));
    platform.up();
    platform
}

/// Still the same control plane, a sound ledger, and a release that can be shipped.
fn unharmed(platform: &Platform, serve: &mainstay_e2e::Process) {
    assert_eq!(&platform.process("serve"), serve, "the control plane ended");
    platform.run(&["up"]).exits(0);
    platform.steady();
    platform.run(&["ledger", "verify"]).exits(0);
    let text = std::fs::read_to_string(platform.file()).expect("it was written");
    let other = text.replace(
        "ready: { path: /ready }",
        "ready: { path: /ready }\n    env: { AFTER: fuzz }",
    );
    platform.write(&other);
    platform.run(&["deploy", "--yes"]).exits(0);
    platform.steady();
}

#[test]
fn every_answer_is_as_the_document_says() {
    let Some(program) = schemathesis() else {
        return;
    };
    let platform = platform("fuzz");
    let serve = platform.process("serve");
    let base = format!("http://127.0.0.1:{}", over_tcp(&platform));
    let seed = std::env::var("MAINSTAY_SEED").unwrap_or_else(|_| "4".into());
    let mut command = Command::new(program);
    command
        .current_dir(platform.folder())
        .args(["run", &format!("{base}/v1/openapi.json")]);
    command.args([
        "--url",
        &base,
        "--max-time",
        FUZZED,
        "--seed",
        &seed,
        "--no-color",
    ]);
    command.args(["--continue-on-failure", "--request-timeout", "20"]);
    // No faster than one user may change things, so that what is behind the limit is reached.
    command.args(["--rate-limit", "45/s"]);
    // A body of the right shape may still name what is not there.
    command.args(["--exclude-checks", "positive_data_acceptance"]);
    // It ends the server: asked once, below.
    command.args(["--exclude-path", "/v1/down"]);
    let outcome = platform.finish(command).exits(0);
    let cases = outcome
        .out
        .lines()
        .find_map(|line| line.trim().split_once(" generated, "));
    let count = cases.and_then(|(count, _)| count.parse::<u32>().ok());
    assert!(count > Some(500), "{}", outcome.out);
    unharmed(&platform, &serve);
    ask(&platform, "POST /v1/down?x=y", "{\"no\":").status_is(200);
    until("everything stopped", || {
        platform.processes().is_empty().then_some(())
    });
}

#[test]
fn what_cannot_be_read_is_a_problem_with_the_right_status() {
    let platform = platform("odd");
    let serve = platform.process("serve");
    let deploy = "POST /v1/deploy";
    ask(&platform, deploy, "{\"contents\":").refuses(400, "body");
    ask(&platform, deploy, "{\"contents\":1e999}").refuses(400, "body");
    ask(&platform, "POST /v1/leases", " []").refuses(422, "body");
    ask(&platform, deploy, "{\"contents\":7}").refuses(422, "body");
    ask(
        &platform,
        "POST /v1/rollback",
        "{\"to\":\"v99999999999999999999999\"}",
    )
    .refuses(422, "body");
    ask(&platform, "POST /v1/rollback", "{\"to\":\"v2\",\"too\":1}").refuses(422, "body");
    ask(
        &platform,
        "POST /v1/leases",
        "{\"token\":18446744073709551616}",
    )
    .refuses(422, "body");
    ask(&platform, "GET /v1/why/%ff", "").refuses(400, "path");
    ask(&platform, "GET /v1/progress?after=-1", "").refuses(400, "query");
    ask(&platform, "GET /v1/progress?release=seven", "").refuses(400, "query");
    ask(&platform, "GET /v1/logs/web?line=3", "").refuses(400, "query");
    ask(&platform, "DELETE /v1/holds/seven", "").refuses(400, "release");
    ask(&platform, "GET /v2/status", "").refuses(404, "unknown_path");
    let other = ask(&platform, "OPTIONS /v1/status", "");
    other.refuses(405, "method");
    assert!(other.head.contains("allow: get,head"), "{other:?}");
    ask(&platform, "HEAD /v1/status", "").status_is(200);
    let plain =
        "POST /v1/deploy HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    send(&platform, plain.as_bytes()).refuses(415, "body");
    let long = "POST /v1/deploy HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\n\r\n{";
    send(&platform, long.as_bytes()).refuses(413, "body");
    let head = format!(
        "GET /v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\nlong: {}\r\n\r\n",
        "y".repeat(300_000)
    );
    send(&platform, head.as_bytes()).status_is(431);
    unharmed(&platform, &serve);
}

#[test]
fn one_user_s_changes_are_limited_and_looks_are_not() {
    let platform = platform("often");
    let one = "POST /v1/nowhere HTTP/1.1\r\nhost: x\r\n\r\n";
    let last = "POST /v1/nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answers = send(&platform, (one.repeat(400) + last).as_bytes());
    assert_eq!(answers.status, 404, "{answers:?}");
    let limited = answers.body.to_lowercase();
    assert!(limited.contains("http/1.1 429"), "{limited}");
    assert!(limited.contains("retry-after: 1"), "{limited}");
    assert!(limited.contains("\"code\":\"too_fast\""), "{limited}");
    ask(&platform, "GET /v1/status", "").status_is(200);
    until("another turn", || {
        (ask(&platform, "POST /v1/abort", "").status == 409).then_some(())
    });
}

/// Every value within, replaced by every odd one.
fn mutants(whole: &Value) -> Vec<Value> {
    let mut places = Vec::new();
    pointers(whole, String::new(), &mut places);
    let odd = [
        json!(null),
        json!(0),
        json!(u32::MAX),
        json!(u64::MAX),
        json!(""),
        json!([]),
        json!({}),
        json!("nobody"),
    ];
    let one = |place: &String, odd: &Value| {
        let mut other = whole.clone();
        *other.pointer_mut(place).expect("it was found there") = odd.clone();
        other
    };
    places
        .iter()
        .flat_map(|place| odd.iter().map(move |odd| one(place, odd)))
        .collect()
}

fn pointers(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                pointers(field, format!("{at}/{name}"), places);
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                pointers(item, format!("{at}/{number}"), places);
            }
        }
        _ => {}
    }
    places.push(at);
}

#[test]
fn contents_that_no_file_could_say_are_refused_and_harm_nobody() {
    let platform = platform("mutant");
    let serve = platform.process("serve");
    let contents = ask(&platform, "GET /v1/contents", "").json();
    let (mut planned, mut refused) = (0, 0);
    for other in mutants(&contents) {
        let body = json!({ "contents": other }).to_string();
        let answer = until("a turn", || {
            let answer = ask(&platform, "POST /v1/plan", &body);
            (answer.status != 429).then_some(answer)
        });
        match answer.status {
            200 => planned += 1,
            400 | 409 | 422 => refused += 1,
            _ => panic!("{body}\n{answer:?}"),
        }
    }
    assert!(planned > 20 && refused > 100, "{planned} {refused}");
    unharmed(&platform, &serve);
}
