//! What alerts do by themselves: once however often anybody is killed, within bounds, and never over a person.

use mainstay_e2e::{Platform, Receiver, until};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

const RULES: &str = "groups:\n  - name: own\n    interval: 1s\n    rules:\n      - alert: HomeFails\n        \
                     expr: probe_success{check=\"home\"} == 0\n";

/// One to four instances of `web`, a job `heal` that leaves a line in `notes/all`, and a check of `shop`.
fn platform(name: &str, shop: &Receiver, then: &str) -> Platform {
    let scale = "{ min: 1, max: 4, requests: 1000/s, every: 1s, settle: 3s, warm_up: 0s }";
    let platform = Platform::single(
        name,
        &format!(
            "    run: ./bin/mainstay-sample\n    port: 3000\n    scale: {scale}\n    ready: {{ path: /ready }}\n    env: {{ QUIET: \"1\" }}"
        ),
    );
    platform.script("heal", "echo healed >> \"$NOTES\"");
    let notes = platform.folder().join("notes");
    fs::create_dir(&notes).expect("a folder");
    for path in [platform.folder(), &notes] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("its mode");
    }
    fs::write(platform.folder().join("rules.yml"), RULES).expect("the folder takes a file");
    let text = platform.text();
    platform.write(&format!(
        "{text}jobs:\n  heal: {{ run: [./bin/heal], artifact: [bin], env: {{ NOTES: {}/all }} }}\n\
         signals: {{ rules: [rules.yml] }}\n\
         checks: {{ home: {{ url: \"{}\", every: 1s, timeout: 1s }} }}\n\
         alerts:\n  channels: {{ ops: {{ command: {{ run: [\"true\"] }} }} }}\n  to: [ops]\n  then:\n    HomeFails:\n{then}",
        notes.display(),
        shop.url("/"),
    ));
    platform
}

fn healed(platform: &Platform) -> usize {
    let text = fs::read_to_string(platform.folder().join("notes/all")).unwrap_or_default();
    text.lines().count()
}

/// What was done by itself: the deed, the count that it reached, and whether that was only said.
fn done(platform: &Platform) -> Vec<(String, Option<u64>, bool)> {
    let shown = platform.json(&["alerts", "actions"]);
    let rows = shown["done"].as_array().cloned().unwrap_or_default();
    let row = |row: &Value| {
        let deed = row["deed"].as_str().unwrap_or_default().to_owned();
        (deed, row["reached"].as_u64(), row["dry_run"] == true)
    };
    let mut rows: Vec<_> = rows.iter().map(row).collect();
    rows.sort();
    rows
}

/// Waits until every action stands like this.
fn stand(platform: &Platform, words: &str) {
    until(words, || {
        let shown = platform.json(&["alerts", "actions"]);
        let rows = shown["actions"].as_array()?;
        let stands = |row: &Value| row["stands"].to_string().contains(words);
        (!rows.is_empty() && rows.iter().all(stands)).then_some(())
    });
}

fn has(platform: &Platform, count: u64) {
    until(&format!("{count} instances of web"), || {
        let status = platform.status()?;
        let web = &status["services"][0];
        (web["desired"] == count && web["ready"] == count).then_some(())
    });
}

#[test]
fn an_alert_scales_and_runs_once_whoever_is_killed_and_says_so() {
    let shop = Receiver::answering("200 OK", "Welcome");
    let then = "      - { scale: { service: web, by: 1, max: 3, for: 1h }, cool_down: 1h }\n      \
                - { run: heal, cool_down: 1h, at_most: 2/day }\n      \
                - { scale: { service: web, by: -1 }, cool_down: 1h, dry_run: true }\n";
    let platform = platform("then", &shop, then);
    platform.up();
    has(&platform, 1);
    stand(&platform, "does not fire");
    assert_eq!(done(&platform), []);
    shop.change("503 Down", "no");
    has(&platform, 2);
    stand(&platform, "cools down");
    let once = vec![
        ("run heal".to_owned(), None, false),
        ("scale web by -1".to_owned(), Some(1), true),
        ("scale web by 1".to_owned(), Some(2), false),
    ];
    assert_eq!(done(&platform), once);
    until("the job", || (healed(&platform) == 1).then_some(()));

    // It is told like what people do, under the alert's name.
    let row = platform.json(&["scale"])[0].clone();
    assert_eq!(row["hand"]["by"], "alert HomeFails", "{row}");
    let job = platform.json(&["jobs", "show", "heal"]);
    assert_eq!(job["runs"][0]["by"], "alert HomeFails", "{job}");
    platform
        .run(&["why", "web"])
        .exits(0)
        .says(&["HomeFails: scale web by 1, to 2", "would have"]);
    platform
        .run(&["why"])
        .exits(0)
        .says(&["HomeFails: run heal"]);
    platform
        .run(&["history"])
        .exits(0)
        .says(&["HomeFails", "scale web by -1, to 1 (dry run)"]);
    platform
        .run(&["alerts", "actions"])
        .exits(0)
        .says(&["1 of 2", "run heal", "cools down"]);

    // Neither a control plane nor signals that begin again do it again.
    for word in ["serve", "signals"] {
        platform.process(word).kill();
        platform.up();
        stand(&platform, "cools down");
        assert_eq!(done(&platform), once, "after the end of {word}");
    }
    has(&platform, 2);
    assert_eq!(healed(&platform), 1);
    platform.run(&["ledger", "verify"]).exits(0);
    platform.run(&["down"]).exits(0);
}

