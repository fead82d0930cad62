//! What the kernel says about processes.

use crate::record::Identity;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

/// A line of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) pid: u32,
    pub(crate) state: char,
    pub(crate) parent: u32,
    pub(crate) session: u32,
    pub(crate) start_ticks: u64,
}

/// Reads one process; `None` when it is gone.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    read(pid).ok().flatten()
}

/// The same, telling one that is gone from one that cannot be looked at.
fn read(pid: u32) -> io::Result<Option<Stat>> {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(text) => Ok(parse(pid, &text)),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(fault) if fault.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// The program's name stands in brackets and may hold anything, so fields count from the last bracket.
fn parse(pid: u32, text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split_ascii_whitespace().collect();
    Some(Stat {
        pid,
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

/// Every process there is.
pub(crate) fn all() -> Vec<Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

impl Identity {
    /// This very process, as it is now.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let start_ticks = stat(pid)?.start_ticks;
        Some(Self { pid, start_ticks })
    }

    /// Whether this process, and not a later one of the same number, still runs. One that cannot be looked
    /// at, for want of file descriptors, is taken to run: nobody is replaced or killed for that.
    pub(crate) fn is_alive(self) -> bool {
        let alive =
            |stat: Stat| stat.start_ticks == self.start_ticks && !matches!(stat.state, 'Z' | 'X');
        read(self.pid).map_or(true, |stat| stat.is_some_and(alive))
    }
}

/// The process and everything that descends from it or shares its session.
pub(crate) fn family(leader: Identity) -> BTreeSet<u32> {
    let all = all();
    let mut family = BTreeSet::new();
    for stat in &all {
        if stat.session == leader.pid && stat.start_ticks >= leader.start_ticks {
            family.insert(stat.pid);
        }
    }
    loop {
        let before = family.len();
        for stat in &all {
            if family.contains(&stat.parent) {
                family.insert(stat.pid);
            }
        }
        if family.len() == before {
            return family;
        }
    }
}

/// The program a process runs, as a person would name it.
pub(crate) fn program(pid: u32) -> String {
    let exe: Option<PathBuf> = fs::read_link(format!("/proc/{pid}/exe")).ok();
    let name = || fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    exe.map(|path| path.display().to_string())
        .or_else(|| name().map(|text| text.trim().to_owned()))
        .unwrap_or_else(|| "an unknown program".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_program_name_moves_no_field() {
        let text = "7 (a) R 1 (x) b) S 3 7 8 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
        let stat = parse(7, text).unwrap();
        assert_eq!(
            (stat.state, stat.parent, stat.session, stat.start_ticks),
            ('S', 3, 8, 4242)
        );
        assert_eq!(parse(7, "7 (cut"), None);
    }

    #[test]
    fn we_are_alive_and_another_of_our_number_is_not() {
        let us = Identity::of(std::process::id()).unwrap();
        assert!(us.is_alive());
        let later = Identity {
            start_ticks: us.start_ticks + 1,
            ..us
        };
        assert!(!later.is_alive());
    }
}
