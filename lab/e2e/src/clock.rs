//! A control plane whose civil clock is moved, by Debian's `faketime`; gateway, shims and programs keep the
//! machine's.

use crate::Platform;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

/// The library that stands between a program and its clock; says so where it is not installed.
pub fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut places = folders.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    let found = places.find(|path| path.is_file());
    if found.is_none() {
        crate::say("skipped: `faketime` is not installed");
    }
    found
}

/// A clock that goes by a file.
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
    /// Whether the monotonic clocks are moved too.
    pub monotonic: bool,
}

impl Clock {
    /// One that is right, for a platform that is not under it yet.
    pub fn new(platform: &Platform, library: PathBuf) -> Self {
        let clock = Self {
            library,
            file: platform.folder().join("clock"),
            monotonic: false,
        };
        clock.jump("+0");
        clock
    }

    /// Starts a control plane under this clock, where none runs.
    #[track_caller]
    pub fn up(&self, platform: &Platform) {
        let mut command: Command = platform.command(&["up"]);
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1");
        if !self.monotonic {
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        platform.finish(command).exits(0);
        let serve = platform.process("serve");
        let maps = fs::read_to_string(format!("/proc/{}/maps", serve.pid)).expect("its maps");
        assert!(maps.contains("libfaketime"), "its clock can be moved");
    }

    /// Moves it from the machine's: `+1h`, `-30`. Replaced as a whole, because it is read all the time.
    pub fn jump(&self, to: &str) {
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{to}\n")).expect("a file");
        fs::rename(&new, &self.file).expect("a rename");
    }

    /// Moves it to so many milliseconds since 1970; it goes on from there.
    pub fn set(&self, wall_ms: u64) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap_or(Duration::ZERO).as_secs_f64();
        let to = Duration::from_millis(wall_ms).as_secs_f64();
        self.jump(&format!("{:+.3}", to - now));
    }
}

/// A time that the machine's own clock does not come by while a test runs: its hour, and half past that hour
/// in milliseconds since 1970, both in UTC, about half a day from now.
pub fn far() -> (u64, u64) {
    const HOUR: u64 = 3_600_000;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = u64::try_from(now.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(0);
    let hour = now / HOUR + 12;
    (hour % 24, hour * HOUR + HOUR / 2)
}
