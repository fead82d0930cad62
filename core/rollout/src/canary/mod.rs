//! The canary: a release earns its traffic stage by stage.
//!
//! [`decide`] is given what is wanted, what is seen, the state so far and the time, and returns the next
//! state, what is to be done, and a report. It is asked again after every look; asked twice with the same
//! arguments it says the same. The state serialises, and with it alone a killed control plane goes on.
//!
//! The order of precedence: a release that fails is aborted, whatever a person ordered and whether it is
//! paused; then orders; then the hold. An abort sends the canary's weight to 0 and only after the gateway
//! acknowledged that stops it.

mod decide;
mod order;
mod state;

pub use decide::decide;
pub use order::{Ignored, Order};
pub use state::{Abort, Pause, Phase, State, Wait};

use crate::verdict::Verdict;
use crate::weight::{Baseline, Stages, Weights};
use mainstay_atoms::{Fact, ReleaseNumber, Share};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// What is wanted of a canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The release that is to replace.
    pub release: ReleaseNumber,
    /// The release that is to be replaced; none before the first, which skips the stages.
    pub stable: Option<ReleaseNumber>,
    /// Instances of a whole release.
    pub instances: u32,
    /// The stages.
    pub stages: Stages,
    /// What it is compared with.
    pub baseline: Baseline,
    /// How long a stage whose hold is over waits for a verdict before it asks a person.
    pub patience: Duration,
    /// How long all of the traffic is watched before the release is done.
    pub bake: Duration,
    /// How long instances may take to become ready.
    pub deadline: Duration,
}

/// Instances of one side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// That run or are starting.
    pub running: u32,
    /// That may take traffic.
    pub ready: u32,
}

/// What every worker of the gateway serves by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// The release that the canary's weight goes to.
    pub release: ReleaseNumber,
    /// The weights.
    pub weights: Weights,
}

/// What is seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Of the release.
    pub canary: Count,
    /// Of the same-age baseline.
    pub baseline: Count,
    /// Why the release cannot become ready, when it is certain: a crash loop, a failed job.
    pub broken: Option<String>,
    /// What the gateway acknowledged last; unknown while it is away.
    pub gateway: Fact<Served>,
    /// The newest verdict, with the run that it belongs to.
    pub verdict: Option<(Attempt, Verdict)>,
    /// Releases with instances that run, the stable one aside.
    pub running: BTreeSet<ReleaseNumber>,
    /// What people ordered since the last look.
    pub orders: Vec<Order>,
}

/// Which run a verdict belongs to: stage (the number of stages is the bake) and try.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Attempt {
    /// Rises with each retry and each resume after doubt.
    pub number: u32,
    /// Which stage, from 0.
    pub stage: usize,
}

/// Which instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Of the release.
    Canary,
    /// Of the same-age baseline.
    Baseline,
}

/// Something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// So many instances are to run.
    Scale {
        /// Which.
        side: Side,
        /// How many.
        instances: u32,
    },
    /// The gateway is to serve by these weights.
    Publish(Served),
    /// A run of the metrics begins.
    Judge(Attempt),
    /// All instances of a release that no table names any longer are to be drained and stopped.
    Stop(ReleaseNumber),
    /// The release is the stable one from now on; the old one may leave.
    Finish,
}

impl fmt::Display for Act {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scale {
                side: Side::Canary,
                instances,
            } => write!(out, "run {instances} of the canary"),
            Self::Scale { instances, .. } => write!(out, "run {instances} of the baseline"),
            Self::Publish(served) => write!(out, "publish {}: {}", served.release, served.weights),
            Self::Judge(at) => write!(out, "judge stage {} try {}", at.stage + 1, at.number + 1),
            Self::Stop(release) => write!(out, "stop {release}"),
            Self::Finish => out.write_str("finish"),
        }
    }
}

/// Where the release stands, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The stage, from 1, and how many there are.
    pub stage: Option<(usize, usize)>,
    /// What the gateway is to serve by.
    pub weights: Weights,
    /// What is waited for; never empty before the end.
    pub waits: Vec<Wait>,
    /// Orders that had no effect, and why.
    pub ignored: Vec<Ignored>,
}

/// What [`decide`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The state to keep and to record.
    pub state: State,
    /// What is to be done now.
    pub acts: Vec<Act>,
    /// Where it stands.
    pub report: Report,
}

/// Instances that a share of the traffic needs: rounded up, at least one.
pub(crate) fn instances(share: Share, of: u32) -> u32 {
    share.of_rounded_up(of).max(1)
}
