//! Everything that can be killed is killed: what is left goes on, and what comes back finds its place.

use mainstay_e2e::platform::{free_port, pids};
use mainstay_e2e::{Load, Platform, Process, until};
use std::fs;
use std::net::TcpListener;
use std::path::Path;

fn running(name: &str) -> (Platform, Vec<Process>) {
    let platform = Platform::new(name);
    platform.up();
    let workloads = platform.workloads();
    assert_eq!(workloads.len(), 3);
    (platform, workloads)
}

fn slow(name: &str) -> (Platform, Vec<Process>) {
    let platform = Platform::new(name);
    platform.edit(
        "GREETING: hello",
        "GREETING: hello\n      FAULT_READY_AFTER_MS: \"1500\"",
    );
    platform.up();
    let workloads = platform.workloads();
    (platform, workloads)
}

fn parent(process: &Process) -> Process {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid)).unwrap_or_default();
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let pid = after
        .split_whitespace()
        .nth(1)
        .and_then(|pid| pid.parse().ok());
    pid.and_then(Process::of).expect("its parent runs")
}

/// The workloads of `web`, without those of `api`.
fn of_web(platform: &Platform) -> Vec<u32> {
    let status = platform.steady();
    let web = serde_json::json!({ "services": [status["services"][1]] });
    assert_eq!(status["services"][1]["name"], "web");
    pids(&web)
}

/// Waits until three workloads run and `gone` is not one of them.
fn healed(platform: &Platform, gone: &Process) -> Vec<Process> {
    until("a new instance", || {
        let now = platform.workloads();
        (now.len() == 3 && !now.contains(gone)).then_some(now)
    })
}

#[test]
fn without_a_control_plane_traffic_goes_on_and_up_takes_over_what_runs() {
    let (platform, workloads) = running("control");
    let (gateway, serve) = (platform.process("gateway"), platform.process("serve"));
    let load = Load::start(platform.port, "/", 2);
    load.more(20);
    serve.kill();
    load.more(100);
    platform.run(&["status"]).exits(1).says(&["mainstay up"]);
    platform.run(&["up"]).exits(0);
    assert_eq!(platform.workloads(), workloads);
    assert_eq!(platform.process("gateway"), gateway);
    assert_ne!(platform.process("serve"), serve);
    load.more(20);
    load.stop_without_failure();
    assert_eq!(platform.history().len(), 1);
}

fn entries(platform: &Platform) -> u64 {
    let verified = platform.run(&["ledger", "verify", "--json"]);
    (verified.code == 0)
        .then(|| verified.json()["entries"].as_u64())
        .flatten()
        .unwrap_or(0)
}

#[test]
fn a_deploy_goes_on_after_its_control_plane_was_killed_wherever_it_stood() {
    let (platform, _) = running("midway");
    let load = Load::start(platform.port, "/", 2);
    for (turn, points) in [1..4, 4..9, 9..16].into_iter().enumerate() {
        let (old, new) = (format!("release {turn}"), format!("release {}", turn + 1));
        let old = if turn == 0 { "GREETING: hello" } else { &old };
        let new = if turn == 0 {
            format!("GREETING: {new}")
        } else {
            new
        };
        platform.edit(old, &new);
        let after = fastrand::u64(points);
        let target = entries(&platform) + after;
        let serve = platform.process("serve");
        let deploy = platform.begin(&["deploy"]);
        until(&format!("entry {after} of deploy {turn}"), || {
            (entries(&platform) >= target).then_some(())
        });
        serve.kill();
        // It says that its control plane is gone, unless it was done before.
        drop(deploy.wait());
        platform.up();
        let served = until(&format!("the release after a kill at {after}"), || {
            let status = platform.steady();
            (status["release"] == format!("v{}", turn + 2)).then_some(status)
        });
        assert_eq!(served["services"][1]["ready"], 2);
        let said = new.trim_start_matches("GREETING: ").to_owned();
        assert!(
            platform.front().starts_with(&said),
            "{} {after}",
            platform.front()
        );
        until("the end of what served before", || {
            (platform.workloads().len() == 3).then_some(())
        });
    }
    load.stop_without_failure();
    assert_eq!(platform.json(&["ledger", "verify"])["ok"], true);
}

#[test]
fn a_killed_gateway_comes_back_and_nothing_else_notices() {
    let (platform, workloads) = running("gateway");
    let serve = platform.process("serve");
    let load = Load::start(platform.port, "/", 4);
    load.more(20);
    let gateway = platform.process("gateway");
    gateway.kill();
    load.more(100);
    assert_ne!(platform.process("gateway"), gateway);
    assert_eq!(platform.workloads(), workloads);
    assert_eq!(platform.process("serve"), serve);
    let failures = load.stop();
    assert!(failures.len() <= 4, "only what was in flight: {failures:?}");
}

