//! Releases that are judged by what others say of them: addresses, queries and jobs.

use mainstay_e2e::{Load, Platform, until};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

/// A server that answers every request with a text that can be changed.
struct Provider {
    address: SocketAddr,
    text: Arc<Mutex<String>>,
}

impl Provider {
    fn start(text: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let text = Arc::new(Mutex::new(text.to_owned()));
        let said = Arc::clone(&text);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut head = [0; 2048];
                if stream.read(&mut head).is_ok() {
                    let body = said.lock().expect("the text").clone();
                    // Whoever has heard enough hangs up.
                    drop(write!(
                        stream,
                        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                        body.len()
                    ));
                }
            }
        });
        Self { address, text }
    }

    fn says(&self, text: &str) {
        text.clone_into(&mut self.text.lock().expect("the text"));
    }
}

/// `web` with releases that pass one step of half the traffic under these conditions, and a job `verdict` that
/// exits with what stands in a file.
fn platform(name: &str, conditions: &[&str]) -> Platform {
    let mut keys = "    run: ./bin/mainstay-sample\n    port: 3000\n    ready: { path: /ready }\n    \
                    metrics: { path: /metrics, every: 1s }\n    env: { GREETING: hello }\n    deploy:\n      \
                    canary:\n        steps: [50%]\n        hold: 2s\n        bake: 1s\n        every: 1s\n        \
                    patience: 2m\n        baseline: stable\n        abort_if:\n"
        .to_owned();
    keys.extend(conditions.iter().map(|one| format!("        - '{one}'\n")));
    let platform = Platform::single(name, &keys);
    let folder = platform.folder().join("said");
    fs::create_dir(&folder).expect("a folder");
    for path in [platform.folder(), &folder] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("its mode");
    }
    platform.script("verdict", "exit \"$(cat \"$1\")\"");
    let code = folder.join("code");
    let jobs = format!(
        "\njobs:\n  verdict:\n    run: [./bin/verdict, {}]\n    artifact: [bin]\n",
        code.display()
    );
    platform.write(&(platform.text() + &jobs));
    exits_with(&platform, 0);
    platform.up();
    platform
}

fn exits_with(platform: &Platform, code: u8) {
    let path = platform.folder().join("said/code");
    fs::write(path, code.to_string()).expect("the file");
}

fn waits(platform: &Platform) -> String {
    let status = platform.status().unwrap_or_default();
    status["waits"].to_string()
}

#[test]
fn an_address_judges_a_release_and_nonsense_passes_nobody() {
    let provider = Provider::start("{\"errors\": 1}");
    let own = format!("http(\"http://{}/x\", \"$.errors\") > 3", provider.address);
    let platform = platform("address", &[&own]);
    let deploy = |greeting: &str| format!("services.web.env.GREETING={greeting}");
    platform
        .run(&["deploy", "--set", &deploy("one")])
        .exits(0)
        .says(&["v2 serves"]);
    provider.says("{\"errors\": 7}");
    platform
        .run(&["deploy", "--set", &deploy("two")])
        .exits(1)
        .says(&["web is worse", "$.errors", "> 3: 7", "v2 serves"]);
    let long = "9".repeat(10 << 20);
    for nonsense in ["{\"errors\": \"NaN\"}", "{\"errors\": \"none\"}", &long] {
        provider.says(nonsense);
        let begun = platform.begin(&["deploy", "--set", &deploy("three")]);
        until("the question to a person", || {
            let waits = waits(&platform);
            (waits.contains("not a number") || waits.contains("longer than")).then_some(())
        });
        platform.run(&["abort"]).exits(0);
        begun.wait().exits(1);
    }
    assert_eq!(platform.steady()["release"], "v2");
    assert!(platform.front().starts_with("one from web v2"));
}

#[test]
fn a_job_and_a_query_judge_a_release() {
    let query = "promql(\"sum(sample_requests_total{release=\\\"$release\\\"})\") < 0";
    let platform = platform("job-judge", &["job(verdict) > 0", query]);
    let deploy = |greeting: &str| format!("services.web.env.GREETING={greeting}");
    platform
        .run(&["deploy", "--set", &deploy("one")])
        .exits(0)
        .says(&["v2 serves"]);
    let runs = platform.json(&["jobs", "show", "verdict"]);
    let runs = runs["runs"].as_array().cloned().unwrap_or_default();
    assert!(!runs.is_empty(), "the job was asked");
    exits_with(&platform, 3);
    platform
        .run(&["deploy", "--set", &deploy("two")])
        .exits(1)
        .says(&["web is worse", "job(verdict) > 0: 3", "v2 serves"]);

    // Away is not good: without an answer nothing goes on.
    exits_with(&platform, 0);
    platform.edit("< 0'", "< 0 for 1s'");
    let begun = platform.begin(&["deploy", "--set", &deploy("three")]);
    until("the trial", || {
        waits(&platform).contains("of the hold").then_some(())
    });
    begun.wait().exits(0);
    assert!(platform.front().starts_with("three from web v4"));
}

#[test]
fn processes_that_end_or_grow_judge_a_release() {
    let platform = platform("processes", &["restarts > 0", "memory > 100Mi"]);
    let load = Load::start(platform.port, "/", 2);
    load.more(20);
    platform
        .run(&["deploy", "--set", "services.web.env.GREETING=one"])
        .exits(0)
        .says(&["v2 serves"]);
    for (fault, condition) in [
        ("FAULT_EXIT_AFTER_MS=1500", "restarts > 0"),
        ("FAULT_LEAK_KB=2048", "memory > 100Mi"),
    ] {
        let set = format!("services.web.env.{fault}");
        platform.run(&["deploy", "--set", &set]).exits(1).says(&[
            "web is worse",
            condition,
            "v2 serves",
        ]);
    }
    assert_eq!(platform.steady()["release"], "v2");
    drop(load.stop());
}

#[test]
fn a_query_that_does_not_read_is_refused_where_it_stands() {
    let platform = platform("query", &["restarts > 0"]);
    platform.edit("restarts > 0", "promql(\"sum(\") > 1");
    platform
        .run(&["check"])
        .exits(1)
        .says(&["the query does not read", "promql"]);
}
