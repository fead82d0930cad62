//! What an engine can be asked between two ticks.

use crate::engine::Engine;
use crate::progress::Progress;
use crate::world::{Evidence, Seen, World};
use mainstay_atoms::{Epoch, Moment, ReleaseNumber};
use mainstay_plan::{Failure, History, Plan, Purpose, ReleaseRecord, Wait};
use serde::{Deserialize, Serialize};

/// The state of the whole, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No release was ever made, or none serves.
    Empty,
    /// A release is on its way.
    Moving,
    /// The world is as the serving release says.
    Steady,
    /// It is not, and is being brought back.
    Healing,
    /// Everything is being stopped, or was.
    Down,
    /// A later control plane has taken over; this one does nothing any more.
    Fenced,
}

impl Engine {
    /// What the ledger says.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The epoch of this control plane.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The release that serves, with its contents.
    pub fn serving_record(&self) -> Option<&ReleaseRecord> {
        self.serving.as_ref()
    }

    /// The release that moves, with its contents.
    pub fn moving_record(&self) -> Option<&ReleaseRecord> {
        self.moving.as_ref().map(|moving| &moving.record)
    }

    /// What is waited for, and since when.
    pub fn waits(&self) -> impl Iterator<Item = &(Wait, Moment)> {
        self.waits.iter().chain(&self.jobs.waits)
    }

    /// The last look at the world.
    pub fn seen(&self) -> Option<&Seen> {
        self.seen.as_ref()
    }

    /// What made the last release fail, until another one is made.
    pub fn failure(&self) -> Option<&(ReleaseNumber, Failure, Evidence)> {
        self.failure.as_ref()
    }

    /// What happened lately.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The plan under way and its next step.
    pub fn under_way(&self) -> Option<(&Plan, usize)> {
        self.run.as_ref().map(|run| (&run.plan, run.next))
    }

    /// What is not as the serving release says, in words: who was killed, added or is not ready.
    /// Nothing while a release moves or none serves.
    pub fn drift(&mut self, world: &mut impl World) -> Vec<String> {
        if self.history.serving.is_none() || self.history.moving.is_some() {
            return vec![];
        }
        self.look(world);
        let plan = self.plan_back(Purpose::Heal, world);
        let steps = plan
            .steps
            .iter()
            .filter(|step| !step.waits())
            .map(ToString::to_string);
        plan.report
            .waits
            .iter()
            .map(ToString::to_string)
            .chain(steps)
            .collect()
    }

    /// Why this engine does nothing any more, if a later one took over.
    pub fn fenced(&self) -> Option<&str> {
        self.fenced.as_deref()
    }

    /// The state of the whole.
    pub fn phase(&self) -> Phase {
        match () {
            () if self.fenced.is_some() => Phase::Fenced,
            () if self.history.down => Phase::Down,
            () if self.history.moving.is_some() => Phase::Moving,
            () if self.history.serving.is_none() => Phase::Empty,
            () if self.steady && self.run.is_none() => Phase::Steady,
            () => Phase::Healing,
        }
    }
}