#[test]
fn a_killed_gateway_without_a_control_plane_is_back_after_up() {
    let (platform, workloads) = running("both");
    platform.process("serve").kill();
    platform.process("gateway").kill();
    platform.up();
    until("an answer", || {
        mainstay_e2e::get(platform.port, "/")
            .ok()
            .filter(|answer| answer.status == 200)
    });
    assert_eq!(platform.workloads(), workloads);
}

#[test]
fn a_killed_shim_takes_its_workload_with_it_and_is_replaced() {
    let (platform, workloads) = running("shim");
    let shim = parent(&workloads[0]);
    assert!(shim.command.contains(" shim"), "{shim:?}");
    shim.kill();
    until("the end of its workload", || {
        (!workloads[0].runs()).then_some(())
    });
    let now = healed(&platform, &workloads[0]);
    let same = workloads[1..].iter().all(|one| now.contains(one));
    assert!(same, "the others go on: {workloads:?} {now:?}");
}

#[test]
fn a_killed_instance_is_told_and_replaced_and_the_other_serves() {
    let (platform, workloads) = slow("instance");
    let web = of_web(&platform);
    let gone = Process::of(web[0]).expect("an instance");
    gone.kill();
    let told = until("a word about it", || {
        let why = platform.run(&["why", "web", "--json"]);
        let why = (why.code == 0).then(|| why.json())?;
        why["summary"]
            .as_str()?
            .contains("1 of 2 ready")
            .then_some(why)
    });
    assert!(told["facts"].to_string().contains("web.v1"), "{told}");
    assert!(platform.front().starts_with("hello from web v1"));
    let now = healed(&platform, &gone);
    let others = workloads.iter().filter(|one| **one != gone);
    for other in others {
        assert!(now.contains(other), "{other:?} goes on");
    }
    assert_eq!(platform.history().len(), 1, "healing is no release");
}

#[test]
fn after_everything_was_killed_up_brings_it_back() {
    let (platform, workloads) = running("all");
    platform.kill_everything();
    platform.run(&["up"]).exits(0);
    let now = platform.workloads();
    assert_eq!(now.len(), 3);
    assert!(workloads.iter().all(|one| !now.contains(one)));
    assert!(platform.front().starts_with("hello from web v1"));
    assert_eq!(platform.history().len(), 1);
}

#[test]
fn a_second_control_plane_is_refused_with_the_pid_of_the_first() {
    let (platform, workloads) = running("second");
    let serve = platform.process("serve");
    let refused = platform.run(&["serve"]).exits(1);
    refused.says(&[
        "another control plane holds this state",
        &format!("pid {}", serve.pid),
        "hint:",
    ]);
    assert_eq!(platform.process("serve"), serve);
    assert_eq!(platform.workloads(), workloads);
}

