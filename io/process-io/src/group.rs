//! Control groups: made by the shim, joined by the program, nested under the caller's own.

use crate::isolation::{Holder, Isolation, KillBy};
use crate::user::RunsAs;
use crate::view::Reach;
use mainstay_atoms::Size;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A mounted hierarchy and the caller's own group in it.
struct Hierarchy {
    /// `None` for version 2.
    controllers: Option<Vec<String>>,
    /// Where it is mounted.
    mount: PathBuf,
    own: PathBuf,
}

/// The groups of one instance.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) isolation: Isolation,
}

/// Period of the processor quota, the kernel's default.
const CPU_PERIOD_US: u64 = 100_000;

impl Groups {
    /// Makes what this machine allows; a limit that no group holds falls to a resource limit.
    pub(crate) fn create(name: &str, size: &Size) -> Self {
        Self::create_in(&hierarchies(), name, size)
    }

    fn create_in(hierarchies: &[Hierarchy], name: &str, size: &Size) -> Self {
        let mut groups = Self {
            paths: Vec::new(),
            isolation: without(size),
        };
        for hierarchy in hierarchies.iter().filter(|h| h.controllers.is_none()) {
            groups.add_v2(hierarchy, name, size);
        }
        for controller in ["memory", "pids", "cpu", "freezer"] {
            let carries = |h: &&Hierarchy| {
                let list = h.controllers.as_deref().unwrap_or_default();
                list.iter().any(|listed| listed == controller)
            };
            if let Some(hierarchy) = hierarchies.iter().find(carries) {
                groups.add_v1(hierarchy, controller, name, size);
            }
        }
        groups
    }

    fn add_v2(&mut self, hierarchy: &Hierarchy, name: &str, size: &Size) {
        let Some(path) = hierarchy.make_v2(name) else {
            return;
        };
        let listed = fs::read_to_string(path.join("cgroup.controllers")).unwrap_or_default();
        let holds = |controller| listed.split_whitespace().any(|word| word == controller);
        let held = &mut self.isolation;
        if holds("memory") && set(&path, &memory_v2(size)) {
            held.memory = Holder::CgroupV2;
        }
        if holds("pids") && set(&path, &processes(size)) {
            held.processes = Holder::CgroupV2;
        }
        if holds("cpu") && set(&path, &cpu_v2(size)) {
            held.cpu = Holder::CgroupV2;
        }
        if path.join("cgroup.kill").exists() {
            held.kill = KillBy::CgroupKill;
        }
        self.paths.push(path);
    }

    fn add_v1(&mut self, hierarchy: &Hierarchy, controller: &str, name: &str, size: &Size) {
        let held = &mut self.isolation;
        let (settings, holder) = match controller {
            "memory" => (memory_v1(size), Some(&mut held.memory)),
            "pids" => (processes(size), Some(&mut held.processes)),
            "cpu" => (cpu_v1(size), Some(&mut held.cpu)),
            _ => (Vec::new(), None),
        };
        let limits = !settings.is_empty() && !matches!(holder, Some(Holder::CgroupV2));
        let kills = holder.is_none() && self.isolation.kill == KillBy::ProcessGroup;
        let path = hierarchy.own.join(name);
        if !(limits || kills) || make(&path).is_err() {
            return;
        }
        if limits && set(&path, &settings) {
            let held = &mut self.isolation;
            match controller {
                "memory" => held.memory = Holder::CgroupV1,
                "pids" => held.processes = Holder::CgroupV1,
                _ => held.cpu = Holder::CgroupV1,
            }
        }
        if self.isolation.kill == KillBy::ProcessGroup {
            self.isolation.kill = KillBy::CgroupProcs;
        }
        self.paths.push(path);
    }
}

