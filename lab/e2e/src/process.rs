//! Processes that belong to a folder.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;

/// One process. Two are the same only if pid and start time are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it started, in the kernel's ticks since boot.
    pub start: u64,
    /// Its command line.
    pub command: String,
}

impl Process {
    /// The process with this number, unless it ended.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // The first thread may have ended before the others, which still hold its sockets.
        let threads = fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
        if matches!(fields.first(), None | Some(&("Z" | "X"))) && threads <= 1 {
            return None;
        }
        let born = fields.get(19)?.parse().ok()?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words = line.split(|byte| *byte == 0);
        let words: Vec<_> = words.map(String::from_utf8_lossy).collect();
        let command = words.join(" ").trim_end().to_owned();
        Some(Self {
            pid,
            start: born,
            command,
        })
    }

    /// Whether this very process still runs.
    pub fn runs(&self) -> bool {
        Self::of(self.pid).is_some_and(|now| now.start == self.start)
    }

    /// Ends it by force, and waits until it is gone.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
        crate::until(&format!("the end of {self:?}"), || {
            (!self.runs()).then_some(())
        });
    }

    /// Sends a signal; a process that ended meanwhile gets none.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid.filter(|_| self.runs()) {
            kill_process(pid, signal).ok();
        }
    }
}

/// All processes whose command line, working folder or program lies in `folder`, oldest first; never
/// this one.
pub fn below(folder: &Path) -> Vec<Process> {
    let own = std::process::id();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut found: Vec<Process> = pids
        .filter(|pid| *pid != own)
        .filter_map(Process::of)
        .filter(|process| belongs(process, folder))
        .collect();
    found.sort_by_key(|process| (process.start, process.pid));
    found
}

fn belongs(process: &Process, folder: &Path) -> bool {
    let link = |name: &str| {
        fs::read_link(format!("/proc/{}/{name}", process.pid))
            .is_ok_and(|target| target.starts_with(folder))
    };
    process.command.contains(&*folder.to_string_lossy()) || link("cwd") || link("exe")
}
