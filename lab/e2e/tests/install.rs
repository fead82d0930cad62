//! `install`: what it would do, done below a folder of the test's own, twice, and over something else.

use mainstay_e2e::{Platform, say};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root(platform: &Platform) -> PathBuf {
    platform.folder().join("root")
}

fn below(platform: &Platform, path: &Path) -> PathBuf {
    root(platform).join(path.strip_prefix("/").unwrap_or(path))
}

fn installed(platform: &Platform, more: &[&str]) -> mainstay_e2e::Outcome {
    let root = root(platform).display().to_string();
    let mut words = vec!["install", "--root", &root];
    words.extend(more);
    platform.run(&words)
}

fn unit(platform: &Platform) -> PathBuf {
    let units = below(platform, Path::new("/etc/systemd/system"));
    let entries = fs::read_dir(units).expect("the folder of units").flatten();
    let units: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    assert_eq!(units.len(), 1, "{units:?}");
    units[0].clone()
}

#[test]
fn a_dry_run_shows_everything_and_changes_nothing() {
    let platform = Platform::new("dry");
    let shown = platform.run(&["install", "--dry-run"]).exits(0).says(&[
        "program  /usr/local/bin/mainstay from",
        "command  groupadd --system --force mainstay",
        "folder   /var/lib/mainstay-anchors (0700)",
        "/etc/systemd/system/mainstay-dry-",
        "    KillMode=process",
        "    Delegate=yes",
        "    NoNewPrivileges=yes",
        "command  systemctl enable --now mainstay-dry-",
    ]);
    assert!(
        shown
            .out
            .contains(&format!("link     {}", platform.folder().display()))
    );
    let rows = platform.json(&["install", "--dry-run"]);
    assert_eq!(rows.as_array().map(Vec::len), Some(9), "{rows}");
    let left = platform.folder().join(".mainstay");
    assert!(fs::symlink_metadata(&left).is_err(), "nothing was made");
    assert!(
        !Path::new("/etc/systemd/system")
            .join(unit_name(&platform))
            .exists()
    );
}

fn unit_name(platform: &Platform) -> String {
    let text = fs::read_to_string(platform.file()).expect("the file");
    let name = text.lines().find_map(|line| line.strip_prefix("name: "));
    format!("mainstay-{}-default.service", name.expect("a name"))
}

#[test]
fn twice_is_once_and_something_else_is_shown_and_kept() {
    let platform = Platform::new("twice");
    installed(&platform, &[]).exits(0).says(&["is installed"]);
    let program = below(&platform, Path::new("/usr/local/bin/mainstay"));
    let mode = fs::metadata(&program)
        .expect("the program")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o755);
    let unit = unit(&platform);
    assert_eq!(
        unit.file_name().and_then(|name| name.to_str()),
        Some(&*unit_name(&platform))
    );
    let link = fs::read_link(below(&platform, &platform.folder().join(".mainstay")));
    assert!(link.expect("a link").starts_with("/var/lib/mainstay"));
    let again = installed(&platform, &["--json"]).exits(0).json();
    let changed = again["changed"].as_array().expect("a list");
    let command =
        |row: &&serde_json::Value| row.as_str().is_some_and(|row| row.starts_with("command"));
    assert!(changed.iter().all(|row| command(&row)), "{again}");
    // Somebody else's line is shown, and stays until it is given up.
    let text = fs::read_to_string(&unit).expect("the unit");
    let other = text.replace("RestartSec=1s", "RestartSec=9s");
    assert_ne!(text, other);
    fs::write(&unit, &other).expect("written");
    installed(&platform, &[])
        .exits(1)
        .says(&["- RestartSec=9s", "+ RestartSec=1s", "--yes"]);
    assert_eq!(fs::read_to_string(&unit).expect("the unit"), other);
    installed(&platform, &["--yes"]).exits(0);
    assert_eq!(fs::read_to_string(&unit).expect("the unit"), text);
}

#[test]
fn a_state_beside_the_file_is_not_covered() {
    let platform = Platform::new("beside");
    let held = below(&platform, &platform.folder().join(".mainstay"));
    fs::create_dir_all(&held).expect("a folder");
    installed(&platform, &[])
        .exits(1)
        .says(&["holds a state already", "mainstay down"]);
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit_and_little_exposed() {
    let platform = Platform::new("verified");
    installed(&platform, &[]).exits(0);
    let unit = unit(&platform);
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        say("skipped: no systemd-analyze");
        return;
    }
    // It looks for the program that the unit starts.
    let text = fs::read_to_string(&unit).expect("the unit");
    let program = below(&platform, Path::new("/usr/local/bin/mainstay"));
    let own = text.replace("/usr/local/bin/mainstay", &program.display().to_string());
    fs::write(&unit, own).expect("written");
    let ask = |words: &[&str]| {
        let output = Command::new("systemd-analyze")
            .args(words)
            .arg(&unit)
            .output();
        let output = output.expect("systemd-analyze runs");
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    let (fine, said) = ask(&["verify", "--man=no"]);
    let ours = said.lines().any(|line| line.contains("mainstay"));
    assert!(fine && !ours, "{said}");
    // Without hardening it is 9.6.
    let (fine, said) = ask(&["security", "--offline=true", "--threshold=60", "--no-pager"]);
    assert!(fine, "{said}");
}