#[test]
fn it_goes_on_to_its_bound_and_never_over_a_person_or_what_nobody_knows() {
    let shop = Receiver::answering("503 Down", "no");
    let then = "      { scale: { service: web, by: 1, max: 3, for: 1h }, cool_down: 1s, at_most: 9/day }\n";
    let platform = platform("bound", &shop, then);
    platform.up();
    has(&platform, 3);
    stand(&platform, "its bound is reached with 3");
    assert_eq!(done(&platform).len(), 2);

    platform.run(&["scale", "web", "1", "--for", "1h"]).exits(0);
    has(&platform, 1);
    stand(&platform, "set its count");
    platform
        .run(&["why", "web"])
        .exits(0)
        .says(&["scale web by 1 is not done"]);
    let silence = ["alerts", "silence", "HomeFails", "1h", "--why", "known"];
    platform.run(&silence).exits(0);
    stand(&platform, "does not fire");
    platform.run(&["scale", "web", "--auto"]).exits(0);
    let signals = platform.process("signals");
    signals.signal(Signal::STOP);
    stand(&platform, "nobody knows");
    signals.signal(Signal::CONT);
    stand(&platform, "does not fire");
    has(&platform, 1);
    assert_eq!(done(&platform).len(), 2, "what is silenced does nothing");
    platform.run(&["down"]).exits(0);
}

#[test]
fn what_cannot_be_done_is_refused_where_it_stands() {
    let shop = Receiver::answering("200 OK", "Welcome");
    let platform = platform("wrong", &shop, "      { run: heal }\n");
    platform.run(&["check"]).exits(0);
    let text = platform.text();
    for (then, said) in [
        (
            "{ run: heel }",
            "job `heel` is not known; did you mean `heal`?",
        ),
        ("{ scale: { service: wep, by: 1 } }", "did you mean `web`?"),
        ("{ scale: { service: web, by: 0 } }", "`0` changes nothing"),
        (
            "{ scale: { service: web, by: 1, max: 9 } }",
            "9 is above the 4 of `services.web.scale.max`",
        ),
        ("{ run: heal, cool_down: 600 }", "`600` has no unit"),
        ("{ restart: web }", "neither a deed nor a setting"),
        (
            "{ pause: localhost/shop, for: 5m }",
            "route `localhost/shop` is not known; did you mean `localhost/`?",
        ),
        ("{ pause: localhost/ }", "`for` is missing"),
        (
            "{ pause: localhost/, for: 0s }",
            "`0s` is not from 1s to 1d",
        ),
        (
            "{ pause: localhost/, for: 2d }",
            "`2d` is not from 1s to 1d",
        ),
        (
            "{ pause: localhost/, for: 5m, scale: { service: web, by: 1 } }",
            "`scale`, `pause` stand in one entry",
        ),
        (
            "{ run: heal, for: 5m }",
            "`for` says how long a route is paused",
        ),
        (
            "{ raise_pool: { store: db, by: 5 } }",
            "cannot be raised by an alert yet",
        ),
        ("{ halt_ledger: impact }", "no ledger for applications yet"),
    ] {
        platform.write(&text.replace("{ run: heal }", then));
        let out = platform.run(&["check"]).exits(1);
        out.says(&["mainstay.yaml", said]);
    }
    platform.write(&text.replace("    HomeFails:", "    HomeFeils:"));
    platform
        .run(&["check"])
        .exits(1)
        .says(&["HomeFeils:", "did you mean `HomeFails`?"]);
    platform.write(
        &text
            .replace("scale: {", "replicas: 2 # {")
            .replace("{ run: heal }", "{ scale: { service: web, by: 1 } }"),
    );
    platform
        .run(&["check"])
        .exits(1)
        .says(&["`web` has a fixed count"]);
}
