//! What is there: records, processes and locks, put together; records that did not change are read once.

use crate::fault::ObserveFault;
use crate::group;
use crate::isolation::Isolation;
use crate::layout::Layout;
use crate::process::{self, Watched};
use crate::record::{self, Ended, Exit, Identity, Orders, State};
use mainstay_atoms::{Digest, Generation, InstanceId, Launch, Wall};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One instance as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceFact {
    /// Which place it fills.
    pub id: InstanceId,
    /// Which run of it.
    pub generation: Generation,
    /// Digest of what the file decides about the service.
    pub contents: Digest,
    /// The program's process, once it was executed.
    pub pid: Option<u32>,
    /// When that began, in clock ticks since boot; with the pid no other process can be meant.
    pub start_ticks: Option<u64>,
    /// When that began, in civil time.
    pub started: Option<Wall>,
    /// What it does.
    pub state: InstanceState,
    /// The shim's process.
    pub shim_pid: Option<u32>,
    /// Where it was told to listen.
    pub address: Option<SocketAddr>,
    /// What holds it.
    pub isolation: Option<Isolation>,
    /// What it was started from.
    pub launch: Launch,
}

/// What an instance does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceState {
    /// Its shim lives, its program was not executed yet.
    Starting,
    /// Its program runs.
    Running,
    /// Its program ended, and the shim wrote down how.
    Exited(Exit),
    /// Its shim is gone without a record: it was killed, or the machine stopped.
    Lost {
        /// What is known.
        reason: String,
    },
}

/// Ending what a killed shim left takes no longer than this.
const LEFTOVER: Duration = Duration::from_secs(5);

/// A folder that was not written to for so long has another time stamp after its next change: the kernel's
/// are as coarse as its ticks, at most 10 ms.
const SETTLED: Duration = Duration::from_millis(50);

/// What was last read of each instance, so that a look costs what has changed since.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    known: BTreeMap<OsString, Look>,
    /// Shims whose end was seen.
    pub(crate) ends: u64,
}

/// What was read of one folder.
#[derive(Debug)]
struct Look {
    folder: Stamp,
    /// When the folder was first seen like this.
    since: Instant,
    /// It was read when it was settled.
    settled: bool,
    shim: Option<Watched>,
    fact: Option<Arc<InstanceFact>>,
}

/// Tells one state of a folder from the next. Records are replaced by renaming, which changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(dir: &Path) -> io::Result<Self> {
        let found = fs::metadata(dir)?;
        Ok(Self {
            inode: found.ino(),
            changed: (found.mtime(), found.mtime_nsec()),
        })
    }
}

impl Looks {
    /// All instances, in the order of their ids.
    pub(crate) fn all(&mut self, layout: &Layout) -> Result<Vec<Arc<InstanceFact>>, ObserveFault> {
        let dir = layout.instances();
        let entries = match fs::read_dir(&dir) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(ObserveFault::File { path: dir, source }),
            Ok(entries) => entries,
        };
        let mut facts = Vec::new();
        let unread = |path: PathBuf| move |source| ObserveFault::File { path, source };
        let mut before = std::mem::take(&mut self.known);
        // Asked first: a shim that ends meanwhile has written its record before.
        let mut alive = alive(&before);
        self.ends += u64::try_from(alive.values().filter(|alive| !**alive).count()).unwrap_or(0);
        for entry in entries {
            let entry = entry.map_err(unread(dir.clone()))?;
            let name = entry.file_name();
            if name
                .to_str()
                .is_some_and(|name| name.parse::<InstanceId>().is_ok())
            {
                let path = entry.path();
                let last = before.remove(&name).map(|last| (last, alive.remove(&name)));
                if let Some(look) = look(&path, last).map_err(unread(path.clone()))? {
                    facts.extend(look.fact.clone());
                    self.known.insert(name, look);
                }
            }
        }
        facts.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(facts)
    }
}

/// Whether the shims live of which anything may still come.
fn alive(known: &BTreeMap<OsString, Look>) -> BTreeMap<OsString, bool> {
    let shims = known.iter().filter(|(_, look)| !look.has_ended());
    let shims = shims.filter_map(|(name, look)| Some((name.clone(), look.shim.as_ref()?)));
    let (names, watched): (Vec<OsString>, Vec<&Watched>) = shims.unzip();
    names.into_iter().zip(process::alive(&watched)).collect()
}

/// What was read last, where it still holds; else what is there now. `None`: the folder is gone. With what was
/// read last comes whether its shim lives, if that was asked.
fn look(dir: &Path, last: Option<(Look, Option<bool>)>) -> io::Result<Option<Look>> {
    let (last, alive) = last.map_or((None, None), |(last, alive)| (Some(last), alive));
    let now = Instant::now();
    let folder = match Stamp::of(dir) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    let same = last.filter(|last| last.folder == folder);
    let since = same.as_ref().map_or(now, |last| last.since);
    Ok(Some(match same {
        Some(last) if last.settled && (alive == Some(true) || last.has_ended()) => last,
        _ => Look {
            folder,
            since,
            settled: now.duration_since(since) >= SETTLED,
            shim: whole(&dir.join("shim.json"))?.map(Watched::new),
            fact: fact(dir)?.map(Arc::new),
        },
    }))
}

