//! Jobs and workers: runs that are never doubled, releases that wait for them or freeze behind them.

use mainstay_e2e::{Platform, get, traffic, until};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// A platform with one service and these jobs; no server is needed.
fn with_jobs(name: &str, deploy: &str, jobs: &str) -> Platform {
    let keys = format!(
        "    run: ./bin/mainstay-sample\n    port: 3000\n    ready: {{ path: /ready, after: 5s }}\n    stop: {{ grace: 1s }}\n    env: {{ GREETING: hello }}\n{deploy}"
    );
    let platform = Platform::single(name, &keys);
    let text = fs::read_to_string(platform.file()).expect("the file");
    platform.write(&format!("{text}\njobs:\n{jobs}"));
    platform.script(
        "note",
        "echo \"$1\" >> \"$NOTES\"; sleep \"${2:-0}\"; exit \"${3:-0}\"",
    );
    platform
}

fn notes(platform: &Platform) -> String {
    platform.folder().join("notes").display().to_string()
}

fn noted(platform: &Platform) -> usize {
    let text = fs::read_to_string(platform.folder().join("notes/all")).unwrap_or_default();
    text.lines().count()
}

/// A job that appends a line to `notes/all`, sleeps and exits.
fn note(platform_notes: &str, sleep: u32, code: u8, more: &str) -> String {
    format!(
        "    run: [./bin/note, ran, \"{sleep}\", \"{code}\"]\n    artifact: [bin]\n    env: {{ NOTES: {platform_notes}/all }}\n{more}"
    )
}

/// Writes one job `once` with these keys.
fn one_job(name: &str, deploy: &str, sleep: u32, code: u8, more: &str) -> Platform {
    let platform = with_jobs(
        name,
        deploy,
        "  once:\n    run: [./bin/note]\n    artifact: [bin]\n",
    );
    let folder = platform.folder().join("notes");
    fs::create_dir(&folder).expect("a folder");
    for path in [platform.folder().to_path_buf(), folder] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("its mode");
    }
    let keys = note(&notes(&platform), sleep, code, more);
    platform.edit("    run: [./bin/note]\n    artifact: [bin]\n", &keys);
    platform
}

fn runs(platform: &Platform, job: &str) -> Vec<Value> {
    let detail = platform.json(&["jobs", "show", job]);
    detail["runs"].as_array().cloned().unwrap_or_default()
}

#[test]
fn a_failing_job_before_a_release_changes_nothing_that_serves() {
    let platform = one_job("before", "", 0, 0, "");
    platform.up();
    let old = platform.workloads();
    platform.edit(
        "GREETING: hello }",
        "GREETING: good morning }\n    deploy: { before: [once] }",
    );
    platform.edit("\"0\", \"0\"]", "\"0\", \"7\"]");
    let outcome = platform.run(&["deploy"]).exits(1);
    outcome.says(&["once", "exit", "7"]);
    assert_eq!(platform.steady()["release"], "v1");
    assert_eq!(platform.workloads(), old, "nobody was restarted");
    assert!(platform.front().starts_with("hello"));
    assert_eq!(noted(&platform), 1);
    platform.edit("\"0\", \"7\"]", "\"0\", \"0\"]");
    platform.run(&["deploy"]).exits(0);
    assert!(platform.front().starts_with("good morning"));
    assert_eq!(noted(&platform), 2);
}

#[test]
fn a_release_that_fails_after_what_cannot_be_undone_stays_until_a_fix() {
    let platform = one_job("oneway", "", 0, 0, "    one_way: true\n");
    platform.up();
    platform.edit(
        "GREETING: hello }",
        "GREETING: good morning, FAULT_UNREADY: \"1\" }\n    deploy: { before: [once] }",
    );
    platform.run(&["deploy"]).exits(1).says(&["v2 failed"]);
    until("the frozen state", || {
        let why = platform.run(&["why"]).out;
        (why.contains("cannot be undone") && why.contains("once")).then_some(())
    });
    platform
        .run(&["status"])
        .exits(0)
        .says(&["cannot be undone"]);
    assert!(platform.front().starts_with("hello"), "what served serves");
    platform.run(&["rollback"]).says(&["once", "undone"]);
    platform.edit(", FAULT_UNREADY: \"1\"", "");
    platform.run(&["deploy"]).exits(0);
    assert!(platform.front().starts_with("good morning"));
    platform.steady();
    let refused = platform.run(&["rollback", "v1"]).exits(4);
    refused.says(&["once", "undone"]);
}

#[test]
fn a_run_has_its_time_and_is_tried_again() {
    let platform = one_job(
        "time",
        "",
        60,
        0,
        "    timeout: 1s\n    stop: { grace: 1s }\n",
    );
    platform.up();
    platform
        .run(&["jobs", "run", "once"])
        .exits(1)
        .says(&["timed out"]);
    assert_eq!(runs(&platform, "once").len(), 1);
    platform.edit("\"60\", \"0\"]", "\"0\", \"3\"]");
    platform.edit("    timeout: 1s\n", "    retries: 1\n");
    platform.run(&["deploy"]).exits(0);
    platform
        .run(&["jobs", "run", "once"])
        .exits(1)
        .says(&["failed", "3"]);
    until("a second try", || {
        let all = runs(&platform, "once");
        let tries: Vec<&Value> = all.iter().filter(|run| run["state"] == "failed").collect();
        (tries.len() == 2 && tries[0]["attempt"] == 2).then_some(())
    });
    platform
        .run(&["jobs", "run", "other"])
        .exits(1)
        .says(&["other", "once"]);
}

