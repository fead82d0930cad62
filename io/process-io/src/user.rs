//! Whose rights a program has: each service gets a user of its own, given once and kept.

use crate::fault::UserFault;
use crate::{process, record};
use mainstay_atoms::{Digest, ServiceName};
use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;
use rustix::thread::{CapabilitySet, capabilities};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Users given to services: outside the distribution's, systemd's and the subordinate ranges.
const UIDS: Range<u32> = 70_000..80_000;

/// Where all platforms of the machine write down whom they were given.
const REGISTRY: &str = "/var/lib/mainstay-uids";

/// Another platform holds the registry for one write of a small file.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a change of the user takes: besides the change itself, owning its home, ending it, and seeing
/// which sockets it holds.
const NEEDED: [(CapabilitySet, &str); 5] = [
    (CapabilitySet::SETUID, "CAP_SETUID"),
    (CapabilitySet::SETGID, "CAP_SETGID"),
    (CapabilitySet::CHOWN, "CAP_CHOWN"),
    (CapabilitySet::KILL, "CAP_KILL"),
    (CapabilitySet::SYS_PTRACE, "CAP_SYS_PTRACE"),
];

/// Whose rights a program has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunsAs {
    /// A user that no other service on this machine has.
    Own {
        /// Its number; its group has the same.
        uid: u32,
    },
    /// The user that Mainstay runs as, which all services share.
    Caller {
        /// Its number.
        uid: u32,
    },
    /// Root, because no other user can be given here.
    Root {
        /// Why, in words for a person.
        why: String,
    },
}

impl RunsAs {
    /// The user to change to.
    pub(crate) fn uid(&self) -> Option<u32> {
        match self {
            Self::Own { uid } => Some(*uid),
            Self::Caller { .. } | Self::Root { .. } => None,
        }
    }
}

impl Default for RunsAs {
    fn default() -> Self {
        Self::Caller {
            uid: geteuid().as_raw(),
        }
    }
}

impl std::fmt::Display for RunsAs {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Own { uid } => write!(out, "as user {uid}, which no other service has"),
            Self::Caller { uid } => write!(
                out,
                "as user {uid} like every service, because mainstay does not run as root"
            ),
            Self::Root { why } => write!(out, "as root: {why}"),
        }
    }
}

/// Who was given a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    /// The state folder of the environment.
    state: PathBuf,
    service: ServiceName,
}

/// Whose rights a service of this state folder has; the same one every time.
pub(crate) fn of(state: &Path, service: &ServiceName) -> Result<RunsAs, UserFault> {
    if !geteuid().is_root() {
        return Ok(RunsAs::default());
    }
    if let Some(why) = cannot_change() {
        return Ok(RunsAs::Root { why });
    }
    match given(Path::new(REGISTRY), state, service) {
        Ok(uid) => Ok(RunsAs::Own { uid }),
        Err(UserFault::File { source, .. })
            if source.kind() == io::ErrorKind::ReadOnlyFilesystem =>
        {
            let why = format!("`{REGISTRY}` lies on a read-only file system");
            Ok(RunsAs::Root { why })
        }
        Err(fault) => Err(fault),
    }
}

/// Why root cannot become another user here, if so.
pub fn cannot_change() -> Option<String> {
    let held = capabilities(None).map(|sets| sets.effective);
    let held = held.unwrap_or(CapabilitySet::empty());
    if let Some((_, name)) = NEEDED.iter().find(|(needed, _)| !held.contains(*needed)) {
        return Some(format!(
            "{name} is missing, so no service can have a user of its own"
        ));
    }
    let read = |name| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    if !(maps(&read("uid_map")) && maps(&read("gid_map"))) || read("setgroups").trim() == "deny" {
        let (first, last) = (UIDS.start, UIDS.end - 1);
        return Some(format!(
            "users {first} to {last} do not exist in this user namespace"
        ));
    }
    None
}

/// Whether a map of users (`inside outside count`, a line each) covers the range.
fn maps(map: &str) -> bool {
    map.lines().any(|line| {
        let mut numbers = line
            .split_whitespace()
            .filter_map(|n| n.parse::<u64>().ok());
        let (first, count) = (numbers.next(), numbers.nth(1));
        let covers =
            |first: u64, count: u64| first <= UIDS.start.into() && first + count >= UIDS.end.into();
        first
            .zip(count)
            .is_some_and(|(first, count)| covers(first, count))
    })
}

/// The user of a service, written down before it is used.
fn given(registry: &Path, state: &Path, service: &ServiceName) -> Result<u32, UserFault> {
    let owner = Owner {
        state: state.canonicalize().unwrap_or_else(|_| state.to_owned()),
        service: service.clone(),
    };
    let fault = |action| {
        move |source| UserFault::File {
            path: registry.to_owned(),
            action,
            source,
        }
    };
    crate::runtime::make_private(registry).map_err(fault("created"))?;
    let _one = lock(&registry.join("lock")).map_err(fault("locked"))?;
    let path = registry.join("uids.json");
    let table = record::read(&path).map_err(fault("read"))?;
    let mut table: BTreeMap<u32, Owner> = table.unwrap_or_default();
    if let Some((uid, _)) = table.iter().find(|(_, known)| **known == owner) {
        return Ok(*uid);
    }
    let uid = free(&table, &owner).or_else(|| {
        forget_the_gone(&mut table);
        free(&table, &owner)
    });
    let uid = uid.ok_or_else(|| UserFault::Exhausted {
        path: path.clone(),
        count: UIDS.len(),
    })?;
    table.insert(uid, owner);
    record::write(&path, &table).map_err(fault("written"))?;
    Ok(uid)
}

