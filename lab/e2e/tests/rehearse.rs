//! `rehearse`: what the next deploy would come to, one failure at a time, with nothing changed.

use mainstay_e2e::Platform;

fn platform(name: &str, more: &str) -> Platform {
    let platform = Platform::new(name);
    let text = std::fs::read_to_string(platform.file()).expect("the file");
    platform.write(&format!("{text}{more}"));
    platform
}

const CHECK: &str =
    "\njobs:\n  check:\n    run: [/bin/true]\n    artifact: []\n    one_way: true\n";

#[test]
fn each_failure_is_told_with_what_serves_in_the_end_and_nothing_changes() {
    let platform = platform("rehearse", "");
    platform.up();
    let (workloads, history) = (platform.workloads(), platform.history());
    platform
        .run(&["rehearse"])
        .exits(0)
        .says(&["nothing to rehearse"]);
    platform.edit("GREETING: hello", "GREETING: good morning");
    let told = platform.run(&["rehearse"]).exits(0);
    for line in [
        "nothing fails",
        "the gateway is away for a minute",
        "the control plane is killed",
        "the disk is full for a minute",
    ] {
        let found = told.out.lines().find(|said| said.contains(line));
        let found = found.unwrap_or_else(|| panic!("`{line}` is not told: {}", told.out));
        assert!(found.contains("v2 serves"), "{found}");
    }
    let never = told
        .out
        .lines()
        .find(|said| said.contains("web never gets ready"));
    let never = never.expect("the readiness of what changes");
    assert!(never.contains("v1 serves as before: web.v2.1"), "{never}");
    // Whether the release is far enough to survive these depends on where they meet it.
    for line in ["a new instance crashes once", "the machine goes down"] {
        let found = told.out.lines().find(|said| said.contains(line));
        let found = found.unwrap_or_else(|| panic!("`{line}` is not told: {}", told.out));
        let either = found.contains("v2 serves") || found.contains("v1 serves as before");
        assert!(either, "{found}");
    }
    assert!(
        !told.out.contains("api never"),
        "only what changes: {}",
        told.out
    );
    let all = platform.json(&["rehearse"]);
    let rows = all.as_array().expect("a list");
    let row = |injury: &serde_json::Value| rows.iter().find(|row| row["injury"] == *injury);
    let row_of = |word: &str| row(&word.into()).expect("a row");
    assert_eq!(row_of("none")["end"], "serves", "{all}");
    assert_eq!(row_of("none")["serving"], "v2", "{all}");
    let steps = row_of("none")["steps"].as_array().expect("its steps");
    let publishes = steps.iter().filter_map(|step| step.as_str());
    assert!(
        publishes
            .clone()
            .any(|step| step.starts_with("start web.v2.1")),
        "{steps:?}"
    );
    assert!(
        publishes.clone().any(|step| step == "v2 serves"),
        "{steps:?}"
    );
    let never = row(&serde_json::json!({ "never_ready": "web" })).expect("a row");
    assert_eq!(
        (&never["end"], &never["serving"]),
        (&"back".into(), &"v1".into())
    );
    assert!(
        never["why"]
            .as_str()
            .is_some_and(|why| why.contains("web.v2.1")),
        "{never}"
    );
    assert_eq!(platform.workloads(), workloads, "nobody was touched");
    assert_eq!(platform.history(), history, "nothing was recorded");
    assert!(platform.front().starts_with("hello from web v1"));
}

#[test]
fn a_release_that_would_stop_half_way_is_told_and_is_no_success() {
    let platform = platform("halfway", CHECK);
    platform.up();
    platform.edit(
        "GREETING: hello\n",
        "GREETING: good morning\n    deploy: { before: [check] }\n",
    );
    let told = platform.run(&["rehearse"]).exits(1);
    let never = told
        .out
        .lines()
        .find(|line| line.contains("web never gets ready"));
    let never = never.expect("the readiness of what changes");
    assert!(never.contains("stops half-way"), "{never}");
    told.says(&["neither serves nor goes back when"]);
    let rows = platform.run(&["--json", "rehearse"]).exits(1).json();
    let frozen = rows.as_array().into_iter().flatten();
    let frozen: Vec<_> = frozen.filter(|row| row["end"] == "frozen").collect();
    assert!(!frozen.is_empty(), "{rows}");
    assert!(platform.front().starts_with("hello from web v1"));
}
