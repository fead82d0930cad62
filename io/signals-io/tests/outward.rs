//! What is sent to the field's own program: by the version that it speaks, and what is said where it does not.

mod support;

use mainstay_signals_io::{Config, Protocol, Remote};
use std::process::Command;
use support::prometheus::{Prometheus, encoded, program};
use support::{Exposer, Signals, config, until};

fn remote(port: u16, protocol: Protocol) -> Remote {
    Remote {
        name: "far".into(),
        address: format!("127.0.0.1:{port}"),
        tls: false,
        path: "/api/v1/write".into(),
        protocol,
        token_file: None,
    }
}

fn sees(prometheus: &Prometheus, query: &str, value: &str) -> bool {
    let path = format!("/api/v1/query?query={}", encoded(query));
    let answer = prometheus.get(&path);
    answer.is_some_and(|(_, text)| text.contains(&format!(",\"{value}\"]")))
}

#[test]
fn prometheus_is_sent_what_it_speaks_and_nothing_is_lost_until_then() {
    let Some(program) = program("prometheus") else {
        return;
    };
    let said = Command::new(&program).arg("--version").output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let speaks_second = !said.contains("version 2.");
    let place = tempfile::tempdir().unwrap();
    let receives = ["--web.enable-remote-write-receiver"];
    let prometheus = Prometheus::start(&program, &place.path().join("data"), &receives);
    let exposer = Exposer::text("# TYPE a gauge\na{city=\"Zürich\"} 7\n");
    let signals = Signals::start();
    let targets = vec![exposer.target("api")];
    signals.configure(&Config {
        remotes: vec![remote(prometheus.port, Protocol::RemoteWrite2)],
        ..config(1, targets.clone())
    });
    let query = "last_over_time(a{job=\"api\"}[1h])";
    if speaks_second {
        until("it has them", || sees(&prometheus, query, "7"));
        return;
    }
    // Version 2.42 takes a request for one of version 1.0 without series, and says that all is well.
    until("it is said what is wrong", || {
        let (_, text) = signals.get("/v1/remotes");
        text.contains("does not speak remote-write 2.0")
            && text.contains("`protocol: remote_write`")
    });
    assert!(!sees(&prometheus, query, "7"));
    // A moment that is over: what was sampled until then waits.
    let at = signals.value("timestamp(a) - 1");
    let count = format!("count_over_time(a{{job=\"api\"}}[1h] @ {at:.3})");
    let waits = signals.value(&count);
    assert!(waits > 5.0);
    signals.configure(&Config {
        remotes: vec![remote(prometheus.port, Protocol::RemoteWrite)],
        ..config(2, targets)
    });
    let waits = waits.to_string();
    until("it has them all", || sees(&prometheus, &count, &waits));
    let (_, text) = signals.get("/v1/remotes");
    assert!(
        text.contains("\"lost\":0") && text.contains("\"refused\":0"),
        "{text}"
    );
}
