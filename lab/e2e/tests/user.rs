//! Whose rights services have: users of their own under root, the same one otherwise, and always told.

use mainstay_e2e::{Platform, is_root, until};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// Somebody who is nobody in particular.
const SOMEBODY: u32 = 54_321;

#[test]
fn below_a_closed_folder_each_service_has_a_user_of_its_own() {
    if !is_root() {
        return;
    }
    let platform = Platform::new("users");
    fs::set_permissions(platform.folder(), fs::Permissions::from_mode(0o700)).expect("a mode");
    platform.up();
    let status = platform.steady();
    let mut users = Vec::new();
    for service in status["services"].as_array().expect("services") {
        let instances = service["instances"].as_array().expect("instances");
        let mut own: Vec<u32> = instances
            .iter()
            .map(|one| {
                let pid = one["pid"].as_u64().expect("a pid");
                let meta = fs::metadata(format!("/proc/{pid}")).expect("a process");
                let said = one["user"].as_str().expect("whose rights it has");
                let uid = meta.uid();
                assert!(said.starts_with(&format!("as user {uid}, ")), "{said}");
                uid
            })
            .collect();
        own.dedup();
        assert_eq!(own.len(), 1, "one user a service: {own:?}");
        assert!((70_000..80_000).contains(&own[0]), "{own:?}");
        users.extend(own);
    }
    users.dedup();
    assert_eq!(users.len(), 2, "{users:?}");
    assert!(platform.front().starts_with("hello from web v1"));
    platform.run(&["why", "web"]).exits(0).says(&[
        "runs",
        "as user 7",
        "it sees only its own folders",
    ]);
    platform.run(&["down"]).exits(0);
    platform.up();
    let again = platform.steady();
    assert_eq!(
        again["services"][0]["instances"][0]["user"], status["services"][0]["instances"][0]["user"],
        "the same user every time"
    );
}

#[test]
fn somebody_who_is_not_root_runs_everything_as_themselves_and_is_told() {
    if !is_root() {
        return;
    }
    let platform = Platform::single(
        "somebody",
        "    run: ./bin/mainstay-sample\n    port: 3000\n    ready: { path: /ready }",
    );
    let binary = platform.folder().join("mainstay");
    fs::copy(mainstay_e2e::platform::built("mainstay"), &binary).expect("a copy");
    give(platform.folder());
    let run = |words: &[&str]| {
        let mut command = Command::new(&binary);
        command
            .args(words)
            .current_dir(platform.folder())
            .env("HOME", platform.folder())
            .env_remove("XDG_STATE_HOME")
            .env_remove("MAINSTAY_STATE")
            .uid(SOMEBODY)
            .gid(SOMEBODY);
        platform.finish(command)
    };
    run(&["up"]).exits(0);
    let status = until("a steady platform", || {
        let status = run(&["status", "--json"]).exits(0).json();
        mainstay_e2e::is_steady(&status).then_some(status)
    });
    let one = &status["services"][0]["instances"][0];
    let pid = one["pid"].as_u64().expect("a pid");
    let meta = fs::metadata(format!("/proc/{pid}")).expect("a process");
    assert_eq!(meta.uid(), SOMEBODY);
    let said = one["user"].as_str().expect("whose rights it has");
    assert!(
        said.starts_with("as user 54321 like every service"),
        "{said}"
    );
    run(&["why", "web"]).exits(0).says(&["as user 54321"]);
    run(&["doctor"]).says(&["as user 54321"]);
    let greeting = |words: &[&str]| {
        run(words).exits(0);
        platform.front()
    };
    let set = "services.web.env.GREETING=good morning";
    assert!(greeting(&["deploy", "--set", set]).starts_with("good morning from web v2"));
    assert!(greeting(&["rollback"]).contains("from web v3"));
    // A program of its own user may take over; one of a stranger may not.
    let next = platform.folder().join("next");
    let mut bytes = fs::read(&binary).expect("the program");
    bytes.push(0);
    fs::write(&next, bytes).expect("a program");
    fs::set_permissions(&next, fs::Permissions::from_mode(0o755)).expect("a mode");
    lchown(&next, Some(SOMEBODY + 1), None).expect("root gives");
    run(&["upgrade", "next"])
        .exits(1)
        .says(&["belongs neither to root"]);
    lchown(&next, Some(SOMEBODY), None).expect("root gives");
    assert!(greeting(&["upgrade", "next"]).contains("from web v3"));
    run(&["down"]).exits(0);
    assert_eq!(platform.processes(), vec![]);
}

