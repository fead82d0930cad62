//! Machines with fewer control groups: version 2 alone, and none, by taking mounts away for one platform.
//!
//! Where version 1 has the controllers, as here and there still, version 2 has none left to hold limits
//! with: what is shown of it is ending a whole group. Its limits are shown by files in process-io.

use mainstay_e2e::{Outcome, Platform, is_root, until};
use std::process::Command;

/// Leaves no control groups.
const NONE: &str = "umount -l /sys/fs/cgroup";

/// Leaves those of version 2.
const SECOND: &str = "awk '$3 == \"cgroup\" { print $2 }' /proc/mounts | xargs -r -n1 umount -l";

/// `mainstay` in a mount namespace of its own in which `less` was done first.
fn under(platform: &Platform, less: &str, words: &[&str]) -> Outcome {
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c"])
        .arg(format!("{less} && exec \"$@\""))
        .arg("sh")
        .arg(mainstay_e2e::platform::built("mainstay"))
        .args(words)
        .current_dir(platform.folder())
        .env("XDG_STATE_HOME", platform.folder().join("xdg"))
        .env_remove("MAINSTAY_STATE");
    platform.finish(command)
}

/// A program with limits that leaves children in sessions of their own.
fn platform(name: &str) -> Platform {
    let keys = "    run: ./bin/forks\n    artifact: [bin]\n    port: 3000
    ready: { path: /ready }\n    stop: { grace: 1s }
    size: { memory: 256Mi, cpu: 0.5 }";
    let platform = Platform::single(name, keys);
    platform.script("forks", "setsid sleep 3600 &\nexec ./bin/mainstay-sample");
    platform
}

fn sleeping(platform: &Platform) -> usize {
    let all = platform.processes().into_iter();
    all.filter(|process| process.command.starts_with("sleep 3600"))
        .count()
}

fn works(less: &str) -> bool {
    let tried = Command::new("unshare")
        .args(["-m", "sh", "-c", less])
        .status();
    let works = is_root() && tried.is_ok_and(|status| status.success());
    if !works {
        mainstay_e2e::say("skipped: mounts cannot be taken away here");
    }
    works
}

#[test]
fn without_control_groups_resource_limits_hold_what_they_can_and_why_says_so() {
    if !works(NONE) {
        return;
    }
    let platform = platform("rlimits");
    under(&platform, NONE, &["up"]).exits(0);
    platform.run(&["why", "web"]).exits(0).says(&[
        "memory by rlimit",
        "cpu held by nobody",
        "orphans cannot be excluded",
    ]);
    let pid = platform.steady()["services"][0]["instances"][0]["pid"].clone();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("a process");
    let data = limits
        .lines()
        .find(|line| line.starts_with("Max data size"));
    assert!(
        data.is_some_and(|line| line.contains("268435456")),
        "{limits}"
    );
    under(&platform, NONE, &["doctor"]).says(&["none may be made here", "by process group"]);
    until("the child", || (sleeping(&platform) == 1).then_some(()));
    platform.run(&["down"]).exits(0);
    assert_eq!(
        platform.processes(),
        vec![],
        "the shim inherits what leaves its group"
    );
}

#[test]
fn with_version_two_alone_a_killed_shim_leaves_no_orphan() {
    if !works(SECOND) || !std::path::Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists() {
        return;
    }
    let platform = platform("second");
    under(&platform, SECOND, &["up"]).exits(0);
    platform
        .run(&["why", "web"])
        .exits(0)
        .says(&["memory by", "ended as a whole by cgroup.kill"]);
    until("the child", || (sleeping(&platform) == 1).then_some(()));
    let orphan = platform.processes().into_iter();
    let mut orphan = orphan.filter(|process| process.command.starts_with("sleep 3600"));
    let orphan = orphan.next().expect("the child");
    platform.process("shim").kill();
    until("the end of what it held", || (!orphan.runs()).then_some(()));
    until("its successor", || (sleeping(&platform) == 1).then_some(()));
    platform.steady();
    platform.run(&["down"]).exits(0);
    assert_eq!(platform.processes(), vec![]);
}