/// What holds where no group can be made.
fn without(size: &Size) -> Isolation {
    let asked = |asked: bool, holder: Holder| if asked { holder } else { Holder::NotAsked };
    let nobody = |what: &str| Holder::Nobody {
        why: format!("no control group may be made here, and no resource limit covers {what}"),
    };
    Isolation {
        memory: asked(size.memory.is_some(), Holder::Rlimit),
        cpu: asked(size.cpu.is_some(), nobody("the processor")),
        processes: asked(
            size.processes.is_some(),
            nobody("the processes of one instance"),
        ),
        files: asked(size.files.is_some(), Holder::Rlimit),
        kill: KillBy::ProcessGroup,
        user: RunsAs::default(),
        reach: Reach::Open,
    }
}

/// What a version 2 group hands down to the groups in it.
const SUBTREE: &str = "cgroup.subtree_control";

impl Hierarchy {
    /// Makes a version 2 group in the caller's own, or beside it: the kernel lets no group that has
    /// processes hand controllers down, and a control plane in a session or a unit is such a process.
    fn make_v2(&self, name: &str) -> Option<PathBuf> {
        let hands_down = |group: &Path| {
            let listed = fs::read_to_string(group.join(SUBTREE)).unwrap_or_default();
            listed.split_whitespace().any(|word| word == "memory")
        };
        // One by one, because a list with one that is missing is refused as a whole.
        for controller in ["+memory", "+pids", "+cpu"] {
            drop(fs::write(self.own.join(SUBTREE), controller));
        }
        let beside = self.own.parent().filter(|_| self.own != self.mount);
        let beside = beside.filter(|above| !hands_down(&self.own) && hands_down(above));
        let places = beside.into_iter().chain([self.own.as_path()]);
        places
            .map(|place| place.join(name))
            .find(|path| make(path).is_ok())
    }
}

type Settings = Vec<(&'static str, String, Need)>;

/// Whether a setting must be taken for the limit to hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Must,
    /// Absent on some kernels.
    May,
}

fn memory_v2(size: &Size) -> Settings {
    size.memory.map_or_else(Vec::new, |memory| {
        vec![
            ("memory.max", memory.limit.0.to_string(), Need::Must),
            ("memory.low", memory.request.0.to_string(), Need::May),
            ("memory.swap.max", "0".into(), Need::May),
        ]
    })
}

fn memory_v1(size: &Size) -> Settings {
    size.memory.map_or_else(Vec::new, |memory| {
        let limit = memory.limit.0.to_string();
        vec![
            ("memory.limit_in_bytes", limit.clone(), Need::Must),
            ("memory.memsw.limit_in_bytes", limit, Need::May),
        ]
    })
}

fn processes(size: &Size) -> Settings {
    let limit = size.processes.map(|limit| limit.to_string());
    limit.map_or_else(Vec::new, |limit| vec![("pids.max", limit, Need::Must)])
}

/// Weight 100 is one core, as systemd and Kubernetes count.
fn cpu_v2(size: &Size) -> Settings {
    size.cpu.map_or_else(Vec::new, |cpu| {
        let quota = cpu.limit.0 * CPU_PERIOD_US / 1000;
        let weight = (cpu.request.0 / 10).clamp(1, 10_000);
        vec![
            ("cpu.max", format!("{quota} {CPU_PERIOD_US}"), Need::Must),
            ("cpu.weight", weight.to_string(), Need::May),
        ]
    })
}

/// 1024 shares are one core.
fn cpu_v1(size: &Size) -> Settings {
    size.cpu.map_or_else(Vec::new, |cpu| {
        let quota = cpu.limit.0 * CPU_PERIOD_US / 1000;
        let shares = (cpu.request.0 * 1024 / 1000).max(2);
        vec![
            ("cpu.cfs_period_us", CPU_PERIOD_US.to_string(), Need::Must),
            ("cpu.cfs_quota_us", quota.to_string(), Need::Must),
            ("cpu.shares", shares.to_string(), Need::May),
        ]
    })
}

/// Applies settings; false when there are none or a needed one is refused.
fn set(path: &Path, settings: &Settings) -> bool {
    let taken = |(file, value, need): &(&str, String, Need)| {
        fs::write(path.join(file), value).is_ok() || *need == Need::May
    };
    !settings.is_empty() && settings.iter().all(taken)
}

