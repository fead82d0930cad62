//! What is asked from outside, and what services aim at: shown, alerted on, refused where it is wrong.

use mainstay_e2e::{Load, Platform, Receiver, until};
use serde_json::Value;

const KEYS: &str = "    run: ./bin/mainstay-sample\n    port: 3000\n    ready: { path: /ready }\n    \
                    slo: { availability: 99.9% over 30d, latency: 95% < 300ms }\n    env: { QUIET: \"1\" }";

const RULES: &str = "groups:\n  - name: own\n    interval: 1s\n    rules:\n      - alert: HomeFails\n        \
                     expr: probe_success{check=\"home\"} == 0\n";

fn value(platform: &Platform, query: &str) -> Option<f64> {
    let outcome = platform.run(&["query", "--json", query]);
    let answer: Value = (outcome.code == 0).then(|| outcome.json())?;
    answer["data"]["result"][0]["value"][1]
        .as_str()?
        .parse()
        .ok()
}

#[test]
fn checks_are_made_shown_and_alerted_on_and_objectives_keep_a_budget() {
    let shop = Receiver::answering("200 OK", "Welcome");
    let told = Receiver::answering("200 OK", "");
    let platform = Platform::single("checks", KEYS);
    let rules = platform.folder().join("rules.yml");
    std::fs::write(rules, RULES).expect("the folder takes a file");
    let text = platform.text();
    platform.write(&format!(
        "{text}signals: {{ rules: [rules.yml] }}\nalerts:\n  channels: {{ ops: {{ webhook: {{ url: \"{}\" }} }} }}\n  \
         to: [ops]\n  routes: [{{ when: alertname=HomeFails, wait: 0s }}]\n\
         checks:\n  home: {{ url: \"{}\", contains: Welcome, every: 1s, timeout: 1s }}\n  \
         port: {{ tcp: \"127.0.0.1:{}\", every: 1s }}\n  name: {{ dns: localhost, every: 1s }}\n",
        told.url("/"),
        shop.url("/"),
        shop.port
    ));
    platform.up();
    let load = Load::start(platform.port, "/", 2);
    for name in ["home", "port", "name"] {
        until(&format!("check {name} works"), || {
            (value(&platform, &format!("probe_success{{check=\"{name}\"}}"))? > 0.5).then_some(())
        });
    }
    platform
        .run(&["alerts", "checks"])
        .exits(0)
        .says(&["home", "works"]);
    shop.change("503 Down", "no");
    until("the check is seen to fail, and why", || {
        let out = platform.run(&["alerts", "checks"]).out;
        out.contains("it answered 503, and 2xx is right")
            .then_some(())
    });
    until("somebody is told", || {
        let taken = told.taken();
        let of_check =
            |body: &str| body.contains("HomeFails") && body.contains("\"check\":\"home\"");
        taken.iter().any(|one| of_check(&one.body)).then_some(())
    });
    let rules = platform.run(&["alerts", "rules"]).exits(0);
    let stands = |rule: &str| {
        rules
            .out
            .lines()
            .any(|line| line.starts_with(rule) && line.contains(" on"))
    };
    for rule in [
        "check-failing",
        "check-slow",
        "web-availability",
        "web-latency",
    ] {
        assert!(stands(rule), "{rule}: {}", rules.out);
    }
    rules.says(&[
        "99.9% over 30d",
        "95% < 300ms",
        "off: there is no certificate",
    ]);
    // What the rules of objectives read is there, under the labels that they read.
    let buckets =
        "gateway_request_duration_seconds_bucket{service=\"web\",le=~\"0.2|0.5|1|[+]Inf\"}";
    until("the gateway's histogram", || {
        let edges = value(&platform, &format!("count(count by (le) ({buckets}))"))?;
        (edges > 3.5).then_some(())
    });
    until("its requests", || {
        (value(&platform, "sum(gateway_requests_total{service=\"web\"})")? > 0.5).then_some(())
    });
    load.stop_without_failure();
    platform.run(&["down"]).exits(0);
}

#[test]
fn what_cannot_be_asked_or_reached_is_refused_where_it_stands() {
    let platform = Platform::single("refused", KEYS);
    let text = platform.text();
    for (more, key, why) in [
        (
            "checks: { home: { url: shop.example } }\n",
            "url: shop.example",
            "neither `https://`",
        ),
        (
            "checks: { home: { url: \"http://a\", tcp: \"a:1\" } }\n",
            "home: {",
            "exactly one of",
        ),
        (
            "checks: { home: { urll: \"http://a\" } }\n",
            "home: {",
            "unknown field `urll`",
        ),
        (
            "checks: { home: { url: \"http://a\", every: 1ms } }\n",
            "every: 1ms",
            "between 1s and 1d",
        ),
    ] {
        platform.write(&format!("{text}{more}"));
        platform.run(&["check"]).exits(1).says(&[key, why]);
    }
    for (from, to, why) in [
        ("99.9% over 30d", "100% over 30d", "between 0% and 100%"),
        ("95% < 300ms", "95%", "a limit is missing"),
    ] {
        platform.write(&text.replace(from, to));
        platform.run(&["check"]).exits(1).says(&["slo", why]);
    }
}
