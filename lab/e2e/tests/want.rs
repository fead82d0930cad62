//! What a control plane wants and does not get: its sockets, file descriptors.

use mainstay_e2e::{Load, Platform, Process, until};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

fn sockets(platform: &Platform) -> Vec<PathBuf> {
    let entries = fs::read_dir(platform.state().join("run"))
        .into_iter()
        .flatten();
    let paths = entries.flatten().map(|entry| entry.path());
    paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "sock"))
        .collect()
}

#[test]
fn deleted_sockets_are_made_anew_and_nobody_is_restarted() {
    let platform = Platform::new("sockets");
    platform.up();
    let workloads = platform.workloads();
    let processes = ["serve", "gateway"].map(|word| platform.process(word));
    let load = Load::start(platform.port, "/", 2);
    load.more(20);
    let deleted = sockets(&platform);
    // The control plane, three shims, and the gateway by its name and by its number.
    assert_eq!(deleted.len(), 6, "{deleted:?}");
    for socket in &deleted {
        fs::remove_file(socket).expect("a socket");
    }
    platform.run(&["status"]).exits(0);
    assert_eq!(platform.workloads(), workloads);
    // Every one of them is needed now: the gateway's to publish, the shims' to stop.
    platform.edit("GREETING: hello", "GREETING: good morning");
    platform.run(&["deploy"]).exits(0).says(&["v2 serves"]);
    until("the end of what served before", || {
        let left = workloads.iter().filter(|one| one.runs()).count();
        (left == 1).then_some(())
    });
    load.more(20);
    load.stop_without_failure();
    assert_eq!(
        ["serve", "gateway"].map(|word| platform.process(word)),
        processes
    );
    fs::remove_dir_all(platform.state().join("run")).expect("the folder of the sockets");
    platform.run(&["why", "web"]).exits(0);
    platform.run(&["down"]).exits(0);
    assert_eq!(platform.processes(), vec![]);
}

#[test]
fn a_control_plane_that_cannot_be_reached_is_named_and_none_is_put_beside_it() {
    let platform = Platform::single(
        "mute",
        "    run: ./bin/mainstay-sample\n    port: 3000\n    ready: { path: /ready }",
    );
    platform.up();
    let serve = platform.process("serve");
    serve.signal(rustix::process::Signal::STOP);
    fs::remove_file(platform.state().join("run/control.sock")).expect("its socket");
    let pid = serve.pid.to_string();
    for word in ["status", "up"] {
        platform
            .run(&[word])
            .exits(2)
            .says(&["runs as pid", &pid, "was deleted", "hint:"]);
    }
    serve.signal(rustix::process::Signal::CONT);
    platform.run(&["status"]).exits(0);
}

/// Bounds the files that a process may hold open; it was allowed so many before.
fn bound(process: &Process, most: u64) -> u64 {
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
    let limit = Rlimit {
        current: Some(most),
        maximum: prlimit_of(pid).maximum,
    };
    let before = prlimit(pid, Resource::Nofile, limit).expect("root bounds others");
    before.current.unwrap_or(1 << 20)
}

fn prlimit_of(pid: Option<Pid>) -> Rlimit {
    let text = pid.map(|pid| fs::read_to_string(format!("/proc/{}/limits", pid.as_raw_nonzero())));
    let text = text.and_then(Result::ok).unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let mut numbers = line.into_iter().flat_map(str::split_whitespace);
    let mut number = || numbers.next().and_then(|word| word.parse().ok());
    Rlimit {
        current: number(),
        maximum: number(),
    }
}

/// The limit under which a process can open `count` more files at a time: so many numbers below it are free
/// of those it holds all the time.
fn room_for(process: &Process, count: usize) -> u64 {
    let folder = format!("/proc/{}/fd", process.pid);
    let open = || -> BTreeSet<u64> {
        let files = fs::read_dir(&folder).into_iter().flatten().flatten();
        files
            .filter_map(|file| file.file_name().to_str()?.parse().ok())
            .collect()
    };
    let mut held = open();
    for _ in 0..100 {
        held = held.intersection(&open()).copied().collect();
    }
    let last_free = (0..).filter(|number| !held.contains(number)).nth(count - 1);
    last_free.map_or(0, |number| number + 1)
}

#[test]
fn a_control_plane_without_file_descriptors_waits_says_so_and_goes_on_once_it_has_some() {
    let platform = Platform::new("files");
    platform.edit(
        "GREETING: hello",
        "GREETING: hello\n      FAULT_READY_AFTER_MS: \"700\"",
    );
    platform.edit("path: /ready }", "path: /ready, every: 100ms }");
    platform.edit("path: /healthz }", "path: /healthz, every: 100ms }");
    platform.up();
    let workloads = platform.workloads();
    let serve = platform.process("serve");
    let load = Load::start(platform.port, "/", 2);
    load.more(20);
    platform.edit("GREETING: hello", "GREETING: good morning");
    let deploy = platform.begin(&["deploy"]);
    until("a new instance", || {
        let status = platform.status()?.to_string();
        status.contains("web.v2.1").then_some(())
    });
    // One file at a time, for which everybody in it competes: a folder may be opened, nothing in it read.
    let before = bound(&serve, room_for(&serve, 1));
    load.more(1000);
    // From here on nothing can be opened: no socket accepted, no probe sent, no process started.
    bound(&serve, 3);
    load.more(400);
    platform.run(&["doctor"]).exits(1).says(&[
        "files",
        "the control plane holds",
        "of 3 that it may",
        "fix: ",
    ]);
    load.more(400);
    bound(&serve, before);
    deploy.wait().exits(0).says(&["v2 serves"]);
    // Of the old ones the service that did not change was never restarted.
    until("the end of what served before", || {
        let left = workloads.iter().filter(|one| one.runs()).count();
        (left == 1 && platform.workloads().len() == 3).then_some(())
    });
    load.more(20);
    load.stop_without_failure();
    assert_eq!(platform.process("serve"), serve);
    platform
        .run(&["ledger", "verify"])
        .exits(0)
        .says(&["complete, unaltered"]);
}
