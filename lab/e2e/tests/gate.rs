//! Gates: a release waits for people and for its checklist, and what serves is kept running meanwhile.

use mainstay_e2e::clock::{Clock, far, library};
use mainstay_e2e::{Load, Platform, until};
use serde_json::Value;

const KEYS: &str = "    run: ./bin/mainstay-sample\n    port: 3000\n    replicas: 1\n    \
                    ready: { path: /ready }\n    env:\n      GREETING: hello";

const GATES: &str = "gates:\n  approvals: { need: 2, expiry: 1h }\n  checklist: { backup: {}, disk: { run: [sh, -c, \
                     \"test -f fine\"] } }\n";

/// A platform whose second release brings gates, and whose first serves.
fn platform(name: &str) -> Platform {
    let platform = Platform::single(name, KEYS);
    platform.up();
    let text = platform.text();
    platform.write(&(text + GATES));
    platform
}

fn token(platform: &Platform, name: &str) -> String {
    let made = platform.run(&["token", "make", name]).exits(0);
    made.out.trim().to_owned()
}

fn waiting(platform: &Platform) -> Value {
    until("a release at its gates", || {
        let gate = platform.run(&["approve", "--json"]);
        (gate.code == 0).then(|| gate.json())
    })
}

#[test]
fn a_release_begins_when_two_people_agree_and_its_checklist_is_answered() {
    let platform = platform("gates");
    let (ann, bob) = (token(&platform, "ann"), token(&platform, "bob"));
    let as_ann = [("MAINSTAY_TOKEN", ann.as_str())];
    let as_bob = [("MAINSTAY_TOKEN", bob.as_str())];
    let deploy = platform.begin_as(&["deploy"], &as_ann);
    let gate = waiting(&platform);
    assert_eq!(gate["release"], "v2", "{gate}");
    assert_eq!(gate["author"], "ann", "{gate}");
    assert!(
        platform.front().starts_with("hello from web v1"),
        "v1 serves"
    );

    // Its author counts not, nobody counts twice, and who is unknown is refused.
    platform
        .run_as(&["approve", "v2"], &as_ann)
        .exits(4)
        .says(&["ann is the author"]);
    platform.run_as(&["approve", "v2"], &as_bob).exits(0);
    platform
        .run_as(&["approve", "v2"], &as_bob)
        .exits(4)
        .says(&["bob approved already"]);
    platform
        .run_as(&["approve", "v2"], &[("MAINSTAY_TOKEN", "mst_0")])
        .exits(4)
        .says(&["the token is not known"]);
    platform.run(&["approve", "v3"]).exits(1).says(&["v2 does"]);
    platform.run(&["approve", "v2"]).exits(0);

    // The checklist: a command that fails, one that does not, and a person.
    platform
        .run(&["checklist", "tick", "disk"])
        .exits(1)
        .says(&["answered by its command"]);
    platform
        .run(&["checklist", "run"])
        .exits(1)
        .says(&["exit status: 1"]);
    platform
        .run(&["status"])
        .says(&["`disk` on the checklist, which failed"]);
    std::fs::write(platform.folder().join("fine"), "").expect("the folder takes a file");
    platform.run(&["checklist", "run", "disk"]).exits(0);
    assert_eq!(platform.history()[0]["state"], "moving");
    platform.run(&["checklist", "tick", "backup"]).exits(0);
    deploy.wait().exits(0).says(&["v2 serves"]);

    // A rollback passes: its contents passed before. A release that takes the gates away passes them first.
    platform.run(&["rollback"]).exits(0).says(&["v3 serves"]);
}

#[test]
fn a_release_that_takes_gates_away_passes_them_and_an_abort_ends_its_wait() {
    let platform = platform("ungated");
    let without = platform.text().replace(GATES, "");
    let deploy = platform.begin(&["deploy"]);
    waiting(&platform);
    platform.run(&["checklist", "tick", "backup"]).exits(0);
    std::fs::write(platform.folder().join("fine"), "").expect("the folder takes a file");
    platform.run(&["checklist", "run"]).exits(0);
    for name in ["ann", "bob"] {
        let token = token(&platform, name);
        platform
            .run_as(&["approve", "v2"], &[("MAINSTAY_TOKEN", &token)])
            .exits(0);
    }
    deploy.wait().exits(0);

    platform.write(&without);
    let deploy = platform.begin(&["deploy"]);
    let gate = waiting(&platform);
    let missing = gate["missing"].to_string();
    assert!(missing.contains("0 of 2 approvals"), "{missing}");
    // A control plane that is killed knows it still.
    platform.process("serve").kill();
    drop(deploy.wait());
    let up = platform.begin(&["up"]);
    assert_eq!(waiting(&platform)["release"], "v3");
    platform.run(&["abort"]).exits(0).says(&["v2 serves"]);
    drop(up.wait());
    platform
        .run(&["approve", "v3"])
        .exits(1)
        .says(&["no release is under way"]);
}

