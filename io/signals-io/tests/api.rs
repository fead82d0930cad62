//! The API over real sockets: tokens, other ways in, ways out, and what is measured without an exporter.

mod support;

use mainstay_alerting::Step;
use mainstay_signals_io::{
    Check, CheckKind, Client, Collector, CollectorKind, Config, Place, Protocol, Reading, Remote,
    Token,
};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use support::{Exposer, Signals, config, until};

/// An address that was free a moment ago.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Asks over TCP; returns the status and the body.
fn over_tcp(address: SocketAddr, line: &str, fields: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    let head = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.get(9..12)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((status, body.to_owned()))
}

/// SHA-256 of `secret`.
const DIGEST: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

#[test]
fn from_outside_a_token_is_needed() {
    let signals = Signals::start();
    let address = free();
    signals.configure(&Config {
        listen: Some(address),
        tokens: vec![Token {
            name: "reader".into(),
            sha256: DIGEST.into(),
            write: false,
        }],
        ..config(1, Vec::new())
    });
    let ask = |line: &str, fields: &str| over_tcp(address, line, fields);
    until("the address is listened at", || {
        ask("GET /-/ready", "").is_some()
    });
    let query = "GET /api/v1/query?query=1";
    assert_eq!(ask(query, "").unwrap().0, 401);
    assert_eq!(
        ask(query, "Authorization: Bearer wrong\r\n").unwrap().0,
        401
    );
    let good = "Authorization: Bearer secret\r\n";
    assert_eq!(ask(query, good).unwrap().0, 200);
    // Clients that only know passwords send it as one: `any:secret`.
    assert_eq!(
        ask(query, "Authorization: Basic YW55OnNlY3JldA==\r\n")
            .unwrap()
            .0,
        200
    );
    for line in [
        "PUT /v1/config",
        "POST /v1/token",
        "POST /api/v1/write",
        "POST /v1/silences",
    ] {
        assert_eq!(ask(line, good).unwrap().0, 403, "{line}");
    }
    let lent = signals.client().token().unwrap();
    let lent = format!("Authorization: Bearer {lent}\r\n");
    assert_eq!(ask(query, &lent).unwrap().0, 200);
    assert_eq!(ask("PUT /v1/config", &lent).unwrap().0, 403);
    let (_, body) = ask("GET /v1/config", &lent).unwrap();
    assert!(!body.contains("\"secret\""), "{body}");
}

#[test]
fn away_and_no_data_are_told_apart() {
    let mut signals = Signals::start();
    let client = signals.client();
    assert_eq!(client.query("nothing"), Reading::NoData);
    assert!(matches!(client.query("sum("), Reading::Away { .. }));
    assert_eq!(client.query("2"), Reading::Values(vec![(vec![], 2.0)]));
    signals.kill();
    assert!(matches!(client.query("2"), Reading::Away { .. }));
    // One that takes the connection and says nothing is away after the deadline.
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let silent = Client::new(&socket, Duration::from_millis(50));
    assert!(matches!(silent.query("2"), Reading::Away { .. }));
    // One that never ends is told from one that is late.
    let socket = folder.path().join("t.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let some = vec![b'x'; 1 << 16];
        while stream.write_all(&some).is_ok() {}
    });
    let endless = Client::new(&socket, Duration::from_secs(30));
    let Reading::Away { why } = endless.query("2") else {
        panic!("it was read");
    };
    assert!(why.contains("ask for less"), "{why}");
}

#[test]
fn what_is_sent_outward_arrives_after_an_outage_too() {
    sent_outward(Protocol::RemoteWrite, "/api/v1/write");
    sent_outward(Protocol::RemoteWrite2, "/api/v1/write");
    sent_outward(Protocol::Otlp, "/api/v1/otlp/v1/metrics");
}

fn sent_outward(protocol: Protocol, path: &str) {
    let exposer = Exposer::text("# HELP a What it is.\n# TYPE a gauge\na 7\n");
    let (near, far) = (Signals::start(), Signals::start());
    let address = free();
    let remote = Remote {
        name: "far".into(),
        address: address.to_string(),
        tls: false,
        path: path.into(),
        protocol,
        token_file: Some(near.folder.path().join("token")),
    };
    std::fs::write(near.folder.path().join("token"), "secret\n").unwrap();
    near.configure(&Config {
        remotes: vec![remote],
        external_labels: BTreeMap::from([("site".to_owned(), "near".to_owned())]),
        ..config(1, vec![exposer.target("api")])
    });
    // Nobody is there yet.
    until("an attempt has failed", || {
        let (_, text) = near.get("/metrics");
        let failed = "signals_remote_failures_total{remote=\"far\"} ";
        text.lines()
            .any(|line| line.strip_prefix(failed).is_some_and(|count| count != "0"))
    });
    far.configure(&Config {
        listen: Some(address),
        tokens: vec![Token {
            name: "near".into(),
            sha256: DIGEST.into(),
            write: true,
        }],
        ..config(1, Vec::new())
    });
    far.sees("last_over_time(a{job=\"api\",site=\"near\"}[1h])", 7.0);
    if protocol == Protocol::RemoteWrite2 {
        let (_, text) = far.get("/api/v1/metadata?metric=a");
        assert!(
            text.contains("\"type\":\"gauge\",\"help\":\"What it is.\""),
            "{text}"
        );
    }
    let (status, text) = near.get("/v1/remotes");
    assert!(status == 200 && text.contains("\"name\":\"far\""), "{text}");
    assert!(
        text.contains("\"lost\":0") && text.contains("\"refused\":0"),
        "{text}"
    );
}