/// Waits until the last entry is signed for, here and at the anchor outside the state folder.
fn signed(platform: &Platform) {
    until("a checkpoint over all entries", || {
        let verified = platform.run(&["ledger", "verify", "--json"]);
        let verified = (verified.code == 0).then(|| verified.json())?;
        (verified["checkpoint"]["size"] == verified["entries"]).then_some(())
    });
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

#[test]
fn an_older_copy_of_the_state_halts_changes_and_not_traffic() {
    let (platform, _) = running("older");
    let (ledger, older) = (
        platform.state().join("ledger"),
        platform.folder().join("older"),
    );
    platform.process("serve").kill();
    copy(&ledger, &older);
    platform.up();
    platform.edit("GREETING: hello", "GREETING: good morning");
    platform.run(&["deploy"]).exits(0);
    let workloads = platform.workloads();
    signed(&platform);
    platform.process("serve").kill();
    fs::remove_dir_all(&ledger).expect("removed");
    copy(&older, &ledger);
    platform.run(&["up"]);
    let status = until("a status", || platform.status());
    assert_eq!(status["phase"], "halted", "{status}");
    assert!(
        status["attention"].to_string().contains("checkpoint"),
        "{status}"
    );
    assert!(platform.front().starts_with("good morning from web v2"));
    platform.edit("good morning", "good evening");
    let refused = platform.run(&["deploy", "--json"]).exits(4).json();
    assert_eq!(refused["errors"][0]["code"], "halted", "{refused}");
    platform.run(&["rollback"]).exits(4);
    assert!(platform.front().starts_with("good morning from web v2"));
    assert!(workloads.iter().all(Process::runs), "nobody was touched");
}

#[test]
fn folders_that_can_be_made_anew_may_be_deleted() {
    let (platform, _) = running("half");
    platform.run(&["down"]).exits(0);
    for name in ["run", "logs", "instances"] {
        fs::remove_dir_all(platform.state().join(name)).expect("removed");
    }
    platform.run(&["up"]).exits(0);
    assert_eq!(platform.steady()["release"], "v1");
    assert!(platform.front().starts_with("hello from web v1"));
}

#[test]
fn a_deleted_ledger_is_no_first_visit() {
    let (platform, workloads) = running("ledger");
    signed(&platform);
    platform.process("serve").kill();
    fs::remove_dir_all(platform.state().join("ledger")).expect("removed");
    let told = platform.run(&["up"]);
    assert_ne!(told.code, 0, "{told:?}");
    assert!(platform.front().starts_with("hello from web v1"));
    assert!(workloads.iter().all(Process::runs), "nobody was touched");
}

#[test]
fn a_release_whose_record_is_gone_is_named() {
    let (platform, workloads) = running("record");
    platform.process("serve").kill();
    fs::remove_dir_all(platform.state().join("plans")).expect("removed");
    platform.run(&["up"]).exits(2).says(&["v1", "hint:"]);
    assert!(platform.front().starts_with("hello from web v1"));
    assert!(workloads.iter().all(Process::runs), "nobody was touched");
}

#[test]
fn a_kept_plan_is_executed_as_it_is_and_refused_once_something_moved() {
    let (platform, _) = running("plan");
    platform.edit("GREETING: hello", "GREETING: good morning");
    platform.run(&["plan", "--out", "kept.plan"]).exits(3);
    platform.run(&["plan", "--out", "other.plan"]).exits(3);
    platform
        .run(&["apply", "kept.plan"])
        .exits(0)
        .says(&["v2 serves"]);
    assert!(platform.front().starts_with("good morning from web v2"));
    let workloads = platform.workloads();
    let refused = platform.run(&["apply", "other.plan"]).exits(1);
    refused.says(&[
        "no longer fits",
        "v1 served then, v2 serves now",
        "mainstay plan --out",
    ]);
    assert_eq!(platform.workloads(), workloads);
}

/// Begins a deploy that cannot get ready, and waits until its first instance is there.
fn stuck(platform: &Platform) -> mainstay_e2e::platform::Begun {
    platform.edit(
        "GREETING: hello",
        "GREETING: never\n      FAULT_UNREADY: \"1\"",
    );
    let deploy = platform.begin(&["deploy"]);
    until("its first instance", || {
        let status = platform.status()?;
        status.to_string().contains("web.v2.1").then_some(())
    });
    deploy
}

#[test]
fn an_aborted_deploy_leaves_what_served() {
    let (platform, workloads) = running("abort");
    let deploy = stuck(&platform);
    platform.run(&["why", "web"]).exits(0).says(&["web.v2"]);
    platform
        .run(&["abort"])
        .exits(0)
        .says(&["v2 is aborted", "v1 serves as before"]);
    deploy.wait().exits(1).says(&["aborted"]);
    until("the end of what was tried", || {
        (platform.workloads() == workloads).then_some(())
    });
    assert_eq!(platform.history()[0]["state"], "aborted");
    assert!(platform.front().starts_with("hello from web v1"));
    platform
        .run(&["abort"])
        .exits(1)
        .says(&["nothing is under way"]);
}

#[test]
fn a_retry_ships_what_failed_once_the_cause_is_gone() {
    let (platform, _) = running("retry");
    let port = free_port();
    let stranger = TcpListener::bind(("0.0.0.0", port)).expect("a free port");
    platform.edit(
        &format!("http: {}", platform.port),
        &format!("http: {port}"),
    );
    platform.run(&["deploy"]).exits(1).says(&["v2 failed"]);
    drop(stranger);
    platform.run(&["retry"]).exits(0).says(&["v3 serves"]);
    assert_eq!(platform.history()[0]["of"], "v2");
    let answer = mainstay_e2e::get(port, "/").expect("the new port answers");
    assert!(answer.body.starts_with("hello from web"), "{}", answer.body);
    platform
        .run(&["retry"])
        .exits(1)
        .says(&["no release has failed"]);
}

#[test]
fn of_two_deploys_the_newest_wins() {
    let (platform, _) = running("two");
    let load = Load::start(platform.port, "/", 2);
    let first = stuck(&platform);
    platform.edit(
        "GREETING: never\n      FAULT_UNREADY: \"1\"",
        "GREETING: newest",
    );
    platform.run(&["deploy"]).exits(0).says(&["v3 serves"]);
    first.wait().exits(1).says(&["superseded"]);
    assert!(platform.front().starts_with("newest from web v3"));
    let rows = platform.history();
    assert_eq!(
        (&rows[0]["state"], &rows[1]["state"]),
        (&"serving".into(), &"superseded".into())
    );
    load.more(20);
    load.stop_without_failure();
}
