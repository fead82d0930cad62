//! Children of the program that this process ran before an upgrade: nobody else asks how they ended.

use rustix::process::{Pid, WaitOptions, waitpid};
use std::time::Duration;

/// How often it is looked who ended; nothing waits for that.
const LOOK: Duration = Duration::from_secs(1);

/// Takes leave of children that are there at the start, as they end. Called before others are started.
pub fn reap() {
    let mut children = children();
    if children.is_empty() {
        return;
    }
    let reaper = move || {
        while !children.is_empty() {
            children.retain(|pid| matches!(waitpid(Some(*pid), WaitOptions::NOHANG), Ok(None)));
            std::thread::sleep(LOOK);
        }
    };
    // Without the thread they stay as entries of the process table, until this process ends too.
    let thread = std::thread::Builder::new().name("reaper".into());
    drop(thread.spawn(reaper));
}

fn children() -> Vec<Pid> {
    let own = i32::try_from(std::process::id()).ok();
    let all = procfs::process::all_processes().into_iter().flatten();
    let stats = all.flatten().filter_map(|process| process.stat().ok());
    stats
        .filter(|stat| Some(stat.ppid) == own)
        .filter_map(|stat| Pid::from_raw(stat.pid))
        .collect()
}
