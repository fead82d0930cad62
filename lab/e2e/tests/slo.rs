//! Objectives in `status`: what was attained and what is left, and a word where nobody knows, without a wait.

use mainstay_e2e::{Platform, until};
use rustix::process::Signal;
use serde_json::Value;
use std::time::{Duration, Instant};

const KEYS: &str = "    run: ./bin/mainstay-sample\n    port: 3000\n    ready: { path: /ready }\n    \
                    slo: { availability: 99.9% over 30d, latency: 95% < 300ms }\n    env: { QUIET: \"1\" }";

/// What the rules of an objective record once requests came, without the minutes that takes.
const RULES: &str = "groups:\n  - name: own\n    interval: 1s\n    rules:\n      \
    - { record: \"slo:bad_ratio:30d\", expr: vector(0.0004), labels: { slo: web-availability, service: web } }\n      \
    - { record: \"slo:bad_ratio:1h\", expr: vector(0.002), labels: { slo: web-availability, service: web } }\n      \
    - { record: \"slo:budget:remaining\", expr: vector(0.6), labels: { slo: web-availability, service: web } }\n";

/// An answer comes within this, although one is waited for a third of a second.
const MOMENT: Duration = Duration::from_secs(5);

fn objectives(platform: &Platform) -> Option<Vec<Value>> {
    let status = platform.status()?;
    status["objectives"].as_array().cloned()
}

#[test]
fn objectives_stand_in_the_status_and_hold_it_up_never() {
    let platform = Platform::single("slo", KEYS);
    let rules = platform.folder().join("rules.yml");
    std::fs::write(rules, RULES).expect("the folder takes a file");
    platform.up();
    let why = until("nothing was counted", || {
        let rows = objectives(&platform)?;
        let known = rows
            .iter()
            .all(|row| row["why"] == "no requests were counted yet");
        (rows.len() == 2 && known).then_some(rows)
    });
    assert_eq!(why[1]["objective"], "95% < 300ms");
    platform
        .run(&["status"])
        .exits(0)
        .says(&["web availability 99.9% over 30d: not known: no requests were counted yet"]);

    let text = platform.text();
    platform.write(&format!("{text}signals: {{ rules: [rules.yml] }}\n"));
    platform.run(&["deploy"]).exits(0);
    let row = until("what was attained", || {
        let row = objectives(&platform)?.first()?.clone();
        (row["attained"].is_f64() && row["budget_left"].is_f64()).then_some(row)
    });
    assert_eq!(
        (row["attained"].as_f64(), row["budget_left"].as_f64()),
        (Some(0.9996), Some(0.6)),
        "{row}"
    );
    let rate = row["burns"][0]["rate"].as_f64().unwrap_or_default();
    assert!((1.99..2.01).contains(&rate), "{row}");
    platform.run(&["status"]).exits(0).says(&[
        "99.960 % attained, 60.0 % of the error budget left, burns 2.0 (1h)",
        "web latency 95% < 300ms: not known",
    ]);

    // A process that hangs holds nobody up.
    let signals = platform.process("signals");
    signals.signal(Signal::STOP);
    let began = Instant::now();
    let status = platform.run(&["status"]).exits(0);
    assert!(began.elapsed() < MOMENT, "{:?}", began.elapsed());
    status.says(&["web availability", "not known: signals does not answer"]);
    signals.signal(Signal::CONT);
    until("it is known again", || {
        let row = objectives(&platform)?.first()?.clone();
        row["attained"].is_f64().then_some(())
    });
    platform.run(&["down"]).exits(0);
}
