//! What a decision found, and what is being waited for.

use mainstay_atoms::{Generation, InstanceId, Moment, ReleaseNumber, ServiceName};
use mainstay_workload::Exit;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One thing that is waited for, with the fact seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "wait")]
pub enum Wait {
    /// An instance is not ready.
    Ready {
        /// Which.
        instance: InstanceId,
        /// The probe's last answer.
        seen: String,
    },
    /// An ended instance starts again after its back-off.
    Restart {
        /// Which.
        instance: InstanceId,
        /// How it ended.
        exit: Exit,
        /// How often in a row.
        ends: u32,
        /// When it starts.
        due: Moment,
    },
    /// The gateway is not seen, or serves an older table.
    Gateway {
        /// The table it is to serve.
        generation: Generation,
        /// What is seen of it.
        seen: String,
    },
    /// Requests or streams are under way.
    Drain {
        /// Which.
        instance: InstanceId,
        /// Requests under way.
        in_flight: u64,
        /// WebSockets and event streams.
        streams: u64,
    },
    /// A process was asked to stop and still runs.
    Stop {
        /// Which.
        instance: InstanceId,
    },
    /// None of a service's instances runs, and something it needs is not ready.
    Needs {
        /// Which.
        service: ServiceName,
        /// What it needs.
        needs: ServiceName,
    },
    /// A run of a job is under way.
    Run {
        /// Which.
        instance: InstanceId,
    },
    /// What a release did cannot be undone, so nothing is taken back by itself.
    Frozen {
        /// The release.
        release: ReleaseNumber,
        /// The job that did it.
        job: ServiceName,
    },
    /// A release may not begin, or go on, yet.
    Gate {
        /// Which.
        release: ReleaseNumber,
        /// What is missing: `1 of 2 approvals`.
        missing: String,
    },
    /// A service is on trial.
    Trial {
        /// Which.
        service: ServiceName,
        /// Where it stands: `step 1 of 3`.
        stands: String,
        /// What it waits for, with the figures so far.
        seen: String,
    },
    /// No port is left for an instance.
    Port {
        /// Which.
        instance: InstanceId,
    },
    /// An effect did not work and is tried again.
    Effect {
        /// What is tried.
        step: String,
        /// What went wrong.
        seen: String,
    },
    /// The ledger cannot record, so nothing is done.
    Ledger {
        /// Why.
        seen: String,
    },
}

impl Wait {
    /// The instance it is about.
    pub fn instance(&self) -> Option<&InstanceId> {
        match self {
            Self::Ready { instance, .. }
            | Self::Restart { instance, .. }
            | Self::Drain { instance, .. }
            | Self::Stop { instance }
            | Self::Run { instance }
            | Self::Port { instance } => Some(instance),
            Self::Needs { .. }
            | Self::Frozen { .. }
            | Self::Trial { .. }
            | Self::Gate { .. }
            | Self::Gateway { .. }
            | Self::Effect { .. }
            | Self::Ledger { .. } => None,
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { instance, seen } => write!(out, "{instance} to be ready: {seen}"),
            Self::Restart {
                instance,
                exit,
                ends,
                ..
            } if *ends >= 3 => {
                write!(
                    out,
                    "{instance} to start again: crash loop, {ends} ends in a row, last {exit}"
                )
            }
            Self::Restart { instance, exit, .. } => {
                write!(out, "{instance} to start again: it ended with {exit}")
            }
            Self::Gateway { generation, seen } => {
                write!(out, "the gateway to serve table {generation}: {seen}")
            }
            Self::Drain {
                instance,
                in_flight,
                streams,
            } => {
                write!(
                    out,
                    "{instance} to drain: {in_flight} requests, {streams} streams"
                )
            }
            Self::Stop { instance } => write!(out, "{instance} to stop: its process still runs"),
            Self::Needs { service, needs } => {
                write!(out, "{needs} to be ready, which {service} needs")
            }
            Self::Run { instance } => write!(out, "{instance} to end"),
            Self::Frozen { release, job } => write!(
                out,
                "a person: `{job}` of {release} cannot be undone, so nothing goes back by itself"
            ),
            Self::Gate { release, missing } => write!(out, "{missing}, for {release}"),
            Self::Trial {
                service,
                stands,
                seen,
            } => write!(out, "{service}, on trial, {stands}: {seen}"),
            Self::Port { instance } => write!(out, "a free port for {instance}"),
            Self::Effect { step, seen } => write!(out, "`{step}` to work: {seen}"),
            Self::Ledger { seen } => write!(out, "the ledger to record: {seen}"),
        }
    }
}

/// What the decider did about each service, and what it waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[must_use]
pub struct Report {
    /// A line for each service that is touched: `web: 2 start, 2 leave, made by v3`.
    pub services: Vec<ServiceLine>,
    /// A line for each store that is touched.
    #[serde(default)]
    pub stores: Vec<StoreLine>,
    /// Runs of jobs that the plan makes.
    #[serde(default)]
    pub jobs: Vec<ServiceName>,
    /// What stands in the way of being steady.
    pub waits: Vec<Wait>,
}

/// What happens to one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreLine {
    /// Which.
    pub store: ServiceName,
    /// What.
    pub action: StoreAction,
}

/// What happens to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreAction {
    /// It is made.
    Make,
    /// Its server starts on the data that is there.
    Start,
    /// Its server stops and starts again: it is away for a moment.
    Restart,
    /// Its server takes over settings or users while it runs.
    Reload,
    /// Its server stops; the data stays.
    Detach,
}

impl fmt::Display for StoreLine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = &self.store;
        match self.action {
            StoreAction::Make => write!(out, "{store}: is made"),
            StoreAction::Start => write!(out, "{store}: starts on the data that is there"),
            StoreAction::Restart => write!(out, "{store}: RESTARTS, and is away meanwhile"),
            StoreAction::Reload => write!(out, "{store}: takes over settings while it runs"),
            StoreAction::Detach => write!(out, "{store}: stops, and its data stays"),
        }
    }
}

/// What happens to one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLine {
    /// Which.
    pub service: ServiceName,
    /// The release its instances will carry.
    pub since: Option<ReleaseNumber>,
    /// Instances that start.
    pub start: u32,
    /// Instances that leave.
    pub leave: u32,
    /// Fewest ready instances at any time of the plan.
    pub least_ready: u32,
}

impl fmt::Display for ServiceLine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}: {} start, {} leave",
            self.service, self.start, self.leave
        )?;
        write!(out, ", never below {} ready", self.least_ready)
    }
}
