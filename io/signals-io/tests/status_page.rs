//! Checks of status pages: one that is true, and every way in which an address lies about one.

mod support;

use mainstay_alerting::{StatusProbe, Step};
use mainstay_signals_io::{Check, CheckKind, Config};
use mainstay_status::{Page, SigningKey, State, key, overall};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};
use support::{Exposer, Signals, config, ok, until};

fn signer(seed: u8) -> SigningKey {
    key(&[seed; 32], "shop", "production").unwrap()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn page(made_ms: u64, sequence: u64, web: State) -> Page {
    let services = BTreeMap::from([("web".to_owned(), web)]);
    Page {
        platform: "shop".into(),
        environment: "production".into(),
        made_ms,
        epoch: 1,
        sequence,
        state: overall(&services, &BTreeMap::new()),
        services,
        checks: BTreeMap::new(),
    }
}

fn check(name: &str, exposer: &Exposer) -> Check {
    let step = Step {
        secure: false,
        address: exposer.address.to_string(),
        host: "shop.example".into(),
        path: "/status".into(),
        body: None,
        headers: BTreeMap::new(),
        expect: None,
        contains: None,
        extract: BTreeMap::new(),
    };
    let page = StatusProbe {
        step,
        key: signer(7).public().to_string(),
        age_ms: 60_000,
    };
    Check {
        job: "check".into(),
        instance: "shop.example".into(),
        labels: BTreeMap::from([("check".into(), name.into())]),
        every_ms: 200,
        timeout_ms: 2000,
        latency_ms: None,
        secrets: BTreeMap::new(),
        kind: CheckKind::Status { page },
    }
}

fn row(signals: &Signals, name: &str) -> Value {
    let (_, text) = signals.get("/v1/checks");
    let value: Value = serde_json::from_str(&text).unwrap();
    let rows = value["data"].as_array().unwrap();
    rows.iter()
        .find(|row| row["check"] == name)
        .cloned()
        .unwrap_or_default()
}

fn fails(signals: &Signals, name: &str, why: &str) {
    until(&format!("{name} fails because {why}"), || {
        let row = row(signals, name);
        row["why"].as_str().is_some_and(|told| told.contains(why))
    });
    signals.sees(&format!("probe_success{{check=\"{name}\"}}"), 0.0);
}

/// An address that answers pages with the time at which they are asked for, and with a body.
fn answering(body: impl Fn() -> Vec<u8> + Send + 'static) -> Exposer {
    Exposer::new(move |stream| drop(stream.write_all(&ok(&body(), ""))))
}

#[test]
fn a_page_is_believed_only_where_it_is_true() {
    let fresh = |sequence, web| page(now_ms(), sequence, web).sign(&signer(7)).json;
    let good = answering(move || fresh(1, State::Ok).into_bytes());
    let degraded = answering(move || fresh(1, State::Degraded).into_bytes());
    let down = answering(move || fresh(1, State::Down).into_bytes());
    let altered = answering(move || fresh(1, State::Down).replace("down", "ok").into_bytes());
    let other = answering(|| {
        page(now_ms(), 1, State::Ok)
            .sign(&signer(8))
            .json
            .into_bytes()
    });
    let copy = page(now_ms() - 61_000, 1, State::Ok).sign(&signer(7)).json;
    let copy = answering(move || copy.clone().into_bytes());
    let future = answering(|| {
        let page = page(now_ms() + 90_000, 1, State::Ok);
        page.sign(&signer(7)).json.into_bytes()
    });
    let long = answering(|| vec![b' '; 10 << 20]);
    let binary = answering(|| vec![0xff; 1000]);
    let portal = answering(|| b"<html>Log in to the network</html>".to_vec());
    let moved = Exposer::new(|stream| {
        let there =
            b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n";
        drop(stream.write_all(there));
    });
    let hangs = Exposer::new(|_| ());
    let signals = Signals::start();
    let mut checks = vec![
        check("good", &good),
        check("degraded", &degraded),
        check("down", &down),
        check("altered", &altered),
        check("other", &other),
        check("copy", &copy),
        check("future", &future),
        check("long", &long),
        check("binary", &binary),
        check("portal", &portal),
        check("moved", &moved),
        check("hangs", &hangs),
        check("metadata", &good),
    ];
    if let CheckKind::Status { page } = &mut checks[12].kind {
        page.step.address = "169.254.169.254:80".into();
    }
    signals.configure(&Config {
        checks,
        ..config(1, Vec::new())
    });
    signals.sees("probe_success{check=\"good\"}", 1.0);
    signals.sees("probe_status_page_degraded{check=\"good\"}", 0.0);
    signals.sees("probe_success{check=\"degraded\"}", 1.0);
    signals.sees("probe_status_page_degraded{check=\"degraded\"}", 1.0);
    until("what is degraded is told", || {
        row(&signals, "degraded")["remark"] == "degraded: `web`: degraded"
    });
    let age = signals.value("probe_status_page_age_seconds{check=\"good\"}");
    assert!((0.0..30.0).contains(&age), "{age}");
    for (name, why) in [
        ("down", "the page says that `web` is down"),
        ("altered", "does not hold"),
        (
            "other",
            "is not signed by `mainstay.status/shop/production/",
        ),
        ("copy", "old, and 60 s are right"),
        ("future", "from the future"),
        ("long", "more than 262144 bytes"),
        ("binary", "no UTF-8"),
        ("portal", "is no status page"),
        ("moved", "it answered 302"),
        ("hangs", "no answer within"),
        ("metadata", "link-local"),
    ] {
        fails(&signals, name, why);
    }
}

#[test]
fn an_earlier_page_of_the_same_platform_is_a_copy() {
    let shown = |sequence| page(now_ms(), sequence, State::Ok).sign(&signer(7)).json;
    let exposer = answering(move || shown(9).into_bytes());
    let signals = Signals::start();
    signals.configure(&Config {
        checks: vec![check("shop", &exposer)],
        ..config(1, Vec::new())
    });
    signals.sees("probe_success{check=\"shop\"}", 1.0);
    exposer.change(move |stream| drop(stream.write_all(&ok(shown(8).as_bytes(), ""))));
    fails(
        &signals,
        "shop",
        "it is number 1.8, and 1.9 was shown before",
    );
    exposer.change(move |stream| drop(stream.write_all(&ok(shown(10).as_bytes(), ""))));
    signals.sees("probe_success{check=\"shop\"}", 1.0);
}
