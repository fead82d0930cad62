//! What can be seen of a platform from outside: its status, its processes, and which of them it knows.

use crate::platform::Platform;
use mainstay_e2e::Process;
use mainstay_e2e::process::below;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

/// One instance that `status` names, and its process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// `web.v3.1`; a store's own name.
    pub(super) name: String,
    pub(super) store: bool,
    pub(super) process: Process,
}

/// What `status` said.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) status: Value,
    pub(super) known: Vec<Known>,
}

impl Seen {
    /// None when no control plane answers.
    pub(super) fn of(platform: &Platform) -> Option<Self> {
        let output = platform.run(&["status", "--json"]).ok()?;
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        let output = output.status.success();
        output.then(|| Self {
            known: known(&status),
            status,
        })
    }

    /// Whether everything that is wanted is there and ready, and nothing moves.
    pub(super) fn is_steady(&self) -> bool {
        mainstay_e2e::is_steady(&self.status)
    }

    /// Whether nothing that `status` names is one of these.
    pub(super) fn is_without(&self, gone: &[Process]) -> bool {
        !self.known.iter().any(|one| gone.contains(&one.process))
    }
}

fn known(status: &Value) -> Vec<Known> {
    let rows = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let stores = rows(&status["stores"]);
    let services = rows(&status["services"]);
    let instances = services
        .iter()
        .flat_map(|service| rows(&service["instances"]));
    let tagged = stores.into_iter().map(|row| (row, true));
    let all = tagged.chain(instances.map(|row| (row, false)));
    all.filter_map(|(row, store)| {
        let pid = u32::try_from(row["pid"].as_u64()?).ok()?;
        Some(Known {
            name: row["name"].as_str()?.to_owned(),
            store,
            process: Process::of(pid)?,
        })
    })
    .collect()
}

/// The number of a process' parent.
pub(super) fn parent(process: &Process) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid)).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// Everything that runs from the platform's folder, but for the commands that this program began.
pub(super) fn processes(platform: &Platform) -> Vec<Process> {
    let mut all = below(platform.folder());
    all.retain(|one| parent(one) != Some(std::process::id()));
    all
}

/// The process that was started as `mainstay WORD …`.
pub(super) fn role(platform: &Platform, all: &[Process], word: &str) -> Option<Process> {
    let start = format!("{} {word} ", platform.binary().display());
    let mut found = all.iter().filter(|one| one.command.starts_with(&start));
    found.next_back().cloned()
}

/// Whether it is a shim.
pub(super) fn is_shim(platform: &Platform, process: &Process) -> bool {
    let start = format!("{} shim", platform.binary().display());
    process.command.starts_with(&start)
}

/// Processes that nobody answers for: neither the control plane nor the gateway, nor below a shim whose
/// instance is known, nor a run of a job.
pub(super) fn orphans(platform: &Platform, seen: &Seen) -> Vec<Process> {
    let all = processes(platform);
    let by_pid: BTreeMap<u32, &Process> = all.iter().map(|one| (one.pid, one)).collect();
    let mut answered: Vec<u32> = ["serve", "gateway"]
        .iter()
        .filter_map(|word| Some(role(platform, &all, word)?.pid))
        .collect();
    answered.extend(seen.known.iter().map(|one| one.process.pid));
    answered.extend(
        seen.known
            .iter()
            .filter_map(|one| parent(&one.process))
            .filter(|pid| by_pid.contains_key(pid)),
    );
    let root = |from: &Process| -> Option<u32> {
        let mut pid = from.pid;
        for _ in 0..64 {
            if answered.contains(&pid) {
                return Some(pid);
            }
            pid = parent(by_pid.get(&pid)?)?;
        }
        None
    };
    all.iter()
        .filter(|one| root(one).is_none())
        .filter(|one| one.runs())
        .cloned()
        .collect()
}
