//! File systems that are small, for tests of full disks.

use crate::{is_root, say};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system of its own at a folder, for as long as it is held.
#[derive(Debug)]
pub struct Mount(PathBuf);

impl Mount {
    /// Mounts one at a folder, which is made; nothing where that is not allowed, which is said.
    pub fn at(path: &Path, size: &str) -> Option<Self> {
        if !is_root() {
            return None;
        }
        fs::create_dir_all(path).expect("a folder");
        let options = format!("size={size},mode=0700");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &options, "tmpfs"]);
        if !command.arg(path).status().is_ok_and(|done| done.success()) {
            say("skipped: no file system can be mounted here");
            return None;
        }
        Some(Self(path.to_owned()))
    }

    /// Takes all space that is left.
    pub fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).expect("a file");
        let chunk = vec![b'x'; 1 << 16];
        while file.write_all(&chunk).is_ok() {}
        while file.write_all(b"x").is_ok() {}
    }

    /// Gives back what was taken.
    pub fn free(&self) {
        fs::remove_file(self.0.join("filler")).expect("the filler");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let lazily = Command::new("umount").arg("--lazy").arg(&self.0).status();
        if !lazily.is_ok_and(|done| done.success()) {
            say("the file system stays mounted");
        }
    }
}
