//! Routes that are paused: by alerts and by hand, over kills and releases, and never longer than was said.

use mainstay_e2e::api::ask;
use mainstay_e2e::traffic::{Answer, Load};
use mainstay_e2e::{Platform, Receiver, get, until};
use serde_json::{Value, json};
use std::fs;

const RULES: &str = "groups:\n  - name: own\n    interval: 1s\n    rules:\n      - alert: HomeFails\n        \
                     expr: probe_success{check=\"home\"} == 0\n";

const API: &str = "localhost/version";

/// `/` and `/healthz` lead to `web`, `/version` to `api`.
fn platform(name: &str) -> Platform {
    let platform = Platform::new(name);
    platform.edit(
        "/api: { to: api }",
        "/version: { to: api }\n      /healthz: { to: web }",
    );
    platform
}

/// What the gateway answers, once there is one.
#[track_caller]
fn answer(platform: &Platform, path: &str) -> Answer {
    until("a gateway", || get(platform.port, path).ok())
}

#[track_caller]
fn answers(platform: &Platform, expected: [u16; 3]) {
    let found = ["/", "/healthz", "/version"].map(|path| answer(platform, path).status);
    assert_eq!(found, expected);
}

#[track_caller]
fn comes(platform: &Platform, path: &str, status: u16) -> Answer {
    until(&format!("{status} of {path}"), || {
        Some(answer(platform, path)).filter(|one| one.status == status)
    })
}

/// What alerts did.
fn done(platform: &Platform) -> Vec<String> {
    let shown = platform.json(&["alerts", "actions"]);
    let rows = shown["done"].as_array().cloned().unwrap_or_default();
    let mut deeds: Vec<String> = rows.iter().map(|row| row["deed"].to_string()).collect();
    deeds.sort();
    deeds
}

/// The pause of `/version`, as `routes` has it.
fn pause(platform: &Platform) -> Value {
    let rows = platform.json(&["routes"]);
    let mut rows = rows.as_array().expect("rows").iter();
    let row = rows.find(|row| row["route"] == API).expect("the route");
    row["paused"].clone()
}

#[test]
fn an_alert_pauses_routes_whoever_is_killed_and_they_come_back_by_themselves() {
    let shop = Receiver::answering("200 OK", "Welcome");
    let platform = platform("pause-then");
    fs::write(platform.folder().join("rules.yml"), RULES).expect("the folder takes a file");
    platform.write(&format!(
        "{}signals: {{ rules: [rules.yml] }}\n\
         checks: {{ home: {{ url: \"{}\", every: 1s, timeout: 1s }} }}\n\
         alerts:\n  channels: {{ ops: {{ command: {{ run: [\"true\"] }} }} }}\n  to: [ops]\n  then:\n    HomeFails:\n      \
         - {{ pause: localhost/version, for: 1h, cool_down: 2h }}\n      \
         - {{ pause: localhost/healthz, for: 10s, cool_down: 2h }}\n      \
         - {{ pause: localhost/, for: 1h, cool_down: 2h, dry_run: true }}\n",
        platform.text(),
        shop.url("/"),
    ));
    platform.up();
    platform.steady();
    answers(&platform, [200, 200, 200]);
    shop.change("503 Down", "no");
    comes(&platform, "/healthz", 503);
    let said = comes(&platform, "/version", 503);
    let left = said.retry_after.expect("a `Retry-After`");
    assert!((3000..=3600).contains(&left), "{left}");
    assert_eq!(answer(&platform, "/").status, 200, "that was only said");
    let once = [
        "\"pause localhost/\"",
        "\"pause localhost/healthz\"",
        "\"pause localhost/version\"",
    ];
    assert_eq!(done(&platform), once);

    platform.process("gateway").kill();
    assert_eq!(
        answer(&platform, "/version").status,
        503,
        "by its last table"
    );
    // Nobody is there who could end it.
    platform.process("serve").kill();
    comes(&platform, "/healthz", 200);
    answers(&platform, [200, 200, 503]);
    platform.process("gateway").kill();
    platform.up();
    platform.steady();
    answers(&platform, [200, 200, 503]);
    assert_eq!(done(&platform), once, "once");

    let paused = pause(&platform);
    assert_eq!(paused["by"], "alert HomeFails", "{paused}");
    for (words, said) in [
        (
            &["status"][..],
            "localhost/version is paused by alert HomeFails",
        ),
        (&["why"], "localhost/version by alert HomeFails, for"),
        (&["why", "api"], "localhost/version by alert HomeFails, for"),
        (
            &["why", API],
            "localhost/version is answered by the gateway alone",
        ),
        (&["history"], "pause localhost/ (dry run)"),
        (&["alerts", "actions"], "pause localhost/version"),
        (&["routes"], "by alert HomeFails, ends in"),
    ] {
        platform.run(words).exits(0).says(&[said]);
    }
    platform.run(&["routes", "resume", API]).exits(0);
    answers(&platform, [200, 200, 200]);
    until("what a person said", || {
        let shown = platform.json(&["alerts", "actions"]);
        let row = shown["actions"][0]["stands"].to_string();
        row.contains("resumed it; again in").then_some(())
    });
    platform.run(&["ledger", "verify"]).exits(0);
    platform.run(&["down"]).exits(0);
}