#[test]
fn tokens_are_shown_once_and_can_be_taken_away() {
    let platform = platform("tokens");
    let ann = token(&platform, "ann");
    assert!(ann.starts_with("mst_"), "{ann}");
    platform
        .run(&["token", "make", "ann"])
        .exits(1)
        .says(&["is there already"]);
    platform
        .run(&["token", "make", "1 2"])
        .exits(1)
        .says(&["cannot be the name"]);
    let listed = platform.run(&["token", "list"]).exits(0);
    assert_eq!(listed.out.trim(), "ann");
    let as_ann = [("MAINSTAY_TOKEN", ann.as_str())];
    platform.run_as(&["status"], &as_ann).exits(0);
    platform.run(&["token", "revoke", "ann"]).exits(0);
    platform.run_as(&["status"], &as_ann).exits(4);
    platform.run(&["token", "revoke", "ann"]).exits(1);
    // Nothing that is kept holds it.
    let secret = ann.trim_start_matches("mst_").to_owned();
    platform.holds_nowhere(&secret);
}

/// `web` with a canary of one long step, under a clock that can be moved.
fn on_trial(name: &str) -> Option<(Platform, Clock)> {
    let library = library()?;
    let canary = "steps: [50%], hold: 6h, bake: 1s, every: 1s, least: 1, abort_if: [error_rate > 5%], baseline: stable";
    let platform = Platform::single(
        name,
        &format!("{KEYS}\n    deploy: {{ canary: {{ {canary} }} }}"),
    );
    let clock = Clock::new(&platform, library);
    clock.up(&platform);
    Some((platform, clock))
}

fn waits(platform: &Platform, words: &str) {
    until(words, || {
        let status = platform.status()?;
        status["waits"].to_string().contains(words).then_some(())
    });
}

#[test]
fn a_release_waits_for_its_window_and_one_that_began_goes_on_when_it_closes() {
    let Some((platform, clock)) = on_trial("window") else {
        return;
    };
    let (hour, half_past) = far();
    let text = platform.text().replace("hello", "good morning");
    // A release is judged by requests.
    let load = Load::start(platform.port, "/", 1);
    let window = format!("{{ opens: \"30 {hour} * * *\", lasts: 10m }}");
    platform.write(&format!(
        "{text}gates: {{ windows: {{ office: {window} }} }}\n"
    ));
    let deploy = platform.begin(&["deploy"]);
    let gate = waiting(&platform);
    assert!(gate["missing"].to_string().contains("window"), "{gate}");
    assert!(platform.front().starts_with("hello from web v1"));
    clock.set(half_past + 5_000);
    waits(&platform, "of the hold");
    // It closes a minute later, and nothing is taken back or stands still.
    clock.set(half_past + 11 * 60_000);
    platform.run(&["pause"]).exits(0);
    waits(&platform, "a person");
    platform.run(&["resume"]).exits(0);
    waits(&platform, "of the hold");
    platform.run(&["promote", "--full"]).exits(0);
    deploy.wait().exits(0).says(&["v2 serves"]);
    platform.edit("good morning", "good evening");
    let late = platform.begin(&["deploy"]);
    let gate = waiting(&platform);
    assert!(gate["missing"].to_string().contains("window"), "{gate}");
    platform.run(&["abort"]).exits(0);
    drop(late.wait());
    load.stop_without_failure();
}

#[test]
fn a_freeze_that_begins_during_a_release_stands_it_still_until_it_is_over() {
    let Some((platform, clock)) = on_trial("freeze") else {
        return;
    };
    let (_, begins) = far();
    let minute = |at: u64| {
        let at = format!("@{}", at / 1000);
        let date = std::process::Command::new("date")
            .args(["-u", "-d", &at, "+%Y-%m-%d %H:%M"])
            .output();
        let date = date.expect("`date` is there").stdout;
        String::from_utf8_lossy(&date).trim().to_owned()
    };
    let ends = begins + 3_600_000;
    let text = platform.text().replace("hello", "good morning");
    let sale = format!("{{ from: {}, until: {} }}", minute(begins), minute(ends));
    platform.write(&format!("{text}gates: {{ freezes: {{ sale: {sale} }} }}\n"));
    let load = Load::start(platform.port, "/", 1);
    let deploy = platform.begin(&["deploy"]);
    waits(&platform, "of the hold");
    clock.set(begins + 5_000);
    waits(&platform, "the end of the freeze `sale`");
    // What serves, and the share that it has, stay as they are.
    assert!(platform.front().contains("from web v"));
    clock.set(ends + 5_000);
    waits(&platform, "of the hold");
    platform.run(&["promote", "--full"]).exits(0);
    deploy.wait().exits(0).says(&["v2 serves"]);
    load.stop_without_failure();
}
