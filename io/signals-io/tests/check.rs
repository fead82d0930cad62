//! Checks against targets that work, hang, lie, redirect and are not trusted.

mod support;

use mainstay_alerting::Step;
use mainstay_signals_io::{Check, CheckKind, Config, Part};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use support::{Exposer, Signals, config, ok, until};

fn check(name: &str, kind: CheckKind) -> Check {
    Check {
        job: "check".into(),
        instance: "same".into(),
        labels: BTreeMap::from([("check".into(), name.into())]),
        every_ms: 300,
        timeout_ms: 300,
        latency_ms: None,
        secrets: BTreeMap::new(),
        kind,
    }
}

fn get(address: SocketAddr, path: &str) -> Step {
    Step {
        secure: false,
        address: address.to_string(),
        host: "a.example".into(),
        path: path.into(),
        body: None,
        headers: BTreeMap::new(),
        expect: None,
        contains: None,
        extract: BTreeMap::new(),
    }
}

fn http(step: Step) -> CheckKind {
    CheckKind::Http { steps: vec![step] }
}

/// Waits until a check failed, and says why.
fn fails(signals: &Signals, name: &str, why: &str) {
    signals.sees(&format!("probe_success{{check=\"{name}\"}}"), 0.0);
    until(&format!("{name} fails because {why}"), || {
        let (_, text) = signals.get("/v1/checks");
        let value: Value = serde_json::from_str(&text).unwrap();
        let rows = value["data"].as_array().unwrap();
        let row = rows.iter().find(|row| row["check"] == name).unwrap();
        row["why"].as_str().is_some_and(|told| told.contains(why))
    });
}

#[test]
fn targets_that_hang_lie_and_redirect_fail_and_say_why() {
    let good = Exposer::text("Welcome\n");
    let hangs = Exposer::new(|_| ());
    let lies = Exposer::new(|stream| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort"));
        drop(stream.shutdown(std::net::Shutdown::Both));
    });
    let long = Exposer::new(|stream| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"));
    });
    let moved = Exposer::new(|stream| {
        let there =
            b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n";
        drop(stream.write_all(there));
    });
    let garbled = Exposer::new(|stream| drop(stream.write_all(b"SSH-2.0-x\r\n\r\n")));
    let signals = Signals::start();
    let mut slow = check("slow", http(get(good.address, "/")));
    slow.latency_ms = Some(0);
    let mut expected = get(moved.address, "/");
    expected.expect = Some(302);
    let mut text = get(good.address, "/");
    text.contains = Some("Wilkommen".into());
    let metadata = "169.254.169.254:80".parse().unwrap();
    signals.configure(&Config {
        checks: vec![
            check("good", http(get(good.address, "/"))),
            check("hangs", http(get(hangs.address, "/"))),
            check("lies", http(get(lies.address, "/"))),
            check("long", http(get(long.address, "/"))),
            check("moved", http(get(moved.address, "/"))),
            check("expected", http(expected)),
            check("garbled", http(get(garbled.address, "/"))),
            check("text", http(text)),
            check("metadata", http(get(metadata, "/"))),
            check(
                "address",
                CheckKind::Dns {
                    name: "localhost".into(),
                    address: Some("192.0.2.1".into()),
                },
            ),
            slow,
        ],
        parts: vec![Part::Check],
        ..config(1, Vec::new())
    });
    signals.sees("probe_success{check=\"good\"}", 1.0);
    signals.sees("probe_success{check=\"expected\"}", 1.0);
    fails(&signals, "hangs", "no answer within 300 ms");
    fails(&signals, "lies", "ends too early");
    fails(&signals, "long", "more than 4194304 bytes");
    fails(&signals, "moved", "it answered 302, and 2xx is right");
    fails(&signals, "garbled", "not HTTP");
    fails(&signals, "text", "does not hold `Wilkommen`");
    fails(&signals, "metadata", "link-local");
    fails(&signals, "address", "and not 192.0.2.1");
    fails(&signals, "slow", "0 ms are right");
    signals.sees("probe_failed_due_to_regex{check=\"text\"}", 1.0);
    signals.sees("probe_http_status_code{check=\"moved\"}", 302.0);
    let (_, rules) = signals.get("/api/v1/rules");
    assert!(
        rules.contains("probe_success"),
        "the ready rules watch them"
    );
}