fn make(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(fault) if fault.kind() != io::ErrorKind::AlreadyExists => Err(fault),
        _ => Ok(()),
    }
}

/// The mounted hierarchies with the caller's own group in each.
fn hierarchies() -> Vec<Hierarchy> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts
        .lines()
        .filter_map(|line| hierarchy(line, &own))
        .collect()
}

/// One line of mountinfo: `id parent dev ROOT MOUNT options… - TYPE source SUPER`.
fn hierarchy(line: &str, own: &str) -> Option<Hierarchy> {
    let (head, tail) = line.split_once(" - ")?;
    let mut head = head.split(' ').skip(3);
    let (root, mount) = (head.next()?, head.next()?);
    let mut tail = tail.split(' ');
    let kind = tail.next()?;
    let options: Vec<String> = tail.nth(1)?.split(',').map(Into::into).collect();
    let controllers = match kind {
        "cgroup2" => None,
        "cgroup" => Some(options),
        _ => return None,
    };
    let group = own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (listed, path) = (parts.next()?, parts.next()?);
        let matches = match &controllers {
            None => listed.is_empty(),
            Some(options) => {
                !listed.is_empty()
                    && listed
                        .split(',')
                        .all(|name| options.iter().any(|o| o == name))
            }
        };
        matches.then_some(path)
    })?;
    let inside = group
        .strip_prefix(root.trim_end_matches('/'))
        .unwrap_or(group);
    Some(Hierarchy {
        controllers,
        mount: PathBuf::from(mount),
        own: Path::new(mount).join(inside.trim_start_matches('/')),
    })
}

/// Moves the calling process into the groups.
pub(crate) fn join(paths: &[PathBuf]) -> io::Result<()> {
    paths
        .iter()
        .try_for_each(|path| fs::write(path.join("cgroup.procs"), "0"))
}

