//! Where the control plane can be killed: three points of every kind of step.

use mainstay_plan::Step;
use std::fmt;

/// When, relative to the effect of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kill {
    /// The step is recorded; its effect has not happened.
    BeforeEffect,
    /// The effect has happened; its outcome is not recorded.
    BeforeOutcome,
    /// The outcome is recorded; the next step is not.
    AfterOutcome,
}

/// One row of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KillPoint {
    /// The kind of step.
    pub step: &'static str,
    /// When.
    pub kill: Kill,
}

impl fmt::Display for KillPoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {:?}", self.step, self.kill)
    }
}

macro_rules! kinds {
    ($($step:pat => $name:literal,)*) => {
        /// Every kind of step there is.
        pub const KINDS: &[&str] = &[$($name),*];

        /// The kind of a step. A new variant does not compile until it is named here, and with its
        /// name it is in [`KINDS`], for which three rows each are due.
        pub fn kind(step: &Step) -> &'static str {
            match step {
                $($step => $name,)*
            }
        }
    };
}

kinds! {
    Step::Start { .. } => "start",
    Step::AwaitReady { .. } => "await_ready",
    Step::Smoke { .. } => "smoke",
    Step::Publish(_) => "publish",
    Step::AwaitAcknowledged { .. } => "await_acknowledged",
    Step::AwaitDrained { .. } => "await_drained",
    Step::Stop { .. } => "stop",
    Step::AwaitStopped { .. } => "await_stopped",
    Step::Clear { .. } => "clear",
    Step::Serve { .. } => "serve",
    Step::Prepare { .. } => "prepare",
    Step::Provision { .. } => "provision",
    Step::AwaitRun { .. } => "await_run",
}

/// Every row: each kind of step that the plan has, before, between and after.
pub fn kill_points(steps: &[Step]) -> Vec<KillPoint> {
    let mut points: Vec<KillPoint> = steps
        .iter()
        .flat_map(|step| {
            [Kill::BeforeEffect, Kill::BeforeOutcome, Kill::AfterOutcome].map(|kill| KillPoint {
                step: kind(step),
                kill,
            })
        })
        .collect();
    points.sort();
    points.dedup();
    points
}
