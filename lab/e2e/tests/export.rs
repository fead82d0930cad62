//! Leaving: what was collected goes into Prometheus' own format, whole or not at all.

use mainstay_e2e::{Mount, Platform, say, until};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

const KEYS: &str = "    run: ./bin/mainstay-sample\n    port: 3000\n    ready: { path: /ready }\n    \
                    metrics: { path: /metrics, every: 1s }\n    env: { QUIET: \"1\" }";

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

/// A platform whose metrics are there.
fn platform(name: &str) -> Platform {
    let platform = Platform::single(name, KEYS);
    platform.write(&(platform.text() + "signals: {}\n"));
    platform.up();
    until("metrics of the service and the machine", || {
        let all = "count(up{job=\"web\"} == 1) + count(node_load1)";
        let outcome = platform.run(&["query", "--json", all]);
        let answer: Value = (outcome.code == 0).then(|| outcome.json())?;
        answer["data"]["result"][0]["value"][1].as_str().map(drop)
    });
    platform
}

#[test]
fn what_was_collected_is_taken_along() {
    let platform = platform("export");
    let folder = platform.folder().join("taken");
    let place = folder.display().to_string();
    let written = platform.json(&["signals", "export", "--blocks", &place]);
    let blocks = written["blocks"].as_array().expect("blocks");
    assert!(!blocks.is_empty(), "{written}");
    let sum = |key: &str| {
        blocks
            .iter()
            .filter_map(|one| one[key].as_u64())
            .sum::<u64>()
    };
    assert!(sum("series") > 50 && sum("floats") > 50, "{written}");
    assert_eq!(written["not_read"].as_array().map(Vec::len), Some(0));
    let ulids: Vec<&str> = blocks
        .iter()
        .filter_map(|one| one["ulid"].as_str())
        .collect();
    assert_eq!(names(&folder), ulids);
    // What is there is left as it is.
    let again = ["signals", "export", "--blocks", &place];
    platform
        .run(&again)
        .exits(1)
        .says(&["already", ulids[0], "another folder"]);
    assert_eq!(names(&folder), ulids);
    let list = Command::new("promtool")
        .args(["tsdb", "list"])
        .arg(&folder)
        .output();
    match list {
        Err(_) => say("skipped: `promtool` is not installed (Debian's `prometheus` brings it)"),
        Ok(list) => {
            let text = String::from_utf8_lossy(&list.stdout);
            assert!(ulids.iter().all(|ulid| text.contains(ulid)), "{list:?}");
        }
    }
    // For people, and a part of it.
    let part = platform.folder().join("part");
    let place = part.display().to_string();
    let selected = ["signals", "export", "--blocks", &place, "up{job=\"web\"}"];
    platform
        .run(&selected)
        .exits(0)
        .says(&["1 series", "storage.tsdb.retention.time"]);
    let none = platform.folder().join("none");
    let place = none.display().to_string();
    let early = [
        "signals",
        "export",
        "--blocks",
        &place,
        "--to",
        "2001-09-09T01:46:40Z",
    ];
    platform
        .run(&early)
        .exits(0)
        .says(&["no block was written"]);
    assert_eq!(names(&none), [""; 0]);
    let wrong = [
        "signals",
        "export",
        "--blocks",
        &place,
        "--from",
        "yesterday",
    ];
    platform
        .run(&wrong)
        .exits(1)
        .says(&["`--from yesterday` is no time", "such as"]);
    // The text format has the same bounds.
    let early = ["signals", "export", "--to", "1000000000.5", "up"];
    assert_eq!(platform.run(&early).exits(0).out.trim(), "");
    let late = ["signals", "export", "--from", "1000000000.5", "up"];
    assert!(platform.run(&late).exits(0).out.contains("up{"));
    let platform = Platform::single("export-none", KEYS);
    platform
        .run(&["signals", "export", "--blocks", &place])
        .exits(2)
        .says(&["does not answer", "mainstay status"]);
}

#[test]
fn a_full_disk_leaves_nothing_half() {
    let platform = platform("export-full");
    let folder = platform.folder().join("small");
    let Some(mount) = Mount::at(&folder, "16k") else {
        return;
    };
    let place = folder.display().to_string();
    let words = ["signals", "export", "--blocks", &place];
    platform.run(&words).exits(2).says(&[
        "No space left on device",
        "nothing half is left",
        "df -h",
    ]);
    assert_eq!(names(&folder), [""; 0]);
    drop(mount);
    platform.run(&words).exits(0);
    assert!(!names(&folder).is_empty());
}
