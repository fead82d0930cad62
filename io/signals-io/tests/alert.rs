//! Rules in the running process: who is told, what survives a kill, what a silence does.

mod support;

use mainstay_signals_io::{Config, File};
use support::{Signals, config, until};

const RULES: &str = "groups:
- name: g
  interval: 100ms
  rules:
  - record: always
    expr: vector(1)
  - alert: Always
    expr: always > 0
    labels: {severity: page}
    annotations: {summary: 'it is {{ $value }}'}
";

const ROUTING: &str = "route:
  receiver: hook
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 4h
receivers:
- name: hook
  webhook_configs:
  - url: http://127.0.0.1:9/
";

fn rules(generation: u64) -> Config {
    let file = |name: &str, text: &str| File {
        name: name.into(),
        text: text.into(),
    };
    Config {
        rules: vec![file("rules.yml", RULES)],
        routing: Some(file("routing.yml", ROUTING)),
        ..config(generation, Vec::new())
    }
}

/// A number that the process says of itself.
fn own(signals: &Signals, metric: &str) -> f64 {
    let (_, text) = signals.get("/metrics");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    line.unwrap().parse().unwrap()
}

fn alert(signals: &Signals) -> serde_json::Value {
    let (_, text) = signals.get("/api/v1/alerts");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["data"]["alerts"][0].clone()
}

#[test]
fn an_alert_is_told_once_over_a_kill() {
    let mut signals = Signals::start();
    signals.configure(&rules(1));
    until("it is told", || {
        own(&signals, "signals_notifications_total") >= 1.0
    });
    signals.sees(
        "ALERTS{alertname=\"Always\",alertstate=\"firing\",severity=\"page\"}",
        1.0,
    );
    let before = alert(&signals);
    assert_eq!(before["state"], "firing");
    assert_eq!(before["value"], "1e+00");
    assert_eq!(before["annotations"]["summary"], "it is 1");
    // What came of it is written down with the runs that follow.
    let runs = own(&signals, "signals_rule_evaluations_total");
    until("rules have run on", || {
        own(&signals, "signals_rule_evaluations_total") >= runs + 6.0
    });
    signals.kill();
    signals.start_again();
    until("rules run again", || {
        own(&signals, "signals_rule_evaluations_total") >= 20.0
    });
    assert_eq!(alert(&signals)["activeAt"], before["activeAt"]);
    assert!(
        own(&signals, "signals_notifications_total") < 0.5,
        "it was told before"
    );
    let (_, text) = signals.get("/api/v1/rules?type=alert");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let group = &value["data"]["groups"][0];
    assert_eq!(group["rules"].as_array().unwrap().len(), 1);
    assert_eq!(group["rules"][0]["state"], "firing");
    assert_eq!(group["rules"][0]["health"], "ok");
}

#[test]
fn what_is_silenced_is_not_told() {
    let signals = Signals::start();
    let silence = r#"{"id":"s1","matchers":[{"name":"alertname","value":"Always"}],
        "starts_ms":0,"ends_ms":9000000000000,"by":"ops","comment":"planned"}"#;
    let put = |body: &str| {
        signals
            .client()
            .ask("PUT", "/v1/silences", body.as_bytes())
            .unwrap()
            .0
    };
    assert_eq!(put(silence), 200);
    assert_eq!(
        put(&silence.replace("Always", "")),
        400,
        "it would silence everything"
    );
    assert_eq!(put("{}"), 400);
    until("it is kept", || {
        signals.get("/v1/silences").1.contains("\"s1\"")
    });
    signals.configure(&rules(1));
    until("rules have run", || {
        own(&signals, "signals_rule_evaluations_total") >= 20.0
    });
    assert_eq!(alert(&signals)["state"], "firing");
    assert!(own(&signals, "signals_notifications_total") < 0.5);
    let ended = signals
        .client()
        .ask("DELETE", "/v1/silences?id=s1", &[])
        .unwrap();
    assert_eq!(ended.0, 200);
    until("it is told", || {
        own(&signals, "signals_notifications_total") >= 1.0
    });
}
