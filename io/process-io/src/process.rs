//! What the kernel says about processes.

use crate::record::Identity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Resource, getrlimit, pidfd_open};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;

/// A line of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) pid: u32,
    pub(crate) state: char,
    pub(crate) parent: u32,
    pub(crate) session: u32,
    pub(crate) start_ticks: u64,
    /// Processor time of it and of the children that it has taken leave of.
    pub(crate) used_ticks: u64,
    pub(crate) resident_pages: u64,
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
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    let ticks = (11..=14).filter_map(number);
    Some(Stat {
        pid,
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start_ticks: number(19)?,
        used_ticks: ticks.fold(0, u64::saturating_add),
        resident_pages: number(21)?,
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

/// A process whose end the kernel tells, so that nobody has to read about each of many.
#[derive(Debug)]
pub(crate) struct Watched {
    identity: Identity,
    /// None for one that has ended, and for want of file descriptors.
    descriptor: Option<OwnedFd>,
}

impl Watched {
    pub(crate) fn new(identity: Identity) -> Self {
        let pid = i32::try_from(identity.pid).ok().and_then(Pid::from_raw);
        let opened = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        // Half of the descriptors stay free for everything else.
        let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / 2;
        let spared = |opened: &OwnedFd| u64::try_from(opened.as_raw_fd()).is_ok_and(|at| at < most);
        let opened = opened.filter(spared);
        // Asked after: it is the descriptor of this very process only if that still lives.
        let descriptor = opened.filter(|_| identity.is_alive());
        Self {
            identity,
            descriptor,
        }
    }
}

/// Which of these processes still run, in their order.
pub(crate) fn alive(watched: &[&Watched]) -> Vec<bool> {
    let descriptors = watched.iter().filter_map(|one| one.descriptor.as_ref());
    let mut polled: Vec<PollFd<'_>> = descriptors
        .map(|descriptor| PollFd::new(descriptor, PollFlags::IN))
        .collect();
    let asked = poll(&mut polled, Some(&Timespec::default())).is_ok();
    let mut answers = polled.iter().map(|one| one.revents().is_empty());
    let one = |one: &&Watched| match &one.descriptor {
        Some(_) if asked => answers.next().unwrap_or(true),
        _ => one.identity.is_alive(),
    };
    watched.iter().map(one).collect()
}

/// The process and everything that descends from it or shares its session.
pub(crate) fn family(leader: Identity) -> BTreeSet<u32> {
    family_in(&all(), leader)
}

/// The same among processes that were read before.
pub(crate) fn family_in(all: &[Stat], leader: Identity) -> BTreeSet<u32> {
    let mut family = BTreeSet::new();
    for stat in all {
        if stat.session == leader.pid && stat.start_ticks >= leader.start_ticks {
            family.insert(stat.pid);
        }
    }
    loop {
        let before = family.len();
        for stat in all {
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
        let text = "7 (a) R 1 (x) b) S 3 7 8 0 -1 4194560 0 0 0 0 5 6 7 8 20 0 1 0 4242 0 99";
        let stat = parse(7, text).unwrap();
        assert_eq!(
            (stat.state, stat.parent, stat.session, stat.start_ticks),
            ('S', 3, 8, 4242)
        );
        assert_eq!((stat.used_ticks, stat.resident_pages), (26, 99));
        assert_eq!(parse(7, "7 (cut"), None);
    }

    #[test]
    fn the_end_of_a_watched_process_is_told_before_anybody_takes_leave_of_it() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let us = Watched::new(Identity::of(std::process::id()).unwrap());
        let other = Watched::new(Identity::of(child.id()).unwrap());
        let stranger = Watched::new(Identity {
            pid: child.id(),
            start_ticks: 1,
        });
        assert_eq!(alive(&[&us, &stranger, &other]), [true, false, true]);
        child.kill().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while alive(&[&other]) == [true] {
            assert!(std::time::Instant::now() < deadline, "its end is not told");
            std::thread::yield_now();
        }
        assert_eq!(alive(&[&us, &stranger, &other]), [true, false, false]);
        child.wait().unwrap();
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
