//! Steps, and the plan they make.

use crate::report::Report;
use crate::serving::Routes;
use mainstay_atoms::{
    Actor, Digest, Generation, InstanceId, Launch, PlanId, ReleaseNumber, ServiceName, Smoke, Stop,
    Wall,
};
use mainstay_routing::Pool;
use mainstay_spec::StoreOrder;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// One thing to do or to wait for. Every step is idempotent: it is keyed by an id and a generation,
/// and doing it twice is doing it once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum Step {
    /// Starts one run of an instance.
    Start {
        /// All of it.
        launch: Box<Launch>,
    },
    /// Waits until a run is ready and has stayed so.
    AwaitReady {
        /// Which instance.
        instance: InstanceId,
        /// Which run.
        generation: Generation,
        /// How long it must stay ready.
        stays: Duration,
        /// Longest wait; then the step fails.
        within: Duration,
    },
    /// Asks a ready run for the pages that say whether it does its work; one that fails fails the step.
    Smoke {
        /// Which instance.
        instance: InstanceId,
        /// Which run.
        generation: Generation,
        /// Where it listens.
        address: SocketAddr,
        /// What is asked, by name.
        tests: BTreeMap<String, Smoke>,
    },
    /// Tells the gateways who takes traffic.
    Publish(Publish),
    /// Waits until every gateway serves from that publication.
    AwaitAcknowledged {
        /// Number of the publication.
        generation: Generation,
        /// Longest wait; then the step fails.
        within: Duration,
    },
    /// Waits until nothing is in flight at a run that left the table, or its time is up.
    AwaitDrained {
        /// Which instance.
        instance: InstanceId,
        /// Which run.
        generation: Generation,
        /// Longest wait; then the step is done all the same.
        within: Duration,
    },
    /// Asks a run to stop: signal, grace, kill.
    Stop {
        /// Which instance.
        instance: InstanceId,
        /// Which run.
        generation: Generation,
        /// How.
        stop: Stop,
    },
    /// Waits until its processes are gone.
    AwaitStopped {
        /// Which instance.
        instance: InstanceId,
        /// Which run.
        generation: Generation,
        /// Longest wait; then the step fails.
        within: Duration,
    },
    /// Removes the traces of a run that ended; its log stays.
    Clear {
        /// Which instance.
        instance: InstanceId,
        /// Which run.
        generation: Generation,
    },
    /// Makes or sets what a store rests on: its folder, its first contents, its configuration.
    Prepare {
        /// All that is wanted of the store.
        order: Box<StoreOrder>,
    },
    /// Lets a running server take over its settings, and lets its users in.
    Provision {
        /// All that is wanted of the store.
        order: Box<StoreOrder>,
    },
    /// Waits until one run of a job has ended.
    AwaitRun {
        /// Which run.
        instance: InstanceId,
        /// Its generation.
        generation: Generation,
        /// It has to succeed; else the step fails.
        succeeds: bool,
        /// Longest wait; then the step fails. The run itself is stopped at its own deadline.
        within: Duration,
    },
    /// From here on this release is the one that serves.
    Serve {
        /// Which release.
        release: ReleaseNumber,
    },
}

/// A change of the gateway's table. What is not named stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// Its number.
    pub generation: Generation,
    /// New pools; none removes the service.
    pub pools: BTreeMap<ServiceName, Option<Pool>>,
    /// New listeners and routes.
    pub routes: Option<Routes>,
}

impl Step {
    /// Whether the step only waits.
    pub fn waits(&self) -> bool {
        matches!(
            self,
            Self::AwaitReady { .. }
                | Self::AwaitAcknowledged { .. }
                | Self::AwaitDrained { .. }
                | Self::AwaitStopped { .. }
                | Self::AwaitRun { .. }
        )
    }

