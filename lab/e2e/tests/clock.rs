//! The clock jumps an hour in the middle of a deploy: nothing is given up or cut short, and the ledger holds.
//!
//! The clock is moved for the control plane alone, by Debian's `faketime`; gateway, shims and programs
//! keep the machine's.

use mainstay_e2e::{Load, Platform, Process, get, until};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The library that stands between a program and its clock, where it is installed.
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut places = folders.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    places.find(|path| path.is_file())
}

/// A control plane whose clock goes by a file.
struct Clock {
    file: PathBuf,
    now: &'static str,
}

impl Clock {
    /// Ends the control plane and starts another one under this clock.
    fn take(platform: &Platform, library: &PathBuf, monotonic: bool) -> Self {
        let clock = Self {
            file: platform.folder().join("clock"),
            now: "+0",
        };
        clock.write();
        platform.process("serve").kill();
        let mut command: Command = platform.command(&["up"]);
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", &clock.file)
            .env("FAKETIME_NO_CACHE", "1");
        if !monotonic {
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        platform.finish(command).exits(0);
        let serve = platform.process("serve");
        let maps = fs::read_to_string(format!("/proc/{}/maps", serve.pid)).expect("its maps");
        assert!(maps.contains("libfaketime"), "its clock can be moved");
        clock
    }

    /// Replaced as a whole, because it is read all the time.
    fn write(&self) {
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{}\n", self.now)).expect("a file");
        fs::rename(&new, &self.file).expect("a rename");
    }

    fn jump(&mut self, to: &'static str) {
        self.now = to;
        self.write();
    }
}

/// The newest time in the ledger's releases, in milliseconds since 1970.
fn made(platform: &Platform) -> u64 {
    platform.history()[0]["at"].as_u64().expect("a time")
}

fn entries(platform: &Platform) -> u64 {
    let verified = platform.run(&["ledger", "verify", "--json"]).exits(0);
    verified.json()["entries"].as_u64().expect("a count")
}

fn deploys_through(jumps: &[&'static str], monotonic: bool) {
    let Some(library) = library() else {
        return mainstay_e2e::say("skipped: `faketime` is not installed");
    };
    let platform = Platform::new("clock");
    platform.edit(
        "GREETING: hello",
        "GREETING: hello\n      FAULT_READY_AFTER_MS: \"700\"",
    );
    platform.up();
    let workloads = platform.workloads();
    let gateway = platform.process("gateway");
    let mut clock = Clock::take(&platform, &library, monotonic);
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
