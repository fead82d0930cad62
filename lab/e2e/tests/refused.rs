//! Requests that are refused for their token count, at both doors.

use mainstay_e2e::platform::free_port;
use mainstay_e2e::{Platform, until};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

const KEYS: &str = "    run: ./bin/mainstay-sample\n    port: 3000\n    ready: { path: /ready }\n    env: { QUIET: \"1\" }";

/// How often the door refused somebody, once that is known.
fn refused(platform: &Platform, door: &str) -> Option<f64> {
    let query = format!("mainstay_access_refused_total{{door=\"{door}\"}}");
    let outcome = platform.run(&["query", "--json", &query]);
    let answer: serde_json::Value = (outcome.code == 0).then(|| outcome.json())?;
    let value = &answer["data"]["result"][0]["value"][1];
    value.as_str()?.parse().ok()
}

/// Asks signals over its port with these lines of the head; the status.
fn asked(port: u16, head: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let request = format!(
        "GET /api/v1/query?query=1 HTTP/1.1\r\nHost: localhost\r\n{head}Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.split(' ').nth(1)?.to_owned())
}

#[test]
fn tokens_that_nobody_knows_are_counted_at_both_doors() {
    let platform = Platform::single("doors", KEYS);
    let port = free_port();
    let text = platform.text();
    platform.write(&format!("{text}signals: {{ port: {port} }}\n"));
    platform.up();
    for door in ["api", "signals"] {
        until("nobody was refused so far", || {
            (refused(&platform, door)? < 0.5).then_some(())
        });
    }
    for _ in 0..3 {
        let outcome = platform.run_as(&["history"], &[("MAINSTAY_TOKEN", "mainstay_guess")]);
        outcome.exits(4).says(&["the token is not known"]);
    }
    for head in ["", "Authorization: Bearer guess\r\n"] {
        until("signals refuse", || {
            (asked(port, head)? == "401").then_some(())
        });
    }
    for (door, count) in [("api", 3.0), ("signals", 2.0)] {
        until("the refused ones are counted", || {
            ((refused(&platform, door)? - count).abs() < 0.5).then_some(())
        });
    }
    let rules = platform.run(&["alerts", "rules"]).exits(0);
    for rule in ["logins-failing", "clock-off"] {
        let mut lines = rules.out.lines();
        let line = lines.find(|line| line.starts_with(rule)).expect("the rule");
        assert!(line.contains(" on"), "{line}");
    }
    platform.run(&["down"]).exits(0);
}
