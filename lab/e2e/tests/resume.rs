//! A state folder that was restored from an older copy: what goes on, what is refused, and both ways out.

use mainstay_e2e::{Load, Platform, Process, until};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The whole state folder as `cp -a` copies it, sockets and owners too. Shims make their folders anew within a
/// second, so `cp` may meet one that was not there when it looked; the next copy goes over it.
fn copy(from: &PathBuf, to: &PathBuf) {
    until("the state to be copied", || {
        let copied = Command::new("cp")
            .args(["-aT", "--remove-destination"])
            .args([from, to])
            .status();
        copied.expect("`cp` runs").success().then_some(())
    });
}

fn signed(platform: &Platform) {
    until("everything recorded is signed", || {
        let verified = platform.json(&["ledger", "verify"]);
        (verified["checkpoint"]["size"] == verified["entries"]).then_some(())
    });
}

/// A platform whose state is older than what runs: v1 was copied, v2 serves, the copy lies in its place
/// and the newer state beside it.
struct Restored {
    platform: Platform,
    newer: PathBuf,
    instances: Vec<Process>,
    load: Load,
}

fn restored(name: &str) -> Restored {
    let platform = Platform::new(name);
    platform.up();
    platform.steady();
    let state = platform.folder().join(".mainstay");
    let (older, newer) = (
        platform.folder().join("older"),
        platform.folder().join("newer"),
    );
    platform.process("serve").kill();
    copy(&state, &older);
    platform.up();
    platform.edit("GREETING: hello", "GREETING: good morning");
    platform.run(&["deploy"]).exits(0).says(&["v2 serves"]);
    let instances = platform.workloads();
    signed(&platform);
    let load = Load::start(platform.port, "/", 2);
    load.more(20);
    platform.process("serve").kill();
    fs::rename(&state, &newer).expect("moved");
    copy(&older, &state);
    platform.run(&["up"]).exits(4);
    Restored {
        platform,
        newer,
        instances,
        load,
    }
}

#[test]
fn a_restored_state_goes_on_once_its_loss_is_accepted() {
    let Restored {
        platform,
        newer: _newer,
        instances,
        load,
    } = restored("resume");
    let status = until("a status", || platform.status());
    assert_eq!(status["phase"], "halted", "{status}");
    let said = status["attention"].to_string();
    assert!(said.contains("mainstay ledger resume"), "{said}");
    assert!(said.contains("put the newer copy back"), "{said}");
    load.more(50);
    assert!(platform.front().starts_with("good morning from web v2"));
    assert!(instances.iter().all(Process::runs), "nobody was touched");
    platform.run(&["deploy"]).exits(4);

    // Nobody can be asked, and `--yes` names nothing.
    let refused = platform.run(&["ledger", "resume", "--yes"]).exits(1);
    refused.says(&["kept", "missing", "v1 is the newest release", "--missing"]);
    platform
        .run(&["ledger", "resume", "--missing", "1"])
        .exits(1)
        .says(&["not 1"]);
    let missing = missing(&platform);
    let resumed = platform.json(&["ledger", "resume", "--missing", &missing]);
    assert_eq!(resumed["timeline"], 2, "{resumed}");
    assert_eq!(resumed["missing"].to_string(), missing, "{resumed}");

    // What the older state says serves again; what ran meanwhile is drained and ends.
    platform.steady();
    until("the older contents", || {
        platform
            .front()
            .starts_with("hello from web v1")
            .then_some(())
    });
    until("the end of the later release", || {
        let gone = instances.iter().filter(|one| !one.runs()).count();
        (gone >= 2).then_some(())
    });
    load.more(50);
    load.stop_without_failure();
    platform.run(&["ledger", "verify"]).exits(0);
    platform.edit("good morning", "good evening");
    platform.run(&["deploy"]).exits(0);
    assert!(platform.front().starts_with("good evening from web v"));
    let newest = platform.history()[0]["release"].clone();
    assert_ne!(newest, "v2", "numbers that were used are not used again");
    platform
        .run(&["ledger", "resume"])
        .exits(1)
        .says(&["not halted"]);
    platform.run(&["down"]).exits(0);
    assert!(
        platform.processes().is_empty(),
        "{:?}",
        platform.processes()
    );
}

fn missing(platform: &Platform) -> String {
    let told = platform
        .run(&["ledger", "resume", "--json"])
        .exits(1)
        .json();
    let hint = told["errors"][0]["hint"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let (_, rest) = hint.split_once("--missing ").expect("the hint names it");
    rest.chars().take_while(char::is_ascii_digit).collect()
}

#[test]
fn a_restored_state_is_left_again_by_putting_the_newer_copy_back() {
    let Restored {
        platform,
        newer,
        instances,
        load,
    } = restored("back");
    platform.process("serve").kill();
    let state = platform.folder().join(".mainstay");
    fs::rename(&state, platform.folder().join("older-again")).expect("moved");
    fs::rename(&newer, &state).expect("moved back");
    platform.up();
    let status = platform.steady();
    assert_eq!(status["release"], "v2", "{status}");
    assert_eq!(
        platform.workloads(),
        instances,
        "the same processes, known again"
    );
    load.more(20);
    load.stop_without_failure();
    platform.run(&["down"]).exits(0);
    assert!(
        platform.processes().is_empty(),
        "{:?}",
        platform.processes()
    );
}

#[test]
fn a_deleted_run_folder_is_made_again_by_those_who_run() {
    let platform = Platform::new("deleted");
    platform.up();
    let instances = platform.workloads();
    let gateway = platform.process("gateway");
    let load = Load::start(platform.port, "/", 2);
    platform.process("serve").kill();
    for name in ["run", "instances"] {
        let aside = platform.folder().join(name);
        fs::rename(platform.state().join(name), aside).expect("moved");
    }
    platform.up();
    until("the same instances, known again", || {
        (platform.workloads() == instances).then_some(())
    });
    assert!(gateway.runs(), "traffic went on through the same gateway");
    load.more(20);
    load.stop_without_failure();
    platform.run(&["down"]).exits(0);
    assert!(
        platform.processes().is_empty(),
        "{:?}",
        platform.processes()
    );
}
