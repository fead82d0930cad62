//! Clients stay on the side they came to, and chosen ones go to the canary.

mod support;

use http::Request;
use mainstay_atoms::{ReleaseNumber, Share};
use mainstay_routing::{Chosen, Place, Side, Split};
use std::collections::BTreeSet;
use support::instance::Instance;
use support::two::{ask, block_on, connect};
use support::{Answer, Gateway, ask_all, asking, eventually, pair, split};

fn sticky(canary: u64) -> Split {
    Split {
        sticky: true,
        ..split(canary)
    }
}

fn start(workers: &str, split: Split) -> (Gateway, Instance, Instance) {
    let (stable, canary) = pair();
    let gateway = Gateway::start(&[workers]);
    let table = gateway.trial(1, &[stable.address], &[canary.address], split);
    gateway.client().publish(&table).unwrap();
    (gateway, stable, canary)
}

/// The place that an answer gives its client.
fn given(answer: &Answer) -> Option<Place> {
    let value = answer.field("set-cookie")?;
    let rest = value.strip_prefix("mainstay-web=").expect(value);
    let (place, attributes) = rest.split_at(4);
    assert_eq!(attributes, "; Path=/; HttpOnly; SameSite=Lax");
    Some(Place::parse(place.as_bytes()).expect(value))
}

fn coming_with(place: Place) -> String {
    asking("/", &[&format!("Cookie: a=b; mainstay-web={place}; c=d")])
}

fn is_within(count: usize, of: usize, percent: f64) {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap());
    let found = number(count) / number(of) * 100.0;
    assert!((found - percent).abs() <= 0.5, "{found} of {percent}");
}

/// 5,000 users over rising shares, three workers, and a gateway that is killed in the middle: once on the canary
/// they stay there, and the shares of their requests are kept.
#[test]
fn nobody_flips_back_from_a_canary_that_grows() {
    let (mut gateway, stable, canary) = start("workers=3", sticky(100));
    let strangers = ask_all(gateway.address, &vec![asking("/", &[]); 5_000]);
    let users: Vec<Place> = strangers.iter().map(|one| given(one).unwrap()).collect();
    let on = |answers: &[Answer]| -> BTreeSet<usize> {
        let on = |at: &usize| answers[*at].body == "canary";
        (0..answers.len()).filter(on).collect()
    };
    let mut before = on(&strangers);
    is_within(before.len(), users.len(), 1.0);
    let requests: Vec<String> = users.iter().map(|place| coming_with(*place)).collect();
    for (generation, percent) in (2..).zip([1_u32, 5, 41, 80, 100]) {
        let split = sticky(u64::from(percent) * 100);
        let table = gateway.trial(generation, &[stable.address], &[canary.address], split);
        gateway.client().publish(&table).unwrap();
        if percent == 41 {
            gateway.kill();
            gateway.restart(&[]);
            eventually("it serves", || {
                let serving = gateway.client().status().ok()?.serving?;
                (serving.generation == table.generation).then_some(())
            });
        }
        let answers = ask_all(gateway.address, &requests);
        let here = on(&answers);
        let flipped = before.difference(&here).count();
        assert_eq!(flipped, 0, "of {} at {percent} %", before.len());
        assert!(
            answers
                .iter()
                .all(|one| one.status == 200 && given(one).is_none())
        );
        is_within(here.len(), users.len(), f64::from(percent));
        before = here;
    }
    let seen = [stable.requests(), canary.requests()].concat();
    let passed = |head: &&String| head.contains("cookie: a=b; c=d\r\n");
    assert_eq!(seen.iter().filter(passed).count(), 5 * users.len());
    assert!(
        !seen.iter().any(|head| head.contains("mainstay")),
        "our cookie is ours"
    );
}