/// Users that these services had in a state folder that is gone, or that has been moved here: files may still
/// belong to them.
pub(crate) fn formerly(state: &Path, services: &[ServiceName]) -> BTreeMap<u32, ServiceName> {
    formerly_in(Path::new(REGISTRY), state, services)
}

fn formerly_in(
    registry: &Path,
    state: &Path,
    services: &[ServiceName],
) -> BTreeMap<u32, ServiceName> {
    let own = state.canonicalize().unwrap_or_else(|_| state.to_owned());
    let table = record::read::<BTreeMap<u32, Owner>>(&registry.join("uids.json"));
    let table = table.ok().flatten().unwrap_or_default();
    let moved = |owner: &Owner| {
        let there = owner.state.canonicalize();
        owner.state != own && there.map_or(true, |there| there == own)
    };
    let ours = table.into_iter();
    let ours = ours.filter(|(_, owner)| services.contains(&owner.service) && moved(owner));
    ours.map(|(uid, owner)| (uid, owner.service)).collect()
}

fn lock(path: &Path) -> io::Result<File> {
    let lock = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(lock),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(fault) => return Err(fault.into()),
        }
    }
}

/// The first number that nobody has, from a place that depends on the owner alone.
fn free(table: &BTreeMap<u32, Owner>, owner: &Owner) -> Option<u32> {
    use std::os::unix::ffi::OsStrExt as _;
    let state = owner.state.as_os_str().as_bytes();
    let digest = Digest::of_parts(&[state, owner.service.as_str().as_bytes()]);
    let place = u32::from_be_bytes([digest.0[0], digest.0[1], digest.0[2], digest.0[3]]);
    let count = UIDS.end - UIDS.start;
    let from = UIDS.start + place % count;
    (from..UIDS.end)
        .chain(UIDS.start..from)
        .find(|uid| !table.contains_key(uid))
}

/// Only when all are given: a state folder that is gone gives its users back, unless they still run.
fn forget_the_gone(table: &mut BTreeMap<u32, Owner>) {
    let running: Vec<u32> = process::all()
        .into_iter()
        .filter_map(|stat| Some(fs::metadata(format!("/proc/{}", stat.pid)).ok()?.uid()))
        .collect();
    table.retain(|uid, owner| owner.state.exists() || running.contains(uid));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> ServiceName {
        ServiceName::new(name).unwrap()
    }

    #[test]
    fn two_platforms_never_share_a_user_and_each_keeps_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let registry = folder.path().join("uids");
        let states = ["shop", "blog"].map(|name| folder.path().join(name));
        let mut all = Vec::new();
        for state in &states {
            fs::create_dir(state).unwrap();
            for number in 0..150 {
                let service = service(&format!("s{number}"));
                let uid = given(&registry, state, &service).unwrap();
                assert!(UIDS.contains(&uid));
                assert_eq!(
                    given(&registry, state, &service).unwrap(),
                    uid,
                    "the same again"
                );
                all.push(uid);
            }
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "somebody shares");
    }

    #[test]
    fn whom_files_of_a_moved_state_belonged_to_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let registry = folder.path().join("uids");
        let [old, new, other] = ["old", "new", "other"].map(|name| folder.path().join(name));
        for state in [&old, &other] {
            fs::create_dir(state).unwrap();
        }
        let web = given(&registry, &old, &service("web")).unwrap();
        given(&registry, &old, &service("api")).unwrap();
        given(&registry, &other, &service("web")).unwrap();
        fs::rename(&old, &new).unwrap();
        std::os::unix::fs::symlink(&new, &old).unwrap();
        given(&registry, &new, &service("web")).unwrap();
        let known = formerly_in(&registry, &new, &[service("web")]);
        assert_eq!(known, BTreeMap::from([(web, service("web"))]));
    }

    #[test]
    fn two_that_hash_alike_get_two_users() {
        let owner = Owner {
            state: "/a".into(),
            service: service("web"),
        };
        let first = free(&BTreeMap::new(), &owner).unwrap();
        let taken = BTreeMap::from([(first, owner.clone())]);
        let second = free(&taken, &owner).unwrap();
        assert_ne!(first, second);
        assert!(UIDS.contains(&second));
    }

    #[test]
    fn when_all_are_given_only_those_of_gone_folders_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("uids.json");
        let owner = |state: &Path| Owner {
            state: state.to_owned(),
            service: service("web"),
        };
        let full = |state: &Path| -> BTreeMap<u32, Owner> {
            UIDS.map(|uid| (uid, owner(state))).collect()
        };
        record::write(&path, &full(folder.path())).unwrap();
        let fault = given(folder.path(), folder.path(), &service("api")).unwrap_err();
        assert!(
            matches!(fault, UserFault::Exhausted { count: 10_000, .. }),
            "{fault}"
        );
        record::write(&path, &full(&folder.path().join("gone"))).unwrap();
        given(folder.path(), folder.path(), &service("api")).unwrap();
    }

    #[test]
    fn a_map_must_cover_the_whole_range() {
        assert!(maps("         0          0 4294967295\n"));
        assert!(!maps("0 100000 65536\n"));
        assert!(!maps("0 1000 1\n1 100000 79998\n"));
        assert!(!maps(""));
    }
}
