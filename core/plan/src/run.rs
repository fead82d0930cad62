//! What the ledger knows of a job's runs.

use mainstay_atoms::{
    Actor, Cause, Generation, InstanceId, JobRun, Launch, ReleaseNumber, ServiceName, Wall,
};
use mainstay_workload::Exit;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Runs that are remembered of one job; older ones are in the ledger alone.
const KEPT: usize = 100;

/// One run of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Which: its ordinal is its number.
    pub instance: InstanceId,
    /// Its generation.
    pub generation: Generation,
    /// Why and how.
    pub job: JobRun,
    /// The release that runs it, for one that stands before or after a release.
    pub release: Option<ReleaseNumber>,
    /// Who asked.
    pub by: Actor,
    /// When it was recorded, right before it began.
    pub begun: Wall,
    /// When it was last asked to stop.
    pub stopping: Option<Wall>,
    /// How it ended; none while it is under way.
    pub end: Option<RunEnd>,
    /// What it is started from, until it has ended.
    #[serde(skip)]
    pub launch: Option<Box<Launch>>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnd {
    /// How.
    pub exit: Exit,
    /// How long it ran, in milliseconds.
    pub ran_ms: u64,
    /// When that was seen.
    pub at: Wall,
}

/// The runs of one job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs {
    /// Number of the last one.
    pub last: u32,
    /// Since when the schedule counts: when the first release with this job was made.
    pub since: Wall,
    /// The last time of the schedule that a run was made for.
    pub due: Option<Wall>,
    /// Who asked for a run that has not begun.
    pub asked: VecDeque<Actor>,
    /// The last of them, oldest first.
    pub kept: VecDeque<Run>,
}

impl Runs {
    /// One of the runs that are remembered.
    pub fn find(&self, instance: &InstanceId) -> Option<&Run> {
        self.kept.iter().find(|run| run.instance == *instance)
    }

    /// Runs that are under way.
    pub fn running(&self) -> impl Iterator<Item = &Run> {
        self.kept.iter().filter(|run| run.end.is_none())
    }

    /// Runs around this release, oldest first.
    pub fn around(&self, release: ReleaseNumber, cause: Cause) -> impl Iterator<Item = &Run> {
        let of = move |run: &&Run| run.release == Some(release) && run.job.cause == cause;
        self.kept.iter().filter(of)
    }

    /// A run is about to begin.
    pub(crate) fn begin(
        &mut self,
        launch: &Launch,
        release: Option<ReleaseNumber>,
        by: &Actor,
        at: Wall,
    ) {
        let Some(job) = &launch.job else { return };
        if self.find(&launch.instance).is_some() {
            // Recorded before: a plan that is resumed begins its step again.
            return;
        }
        self.last = self.last.max(launch.instance.ordinal);
        self.due = self.due.max(job.due);
        let by = match job.cause {
            Cause::Asked => self.asked.pop_front().unwrap_or_else(|| by.clone()),
            _ => by.clone(),
        };
        self.kept.push_back(Run {
            instance: launch.instance.clone(),
            generation: launch.generation,
            job: job.clone(),
            release,
            by,
            begun: at,
            stopping: None,
            end: None,
            launch: Some(Box::new(launch.clone())),
        });
        // What runs is never forgotten.
        while self.kept.len() > KEPT && self.kept.front().is_some_and(|run| run.end.is_some()) {
            self.kept.pop_front();
        }
    }

    /// A run has ended.
    pub(crate) fn end(&mut self, instance: &InstanceId, exit: Exit, ran_ms: u64, at: Wall) {
        let mut kept = self.kept.iter_mut();
        if let Some(run) = kept.find(|run| run.instance == *instance) {
            run.end = Some(RunEnd { exit, ran_ms, at });
            run.launch = None;
        }
    }

    /// A run was asked to stop.
    pub(crate) fn stop(&mut self, instance: &InstanceId, at: Wall) {
        let mut kept = self.kept.iter_mut();
        if let Some(run) = kept.find(|run| run.instance == *instance) {
            run.stopping = Some(at);
        }
    }
}

/// Runs that began and have not ended, of all jobs.
pub(crate) fn under_way(jobs: &BTreeMap<ServiceName, Runs>) -> impl Iterator<Item = &Run> {
    jobs.values().flat_map(Runs::running)
}