#[test]
fn strangers_are_shared_out_to_half_a_point() {
    for workers in ["workers=1", "workers=3"] {
        let (gateway, stable, canary) = start(workers, sticky(100));
        for (generation, percent) in (2..).zip([1_u32, 5, 41]) {
            let split = sticky(u64::from(percent) * 100);
            let both = ([stable.address], [canary.address]);
            let table = gateway.trial(generation, &both.0, &both.1, split.clone());
            gateway.client().publish(&table).unwrap();
            let answers = ask_all(gateway.address, &vec![asking("/", &[]); 10_000]);
            let ours = answers.iter().filter(|one| one.body == "canary");
            is_within(ours.count(), answers.len(), f64::from(percent));
            for one in &answers {
                let position = given(one).unwrap().position(split.release);
                assert_eq!(split.at(position) == Side::Canary, one.body == "canary");
            }
        }
    }
}

#[test]
fn those_of_one_canary_are_not_those_of_the_next() {
    let (gateway, stable, canary) = start("workers=2", sticky(1_000));
    let strangers = ask_all(gateway.address, &vec![asking("/", &[]); 2_000]);
    let first = strangers.iter().filter(|one| one.body == "canary");
    let requests: Vec<String> = first.map(|one| coming_with(given(one).unwrap())).collect();
    assert!((190..=210).contains(&requests.len()), "{}", requests.len());
    let split = Split {
        release: ReleaseNumber(3),
        ..sticky(1_000)
    };
    let table = gateway.trial(2, &[stable.address], &[canary.address], split);
    gateway.client().publish(&table).unwrap();
    let again = ask_all(gateway.address, &requests);
    let again = again.iter().filter(|one| one.body == "canary").count();
    // About twenty by chance.
    assert!(again < 60, "{again} of {} once more", requests.len());
}

#[test]
fn a_cookie_is_for_tls_where_the_client_came_by_it() {
    let (gateway, ..) = start("workers=1", sticky(5_000));
    let mut peer = gateway.connect();
    let answer = peer
        .send(asking("/", &["X-Forwarded-Proto: https"]))
        .answer();
    let cookie = answer.field("set-cookie").unwrap();
    assert!(
        cookie.ends_with("; HttpOnly; SameSite=Lax; Secure"),
        "{cookie}"
    );
    // Whoever is upgraded to a WebSocket stays as well.
    let lines = ["Connection: upgrade", "Upgrade: websocket"];
    let head = peer.send(asking("/ws", &lines)).until("\r\n\r\n").unwrap();
    assert!(
        head.contains("101") && head.contains("set-cookie: mainstay-web="),
        "{head}"
    );
}

#[test]
fn without_a_trial_that_keeps_them_clients_get_no_cookie() {
    let (gateway, stable, canary) = start("workers=1", split(5_000));
    let mut peer = gateway.connect();
    assert_eq!(peer.get("/").field("set-cookie"), None);
    let request = coming_with(Place(1));
    let bodies: BTreeSet<String> = (0..8).map(|_| peer.send(&request).answer().body).collect();
    assert_eq!(
        bodies.len(),
        2,
        "a cookie of an earlier trial means nothing here"
    );
    gateway.publish(2, &[stable.address]);
    let answer = peer.send(&request).answer();
    assert_eq!(
        (answer.body.as_str(), answer.field("set-cookie")),
        ("stable", None)
    );
    let seen = [stable.requests(), canary.requests()].concat();
    assert!(
        !seen.iter().any(|head| head.contains("mainstay")),
        "it never passes"
    );
}

