//! Every way to be lied to.

use super::*;
use crate::page::{State, key, overall};
use mainstay_ledger::{Checkpoint, SigningKey};
use std::collections::BTreeMap;

const NOW: u64 = 1_800_000_000_000;

fn signer() -> SigningKey {
    key(&[7; 32], "shop", "production").unwrap()
}

fn page() -> Page {
    let services = BTreeMap::from([
        ("web".to_owned(), State::Ok),
        ("<api>".to_owned(), State::Ok),
    ]);
    Page {
        platform: "shop".into(),
        environment: "production".into(),
        made_ms: NOW,
        epoch: 3,
        sequence: 17,
        state: overall(&services, &BTreeMap::new()),
        services,
        checks: BTreeMap::new(),
    }
}

fn asked(body: &[u8], age_ms: u64, now_ms: u64, last: Option<(u64, u64)>) -> Result<Page, Doubt> {
    let signer = signer();
    believe(
        body,
        &Expected {
            key: signer.public(),
            now_ms,
            age_ms,
            last,
        },
    )
}

fn now(body: &[u8]) -> Result<Page, Doubt> {
    asked(body, 60_000, NOW + 1000, Some((3, 17)))
}

/// The note of an answer.
fn note(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    value["note"].as_str().unwrap().to_owned()
}

#[test]
fn what_was_signed_is_believed_in_both_forms() {
    let json = page().sign(&signer()).json;
    assert_eq!(now(json.as_bytes()), Ok(page()));
    assert_eq!(now(note(&json).as_bytes()), Ok(page()));
}

#[test]
fn no_changed_byte_of_the_note_passes() {
    let text = note(&page().sign(&signer()).json);
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            assert!(now(&bytes).is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn what_stands_beside_the_note_is_not_believed() {
    let mut down = page();
    down.state = State::Down;
    let json = down.sign(&signer()).json;
    let (before, after) = json.split_once("\"note\"").unwrap();
    let lied = format!("{}\"note\"{after}", before.replace("\"down\"", "\"ok\""));
    assert!(!lied.split_once("\"note\"").unwrap().0.contains("down"));
    assert_eq!(now(lied.as_bytes()).unwrap().state, State::Down);
}

#[test]
fn another_key_another_platform_and_another_purpose_are_refused() {
    let other = key(&[8; 32], "shop", "production").unwrap();
    let staging = key(&[7; 32], "shop", "staging").unwrap();
    let ledger = SigningKey::from_seed(&[7; 32]).unwrap();
    for signer in [other, staging, ledger] {
        let json = page().sign(&signer).json;
        assert!(matches!(now(json.as_bytes()), Err(Doubt::Signer { .. })));
    }
    let mut elsewhere = page();
    elsewhere.environment = "staging".into();
    let json = elsewhere.sign(&signer()).json;
    let doubt = now(json.as_bytes()).unwrap_err();
    let told = "it is the page of `shop/staging`, and `shop/production` is asked for";
    assert_eq!(doubt.to_string(), told);
    // The bytes of a key are one thing, what it signs for another.
    let key = SigningKey::from_seed(&[7; 32]).unwrap();
    let note = note(&page().sign(&signer()).json);
    assert!(Checkpoint::verify(&note, key.public()).is_err());
    assert!(Checkpoint::verify(&note, signer().public()).is_err());
}

#[test]
fn copies_and_pages_from_the_future_are_refused() {
    let json = page().sign(&signer()).json;
    let body = json.as_bytes();
    assert!(asked(body, 60_000, NOW + 60_000, None).is_ok());
    let old = asked(body, 60_000, NOW + 60_001, None);
    assert!(matches!(old, Err(Doubt::Old { age_ms: 60_001, .. })));
    assert!(asked(body, 60_000, NOW - SKEW_MS, None).is_ok());
    let early = asked(body, 60_000, NOW - SKEW_MS - 1, None);
    assert_eq!(early, Err(Doubt::Future { by_ms: 30_001 }));
    for last in [(3, 18), (4, 0)] {
        let back = asked(body, 60_000, NOW, Some(last));
        let found = (3, 17);
        assert_eq!(back, Err(Doubt::Backward { found, last }));
    }
    for last in [(3, 17), (3, 2), (2, 900)] {
        assert!(asked(body, 60_000, NOW, Some(last)).is_ok());
    }
}

#[test]
fn answers_that_are_no_page_say_what_they_are() {
    let long = vec![b'x'; 10 << 20];
    assert_eq!(now(&long), Err(Doubt::Long { bytes: 10 << 20 }));
    for (body, why) in [
        (&b"\xff\xfe"[..], "no UTF-8"),
        (b"<html>Please log in</html>", "no empty line"),
        (b"{\"state\": \"ok\"}", "JSON without a `note`"),
        (b"{\"note\": 7}", "JSON without a `note`"),
        (b"{", "JSON without a `note`"),
        (b"", "no empty line"),
    ] {
        let doubt = now(body).unwrap_err().to_string();
        assert!(doubt.contains(why), "{doubt}");
    }
    let deep = "{\"note\":".repeat(20_000);
    assert!(now(deep.as_bytes()).is_err());
    let signed = signer().note(&format!("{}\n{{}}\n", signer().public().name()));
    let doubt = now(signed.as_bytes()).unwrap_err().to_string();
    assert!(doubt.contains("cannot be read"), "{doubt}");
    // Signed by the same key, and for another purpose.
    let json = serde_json::to_string(&page()).unwrap();
    let signed = signer().note(&format!("something else\n{json}\n"));
    let doubt = now(signed.as_bytes()).unwrap_err().to_string();
    assert!(doubt.contains("for something else"), "{doubt}");
}

#[test]
fn the_whole_follows_from_its_parts() {
    use State::{Degraded, Down, Ok, Unknown};
    for (services, checks, whole) in [
        (&[][..], &[][..], Ok),
        (&[Ok, Ok], &[Ok], Ok),
        (&[Ok, Degraded], &[], Degraded),
        (&[Ok], &[Down], Degraded),
        (&[Ok], &[Unknown], Degraded),
        (&[Ok, Unknown], &[], Degraded),
        (&[Ok, Down], &[Ok], Down),
    ] {
        let named = |states: &[State]| {
            let states = states.iter().enumerate();
            states
                .map(|(place, state)| (place.to_string(), *state))
                .collect()
        };
        assert_eq!(overall(&named(services), &named(checks)), whole);
    }
}

#[test]
fn people_read_it_without_colour_or_scripts() {
    let mut page = page();
    page.checks.insert("home".into(), State::Down);
    page.state = State::Degraded;
    let html = page.sign(&signer()).html;
    for text in [
        "<h1>shop / production: degraded</h1>",
        "<th scope=\"row\">&lt;api&gt;</th><td>ok</td>",
        "<th scope=\"row\">home</th><td>down</td>",
        "2027-01-15T08:00:00Z",
        "mainstay.status/shop/production/",
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
    assert!(!html.contains("<script") && !html.contains("http://") && !html.contains("https://"));
    assert_eq!(page.remarks(), "`home`: down");
    assert_eq!(page.trouble(), None);
    page.services.insert("web".into(), State::Down);
    page.state = State::Down;
    let trouble = page.trouble().unwrap();
    assert!(trouble.contains("`web`"), "{trouble}");
}