#[test]
fn two_runs_that_were_asked_for_never_meet() {
    let platform = one_job("overlap", "", 1, 0, "");
    platform.up();
    let first = platform.begin(&["jobs", "run", "once"]);
    let second = platform.begin(&["jobs", "run", "once"]);
    first.wait().exits(0);
    second.wait().exits(0);
    let all = runs(&platform, "once");
    assert_eq!(all.len(), 2);
    let begun = |run: &Value| run["begun_ms"].as_u64().unwrap_or(0);
    let ended = begun(&all[1]) + all[1]["ran_ms"].as_u64().unwrap_or(0);
    assert!(begun(&all[0]) >= ended, "{all:?}");
    assert_eq!(noted(&platform), 2);
}

#[test]
fn a_run_survives_its_control_plane_and_is_never_doubled() {
    let platform = one_job("survives", "", 3, 0, "");
    platform.up();
    let asked = platform.begin(&["jobs", "run", "once"]);
    until("the run", || (noted(&platform) == 1).then_some(()));
    platform.process("serve").kill();
    drop(asked.wait());
    platform.up();
    until("its end", || {
        (runs(&platform, "once")[0]["state"] == "ok").then_some(())
    });
    assert_eq!((noted(&platform), runs(&platform, "once").len()), (1, 1));
    // Everything at once: the run is cut off, told so, and not run again by itself.
    let asked = platform.begin(&["jobs", "run", "once"]);
    until("the run", || (noted(&platform) == 2).then_some(()));
    platform.kill_everything();
    drop(asked.wait());
    platform.up();
    until("what became of it", || {
        (runs(&platform, "once")[0]["state"] == "cut_off").then_some(())
    });
    platform.steady();
    assert_eq!((noted(&platform), runs(&platform, "once").len()), (2, 2));
}

#[test]
fn one_that_may_run_twice_is_run_again_after_it_was_cut_off() {
    let platform = one_job("again", "", 3, 0, "    at_least_once: true\n");
    platform.up();
    let asked = platform.begin(&["jobs", "run", "once"]);
    until("the run", || (noted(&platform) == 1).then_some(()));
    platform.kill_everything();
    drop(asked.wait());
    platform.up();
    until("a second run", || {
        let all = runs(&platform, "once");
        (all.len() == 2 && all[0]["state"] == "ok").then_some(())
    });
    assert_eq!(noted(&platform), 2);
}

#[test]
fn a_migration_that_is_killed_halfway_fails_the_release_and_a_new_one_goes_on() {
    let platform = one_job("halfway", "", 0, 0, "");
    platform.up();
    platform.edit(
        "GREETING: hello }",
        "GREETING: good morning }\n    deploy: { before: [once] }",
    );
    platform.edit("\"0\", \"0\"]", "\"30\", \"0\"]");
    let deploy = platform.begin(&["deploy"]);
    until("the migration", || (noted(&platform) == 1).then_some(()));
    let sleeping = until("its process", || {
        let all = platform.processes().into_iter();
        all.into_iter().find(|one| one.command.contains("bin/note"))
    });
    sleeping.kill();
    deploy.wait().exits(1).says(&["once"]);
    assert!(platform.front().starts_with("hello"));
    platform.edit("\"30\", \"0\"]", "\"0\", \"0\"]");
    platform.run(&["deploy"]).exits(0);
    assert!(platform.front().starts_with("good morning"));
}

#[test]
fn a_worker_finishes_what_it_has_in_hand() {
    let platform = Platform::shop("worker");
    platform.edit(
        "    stop: { grace: 30s }",
        "    env: { FAULT_WORK_MS: \"2000\" }\n    stop: { grace: 30s }",
    );
    platform.up();
    let answer = traffic::post_with(platform.port, "/orders", "item=tea").expect("an answer");
    assert!(answer.status < 300, "{answer:?}");
    let worker = until("the worker", || {
        let all = platform.processes().into_iter();
        let mut ours = all.filter(|one| one.command.ends_with("mainstay-sample worker"));
        ours.next_back()
    });
    // Its item takes two seconds, a new worker starts at once beside it.
    platform.edit("FAULT_WORK_MS: \"2000\"", "FAULT_WORK_MS: \"0\"");
    platform.run(&["deploy"]).exits(0);
    until("the end of the old one", || (!worker.runs()).then_some(()));
    until("the order", || {
        let list = get(platform.port, "/orders").ok()?.body;
        list.contains("1 tea done").then_some(())
    });
    let logs = platform.run(&["logs", "worker", "-n", "100"]).exits(0).out;
    assert!(logs.contains("1 is done"), "{logs}");
    assert!(!logs.contains("was cut off"), "{logs}");
}
