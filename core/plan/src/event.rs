//! What the ledger holds: events, each the payload of one entry.

use crate::judge::Failure;
use crate::serving::Serving;
use crate::step::{Parent, Purpose, Step};
use mainstay_atoms::{
    Digest, Generation, InstanceId, PlanId, ReleaseNumber, RouteName, ServiceName, Wall,
};
use mainstay_rollout::{Weights, blue_green, canary};
use mainstay_workload::Exit;
use serde::{Deserialize, Serialize};

/// Something that happened, or is about to: a step is recorded before it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// A control plane took over.
    ControlPlaneStarted {
        /// Its process.
        pid: u32,
        /// Its version.
        version: String,
    },
    /// A release was made; its record is kept by digest.
    ReleaseMade {
        /// Its number.
        release: ReleaseNumber,
        /// Digest of its contents.
        contents: Digest,
        /// Digest of the stored record.
        record: Digest,
        /// The release whose contents it brings back.
        of: Option<ReleaseNumber>,
        /// What changed, in a few words.
        reason: String,
        /// Its jobs: from here on their schedules count, unless they did before.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        jobs: Vec<ServiceName>,
    },
    /// A plan was checked and kept by digest.
    PlanRecorded {
        /// Its id.
        plan: PlanId,
        /// What it was made from.
        parent: Parent,
        /// Why it was made.
        purpose: Purpose,
        /// The release it is for.
        release: Option<ReleaseNumber>,
    },
    /// A step is about to be done.
    StepBegun {
        /// The plan.
        plan: PlanId,
        /// Its place in the plan.
        index: usize,
        /// The step itself.
        step: Step,
    },
    /// A step was done.
    StepDone {
        /// The plan.
        plan: PlanId,
        /// Its place in the plan.
        index: usize,
    },
    /// Nothing more of this plan will be done.
    PlanEnded {
        /// The plan.
        plan: PlanId,
        /// Why.
        end: PlanEnd,
    },
    /// A release came to its end without serving.
    ReleaseEnded {
        /// Which.
        release: ReleaseNumber,
        /// How.
        end: ReleaseEnd,
    },
    /// An instance ended by itself.
    InstanceEnded {
        /// Which.
        instance: InstanceId,
        /// Which run.
        generation: Generation,
        /// How.
        exit: Exit,
        /// How long it ran, in milliseconds.
        ran_ms: u64,
        /// How long before that was seen, in milliseconds.
        #[serde(default)]
        ago_ms: u64,
    },
    /// Nothing ships these contents again by itself.
    HoldSet {
        /// The release that was taken back.
        release: ReleaseNumber,
        /// Its contents.
        contents: Digest,
    },
    /// The hold is gone.
    HoldLifted {
        /// The release that was taken back.
        release: ReleaseNumber,
    },
    /// Somebody asked for a run of a job.
    JobAsked {
        /// Which.
        job: ServiceName,
    },
    /// The trial of a service has come to another phase or step.
    Canary {
        /// Which.
        service: ServiceName,
        /// Where it stands.
        state: Box<canary::State>,
        /// The shares that it is to have.
        weights: Weights,
    },
    /// The blue-green release of a service has come to another phase.
    BlueGreen {
        /// Which.
        service: ServiceName,
        /// Where it stands.
        state: Box<blue_green::State>,
    },
    /// Somebody agrees to what the release that moves contains.
    Approved {
        /// Which.
        release: ReleaseNumber,
        /// Its stored record: what was shown to whoever agrees.
        record: Digest,
    },
    /// An item of the checklist was answered for the release that moves.
    Ticked {
        /// Which.
        release: ReleaseNumber,
        /// Its stored record.
        record: Digest,
        /// The item.
        item: String,
        /// What the command said that failed; none: it is fine.
        fault: Option<String>,
    },
    /// Somebody may act under this name from here on, with a secret of which the digest is known.
    TokenMade {
        /// The name.
        name: String,
        /// SHA-256 of the token.
        hash: Digest,
    },
    /// Nobody may any longer.
    TokenRevoked {
        /// The name.
        name: String,
    },
    /// How many instances of a service are wanted has changed, by what was measured of it.
    Scaled {
        /// Which.
        service: ServiceName,
        /// How many from here on.
        instances: u32,
        /// Why, in words.
        why: String,
    },
    /// Somebody set how many instances are wanted, for a time.
    ScaleSet {
        /// Which.
        service: ServiceName,
        /// How many.
        instances: u32,
        /// The first moment at which it holds no longer.
        until: Wall,
    },
    /// What somebody set holds no longer.
    ScaleFreed {
        /// Which.
        service: ServiceName,
    },
    /// An alert that fires did what the file lets it do; recorded together with what that is. In a dry run nothing is.
    AlertActed {
        /// The alert.
        alert: String,
        /// What, in words: `scale web by 2`.
        deed: String,
        /// The service, job or route that it is about.
        subject: String,
        /// The count that it reaches, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reaches: Option<u32>,
        /// It would have been done, and was not.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
        /// When, on the clock by which alerts wait before they do it again, in milliseconds.
        steady_ms: i64,
    },
    /// A route is answered by the gateway alone, for a time.
    RoutePaused {
        /// Which.
        route: RouteName,
        /// The first moment at which it is no longer.
        until: Wall,
        /// Why, in words.
        why: String,
    },
    /// It is answered as before, from here on.
    RouteResumed {
        /// Which.
        route: RouteName,
        /// When, on the clock by which alerts wait before they do it again, in milliseconds.
        steady_ms: i64,
    },
    /// Somebody ordered something of the releases that are on trial.
    CanaryOrdered {
        /// What.
        order: canary::Order,
    },
    /// A step of a job's run is about to be done.
    JobStep {
        /// The step itself.
        step: Step,
    },
    /// The control plane is about to replace itself and its gateway by another program.
    UpgradeBegun {
        /// The version that gives way.
        from: String,
        /// The version that takes over, as it says itself.
        to: String,
        /// Digest of its program.
        program: Digest,
    },
    /// Everything is to stop.
    DownAsked,
    /// Everything is to run again.
    UpAsked,
    /// A halted ledger went on without entries that were gone, because somebody accepted that.
    LedgerResumed {
        /// The timeline that begins here.
        timeline: u32,
        /// Entries that were left.
        kept: u64,
        /// Entries that had been signed.
        signed: u64,
        /// What the gateway serves now, which the lost entries had told it; none when that is not known.
        serving: Option<Box<Serving>>,
    },
}

