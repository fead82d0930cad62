//! Stored snapshots: what identifies them, what is refused, and when they go.

use mainstay_atoms::Digest;
use mainstay_process_io::{Artifacts, StoreFault};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

struct Stage {
    folder: TempDir,
    artifacts: Artifacts,
}

impl Stage {
    /// A program, a nested file, an empty folder and a link; the state folder lies among them.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = &folder.path().join("root");
        fs::create_dir_all(root.join("site/empty")).unwrap();
        fs::write(folder.path().join("outside"), "secret").unwrap();
        fs::write(root.join("site/index.html"), "hello").unwrap();
        fs::write(root.join("serve"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(root.join("serve"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("site/index.html", root.join("link")).unwrap();
        let artifacts = Artifacts::new(&root.join(".mainstay/default"));
        Self { folder, artifacts }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("root").join(name)
    }

    fn store(&self, names: &[&str]) -> Result<Digest, StoreFault> {
        let names: Vec<PathBuf> = names.iter().map(Into::into).collect();
        self.artifacts.store(&self.path(""), &names)
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_snapshot_is_its_contents_and_never_the_working_file() {
    let stage = Stage::new();
    let digest = stage.store(&["."]).unwrap();
    let stored = stage.artifacts.path(digest);
    assert_eq!(fs::read_to_string(stored.join("link")).unwrap(), "hello");
    assert!(stored.join("site/empty").is_dir());
    assert!(
        !stored.join(".mainstay").exists(),
        "the store is no part of what it stores"
    );
    assert_eq!(
        (
            mode(&stored.join("serve")),
            mode(&stored.join("site/index.html"))
        ),
        (0o555, 0o444)
    );
    assert_eq!(mode(&stored), 0o555);
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_ne!(
        inode(&stored.join("serve")),
        inode(&stage.path("serve")),
        "never a hard link"
    );
    fs::write(stage.path("site/index.html"), "changed").unwrap();
    assert_eq!(
        fs::read_to_string(stored.join("site/index.html")).unwrap(),
        "hello"
    );
    let changed = stage.store(&["."]).unwrap();
    assert_ne!(changed, digest);
    fs::write(stage.path("site/index.html"), "hello").unwrap();
    assert_eq!(
        stage.store(&["."]).unwrap(),
        digest,
        "the same contents, the same name"
    );
}

#[test]
fn mode_name_and_kind_are_part_of_the_identity() {
    let stage = Stage::new();
    let mut seen = BTreeSet::new();
    let mut add = |names: &[&str]| assert!(seen.insert(stage.store(names).unwrap()), "{names:?}");
    add(&["serve"]);
    fs::set_permissions(stage.path("serve"), fs::Permissions::from_mode(0o644)).unwrap();
    add(&["serve"]);
    fs::rename(stage.path("serve"), stage.path("server")).unwrap();
    add(&["server"]);
    fs::remove_file(stage.path("server")).unwrap();
    symlink("site", stage.path("server")).unwrap();
    add(&["server"]);
    add(&["site/index.html", "server"]);
    assert_eq!(
        stage.store(&["server", "site/index.html"]).unwrap(),
        stage
            .store(&["site/index.html", "server", "./server"])
            .unwrap()
    );
}

#[test]
fn what_leads_outside_is_refused() {
    let stage = Stage::new();
    // Inside as written, outside as the kernel follows it.
    symlink(".", stage.path("here")).unwrap();
    for (target, name) in [
        ("/etc/passwd", "a"),
        ("../outside", "b"),
        ("site/../../outside", "c"),
        ("here/../outside", "followed"),
    ] {
        symlink(target, stage.path(name)).unwrap();
        let fault = stage.store(&["."]).unwrap_err();
        assert!(
            matches!(&fault, StoreFault::Link { path, .. } if path.ends_with(name)),
            "{fault}"
        );
        fs::remove_file(stage.path(name)).unwrap();
    }
    for name in ["../x", "/etc/passwd"] {
        assert!(
            matches!(stage.store(&[name]), Err(StoreFault::Outside { .. })),
            "{name}"
        );
    }
    let fault = stage.store(&["nothing"]).unwrap_err();
    assert!(
        matches!(&fault, StoreFault::Missing { path } if path.ends_with("nothing")),
        "{fault}"
    );
    let _socket = std::os::unix::net::UnixListener::bind(stage.path("socket")).unwrap();
    assert!(matches!(
        stage.store(&["."]),
        Err(StoreFault::Special { .. })
    ));
    let left = fs::read_dir(stage.path(".mainstay/default/artifacts"))
        .unwrap()
        .count();
    assert_eq!(left, 0, "nothing half-stored stays");
}

#[test]
fn a_program_is_found_as_an_instance_finds_it() {
    let stage = Stage::new();
    let digest = stage.store(&["."]).unwrap();
    let find = |program: &str| stage.artifacts.program(digest, program, "/usr/bin:/bin");
    assert_eq!(
        find("./serve").unwrap(),
        stage.artifacts.path(digest).join("./serve")
    );
    assert_eq!(
        find("serve").unwrap(),
        stage.artifacts.path(digest).join("serve")
    );
    assert!(find("sh").unwrap().is_absolute());
    let fault = find("./site/index.html").unwrap_err();
    assert!(
        matches!(&fault, StoreFault::NotExecutable { path } if path.ends_with("site/index.html")),
        "{fault}"
    );
    for missing in ["./nothing", "no-such-tool", "site"] {
        let fault = find(missing).unwrap_err();
        assert!(matches!(&fault, StoreFault::Program { .. }), "{fault}");
    }
}

#[test]
fn what_nobody_needs_goes_at_the_second_sweep() {
    let stage = Stage::new();
    let kept = stage.store(&["serve"]).unwrap();
    let unused = stage.store(&["site"]).unwrap();
    let revived = stage.store(&["link"]).unwrap();
    let keep = BTreeSet::from([kept]);
    let first = stage.artifacts.sweep(&keep).unwrap();
    assert_eq!(first.marked, BTreeSet::from([unused, revived]));
    assert!(first.removed.is_empty());
    stage.store(&["link"]).unwrap();
    let second = stage.artifacts.sweep(&keep).unwrap();
    assert_eq!(second.removed, BTreeSet::from([unused]));
    assert!(stage.artifacts.holds(kept) && stage.artifacts.holds(revived));
    assert!(!stage.artifacts.holds(unused));
}
