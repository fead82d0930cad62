//! The walk of a first visit, on real processes.

use mainstay_e2e::story::words;
use mainstay_e2e::{Load, Platform, until};

#[test]
fn a_first_visit_from_up_to_down_and_back() {
    let platform = Platform::new("walk");
    platform
        .run(&["up"])
        .exits(0)
        .says(&["v1 serves", "http://localhost"]);
    assert!(
        platform.front().starts_with("hello from web v1"),
        "{}",
        platform.front()
    );
    assert!(platform.front().contains("api says: the api says hello"));
    let status = platform.steady();
    assert_eq!(status["release"], "v1");
    assert_eq!(status["services"][1]["name"], "web");
    assert_eq!(status["services"][1]["ready"], 2);
    platform
        .run(&words("status"))
        .exits(0)
        .says(&["SERVICE", "2/2"]);
    change_and_ship(&platform);
    take_back(&platform);
    look(&platform);
    down_and_up(&platform);
}

fn change_and_ship(platform: &Platform) {
    platform.run(&words("plan")).exits(0);
    platform.edit("GREETING: hello", "GREETING: good morning");
    let plan = platform.run(&["plan", "--json"]).exits(3).json();
    let changes = plan["changes"].as_array().expect("a list of changes");
    assert_eq!(changes.len(), 1, "{plan}");
    assert!(changes[0].to_string().contains("GREETING"), "{plan}");
    assert!(!plan["steps"].as_array().expect("steps").is_empty());
    let before = platform.run(&["plan"]).exits(3);
    before.says(&["v1 → v2", "env.GREETING", "\"hello\" → \"good morning\""]);

    let load = Load::start(platform.port, "/", 4);
    load.more(50);
    platform.run(&words("deploy")).exits(0).says(&["v2 serves"]);
    load.more(50);
    load.stop_without_failure();
    assert!(platform.front().starts_with("good morning from web v2"));
    let rows = platform.history();
    assert_eq!(rows[0]["release"], "v2");
    assert_eq!(rows[0]["state"], "serving");
    assert_eq!(rows[1]["state"], "kept");
}

fn take_back(platform: &Platform) {
    let load = Load::start(platform.port, "/", 2);
    load.more(20);
    platform
        .run(&words("rollback"))
        .exits(0)
        .says(&["v3", "hold"]);
    load.more(20);
    load.stop_without_failure();
    assert!(platform.front().starts_with("hello from web"));
    let rows = platform.history();
    assert_eq!(
        (&rows[0]["release"], &rows[0]["of"]),
        (&"v3".into(), &"v1".into())
    );
    assert_eq!(rows[1]["held"], true, "{rows:?}");
    assert_eq!(platform.json(&["hold", "list"])[0]["release"], "v2");
    let again = platform.run(&["deploy", "--json"]).exits(4).json();
    assert_eq!(again["ok"], false);
    assert!(again.to_string().contains("on hold since v2"), "{again}");
    assert!(platform.front().starts_with("hello from web"));
    platform.run(&["deploy", "--yes"]).exits(0);
    assert!(platform.front().starts_with("good morning from web"));
    platform
        .run(&["deploy"])
        .exits(1)
        .says(&["serves these contents already"]);
}

fn look(platform: &Platform) {
    platform.steady();
    let why = platform.json(&words("why"));
    assert!(
        why["summary"]
            .as_str()
            .is_some_and(|text| text.contains("2 of 2 ready")),
        "{why}"
    );
    platform.run(&words("why")).exits(0).says(&["web runs v4"]);
    let logs = platform.run(&words("logs")).exits(0).out;
    assert!(logs.contains("GET / 200"), "{logs}");
    assert!(logs.lines().count() <= 20);
    let verified = platform.json(&words("ledger"));
    assert_eq!(verified["ok"], true);
    platform
        .run(&words("ledger"))
        .exits(0)
        .says(&["complete, unaltered"]);
    let explained = platform.json(&words("explain"));
    assert_eq!(explained["value"], "2", "{explained}");
    platform
        .run(&words("explain"))
        .exits(0)
        .says(&["mainstay.yaml:10"]);
    let plan = platform.run(&["plan", "--json"]).exits(0).json();
    assert_eq!(plan["changes"], serde_json::json!([]));
}

fn down_and_up(platform: &Platform) {
    platform
        .run(&words("down"))
        .exits(0)
        .says(&["everything is stopped"]);
    until("the end of every process", || {
        platform.processes().is_empty().then_some(())
    });
    platform.run(&["status"]).exits(1).says(&["mainstay up"]);
    platform.run(&["up"]).exits(0);
    assert_eq!(platform.steady()["release"], "v4");
    assert!(platform.front().starts_with("good morning from web"));
    assert_eq!(platform.history().len(), 4);
}
