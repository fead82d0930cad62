//! The first data of a PostgreSQL server: `initdb` beside, which takes its place when it is whole.

use crate::fault::{StoreFault, file};
use crate::folder::Folder;
use crate::postgres::ADMIN;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// `initdb` in a folder beside, which takes its place when it is whole.
pub(crate) fn first_data(folder: &Folder, programs: &Path) -> Result<(), StoreFault> {
    let data = folder.data();
    if data.exists() {
        // Half of one that a crash left: without `PG_VERSION` nothing was ever stored in it.
        fs::remove_dir_all(&data).map_err(file(&data, "removed"))?;
    }
    let (above, user) = match folder.owner {
        Some(_) => (Path::new(OPEN), Some(package_user()?)),
        None => (folder.root.as_path(), None),
    };
    let place = new_place(folder, above)?;
    let done = initdb(programs, &place, user).and_then(|()| {
        folder.give_all(&place)?;
        settle(&place, &data)
    });
    if done.is_err() {
        fs::remove_dir_all(&place).ok();
    }
    done
}

/// `initdb` looks its user up by name and may not pass closed folders, so as root it works as the
/// package's user in an open folder (measured: a bare uid and a 0700 parent both break it).
const OPEN: &str = "/var/tmp";

/// A name of this store alone, new at each try: an `initdb` whose control plane was killed may still
/// write into the last one. What earlier tries left is removed.
fn new_place(folder: &Folder, above: &Path) -> Result<PathBuf, StoreFault> {
    let meta = fs::metadata(&folder.root).map_err(file(&folder.root, "read"))?;
    let stem = format!("mainstay-initdb-{:x}-{:x}-", meta.dev(), meta.ino());
    for entry in fs::read_dir(above).map_err(file(above, "read"))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&stem) {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).expect("the kernel gives randomness");
    Ok(above.join(format!("{stem}{:x}", u64::from_ne_bytes(bytes))))
}

fn package_user() -> Result<(u32, u32), StoreFault> {
    let passwd = Path::new("/etc/passwd");
    let text = fs::read_to_string(passwd).map_err(file(passwd, "read"))?;
    let line = text.lines().find(|line| line.starts_with("postgres:"));
    let ids = line.and_then(|line| {
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    ids.ok_or(StoreFault::Tool {
        tool: "initdb",
        said: "there is no user `postgres`, as which it has to run; the package makes it".into(),
    })
}

fn initdb(programs: &Path, place: &Path, user: Option<(u32, u32)>) -> Result<(), StoreFault> {
    DirBuilder::new()
        .mode(0o700)
        .create(place)
        .map_err(file(place, "made"))?;
    let mut command = Command::new(programs.join("initdb"));
    command
        .args(["--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8"])
        .args(["--auth-local=peer", "--auth-host=scram-sha-256"])
        .args(["--no-instructions", "--username", ADMIN, "--pgdata"])
        .arg(place)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/")
        .stdin(Stdio::null());
    if let Some((uid, gid)) = user {
        chown(place, Some(uid), Some(gid)).map_err(file(place, "given"))?;
        command.uid(uid).gid(gid);
    }
    let output = command
        .output()
        .map_err(file(&programs.join("initdb"), "executed"))?;
    ended("initdb", &output)
}

fn ended(tool: &'static str, output: &Output) -> Result<(), StoreFault> {
    if output.status.success() {
        return Ok(());
    }
    let said = last_lines(&output.stderr);
    let said = if said.is_empty() {
        format!("it ended with {}", output.status)
    } else {
        said
    };
    Err(StoreFault::Tool { tool, said })
}

/// The last lines that a program wrote, in one.
pub(crate) fn last_lines(bytes: &[u8]) -> String {
    let said = String::from_utf8_lossy(bytes);
    let last: Vec<&str> = said.lines().rev().take(5).collect();
    last.into_iter().rev().collect::<Vec<_>>().join("; ")
}

/// The whole folder takes its place: by renaming, or by a copy where it lies on another file system.
fn settle(place: &Path, data: &Path) -> Result<(), StoreFault> {
    match fs::rename(place, data) {
        Err(fault) if fault.kind() == io::ErrorKind::CrossesDevices => {
            let beside = data.with_extension("copy");
            if beside.exists() {
                fs::remove_dir_all(&beside).map_err(file(&beside, "removed"))?;
            }
            let run = |tool: &'static str, words: &[&str], paths: &[&Path]| {
                let output = Command::new(tool)
                    .args(words)
                    .arg("--")
                    .args(paths)
                    .output();
                ended(tool, &output.map_err(file(&beside, "copied"))?)
            };
            // `initdb` has synced what it made, `cp` has not.
            run("cp", &["--archive"], &[place, &beside])
                .and_then(|()| run("sync", &["--file-system"], &[&beside]))
                .inspect_err(|_| drop(fs::remove_dir_all(&beside)))?;
            fs::rename(&beside, data).map_err(file(data, "made"))?;
            fs::remove_dir_all(place).map_err(file(place, "removed"))?;
        }
        renamed => renamed.map_err(file(data, "made"))?,
    }
    let above = data.parent().unwrap_or(data);
    File::open(above)
        .and_then(|folder| folder.sync_all())
        .map_err(file(above, "written"))
}
