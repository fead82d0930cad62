//! Which mechanism holds which limit.

use crate::user::RunsAs;
use crate::view::Reach;
use serde::{Deserialize, Serialize};

/// Who enforces one limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// The file asks for no limit.
    NotAsked,
    /// A version 2 control group.
    CgroupV2,
    /// A version 1 control group.
    CgroupV1,
    /// A resource limit of each process, which its children escape by being several.
    Rlimit,
    /// Nobody.
    Nobody {
        /// Why, in words for a person.
        why: String,
    },
}

/// How the whole group is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillBy {
    /// `cgroup.kill`: all at once.
    CgroupKill,
    /// Signals to every process of a version 1 group until it is empty.
    CgroupProcs,
    /// Signals to the process group and to what the shim inherits; a process that left both, after its
    /// shim was killed, is not reached.
    ProcessGroup,
}

/// What holds an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// The memory limit.
    pub memory: Holder,
    /// The processor limit.
    pub cpu: Holder,
    /// The limit of processes.
    pub processes: Holder,
    /// The limit of open files.
    pub files: Holder,
    /// How it is ended.
    pub kill: KillBy,
    /// Whose rights it has.
    #[serde(default)]
    pub user: RunsAs,
    /// How it reaches its own folders.
    #[serde(default)]
    pub reach: Reach,
}

impl std::fmt::Display for Isolation {
    /// Its limits in one line, for `why`: `memory by cgroup v1, cpu not limited, …`.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let limits = [
            ("memory", &self.memory),
            ("cpu", &self.cpu),
            ("processes", &self.processes),
            ("files", &self.files),
        ];
        for (place, (name, holder)) in limits.into_iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            match holder {
                Holder::NotAsked => write!(out, "{comma}{name} not limited")?,
                Holder::CgroupV2 => write!(out, "{comma}{name} by cgroup v2")?,
                Holder::CgroupV1 => write!(out, "{comma}{name} by cgroup v1")?,
                Holder::Rlimit => write!(out, "{comma}{name} by rlimit")?,
                Holder::Nobody { why } => write!(out, "{comma}{name} held by nobody ({why})")?,
            }
        }
        match self.kill {
            KillBy::CgroupKill => out.write_str("; ended as a whole by cgroup.kill"),
            KillBy::CgroupProcs => out.write_str("; ended as a whole by its cgroup"),
            KillBy::ProcessGroup => {
                out.write_str("; ended by process group: orphans cannot be excluded")
            }
        }
    }
}
