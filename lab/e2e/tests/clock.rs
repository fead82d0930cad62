//! The clock jumps an hour in the middle of a deploy: nothing is given up or cut short, and the ledger holds.

use mainstay_e2e::clock::{Clock, library};
use mainstay_e2e::{Load, Platform, Process, get, until};

/// The newest time in the ledger's releases, in milliseconds since 1970.
fn made(platform: &Platform) -> u64 {
    platform.history()[0]["at"].as_u64().expect("a time")
}

fn entries(platform: &Platform) -> u64 {
    let verified = platform.run(&["ledger", "verify", "--json"]).exits(0);
    verified.json()["entries"].as_u64().expect("a count")
}

fn deploys_through(jumps: &[&str], monotonic: bool) {
    let Some(library) = library() else {
        return;
    };
    let platform = Platform::new("clock");
    platform.edit(
        "GREETING: hello",
        "GREETING: hello\n      FAULT_READY_AFTER_MS: \"700\"",
    );
    platform.up();
    let workloads = platform.workloads();
    let gateway = platform.process("gateway");
    let mut clock = Clock::new(&platform, library);
    clock.monotonic = monotonic;
    platform.process("serve").kill();
    clock.up(&platform);
    assert_eq!(platform.workloads(), workloads, "all taken over");
    let load = Load::start(platform.port, "/", 2);
    load.more(20);
    let port = platform.port;
    // In flight at an old instance while its successor comes and the clock jumps.
    let slow = std::thread::spawn(move || get(port, "/slow?ms=4000"));
    platform.edit("GREETING: hello", "GREETING: good morning");
    let before = entries(&platform);
    let deploy = platform.begin(&["deploy"]);
    for (turn, jump) in (1..).zip(jumps) {
        let target = before + turn * 6;
        until(&format!("entry {target}"), || {
            (entries(&platform) >= target).then_some(())
        });
        clock.jump(jump);
    }
    deploy.wait().exits(0).says(&["v2 serves"]);
    let slow = slow.join().expect("no panic").expect("an answer");
    assert_eq!(slow.status, 200, "{}", slow.body);
    until("the release that was shipped", || {
        let front = platform.front();
        front.starts_with("good morning from web v2").then_some(())
    });
    until("the end of what served before", || {
        let old = workloads
            .iter()
            .filter(|one| one.command.contains("sample"));
        (platform.workloads().len() == 3 && old.filter(|one| Process::runs(one)).count() <= 1)
            .then_some(())
    });
    load.more(20);
    load.stop_without_failure();
    assert_eq!(platform.process("gateway"), gateway);
    // A release that is made now carries the moved clock: it was moved for real.
    let real = made(&platform);
    platform.edit("good morning", "good evening");
    clock.jump("+3h");
    platform.run(&["deploy"]).exits(0);
    assert!(made(&platform) > real + 3_600_000, "the clock was moved");
    // Back to the machine's clock, which is now hours before the newest entries.
    platform.process("serve").kill();
    platform.up();
    assert_eq!(platform.steady()["release"], "v3");
    platform.edit("good evening", "good night");
    platform.run(&["deploy"]).exits(0);
    platform
        .run(&["ledger", "verify"])
        .exits(0)
        .says(&["complete, unaltered"]);
}

#[test]
fn the_civil_clock_jumps_an_hour_forward_and_back_during_a_deploy() {
    deploys_through(&["+1h", "-1h"], false);
}

#[test]
fn every_clock_of_the_control_plane_jumps_an_hour_forward_during_a_deploy() {
    // No kernel turns a monotonic clock back, so this one only goes forward.
    deploys_through(&["+1h"], true);
}