#[test]
fn hostile_cookies_are_none() {
    let (gateway, stable, canary) = start("workers=2", sticky(10_000));
    let long = format!("Cookie: mainstay-web={}", "0".repeat(10_000));
    let many = format!("Cookie: {}", "mainstay-web=x;a=b; ".repeat(1_500));
    let most = format!("Cookie: {}", ";=".repeat(14_000));
    let mut hostile = vec![long, many, most];
    for value in [
        "",
        "0",
        "00FF",
        "zzzz",
        "\"0001\"",
        "00ff0",
        "0001 0002",
        "%30001",
    ] {
        hostile.push(format!("Cookie: mainstay-web={value}"));
    }
    hostile.extend(
        [
            "Cookie:",
            "Cookie: ;;;",
            "Cookie: mainstay-web",
            "Cookie: =0001",
        ]
        .map(Into::into),
    );
    let mut peer = gateway.connect();
    for line in &hostile {
        let answer = peer.send(asking("/", &[line])).answer();
        let start: String = line.chars().take(40).collect();
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "canary"),
            "{start}"
        );
        assert!(given(&answer).is_some(), "{start}");
    }
    // Beyond what a head may hold it is refused before anybody reads it.
    let cookie = format!("Cookie: {}", "mainstay-web=0001; ".repeat(3_000));
    let mut other = gateway.connect();
    let refused = other.send(asking("/", &[&cookie])).answer();
    assert_eq!(refused.status, 431);
    assert_eq!((peer.get("/").status, stable.count()), (200, 0));
    assert_eq!(canary.count(), hostile.len() + 1);
}

fn chosen(share: u64) -> Split {
    let text = |text: &str| text.to_owned();
    Split {
        chosen: vec![
            Chosen::Header {
                name: text("x-canary"),
                value: text("yes"),
            },
            Chosen::Cookie {
                name: text("beta"),
                value: text("1"),
            },
        ],
        ..sticky(share)
    }
}

#[test]
fn who_is_chosen_goes_to_the_canary_that_nobody_else_gets() {
    let (gateway, stable, canary) = start("workers=2", chosen(0));
    let mut peer = gateway.connect();
    for lines in [
        &["X-Canary: yes"][..],
        &["Cookie: a=b; beta=1"],
        &["Cookie: mainstay-web=0001; beta=1"],
    ] {
        for _ in 0..10 {
            let answer = peer.send(asking("/", lines)).answer();
            let cookie = answer.field("set-cookie");
            assert_eq!(
                (answer.body.as_str(), cookie),
                ("canary", None),
                "{lines:?}"
            );
        }
    }
    for lines in [
        &["X-Canary: no"][..],
        &["X-Canary: yes, no"],
        &["Cookie: beta=10"],
        &[],
    ] {
        let answer = peer.send(asking("/", lines)).answer();
        assert_eq!(answer.body, "stable", "{lines:?}");
    }
    assert_eq!((stable.count(), canary.count()), (4, 30));
    // A canary without instances leaves them to the others.
    let table = gateway.trial(2, &[stable.address], &[], chosen(0));
    gateway.client().publish(&table).unwrap();
    assert_eq!(
        peer.send(asking("/", &["X-Canary: yes"])).answer().body,
        "stable"
    );
    assert_eq!(
        peer.send(asking("/", &["Cookie: beta=1"])).answer().body,
        "stable"
    );
}

#[test]
fn clients_of_http2_stay_and_are_chosen_too() {
    let mut split = chosen(4_100);
    split.baseline = Share(0);
    let (gateway, ..) = start("workers=2", split);
    block_on(async {
        let mut sender = connect(gateway.address).await;
        let request = || Request::get("http://localhost/");
        let mut sides = BTreeSet::new();
        for _ in 0..40 {
            let answer = ask(&mut sender, request(), "").await;
            let cookie = answer.headers()["set-cookie"].to_str().unwrap();
            let pair = cookie.split(';').next().unwrap().to_owned();
            assert!(
                cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"),
                "{cookie}"
            );
            for _ in 0..3 {
                let request = request().header("cookie", "a=b").header("cookie", &pair);
                let again = ask(&mut sender, request, "").await;
                assert_eq!(again.body(), answer.body());
                assert!(!again.headers().contains_key("set-cookie"));
            }
            sides.insert(answer.into_body());
        }
        assert_eq!(sides.len(), 2);
        for request in [
            request().header("x-canary", "yes"),
            request().header("cookie", "a=b").header("cookie", "beta=1"),
        ] {
            assert_eq!(ask(&mut sender, request, "").await.body(), "canary");
        }
    });
}