    /// The instance it is about.
    pub fn instance(&self) -> Option<&InstanceId> {
        match self {
            Self::Start { launch } => Some(&launch.instance),
            Self::AwaitReady { instance, .. }
            | Self::Smoke { instance, .. }
            | Self::AwaitDrained { instance, .. }
            | Self::Stop { instance, .. }
            | Self::AwaitStopped { instance, .. }
            | Self::AwaitRun { instance, .. }
            | Self::Clear { instance, .. } => Some(instance),
            Self::Publish(_)
            | Self::AwaitAcknowledged { .. }
            | Self::Prepare { .. }
            | Self::Provision { .. }
            | Self::Serve { .. } => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { launch } => match launch.address {
                _ if launch.job.is_some() => write!(out, "run {}", launch.instance),
                Some(at) => write!(out, "start {} at {at}", launch.instance),
                None => write!(out, "start {}", launch.instance),
            },
            Self::AwaitReady { instance, .. } => write!(out, "wait until {instance} is ready"),
            Self::Smoke {
                instance, tests, ..
            } => {
                let names: Vec<&str> = tests.keys().map(String::as_str).collect();
                write!(out, "ask {instance} for {}", names.join(", "))
            }
            Self::Publish(publish) => {
                write!(out, "publish table {}", publish.generation)?;
                for (service, pool) in &publish.pools {
                    let names: Vec<String> = pool
                        .iter()
                        .flat_map(|pool| &pool.backends)
                        .map(|backend| backend.instance.to_string())
                        .collect();
                    let names = if names.is_empty() {
                        "nobody".into()
                    } else {
                        names.join(" ")
                    };
                    write!(out, ", {service} → {names}")?;
                    let split = pool.as_ref().and_then(|pool| pool.split.as_ref());
                    if let Some(split) = split {
                        let (canary, baseline) = (split.canary, split.baseline);
                        write!(out, " ({} {canary}", split.release)?;
                        if baseline.0 > 0 {
                            write!(out, ", fresh {baseline}")?;
                        }
                        out.write_str(")")?;
                    }
                }
                if publish.routes.is_some() {
                    out.write_str(", routes")
                } else {
                    Ok(())
                }
            }
            Self::AwaitAcknowledged { generation, .. } => {
                write!(out, "wait until the gateway serves table {generation}")
            }
            Self::AwaitDrained { instance, .. } => write!(out, "wait until {instance} is drained"),
            Self::Stop { instance, .. } => write!(out, "stop {instance}"),
            Self::AwaitStopped { instance, .. } => write!(out, "wait until {instance} is gone"),
            Self::Clear { instance, .. } => write!(out, "clear {instance}"),
            Self::Prepare { order } => write!(out, "prepare {}", order.store),
            Self::Provision { order } => write!(out, "provision {}", order.store),
            Self::AwaitRun { instance, .. } => write!(out, "wait until {instance} has ended"),
            Self::Serve { release } => write!(out, "{release} serves"),
        }
    }
}

/// Why a plan was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Ships a new release.
    Deploy,
    /// Gives a release that is on trial its next share of the traffic.
    Trial,
    /// Brings back the contents of an earlier release, as a new one.
    Rollback,
    /// Returns to the release that served before a failed, aborted or superseded one.
    Return,
    /// Brings what is seen back to what the serving release says.
    Heal,
    /// Stops everything.
    Down,
}

/// What a plan was made from. An executor refuses it when any of this has moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The release that served.
    pub release: Option<ReleaseNumber>,
    /// The last generation that was used.
    pub generation: Generation,
    /// The plan from which this one deviates, if it carries on with another's work.
    pub plan: Option<PlanId>,
}

/// An immutable plan: all that will be done, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What it was made from.
    pub parent: Parent,
    /// The release it is for; none when nothing shall run.
    pub release: Option<ReleaseNumber>,
    /// Digest of that release's contents.
    pub contents: Option<Digest>,
    /// Why.
    pub purpose: Purpose,
    /// Who asked.
    pub by: Actor,
    /// When.
    pub made_at: Wall,
    /// What will be done.
    pub steps: Vec<Step>,
    /// What the decider found and waits for.
    pub report: Report,
}

impl Plan {
    /// The bytes that are stored and digested.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a plan holds only what JSON can say")
    }

    /// Its id: the digest of those bytes.
    pub fn id(&self) -> PlanId {
        PlanId(Digest::of(&self.to_bytes()))
    }
}
