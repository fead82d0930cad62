//! The status page: signed, seen from outside by another platform, and old once its maker is gone.

use mainstay_e2e::{Platform, get, until};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

const KEYS: &str = "    run: ./bin/mainstay-sample\n    port: 3000\n    ready: { path: /ready }\n    env: { QUIET: \"1\" }";

/// One request with these lines of its head; the whole answer.
fn asked(port: u16, head: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the gateway listens");
    let request = format!("{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// The page as machines read it, once there is one.
fn page(platform: &Platform) -> Value {
    until("the page is shown", || {
        let answer = get(platform.port, "/status").ok()?;
        let page: Value = serde_json::from_str(&answer.body).ok()?;
        page["note"].is_string().then_some(page)
    })
}

/// The key that verifies it, as `status` tells.
fn key(platform: &Platform) -> String {
    until("the key is told", || {
        let status = platform.status()?;
        Some(status["status_page"]["key"].as_str()?.to_owned())
    })
}

/// Why the check of the other platform fails, or that it works.
fn stands(watcher: &Platform) -> Option<String> {
    watcher
        .run(&["alerts", "checks"])
        .out
        .lines()
        .nth(1)
        .map(str::to_owned)
}

#[test]
fn another_platform_sees_that_the_control_plane_is_gone() {
    let shop = Platform::single("shop", KEYS);
    shop.write(&format!("{}status_page: {{ at: /status }}\n", shop.text()));
    shop.up();
    let first = page(&shop);
    assert_eq!(first["state"], "ok");
    assert_eq!(first["services"]["web"], "ok");
    let told = asked(shop.port, "GET /status HTTP/1.1");
    assert!(
        told.to_lowercase().contains("cache-control: no-store"),
        "{told}"
    );
    // Whoever asks learns nothing of where or what runs.
    let keys: Vec<&String> = first.as_object().expect("a map").keys().collect();
    let said = "checks environment epoch made_ms note platform sequence services state";
    assert_eq!(keys, said.split(' ').collect::<Vec<_>>());
    let html = asked(
        shop.port,
        "GET /status HTTP/1.1\r\nAccept: text/html,*/*;q=0.8",
    );
    assert!(
        html.contains("text/html") && html.contains("<td>ok</td>"),
        "{html}"
    );
    let changed = asked(shop.port, "POST /status HTTP/1.1\r\nContent-Length: 0");
    assert!(changed.starts_with("HTTP/1.1 405 "), "{changed}");
    let beside = get(shop.port, "/statuses").expect("an answer");
    assert_eq!(beside.status, 404, "the sample's own answer");

    let watcher = Platform::single("watcher", KEYS);
    let (port, key) = (shop.port, key(&shop));
    watcher.write(&format!(
        "{}checks: {{ shop: {{ status: \"http://127.0.0.1:{port}/status\", key: \"{key}\", age: 10s, every: 1s }} }}\n",
        watcher.text()
    ));
    watcher.up();
    let sees = |what: &str, words: &str| {
        until(what, || {
            stands(&watcher).filter(|line| line.contains(words))
        });
    };
    sees("the page is believed", "works");

    let kept = shop.folder().join("kept.json");
    std::fs::write(&kept, page(&shop).to_string()).expect("the folder takes a file");
    let by_hand = ["check", "page", "kept.json", "--key", &key, "--age", "1h"];
    let believed = shop.run(&by_hand).exits(0);
    believed.says(&["default", "ok, seen ", "web  ok"]);
    let altered = page(&shop)
        .to_string()
        .replace(":\\\"ok\\\"", ":\\\"down\\\"");
    std::fs::write(&kept, altered).expect("the folder takes a file");
    shop.run(&by_hand)
        .exits(1)
        .says(&["was changed on its way"]);

    shop.process("serve").kill();
    let (one, two) = (page(&shop), page(&shop));
    assert_eq!(one, two, "the gateway answers on, and makes nothing newer");
    sees("the page gets old", "whoever makes it is gone");
    shop.up();
    sees("a page of the new control plane is believed", "works");
    let again = page(&shop);
    assert!(again["epoch"].as_u64() > first["epoch"].as_u64(), "{again}");

    // A file that no longer asks for it takes it away: the route answers again.
    shop.edit("status_page: { at: /status }\n", "");
    shop.run(&["deploy"]).exits(0);
    until("the page is gone", || {
        let answer = get(shop.port, "/status").ok()?;
        (!answer.body.contains("\"note\"")).then_some(())
    });
    sees("a platform without a page fails", "fails");
    for platform in [&watcher, &shop] {
        platform.run(&["down"]).exits(0);
    }
}

#[test]
fn a_service_that_nobody_answers_for_is_down_and_a_check_that_fails_degrades() {
    let shop = Platform::single("ill", KEYS);
    let nobody = mainstay_e2e::platform::free_port();
    shop.write(&format!(
        "{}status_page: {{ at: localhost/status, checks: [mail] }}\n\
         checks: {{ mail: {{ tcp: \"127.0.0.1:{nobody}\", every: 1s }} }}\n",
        shop.text()
    ));
    shop.up();
    until("the check is told to fail", || {
        let page = page(&shop);
        (page["state"] == "degraded" && page["checks"]["mail"] == "down").then_some(())
    });
    assert_eq!(page(&shop)["services"]["web"], "ok");
    // It runs on, and says that it is not ready.
    let web = shop.workloads();
    for process in &web {
        process.signal(rustix::process::Signal::STOP);
    }
    until("the service is told to be down", || {
        let page = page(&shop);
        (page["state"] == "down" && page["services"]["web"] == "down").then_some(())
    });
    for process in &web {
        process.signal(rustix::process::Signal::CONT);
    }
    shop.run(&["down"]).exits(0);
}

#[test]
fn a_page_without_a_place_of_its_own_is_refused() {
    let platform = Platform::single("refused", KEYS);
    let text = platform.text();
    for (more, why) in [
        ("status_page: {}\n", "needs `at`"),
        ("status_page: { at: status }\n", "a path such as"),
        ("status_page: { at: / }\n", "a path such as"),
        (
            "status_page: { at: localhots/status }\n",
            "did you mean `localhost`?",
        ),
        (
            "status_page: { at: /status, checks: [home] }\n",
            "declares no check `home`",
        ),
    ] {
        platform.write(&format!("{text}{more}"));
        platform.run(&["check"]).exits(1).says(&[why]);
    }
    let routed = text.replace("      /: ", "      /status: { to: web }\n      /: ");
    platform.write(&format!("{routed}status_page: {{ at: /status }}\n"));
    platform
        .run(&["check"])
        .exits(1)
        .says(&["leads to `web` already"]);
}