#[test]
fn an_export_says_what_it_cuts() {
    let signals = Signals::start();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let body = format!(
        "{{\"resourceMetrics\":[{{\"scopeMetrics\":[{{\"metrics\":[{{\"name\":\"took\",\"exponentialHistogram\":{{\
         \"aggregationTemporality\":2,\"dataPoints\":[{{\"count\":\"3\",\"sum\":1.5,\"scale\":0,\"zeroCount\":\"0\",\
         \"positive\":{{\"offset\":0,\"bucketCounts\":[\"3\"]}},\"timeUnixNano\":\"{}\"}}]}}}}]}}]}}]}}",
        now.unwrap().as_nanos()
    );
    let client = signals.client();
    let sent = client
        .ask("POST", "/api/v1/otlp/v1/metrics", body.as_bytes())
        .unwrap();
    assert_eq!(sent.0, 200, "{}", String::from_utf8_lossy(&sent.1));
    signals.sees("histogram_count(took)", 3.0);
    let (status, text) = signals.get("/v1/export?match[]=took");
    assert_eq!(status, 200);
    assert!(text.contains("took_bucket{le=\"+Inf\"} 3 "), "{text}");
    assert!(
        text.contains("took_sum 1.5 ") && text.contains("took_count 3 "),
        "{text}"
    );
    let last = text.lines().next_back().unwrap();
    assert!(
        last.starts_with("# 1 native histograms of 1 series"),
        "{text}"
    );
}

#[test]
fn otlp_is_taken_and_text_goes_out() {
    let signals = Signals::start();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let body = format!(
        "{{\"resourceMetrics\":[{{\"resource\":{{\"attributes\":[{{\"key\":\"service.name\",\"value\":{{\
         \"stringValue\":\"api\"}}}}]}},\"scopeMetrics\":[{{\"metrics\":[{{\"name\":\"heap.used\",\"unit\":\"By\",\
         \"gauge\":{{\"dataPoints\":[{{\"asInt\":\"42\",\"timeUnixNano\":\"{}\"}}]}}}}]}}]}}]}}",
        now.unwrap().as_nanos()
    );
    let client = signals.client();
    let sent = client
        .ask("POST", "/api/v1/otlp/v1/metrics", body.as_bytes())
        .unwrap();
    assert_eq!(sent.0, 200, "{}", String::from_utf8_lossy(&sent.1));
    signals.sees("heap_used_bytes{job=\"api\"}", 42.0);
    let (status, text) = signals.get("/v1/export?match[]=heap_used_bytes");
    assert!(
        status == 200 && text.starts_with("heap_used_bytes{job=\"api\"} 42 "),
        "{text}"
    );
    let broken = client.ask("POST", "/api/v1/otlp/v1/metrics", b"{").unwrap();
    assert_eq!(broken.0, 400);
}

fn check(instance: &str, kind: CheckKind) -> Check {
    Check {
        job: "probe".into(),
        instance: instance.into(),
        labels: BTreeMap::new(),
        every_ms: 200,
        timeout_ms: 5000,
        latency_ms: None,
        secrets: BTreeMap::new(),
        kind,
    }
}

#[test]
fn the_machine_and_its_checks_are_measured() {
    let exposer = Exposer::text("ok\n");
    let signals = Signals::start();
    let http = |expect, contains: Option<&str>| CheckKind::Http {
        steps: vec![Step {
            secure: false,
            address: exposer.address.to_string(),
            host: "a".into(),
            path: "/".into(),
            body: None,
            headers: BTreeMap::new(),
            expect,
            contains: contains.map(str::to_owned),
            extract: BTreeMap::new(),
        }],
    };
    let collector = |job: &str, kind| Collector {
        job: job.into(),
        instance: "here".into(),
        labels: BTreeMap::new(),
        every_ms: 200,
        kind,
    };
    let process = mainstay_signals_io::Process {
        service: "signals".into(),
        instance: "signals.1".into(),
        release: "v1".into(),
        pid: signals.pid().cast_signed(),
    };
    signals.configure(&Config {
        collectors: vec![
            collector("node", CollectorKind::Host),
            collector("process", CollectorKind::Processes(vec![process])),
            collector(
                "redis",
                CollectorKind::Redis {
                    place: Place::Tcp(free().to_string()),
                    user: String::new(),
                    password_file: None,
                },
            ),
            collector(
                "postgres",
                CollectorKind::Postgres {
                    connection: format!("host=127.0.0.1 port={} user=x", free().port()),
                    password_file: None,
                },
            ),
        ],
        checks: vec![
            check("good", http(None, Some("ok"))),
            check("status", http(Some(404), None)),
            check("text", http(None, Some("missing"))),
            check(
                "port",
                CheckKind::Tcp {
                    address: exposer.address.to_string(),
                },
            ),
            check(
                "closed",
                CheckKind::Tcp {
                    address: free().to_string(),
                },
            ),
            check(
                "name",
                CheckKind::Dns {
                    name: "localhost".into(),
                    address: None,
                },
            ),
        ],
        ..config(1, Vec::new())
    });
    for (instance, success) in [
        ("good", 1.0),
        ("status", 0.0),
        ("text", 0.0),
        ("port", 1.0),
        ("closed", 0.0),
        ("name", 1.0),
    ] {
        signals.sees(
            &format!("probe_success{{instance=\"{instance}\"}}"),
            success,
        );
    }
    signals.sees("probe_http_status_code{instance=\"good\"}", 200.0);
    assert!(signals.value("node_memory_MemTotal_bytes{job=\"node\",instance=\"here\"}") > 1e6);
    assert!(
        signals.value("process_resident_memory_bytes{service=\"signals\",instance=\"signals.1\"}")
            > 1e6
    );
    signals.sees("redis_up", 0.0);
    signals.sees("pg_up", 0.0);
}
