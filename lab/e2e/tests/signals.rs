//! Metrics and alerts of a platform: collected, asked in the query language, told to people.

use mainstay_e2e::{Load, Platform, until};
use serde_json::Value;

const KEYS: &str = "    run: ./bin/mainstay-sample\n    port: 3000\n    replicas: 2\n    \
                    ready: { path: /ready }\n    metrics: { path: /metrics, every: 1s }\n    env: { QUIET: \"1\" }";

const RULES: &str = "groups:\n  - name: own\n    interval: 1s\n    rules:\n      - alert: Busy\n        \
                     expr: sum(rate(sample_requests_total[10s])) > 1\n        labels: { severity: warning }\n        \
                     annotations: { summary: \"{{ $value }} a second\" }\n";

fn platform(name: &str) -> Platform {
    let platform = Platform::single(name, KEYS);
    let folder = platform.folder().to_owned();
    std::fs::write(folder.join("rules.yml"), RULES).expect("the folder takes a file");
    let tell = folder.join("bin/tell");
    let text = platform.text()
        + &format!(
            "signals:\n  rules: [rules.yml]\n  memory: 768Mi\n  \
             remotes: {{ away: {{ url: \"http://127.0.0.1:9/v1/metrics\", protocol: otlp }} }}\nalerts:\n  channels: {{ ops: {{ command: {{ run: [{}] }} }} }}\n  \
             to: [ops]\n",
            tell.display()
        );
    let told = folder.join("told.txt");
    platform.script("tell", &format!("cat >> {}", told.display()));
    platform.write(&text);
    platform.up();
    platform
}

fn value(platform: &Platform, query: &str) -> Option<f64> {
    let outcome = platform.run(&["query", "--json", query]);
    if outcome.code != 0 {
        return None;
    }
    let answer: Value = outcome.json();
    answer["data"]["result"][0]["value"][1]
        .as_str()?
        .parse()
        .ok()
}

#[test]
fn what_runs_is_collected_and_an_alert_reaches_people_though_the_process_is_killed() {
    let platform = platform("signals");
    let load = Load::start(platform.port, "/", 2);
    until("both instances", || {
        (value(&platform, "count(up{job=\"web\"} == 1)") == Some(2.0)).then_some(())
    });
    until("the machine, the gateway and the control plane", || {
        let all = "count({__name__=~\"node_load1|gateway_requests_total|mainstay_service_instances_ready\"})";
        (value(&platform, all)? >= 3.0).then_some(())
    });
    until("the alert", || {
        let out = platform.run(&["alerts"]).out;
        (out.contains("Busy") && out.contains("firing")).then_some(())
    });
    let process = platform.process("signals");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.pid));
    let limits = limits.expect("the process has limits");
    let memory = limits
        .lines()
        .find(|line| line.starts_with("Max data size"));
    assert!(
        memory.is_some_and(|line| line.contains(&(768 << 20).to_string())),
        "{limits}"
    );
    process.kill();
    until("the alert after the kill", || {
        let out = platform.run(&["alerts"]).out;
        (out.contains("Busy") && out.contains("firing")).then_some(())
    });
    let told = platform.folder().join("told.txt");
    until("the message", || {
        let text = std::fs::read_to_string(&told).unwrap_or_default();
        text.contains("\"alertname\":\"Busy\"").then_some(())
    });
    platform
        .run(&["alerts", "silence", "Busy", "2h", "--why", "known"])
        .exits(0);
    until("the silence", || {
        platform
            .run(&["alerts"])
            .out
            .contains("known")
            .then_some(())
    });
    platform.run(&["alerts", "rules"]).exits(0).says(&[
        "disk-used",
        "on",
        "postgres-down",
        "off: there is no postgres",
    ]);
    platform.run(&["signals", "url"]).exits(1).says(&["port"]);
    until("the remote that is away", || {
        let out = platform.run(&["signals", "remotes"]).out;
        (out.contains("away") && out.contains("connection failed")).then_some(())
    });
    until("what signals count of themselves", || {
        let failed = "signals_remote_failures_total{job=\"signals\",remote=\"away\"}";
        (value(&platform, failed)? > 0.0).then_some(())
    });
    load.stop_without_failure();
    platform.run(&["down"]).exits(0);
    let left = platform.processes();
    assert!(
        left.iter().all(|one| !one.command.contains("signals")),
        "it is ended too"
    );
}

#[test]
fn rules_that_do_not_read_are_refused_where_they_stand() {
    let platform = Platform::single("rules", KEYS);
    let folder = platform.folder();
    let broken = RULES.replace("> 1", "> > 1");
    std::fs::write(folder.join("rules.yml"), broken).expect("the folder takes a file");
    let text = platform.text();
    platform.write(&format!(
        "{text}signals: {{ rules: [rules.yml, missing.yml] }}\n"
    ));
    platform
        .run(&["check"])
        .exits(1)
        .says(&["rules.yml", "expr"]);
    platform.write(&format!("{text}signals: {{ rules: [missing.yml] }}\n"));
    platform
        .run(&["up"])
        .exits(1)
        .says(&["`missing.yml` cannot be read"]);
    platform.write(&format!(
        "{text}alerts: {{ channels: {{}}, to: [nobody] }}\n"
    ));
    platform.run(&["check"]).exits(1).says(&["nobody"]);
}

#[test]
fn rule_tests_are_run_in_the_fields_form() {
    let platform = Platform::single("ruletests", KEYS);
    let folder = platform.folder();
    std::fs::write(folder.join("rules.yml"), RULES).expect("the folder takes a file");
    let test = |value: &str| {
        format!(
            "rule_files: [rules.yml]\nevaluation_interval: 1s\ntests:\n  - interval: 1s\n    input_series:\n      \
             - {{ series: sample_requests_total, values: \"0+5x60\" }}\n    promql_expr_test:\n      \
             - expr: sum(rate(sample_requests_total[10s]))\n        eval_time: 30s\n        exp_samples: [{{ labels: \
             \"{{}}\", value: {value} }}]\n"
        )
    };
    std::fs::write(folder.join("good.yml"), test("5")).expect("the folder takes a file");
    platform
        .run(&["test", "rules", "good.yml"])
        .exits(0)
        .says(&["1 tests", "0 failed"]);
    std::fs::write(folder.join("bad.yml"), test("6")).expect("the folder takes a file");
    platform
        .run(&["test", "rules", "bad.yml"])
        .exits(1)
        .says(&["1 failed", "6"]);
}
