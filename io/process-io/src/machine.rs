//! What this machine lets an instance have, found by trying.

use crate::group::{self, Groups};
use crate::isolation::Isolation;
use crate::listener::{self, Listener};
use mainstay_atoms::{Bytes, Millicores, Range, Size};
use rustix::net::{AddressFamily, SocketType, socket, sockopt};
use rustix::process::{PidfdFlags, Resource, getpid, getrlimit, pidfd_open};
use rustix::thread::{CapabilitySet, capabilities};
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;

/// What the kernel offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Its release: `6.1.0-18-amd64`.
    pub release: String,
    /// A process can be held and signalled without meaning another of its number.
    pub pidfd: bool,
    /// Several sockets may listen on one port.
    pub reuseport: bool,
    /// A program can be given a view of its own of the file system.
    pub views: bool,
}

/// Asks the kernel.
pub fn kernel() -> Kernel {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let shares = || {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        sockopt::set_socket_reuseport(&socket, true)
    };
    Kernel {
        release: release.trim().to_owned(),
        pidfd: pidfd_open(getpid(), PidfdFlags::empty()).is_ok(),
        reuseport: shares().is_ok(),
        views: capabilities(None)
            .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN)),
    }
}

/// Makes groups with limits of every kind as an instance started from here would get them, and removes
/// them again: what held.
pub fn try_limits() -> Isolation {
    let size = Size {
        cpu: Some(Range::exactly(Millicores(1000))),
        memory: Some(Range::exactly(Bytes(64 * 1024 * 1024))),
        processes: Some(64),
        files: Some(64),
    };
    let groups = Groups::create(&format!("mainstay-trial-{}", std::process::id()), &size);
    group::remove(&groups.paths);
    groups.isolation
}

/// How many files a process may hold open, by its number; this process's own limit without one.
pub fn most_files(pid: Option<u32>) -> Option<u64> {
    let Some(pid) = pid else {
        return getrlimit(Resource::Nofile).current;
    };
    let text = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// How many files a process holds open, where that may be seen.
pub fn open_files(pid: u32) -> Option<u64> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    u64::try_from(files.count()).ok()
}

/// Who listens on an address: one of these processes, a stranger, or nobody.
pub fn holder(address: SocketAddr, ours: &BTreeSet<u32>) -> Listener {
    listener::find(address, ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_leaves_no_group_behind() {
        try_limits();
        let own = format!("mainstay-trial-{}", std::process::id());
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        for mount in mounts.lines().filter(|line| line.contains(" - cgroup")) {
            let folder = mount.split(' ').nth(4).unwrap();
            let left = walk(folder.as_ref())
                .into_iter()
                .filter(|path| path.contains(&own));
            assert_eq!(left.count(), 0, "below {folder}");
        }
    }

    fn walk(folder: &std::path::Path) -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders
            .flat_map(|entry| {
                let mut found = walk(&entry.path());
                found.push(entry.path().display().to_string());
                found
            })
            .collect()
    }

    #[test]
    fn our_own_limit_is_read_both_ways() {
        assert_eq!(most_files(Some(std::process::id())), most_files(None));
        assert!(most_files(None).is_some());
        assert!(kernel().pidfd);
    }
}
