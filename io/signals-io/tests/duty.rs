//! On duty in the running process: overrides and acknowledgements over a kill, heartbeats, trials of channels.

mod support;

use mainstay_signals_io::{Config, File};
use serde_json::{Value, json};
use support::{Signals, config, until};

const RULES: &str = "groups:
- name: g
  interval: 100ms
  rules:
  - alert: Always
    expr: vector(1)
";

const ALERTS: &str = r#"{
    "channels": {"a": {"command": {"run": ["a"]}}, "b": {"command": {"run": ["b"]}}},
    "people": {"ada": ["a"], "bob": ["b"], "eve": ["a", "b"]},
    "on_call": {"primary": {"people": ["ada", "bob"], "from": "2026-03-02 09:00", "days": 7, "zone": "Europe/Berlin"}},
    "escalation": {"night": {"levels": [{"to": ["primary"], "wait": "5m"}, {"to": ["b"], "wait": "5m"}]}},
    "to": ["night"],
    "routes": [{"when": "alertname=Always", "wait": "0s", "interval": "1s"}],
    "heartbeat": {"url": "http://127.0.0.1:9/", "every": "1s"}
}"#;

fn on_call(generation: u64) -> Config {
    Config {
        rules: vec![File {
            name: "rules.yml".into(),
            text: RULES.into(),
        }],
        alerts: Some(serde_json::from_str(ALERTS).unwrap()),
        ..config(generation, Vec::new())
    }
}

fn post(signals: &Signals, path: &str, order: &Value) -> (u16, Value) {
    let asked = signals
        .client()
        .ask("POST", path, order.to_string().as_bytes());
    let (status, body) = asked.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

fn duty(signals: &Signals) -> Value {
    let (_, text) = signals.get("/v1/on-call");
    let value: Value = serde_json::from_str(&text).unwrap();
    value["data"].clone()
}

fn says_why(answer: &(u16, Value), why: &str) {
    assert_eq!(answer.0, 400, "{answer:?}");
    let said = answer.1["error"].as_str().unwrap();
    assert!(said.contains(why), "{said}");
}

fn firing(signals: &Signals, name: &str) -> bool {
    let (_, text) = signals.get("/api/v1/alerts");
    let value: Value = serde_json::from_str(&text).unwrap();
    let alerts = value["data"]["alerts"].as_array().unwrap();
    alerts
        .iter()
        .any(|one| one["labels"]["alertname"] == name && one["state"] == "firing")
}

#[test]
fn who_stands_in_and_what_was_taken_outlive_a_kill() {
    let mut signals = Signals::start();
    signals.configure(&on_call(1));
    let now = duty(&signals);
    let person = now["rotations"][0]["person"].as_str().unwrap().to_owned();
    assert!(["ada", "bob"].contains(&person.as_str()), "{now}");
    assert_eq!(now["rotations"][0]["zone"], "Europe/Berlin");
    assert_ne!(now["rotations"][0]["then"], now["rotations"][0]["person"]);
    let hour = 3_600_000;
    let order = |person: &str, for_ms: i64| json!({ "person": person, "for_ms": for_ms });
    says_why(
        &post(&signals, "/v1/on-call", &order("eva", hour)),
        "did you mean `eve`?",
    );
    says_why(
        &post(&signals, "/v1/on-call", &order("eve", 1)),
        "a minute at least",
    );
    says_why(
        &post(
            &signals,
            "/v1/on-call",
            &json!({ "rotation": "x", "person": "eve", "for_ms": hour }),
        ),
        "`primary`",
    );
    let (status, taken) = post(&signals, "/v1/on-call", &order("eve", hour));
    assert_eq!((status, &taken["data"]["person"]), (200, &json!("eve")));
    until("the alert is told", || {
        post(
            &signals,
            "/v1/acknowledge",
            &json!({ "alert": "Always", "by": "eve" }),
        )
        .0 == 200
    });
    let wrong = post(
        &signals,
        "/v1/acknowledge",
        &json!({ "alert": "Alwais", "by": "eve" }),
    );
    says_why(&wrong, "did you mean `Always`?");
    signals.kill();
    signals.start_again();
    let after = duty(&signals);
    assert_eq!(after["rotations"][0]["person"], "eve", "{after}");
    assert_eq!(after["rotations"][0]["stands_in"], true);
    assert_eq!(after["rotations"][0]["then"], person.as_str());
    assert_eq!(after["acknowledged"][0]["alert"], "Always", "{after}");
    assert_eq!(after["acknowledged"][0]["by"], "eve");
}

#[test]
fn a_heartbeat_that_fails_is_an_alert_until_one_is_taken() {
    let mut signals = Signals::start();
    let deaf = signals.folder.path().join("state/deaf");
    std::fs::write(&deaf, "").unwrap();
    signals.configure(&on_call(1));
    until("it is told", || firing(&signals, "HeartbeatFailing"));
    signals.kill();
    signals.start_again();
    assert!(
        firing(&signals, "HeartbeatFailing"),
        "not ended by a restart"
    );
    std::fs::remove_file(&deaf).unwrap();
    until("it is over", || !firing(&signals, "HeartbeatFailing"));
    std::fs::write(&deaf, "").unwrap();
    until("it is told anew", || firing(&signals, "HeartbeatFailing"));
    let mut without = on_call(2);
    without.alerts.as_mut().unwrap().heartbeat = None;
    signals.configure(&without);
    until("none is asked for", || {
        !firing(&signals, "HeartbeatFailing")
    });
}

#[test]
fn a_channel_is_tried_out_with_whoever_is_on_duty() {
    let signals = Signals::start();
    signals.configure(&on_call(1));
    says_why(
        &post(&signals, "/v1/try", &json!({ "to": "primery" })),
        "channel `primery` is not known; did you mean `primary`?",
    );
    let on_duty = duty(&signals)["rotations"][0]["person"].clone();
    for (to, count) in [("a", 1), ("eve", 2), ("primary", 1), ("night", 1)] {
        let (status, tried) = post(&signals, "/v1/try", &json!({ "to": to }));
        assert_eq!(status, 200, "{tried}");
        let rows = tried["data"].as_array().unwrap();
        assert_eq!(rows.len(), count, "{to}: {tried}");
        assert_eq!(rows[0]["accepted"], true);
        assert_eq!(rows[0]["answer"], "taken");
        if matches!(to, "primary" | "night") {
            assert_eq!(rows[0]["person"], on_duty, "{tried}");
        }
    }
}