/// The processes in the groups.
pub(crate) fn members(paths: &[PathBuf]) -> Vec<u32> {
    let read = |path: &PathBuf| fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    let mut pids: Vec<u32> = paths
        .iter()
        .flat_map(|path| {
            let text = read(path);
            text.lines()
                .filter_map(|line| line.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// How often the kernel killed for memory in these groups.
pub(crate) fn oom_kills(paths: &[PathBuf]) -> u64 {
    let count = |path: &PathBuf| {
        let read = |file| fs::read_to_string(path.join(file)).ok();
        let text = read("memory.events").or_else(|| read("memory.oom_control"))?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "))?;
        line.trim().parse::<u64>().ok()
    };
    paths.iter().filter_map(count).sum()
}

/// Ends every process in the groups and waits until they are empty; false when some stay.
pub(crate) fn kill(paths: &[PathBuf], patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_millis(1);
    loop {
        for path in paths {
            // Only version 2 has the file; the signals below reach the others.
            drop(
                fs::OpenOptions::new()
                    .write(true)
                    .open(path.join("cgroup.kill"))
                    .and_then(|mut file| io::Write::write_all(&mut file, b"1")),
            );
        }
        let members = members(paths);
        if members.is_empty() {
            return true;
        }
        members.into_iter().for_each(kill_one);
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// KILL to one process; one that is gone already is what was wanted.
pub(crate) fn kill_one(pid: u32) {
    signal_one(pid, rustix::process::Signal::KILL);
}

/// A signal to one process.
pub(crate) fn signal_one(pid: u32, signal: rustix::process::Signal) {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        rustix::process::kill_process(pid, signal).ok();
    }
}

/// Removes empty groups; one that still holds a dying process stays for the next time.
pub(crate) fn remove(paths: &[PathBuf]) {
    for path in paths {
        drop(fs::remove_dir(path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_own_group_is_found_in_both_versions() {
        let own = "4:memory:/a/b\n0::/c\n9:name=systemd:/\n";
        let v1 = "30 23 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory";
        let v2 = "31 23 0:27 /c /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
        assert_eq!(
            hierarchy(v1, own).unwrap().own,
            Path::new("/sys/fs/cgroup/memory/a/b")
        );
        let v2 = hierarchy(v2, own).unwrap();
        assert_eq!(v2.own, Path::new("/sys/fs/cgroup/unified/"));
        assert!(v2.controllers.is_none());
        assert!(hierarchy("1 2 0:1 / /proc rw - proc proc rw", own).is_none());
    }

    fn size() -> Size {
        use mainstay_atoms::{Bytes, Millicores, Range};
        Size {
            memory: Some(Range {
                request: Bytes(64 << 20),
                limit: Bytes(128 << 20),
            }),
            cpu: Some(Range::exactly(Millicores(500))),
            processes: Some(50),
            files: None,
        }
    }

    /// A version 2 hierarchy in plain files, in which the caller's own group is `own`.
    fn fixture(folder: &Path, own: &str) -> Hierarchy {
        fs::create_dir_all(folder.join(own)).unwrap();
        Hierarchy {
            controllers: None,
            mount: folder.to_owned(),
            own: folder.join(own).components().collect(),
        }
    }

    /// What the kernel puts into a new group.
    fn born(group: &Path, controllers: &str) {
        fs::create_dir_all(group).unwrap();
        fs::write(group.join("cgroup.controllers"), controllers).unwrap();
        fs::write(group.join("cgroup.kill"), "").unwrap();
    }

    #[test]
    fn version_two_alone_holds_every_limit() {
        let folder = tempfile::tempdir().unwrap();
        let hierarchy = fixture(folder.path(), "");
        let group = folder.path().join("web");
        born(&group, "cpu memory pids\n");
        let groups = Groups::create_in(&[hierarchy], "web", &size());
        let held = &groups.isolation;
        for holder in [&held.memory, &held.cpu, &held.processes] {
            assert_eq!(*holder, Holder::CgroupV2);
        }
        assert_eq!(held.kill, KillBy::CgroupKill);
        assert_eq!(groups.paths, std::slice::from_ref(&group));
        for (file, wanted) in [
            ("memory.max", "134217728"),
            ("memory.low", "67108864"),
            ("memory.swap.max", "0"),
            ("pids.max", "50"),
            ("cpu.max", "50000 100000"),
            ("cpu.weight", "50"),
        ] {
            assert_eq!(
                fs::read_to_string(group.join(file)).unwrap(),
                wanted,
                "{file}"
            );
        }
    }

    #[test]
    fn a_controller_that_is_not_handed_down_is_held_by_another_or_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let hierarchy = fixture(folder.path(), "");
        born(&folder.path().join("web"), "pids\n");
        let held = Groups::create_in(&[hierarchy], "web", &size()).isolation;
        assert_eq!(held.processes, Holder::CgroupV2);
        assert_eq!(held.memory, Holder::Rlimit);
        assert!(matches!(held.cpu, Holder::Nobody { .. }), "{held}");
    }

    #[test]
    fn beside_a_session_that_hands_nothing_down_the_limits_still_hold() {
        let folder = tempfile::tempdir().unwrap();
        let hierarchy = fixture(folder.path(), "user.slice/session.scope");
        // The kernel refuses what is written here while the session has processes.
        fs::create_dir(hierarchy.own.join(SUBTREE)).unwrap();
        let slice = folder.path().join("user.slice");
        fs::write(slice.join(SUBTREE), "cpu memory pids\n").unwrap();
        born(&slice.join("web"), "cpu memory pids\n");
        let groups = Groups::create_in(&[hierarchy], "web", &size());
        assert_eq!(groups.paths, [slice.join("web")]);
        assert_eq!(groups.isolation.memory, Holder::CgroupV2);
    }

    #[test]
    fn without_any_hierarchy_resource_limits_are_what_is_left() {
        let groups = Groups::create_in(&[], "web", &size());
        assert_eq!(groups.paths, Vec::<PathBuf>::new());
        assert_eq!(groups.isolation.memory, Holder::Rlimit);
        assert_eq!(groups.isolation.kill, KillBy::ProcessGroup);
        assert!(matches!(groups.isolation.processes, Holder::Nobody { .. }));
    }
}
