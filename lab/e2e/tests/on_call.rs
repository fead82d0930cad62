//! On call: who is called, who is called next, who takes it; heartbeats, tests of channels, channels that fail.

use mainstay_e2e::{Platform, Receiver, until};
use serde_json::Value;

const RULES: &str = "groups:\n  - name: own\n    interval: 1s\n    rules:\n      - alert: Down\n        \
                     expr: vector(1)\n        labels: { severity: critical }\n";

fn platform(name: &str, alerts: &str) -> Platform {
    let platform = Platform::single(
        name,
        "    run: ./bin/mainstay-sample\n    port: 3000\n    ready: { path: /ready }\n    env: { QUIET: \"1\" }",
    );
    let rules = platform.folder().join("rules.yml");
    std::fs::write(rules, RULES).expect("the folder takes a file");
    let text = platform.text();
    platform.write(&format!(
        "{text}signals: {{ rules: [rules.yml] }}\nalerts:\n{alerts}"
    ));
    platform.up();
    platform
}

fn hook(name: &str, receiver: &Receiver) -> String {
    let url = receiver.url(&format!("/{name}"));
    format!("    {name}: {{ webhook: {{ url: \"{url}\" }} }}\n")
}

/// What a receiver heard of an alert: each time, why.
fn heard(receiver: &Receiver, alert: &str) -> Vec<String> {
    let taken = receiver.taken().into_iter();
    let bodies = taken.filter_map(|one| serde_json::from_str::<Value>(&one.body).ok());
    bodies
        .filter(|body| body["alerts"][0]["labels"]["alertname"] == alert)
        .map(|body| {
            body["mainstay"]["reason"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

#[test]
fn whoever_is_on_duty_is_called_and_then_the_next_until_somebody_takes_it() {
    let ok = || Receiver::answering("200 OK", "thanks");
    let (ada, bob, lead) = (ok(), ok(), ok());
    let platform = platform(
        "oncall",
        &format!(
            "  channels:\n{}{}{}  on_call:\n    primary: {{ people: [ada, bob], from: 2026-03-02 09:00, zone: Europe/Berlin }}\n  \
             escalation:\n    night: {{ levels: [{{ to: [primary], wait: 3s }}, {{ to: [lead], wait: 1h }}] }}\n  \
             to: [lead]\n  routes: [{{ when: alertname=Down, to: [night], wait: 0s, interval: 1s }}]\n",
            hook("ada", &ada),
            hook("bob", &bob),
            hook("lead", &lead)
        ),
    );
    let duty = until("who is on duty", || {
        let outcome = platform.run(&["alerts", "on-call", "--json"]);
        let duty = (outcome.code == 0).then(|| outcome.json())?;
        duty[0].is_object().then_some(duty)
    });
    assert_eq!(duty[0]["rotation"], "primary", "{duty}");
    let names = ["ada", "bob"];
    let on_duty = duty[0]["person"]
        .as_str()
        .expect("somebody is on duty")
        .to_owned();
    let (now, other) = if on_duty == names[0] {
        (&ada, &bob)
    } else {
        (&bob, &ada)
    };
    let next = if on_duty == names[0] {
        names[1]
    } else {
        names[0]
    };
    platform.run(&["alerts", "on-call"]).exits(0).says(&[
        "primary",
        &on_duty,
        "Europe/Berlin",
        next,
    ]);
    until("the one on duty", || {
        (!heard(now, "Down").is_empty()).then_some(())
    });
    until("the next level", || {
        (!heard(&lead, "Down").is_empty()).then_some(())
    });
    assert!(heard(other, "Down").is_empty(), "not their turn");

    // Somebody stands in, which a kill does not undo, and is called at once.
    let word = ["alerts", "on-call", "override"];
    let stand_in = |who: &str| platform.run(&[&word[..], &[who, "--for", "4h"]].concat());
    stand_in("carol")
        .exits(1)
        .says(&["`carol` takes no turns in `primary`"]);
    stand_in(next).exits(0).says(&[next, "4h"]);
    platform.process("signals").kill();
    until("the one who stands in", || {
        (!heard(other, "Down").is_empty()).then_some(())
    });
    platform
        .run(&["alerts", "on-call"])
        .exits(0)
        .says(&[&format!("{next} (stands in)")]);

    platform
        .run(&["alerts", "ack", "Dawn"])
        .exits(1)
        .says(&["did you mean `Down`?"]);
    platform
        .run(&["alerts", "ack", "Down"])
        .exits(0)
        .says(&["you have Down (1 alert)"]);
    platform.process("signals").kill();
    until("it is still taken", || {
        let out = platform.run(&["alerts"]).out;
        out.contains("Down was taken by").then_some(())
    });
    platform.run(&["down"]).exits(0);
}

#[test]
fn channels_are_tried_out_and_one_that_fails_is_told_over_another() {
    let metadata = Receiver::redirecting("http://169.254.169.254/latest/meta-data/");
    let works = Receiver::answering("202 Accepted", "seen s3cret-key");
    let platform = platform(
        "failing",
        &format!(
            "  channels:\n{}{}    quiet: {{ webhook: {{ url: \"http://169.254.169.254/\" }} }}\n    \
             signed: {{ webhook: {{ url: \"{}\", bearer: token }} }}\n  \
             to: [first]\n  fallback: [second]\n",
            hook("first", &metadata),
            hook("second", &works),
            works.url("/signed")
        ),
    );
    let secret = platform.state().join("secrets/token");
    std::fs::write(&secret, "s3cret-key").expect("secrets take a file");
    until("the failure is told over the other channel", || {
        (!heard(&works, "ChannelFailing").is_empty()).then_some(())
    });
    let told = works.taken();
    assert!(
        told[0].body.contains("redirects are not followed"),
        "{told:?}"
    );
    platform
        .run(&["alerts"])
        .exits(0)
        .says(&["ChannelFailing", "first"]);
    let test = |name: &str| platform.run(&["alerts", "test", name]);
    let tried = test("signed").exits(0);
    let said = format!("{}{}", tried.out, tried.talk);
    assert!(
        said.contains("HTTP 202") && said.contains("127.0.0.1"),
        "{said}"
    );
    assert!(!said.contains("s3cret-key"), "no secret is shown: {said}");
    test("first").exits(2).says(&["redirects are not followed"]);
    test("quiet").exits(2).says(&["link-local"]);
    test("secand")
        .exits(1)
        .says(&["channel `secand` is not known", "did you mean `second`?"]);
    platform.run(&["down"]).exits(0);
}

#[test]
fn a_heartbeat_goes_out_and_is_missed_aloud() {
    let outside = Receiver::answering("200 OK", "");
    let works = Receiver::answering("200 OK", "");
    let platform = platform(
        "heartbeat",
        &format!(
            "  channels:\n{}  to: [ops]\n  heartbeat: {{ url: \"{}\", every: 1s, method: get }}\n",
            hook("ops", &works),
            outside.url("/ping")
        ),
    );
    let beats = || outside.taken().len();
    until("two heartbeats", || (beats() >= 2).then_some(()));
    assert_eq!(outside.taken()[0].line, "GET /ping HTTP/1.1");
    platform.process("signals").kill();
    let before = beats();
    until("more after a kill", || {
        (beats() >= before + 2).then_some(())
    });
    outside.change("500 Broken", "no");
    until("the failure is an alert", || {
        platform
            .run(&["alerts"])
            .out
            .contains("HeartbeatFailing")
            .then_some(())
    });
    until("somebody is told", || {
        (!heard(&works, "HeartbeatFailing").is_empty()).then_some(())
    });
    outside.change("200 OK", "");
    until("it is over", || {
        (!platform.run(&["alerts"]).out.contains("HeartbeatFailing")).then_some(())
    });
    platform.run(&["down"]).exits(0);
}