#[test]
fn a_person_pauses_a_route_while_releases_go_on_and_it_ends_when_that_was_said() {
    let platform = platform("pause-hand");
    platform.up();
    platform.steady();
    let load = Load::start(platform.port, "/", 4);
    let run = |words: &[&str]| platform.run(words);
    let paused = run(&["routes", "pause", API, "1h", "--why", "it fails", "--json"]);
    let row = paused.exits(0).json();
    assert_eq!(
        (&row["paused"]["why"], &row["told"]),
        (&json!("it fails"), &json!(true))
    );
    answers(&platform, [200, 200, 503]);
    run(&["status"])
        .exits(0)
        .says(&["localhost/version is paused by", "it fails"]);
    platform.edit("GREETING: hello", "GREETING: good day");
    run(&["deploy"]).exits(0);
    platform.steady();
    answers(&platform, [200, 200, 503]);
    load.stop_without_failure();
    // The last word counts, and needs nobody to keep it.
    let before = pause(&platform)["until_ms"].as_u64();
    run(&["routes", "pause", API, "5s", "--why", "soon"]).exits(0);
    let until_ms = pause(&platform)["until_ms"].as_u64();
    assert!(until_ms < before, "{until_ms:?} {before:?}");
    platform.process("serve").kill();
    comes(&platform, "/version", 200);
    platform.up();
    assert_eq!(pause(&platform), Value::Null);
    // A release without the route drops its pause.
    run(&["routes", "pause", API, "1h", "--why", "it fails"]).exits(0);
    for (from, to) in [("/version:", "/echo:"), ("/echo:", "/version:")] {
        platform.edit(from, to);
        run(&["deploy"]).exits(0);
        platform.steady();
    }
    answers(&platform, [200, 200, 200]);
    run(&["ledger", "verify"]).exits(0);
    run(&["down"]).exits(0);
}

#[test]
fn killed_at_any_point_a_pause_is_kept_and_its_end_too() {
    if !cfg!(debug_assertions) {
        return mainstay_e2e::say("skipped: a release build does not kill itself");
    }
    let platform = platform("pause-kill");
    platform.up();
    platform.steady();
    for point in ["before_effect", "before_outcome"] {
        let pause = ["routes", "pause", API, "1h", "--why", "it fails"];
        let resume = ["routes", "resume", API];
        for (words, status) in [(&pause[..], 503), (&resume, 200)] {
            let serve = platform.process("serve");
            let here = format!("pause {point}");
            fs::write(platform.state().join("kill-at"), &here).expect("the state takes a file");
            let begun = platform.begin(words);
            until(&format!("the kill at `{here}`"), || {
                (!serve.runs()).then_some(())
            });
            // It says that its control plane is gone.
            drop(begun.wait());
            platform.up();
            comes(&platform, "/version", status);
        }
    }
    answers(&platform, [200, 200, 200]);
    platform.run(&["down"]).exits(0);
}

#[test]
fn what_cannot_be_paused_is_refused_and_nothing_changes() {
    let platform = platform("pause-odd");
    platform.up();
    platform.steady();
    let why = ["--why", "it fails"];
    for (words, said) in [
        (
            ["pause", "localhost/versoin", "5m"],
            "did you mean `localhost/version`?",
        ),
        (["pause", "localhost", "5m"], "a route is a host and a path"),
        (["pause", API, "0s"], "for a second to a day"),
        (["pause", API, "25h"], "for a second to a day"),
        (["pause", API, "soon"], "`soon`"),
    ] {
        let words = [&["routes"][..], &words, &why].concat();
        platform.run(&words).exits(1).says(&[said]);
    }
    let blank = ["routes", "pause", API, "5m", "--why", " "];
    platform
        .run(&blank)
        .exits(1)
        .says(&["a reason has 1 to 500"]);
    let resume = ["routes", "resume", API];
    platform.run(&resume).exits(1).says(&["is not paused"]);
    let stranger = [("MAINSTAY_TOKEN", "nobody")];
    let pause = [&["routes", "pause", API, "5m"][..], &why].concat();
    for words in [&pause[..], &resume] {
        let refused = platform.run_as(words, &stranger).exits(4);
        refused.says(&["the token is not known"]);
    }
    let post = "POST /v1/pauses/localhost%2Fversion";
    ask(&platform, post, "{\"for_ms\":5000}").refuses(422, "body");
    ask(&platform, post, "{\"for_ms\":0,\"why\":\"x\"}").refuses(422, "lasts");
    ask(&platform, "DELETE /v1/pauses/%20", "").refuses(400, "route");
    answers(&platform, [200, 200, 200]);
    // Where nothing leads anywhere there is nothing to pause.
    let text = platform.text();
    let (services, _) = text.split_once("domains:").expect("its domains");
    platform.write(services);
    platform.run(&["deploy", "--yes"]).exits(0);
    platform
        .run(&pause)
        .exits(1)
        .says(&["`domains` in the file"]);
    platform.run(&["down"]).exits(0);
}
