//! What checks read as, and what each mistake says.

use super::*;
use crate::check::filled;

/// `KEY` stands for a key of status pages, `LEDGER` for one of a ledger.
fn read(text: &str) -> Result<Vec<Probe>, Vec<AlertsFault>> {
    let page = mainstay_status::key(&[7; 32], "shop", "production").unwrap();
    let ledger = mainstay_status::SigningKey::from_seed(&[7; 32]).unwrap();
    let text = text.replace("KEY", &page.public().to_string());
    let text = text.replace("LEDGER", &ledger.public().to_string());
    read_checks(&serde_json::from_str(&text).unwrap())
}

#[test]
fn every_kind_is_read() {
    let probes = read(
        r#"{
            "home": {"url": "https://shop.example/?k=1", "expect": 200, "contains": "Welcome", "latency": "2s", "every": "1m"},
            "six": {"url": "http://[::1]:8080"},
            "mail": {"tcp": "mail.example:25", "timeout": "1s"},
            "name": {"dns": "shop.example", "contains": "192.0.2.1"},
            "cert": {"certificate": "shop.example", "left": "14d"},
            "shop": {"status": "https://shop.example/status", "key": "KEY", "age": "3m"},
            "buy": {"flow": [
                {"get": "http://a/login", "extract": {"token": "value=\"([^\"]+)\""}},
                {"post": "http://a/buy/{token}", "body": "{\"key\": \"{secret.buyer}\"}", "expect": 201}
            ]}
        }"#,
    )
    .unwrap();
    let named = |name: &str| probes.iter().find(|one| one.name == name).unwrap();
    assert_eq!(named("home").instance, "https://shop.example/");
    assert_eq!(
        (named("home").every_ms, named("home").latency_ms),
        (60_000, Some(2000))
    );
    assert!(named("home").sees_certificate());
    let ProbeKind::Http(steps) = &named("six").kind else {
        panic!()
    };
    assert_eq!(
        (steps[0].address.as_str(), steps[0].path.as_str()),
        ("[::1]:8080", "/")
    );
    assert_eq!(
        named("cert").kind,
        ProbeKind::Certificate("shop.example:443".into(), 14 * 86_400_000)
    );
    assert_eq!(named("mail").timeout_ms, 1000);
    let ProbeKind::Status(page) = &named("shop").kind else {
        panic!()
    };
    assert_eq!((page.age_ms, page.step.path.as_str()), (180_000, "/status"));
    assert!(page.key.starts_with("mainstay.status/shop/production/"));
    assert!(named("shop").sees_certificate());
    assert_eq!(named("buy").secrets, BTreeSet::from(["buyer".to_owned()]));
}

/// A check, the key that is wrong, and what is said.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("{}", "checks.a", "exactly one of"),
    (
        r#"{"url": "http://a", "tcp": "b:1"}"#,
        "checks.a",
        "exactly one of",
    ),
    (
        r#"{"status": "https://a/status"}"#,
        "checks.a",
        "needs the `key`",
    ),
    (
        r#"{"status": "https://a/status", "key": "abc"}"#,
        "checks.a.key",
        "is no key",
    ),
    (
        r#"{"status": "https://a/status", "key": "LEDGER"}"#,
        "checks.a.key",
        "for something else",
    ),
    (
        r#"{"status": "https://a/status", "key": "KEY", "age": "1s"}"#,
        "checks.a.age",
        "between 10s and 1d",
    ),
    (
        r#"{"status": "https://a/status", "key": "KEY", "expect": 503}"#,
        "checks.a.expect",
        "belongs to `url`",
    ),
    (
        r#"{"url": "https://a/status", "age": "1m"}"#,
        "checks.a.age",
        "belongs to `status`",
    ),
    (
        r#"{"url": "a.example"}"#,
        "checks.a.url",
        "neither `https://`",
    ),
    (
        r#"{"url": "http://u:p@a/"}"#,
        "checks.a.url",
        "names a user",
    ),
    (r#"{"url": "http://a b/"}"#, "checks.a.url", "holds blanks"),
    (
        r#"{"url": "http://a:x/"}"#,
        "checks.a.url",
        "a port that is none",
    ),
    (
        r#"{"url": "http://a/{token}"}"#,
        "checks.a.url",
        "no step before extracts `token`",
    ),
    (
        r#"{"tcp": "mail.example"}"#,
        "checks.a.tcp",
        "no `host:port`",
    ),
    (
        r#"{"tcp": "mail.example:0"}"#,
        "checks.a.tcp",
        "no `host:port`",
    ),
    (
        r#"{"tcp": "a:1", "expect": 200}"#,
        "checks.a.expect",
        "belongs to `url`",
    ),
    (r#"{"dns": "a b"}"#, "checks.a.dns", "no name"),
    (
        r#"{"dns": "a", "contains": "x"}"#,
        "checks.a.contains",
        "no address",
    ),
    (
        r#"{"url": "http://a", "every": "0s"}"#,
        "checks.a.every",
        "above zero",
    ),
    (
        r#"{"url": "http://a", "every": "10ms"}"#,
        "checks.a.every",
        "between 1s",
    ),
    (
        r#"{"url": "http://a", "every": "5s", "timeout": "6s"}"#,
        "checks.a.timeout",
        "longer",
    ),
    (
        r#"{"url": "http://a", "latency": "1h"}"#,
        "checks.a.latency",
        "longer than `timeout`",
    ),
    (
        r#"{"url": "http://a", "headers": {"Host": "b"}}"#,
        "checks.a.headers",
        "itself",
    ),
    (
        r#"{"url": "http://a", "headers": {"X": "a\r\nB: c"}}"#,
        "checks.a.headers",
        "letters",
    ),
    (
        r#"{"flow": [{"get": "http://a", "body": "x"}]}"#,
        "checks.a.flow[0]",
        "`post`",
    ),
    (
        r#"{"flow": [{"get": "http://a", "extract": {"t": "("}}]}"#,
        "checks.a.flow[0].extract.t",
        "regular",
    ),
    (
        r#"{"flow": [{"get": "http://a", "extract": {"t": "x"}}]}"#,
        "checks.a.flow[0].extract.t",
        "group",
    ),
    (
        r#"{"flow": [{"get": "http://a", "extract": {"token": "(x)"}}, {"get": "http://a/{tokn}"}]}"#,
        "checks.a.flow[1].get",
        "did you mean `token`?",
    ),
];

#[test]
fn every_mistake_is_told_at_its_place() {
    for (text, path, why) in MISTAKES {
        let faults = read(&format!("{{\"a\": {text}}}")).unwrap_err();
        let told = faults
            .iter()
            .any(|one| one.path == *path && one.why.contains(why));
        assert!(told, "{text}: {faults:?}");
    }
}

#[test]
fn words_in_braces_are_filled_and_nothing_else() {
    let known = BTreeMap::from([("token".to_owned(), "{x}".to_owned())]);
    assert_eq!(filled("a{token}b{token}", &known), "a{x}b{x}");
    assert_eq!(
        filled("{\"a\": {\"b\": \"{token}\"}}", &known),
        "{\"a\": {\"b\": \"{x}\"}}"
    );
    assert_eq!(filled("{other}{", &known), "{other}{");
}