/// A platform whose control plane was started as root without one capability; what `why web` says, and
/// what wants attention.
fn without(capability: &str) -> Option<(String, String)> {
    if !is_root() || Command::new("setpriv").arg("--version").output().is_err() {
        return None;
    }
    let keys = "    run: ./bin/mainstay-sample\n    port: 3000\n    ready: { path: /ready }";
    let platform = Platform::single("lacks", keys);
    let mut command = Command::new("setpriv");
    command
        .arg("--bounding-set")
        .arg(format!("-{capability}"))
        .arg(mainstay_e2e::platform::built("mainstay"))
        .arg("up")
        .current_dir(platform.folder())
        .env("XDG_STATE_HOME", platform.folder().join("xdg"))
        .env_remove("MAINSTAY_STATE");
    platform.finish(command).exits(0);
    let attention = platform.steady()["attention"].to_string();
    assert!(platform.front().starts_with("hello from web v1"));
    Some((platform.run(&["why", "web"]).exits(0).out, attention))
}

#[test]
fn where_no_view_can_be_made_the_working_folder_serves_and_why_says_so() {
    if let Some((why, attention)) = without("sys_admin") {
        assert!(
            why.contains("as user 7") && why.contains("reached only by relative paths"),
            "{why}"
        );
        assert_eq!(attention, "[]");
    }
}

#[test]
fn where_no_user_can_be_given_root_is_never_silent() {
    if let Some((why, attention)) = without("setuid") {
        for told in [why, attention] {
            assert!(told.contains("as root: CAP_SETUID is missing"), "{told}");
        }
    }
}

#[test]
fn the_capabilities_of_an_installed_unit_suffice() {
    if !is_root() || Command::new("setpriv").arg("--version").output().is_err() {
        return;
    }
    let keys = "    run: ./bin/mainstay-sample\n    port: 3000\n    ready: { path: /ready }";
    let platform = Platform::single("bounded", keys);
    let shown = platform.run(&["install", "--dry-run"]).exits(0).out;
    let held = shown
        .lines()
        .find_map(|line| line.trim().strip_prefix("CapabilityBoundingSet="));
    let held = held.expect("the unit names them").to_ascii_lowercase();
    let held: Vec<String> = held
        .split(' ')
        .map(|name| format!("+{}", name.trim_start_matches("cap_")))
        .collect();
    let mut command = Command::new("setpriv");
    command
        .arg("--bounding-set")
        .arg(format!("-all,{}", held.join(",")))
        .arg("--no-new-privs")
        .arg(mainstay_e2e::platform::built("mainstay"))
        .arg("up")
        .current_dir(platform.folder())
        .env("XDG_STATE_HOME", platform.folder().join("xdg"))
        .env_remove("MAINSTAY_STATE");
    platform.finish(command).exits(0);
    let why = platform.run(&["why", "web"]).exits(0).out;
    assert!(
        why.contains("as user 7") && why.contains("sees only its own folders"),
        "{why}"
    );
    assert_eq!(platform.steady()["attention"].to_string(), "[]");
    assert!(platform.front().starts_with("hello from web v1"));
}

/// Everything below a folder becomes theirs.
fn give(folder: &Path) {
    lchown(folder, Some(SOMEBODY), Some(SOMEBODY)).expect("root gives");
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            give(&entry.path());
        } else {
            lchown(entry.path(), Some(SOMEBODY), Some(SOMEBODY)).expect("root gives");
        }
    }
}