/// A shop: a page with a token and a cookie, and an order that needs both and a password.
fn shop() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let tell = heard.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let request = request(&mut stream);
            let answer = if request.starts_with("GET /login ") {
                ok(
                    b"<input name=token value=\"t0ken\">",
                    "Set-Cookie: session=s1; HttpOnly\r\n",
                )
            } else if request.starts_with("POST /order/t0ken?page=1 ")
                && request.contains("\r\nCookie: session=s1\r\n")
                && request.ends_with("{\"key\": \"pa55\", \"n\": {}}")
            {
                ok(b"{\"order\": 7}", "")
            } else {
                b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n".to_vec()
            };
            tell.lock().unwrap().push(request);
            drop(stream.write_all(&answer));
        }
    });
    (address, heard)
}

/// A request with the body that it declares.
fn request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut byte = [0; 1];
    let mut length = None;
    while length.is_none_or(|(end, length)| text.len() < end + length) {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            break;
        }
        text.push(char::from(byte[0]));
        if length.is_none() && text.ends_with("\r\n\r\n") {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "));
            let declared = line.and_then(|line| line.parse().ok()).unwrap_or(0);
            length = Some((text.len(), declared));
        }
    }
    text
}

#[test]
fn a_flow_carries_what_it_extracts_its_cookies_and_secrets() {
    let (shop, heard) = shop();
    let signals = Signals::start();
    let secret = signals.folder.path().join("pass");
    std::fs::write(&secret, "pa55\n").unwrap();
    let mut login = get(shop, "/login");
    login.extract = BTreeMap::from([("token".into(), "value=\"([^\"]+)\"".into())]);
    let mut order = get(shop, "/order/{token}?page=1");
    order.body = Some("{\"key\": \"{secret.buyer}\", \"n\": {}}".into());
    order.contains = Some("\"order\"".into());
    let mut wrong = login.clone();
    wrong.extract = BTreeMap::from([("token".into(), "nothing=(.)".into())]);
    let flow = |name: &str, steps: Vec<Step>, secret: &std::path::Path| Check {
        secrets: BTreeMap::from([("buyer".into(), secret.to_owned())]),
        timeout_ms: 5000,
        every_ms: 5000,
        ..check(name, CheckKind::Http { steps })
    };
    let missing = signals.folder.path().join("missing");
    signals.configure(&Config {
        checks: vec![
            flow("buys", vec![login.clone(), order.clone()], &secret),
            flow("forgets", vec![order.clone()], &secret),
            flow("finds-nothing", vec![wrong, order.clone()], &secret),
            flow("has-no-secret", vec![login, order], &missing),
        ],
        ..config(1, Vec::new())
    });
    signals.sees("probe_success{check=\"buys\"}", 1.0);
    fails(&signals, "forgets", "it answered 403");
    fails(
        &signals,
        "finds-nothing",
        "step 1: its answer holds no `token`",
    );
    fails(&signals, "has-no-secret", "mainstay secret set buyer");
    let (_, text) = signals.get("/v1/checks");
    assert!(!text.contains("pa55"), "{text}");
    let (_, text) = signals.get("/v1/config");
    assert!(!text.contains("pa55"), "{text}");
    assert!(heard.lock().unwrap().iter().any(|one| one.contains("pa55")));
}

#[test]
fn a_certificate_that_is_not_trusted_fails_and_its_end_is_known() {
    let chain = include_bytes!("../../notify-io/tests/server/localhost.crt");
    let key = include_bytes!("../../notify-io/tests/server/localhost.key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config_of = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(chain).unwrap()],
            PrivateKeyDer::from_pem_slice(key).unwrap(),
        )
        .unwrap();
    let config_of = Arc::new(config_of);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut tls = ServerConnection::new(config_of.clone()).unwrap();
            // The client refuses the certificate: that is what is tried.
            while tls
                .complete_io(&mut stream)
                .is_ok_and(|done| done.0 + done.1 > 0)
            {}
        }
    });
    let signals = Signals::start();
    let address = format!("localhost:{port}");
    let mut page = get("127.0.0.1:1".parse().unwrap(), "/");
    (page.secure, page.address) = (true, address.clone());
    let patient = |name: &str, kind| Check {
        timeout_ms: 5000,
        every_ms: 5000,
        ..check(name, kind)
    };
    signals.configure(&Config {
        checks: vec![
            patient(
                "cert",
                CheckKind::Certificate {
                    address,
                    left_ms: 0,
                },
            ),
            patient("page", http(page)),
        ],
        ..config(1, Vec::new())
    });
    fails(&signals, "cert", "certificate");
    fails(&signals, "page", "certificate");
    let end = signals.value("probe_ssl_earliest_cert_expiry{check=\"cert\"}");
    assert!(end > 1.7e9, "{end}");
    signals.sees("probe_ssl_earliest_cert_expiry{check=\"page\"}", end);
}