impl Look {
    /// Nothing more can happen to it without a change of its folder.
    fn has_ended(&self) -> bool {
        let fact = self.fact.as_deref();
        fact.is_some_and(|fact| matches!(fact.state, InstanceState::Exited(_)))
    }
}

/// One instance; `None` for a folder that never had whole orders: its start has not happened. What cannot
/// be read now is a fault, never taken for what is not there.
fn fact(dir: &Path) -> io::Result<Option<InstanceFact>> {
    let Some(orders) = whole::<Orders>(&dir.join("launch.json"))? else {
        return Ok(None);
    };
    let generation = orders.launch.generation;
    // Asked first: a shim that ends meanwhile has written its record before.
    let alive = shim_lives(dir);
    let state: Option<State> = whole(&dir.join("state.json"))?;
    let state = state.filter(|state| state.generation == generation);
    let exit: Option<Exit> = whole(&dir.join("exit.json"))?;
    let exit = exit.filter(|exit| exit.generation == generation);
    let now = match exit {
        Some(exit) => InstanceState::Exited(exit),
        None if !alive => lost(dir, state.as_ref()),
        None if state.is_some() => InstanceState::Running,
        None => InstanceState::Starting,
    };
    let executed =
        !matches!(&now, InstanceState::Exited(exit) if exit.ended == Ended::NeverStarted);
    let shown = state.as_ref().filter(|_| executed);
    Ok(Some(InstanceFact {
        generation,
        contents: orders.launch.contents,
        address: orders.launch.address,
        pid: shown.map(|state| state.workload.pid),
        start_ticks: shown.map(|state| state.workload.start_ticks),
        started: shown.map(|state| state.at),
        shim_pid: state.as_ref().map(|state| state.shim.pid),
        isolation: state.map(|state| state.isolation),
        state: now,
        id: orders.launch.instance.clone(),
        launch: orders.launch,
    }))
}

/// A record that is there and whole; half of one is none.
fn whole<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match record::read(path) {
        Err(fault) if is_form(&fault) => Ok(None),
        other => other,
    }
}

fn is_form(fault: &io::Error) -> bool {
    matches!(
        fault.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}

pub(crate) fn state(dir: &Path) -> Option<State> {
    record::read(&dir.join("state.json")).ok().flatten()
}

fn lost(dir: &Path, state: Option<&State>) -> InstanceState {
    kill_leftover(dir);
    let reason = match state {
        Some(state) => format!("its shim {} ended without a record", state.shim.pid),
        None => "its shim ended before the program was executed".into(),
    };
    InstanceState::Lost { reason }
}

/// Whether the shim that last took this instance still lives, by pid and start time. (Asking for its
/// lock would take the lock for a moment, and a shim that starts just then would be refused.)
pub(crate) fn shim_lives(dir: &Path) -> bool {
    // A record that cannot be read now says nothing, and nobody is killed for that.
    whole::<Identity>(&dir.join("shim.json"))
        .map_or(true, |shim| shim.is_some_and(Identity::is_alive))
}

/// Calls a shim that lives, so that it looks after its socket; whether there was one.
pub(crate) fn call(dir: &Path) -> bool {
    let shim = whole::<Identity>(&dir.join("shim.json")).ok().flatten();
    let Some(shim) = shim.filter(|shim| shim.is_alive()) else {
        return false;
    };
    group::signal_one(shim.pid, rustix::process::Signal::HUP);
    true
}

/// Whether a run is over; waits for a shim that has written its record and is about to end.
pub(crate) fn is_over(dir: &Path) -> bool {
    let deadline = Instant::now() + LEFTOVER;
    while shim_lives(dir) {
        if !dir.join("exit.json").exists() || Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Ends everything that a dead shim left running. Does nothing while the shim lives.
pub(crate) fn kill_leftover(dir: &Path) {
    if shim_lives(dir) {
        return;
    }
    // A shim that died early knew its groups before its program.
    let groups = record::read::<State>(&dir.join("groups.json"))
        .ok()
        .flatten();
    if let Some(State { groups, .. }) = groups {
        group::kill(&groups, LEFTOVER);
        group::remove(&groups);
    }
    if let Some(state) = state(dir) {
        process::family(state.workload)
            .into_iter()
            .for_each(group::kill_one);
    }
}

/// The processes of an instance: its groups' and its family's.
pub(crate) fn members(dir: &Path) -> BTreeSet<u32> {
    let Some(state) = state(dir) else {
        return BTreeSet::new();
    };
    let mut members = process::family(state.workload);
    members.extend(group::members(&state.groups));
    if state.workload.is_alive() {
        members.insert(state.workload.pid);
    }
    members
}