/// Why a plan ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "end")]
pub enum PlanEnd {
    /// Every step was done.
    Done,
    /// A step failed.
    Failed {
        /// Its place in the plan.
        index: usize,
        /// Why.
        failure: Failure,
    },
    /// What is seen contradicts the plan; another one carries on.
    Deviated {
        /// What was seen.
        seen: String,
    },
    /// A newer release took over.
    Superseded,
    /// Somebody stopped it.
    Aborted,
}

/// How a release ended without serving.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum ReleaseEnd {
    /// A step of its plan failed.
    Failed {
        /// In one line.
        why: String,
    },
    /// A newer release took over before it served.
    Superseded,
    /// Somebody stopped it.
    Aborted,
}

impl Event {
    /// Number and name of the entry's kind; numbers never change their meaning.
    pub fn kind(&self) -> (u16, &'static str) {
        match self {
            Self::ControlPlaneStarted { .. } => (1, "control_plane_started"),
            Self::ReleaseMade { .. } => (2, "release_made"),
            Self::PlanRecorded { .. } => (3, "plan_recorded"),
            Self::StepBegun { .. } => (4, "step_begun"),
            Self::StepDone { .. } => (5, "step_done"),
            Self::PlanEnded { .. } => (6, "plan_ended"),
            Self::ReleaseEnded { .. } => (7, "release_ended"),
            Self::InstanceEnded { .. } => (8, "instance_ended"),
            Self::HoldSet { .. } => (9, "hold_set"),
            Self::HoldLifted { .. } => (10, "hold_lifted"),
            Self::DownAsked => (11, "down_asked"),
            Self::UpAsked => (12, "up_asked"),
            Self::LedgerResumed { .. } => (13, "ledger_resumed"),
            Self::JobAsked { .. } => (14, "job_asked"),
            Self::JobStep { .. } => (15, "job_step"),
            Self::UpgradeBegun { .. } => (16, "upgrade_begun"),
            Self::Canary { .. } => (17, "canary"),
            Self::CanaryOrdered { .. } => (18, "canary_ordered"),
            Self::BlueGreen { .. } => (19, "blue_green"),
            Self::Approved { .. } => (20, "approved"),
            Self::Ticked { .. } => (21, "ticked"),
            Self::TokenMade { .. } => (22, "token_made"),
            Self::TokenRevoked { .. } => (23, "token_revoked"),
            Self::Scaled { .. } => (24, "scaled"),
            Self::ScaleSet { .. } => (25, "scale_set"),
            Self::ScaleFreed { .. } => (26, "scale_freed"),
            Self::AlertActed { .. } => (27, "alert_acted"),
            Self::RoutePaused { .. } => (28, "route_paused"),
            Self::RouteResumed { .. } => (29, "route_resumed"),
        }
    }

    /// The highest generation that the event uses.
    pub fn generation(&self) -> Option<Generation> {
        match self {
            Self::StepBegun {
                step: Step::Start { launch },
                ..
            } => Some(launch.generation),
            Self::StepBegun {
                step: Step::Publish(publish),
                ..
            } => Some(publish.generation),
            _ => None,
        }
    }

    /// The bytes of the entry's payload.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an event holds only what JSON can say")
    }

    /// Reads a payload.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}
