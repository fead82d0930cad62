//! What the ledger knows of a job's runs.

use mainstay_atoms::{
    Actor, Cause, Generation, InstanceId, JobRun, Launch, ReleaseNumber, ServiceName, Wall,
};
use mainstay_workload::Exit;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

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

/// How far a run's length, by the clock of its shim, may be from the time after which it was stopped, by ours.
const INEXACT: Duration = Duration::from_secs(1);

impl Run {
    /// Whether it was ended because its time was up, within `INEXACT`.
    pub fn timed_out(&self) -> bool {
        let ran = |end: RunEnd| Duration::from_millis(end.ran_ms).saturating_add(INEXACT);
        self.was_stopped() && self.end.is_some_and(|end| ran(end) >= self.job.timeout)
    }

    /// Whether it was ended to make room for the next run of its job.
    pub fn was_replaced(&self) -> bool {
        self.was_stopped() && !self.timed_out()
    }

    /// Whether a decision about its job ended it, and not the end of the whole platform.
    fn was_stopped(&self) -> bool {
        self.stopping.is_some() && self.end.is_some_and(|end| end.exit.asked)
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnd {
    /// How.
    pub exit: Exit,
    /// How long it ran, in milliseconds.
    pub ran_ms: u64,
    /// When, by the clock as it was when that was seen.
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
            // A further try answers nobody's asking but the first one's.
            Cause::Asked if !self.tries_again(job) => {
                self.asked.pop_front().unwrap_or_else(|| by.clone())
            }
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

    /// Whether a run that is about to begin repeats the last one.
    fn tries_again(&self, job: &JobRun) -> bool {
        // Those around a release are not repeated by themselves.
        let last = self.kept.back().filter(|last| last.job.cause == job.cause);
        let lost = last.is_some_and(|last| last.end.as_ref().is_some_and(|end| end.exit.lost));
        job.attempt > 1 || (job.at_least_once && lost)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, History};
    use mainstay_atoms::{Digest, Epoch, Size, Stop};
    use std::time::Duration;

    fn launch(ordinal: u32, attempt: u32) -> Launch {
        let job = JobRun {
            cause: Cause::Asked,
            due: None,
            attempt,
            retries: 1,
            timeout: Duration::from_secs(60),
            at_least_once: false,
            one_way: false,
        };
        Launch {
            instance: format!("digest.v1.{ordinal}").parse().unwrap(),
            generation: Generation(1),
            contents: Digest::of(b""),
            artifact: Digest::of(b""),
            run: vec![],
            env: BTreeMap::new(),
            address: None,
            size: Size::default(),
            ready: None,
            health: None,
            stop: Stop::default(),
            told: BTreeMap::new(),
            server: None,
            job: Some(job),
        }
    }

    #[test]
    fn a_further_try_is_not_taken_for_the_run_that_somebody_asked_for_meanwhile() {
        let mut runs = Runs::default();
        let failed = Exit {
            code: Some(1),
            ..Exit::default()
        };
        let (anna, itself) = (Actor("anna".into()), Actor::itself());
        runs.asked.push_back(anna.clone());
        runs.begin(&launch(1, 1), None, &itself, Wall(1));
        runs.end(&launch(1, 1).instance, failed, 5, Wall(6));
        assert_eq!(
            (runs.kept[0].by.clone(), runs.asked.len()),
            (anna.clone(), 0)
        );
        runs.asked.push_back(anna);
        runs.begin(&launch(2, 2), None, &itself, Wall(20));
        assert_eq!(runs.asked.len(), 1, "still to come");
        runs.end(&launch(2, 2).instance, failed, 5, Wall(26));
        runs.begin(&launch(3, 1), None, &itself, Wall(27));
        assert_eq!(runs.asked.len(), 0);
    }

    #[test]
    fn a_run_around_a_release_that_was_cut_off_is_not_what_somebody_asked_for() {
        let mut runs = Runs::default();
        let itself = Actor::itself();
        let mut around = launch(1, 1);
        around.job.as_mut().unwrap().cause = Cause::Before;
        runs.begin(&around, None, &itself, Wall(1));
        let lost = Exit {
            lost: true,
            ..Exit::default()
        };
        runs.end(&around.instance, lost, 5, Wall(6));
        runs.asked.push_back(Actor("anna".into()));
        let mut asked = launch(2, 1);
        asked.job.as_mut().unwrap().at_least_once = true;
        runs.begin(&asked, None, &itself, Wall(7));
        assert_eq!((runs.kept[1].by.0.as_str(), runs.asked.len()), ("anna", 0));
    }

    #[test]
    fn a_run_ended_before_that_was_seen() {
        let mut history = History::default();
        let itself = Actor::itself();
        let launch = launch(1, 1);
        let runs = history.jobs.entry(launch.instance.service.clone());
        runs.or_default().begin(&launch, None, &itself, Wall(1));
        let ended = Event::InstanceEnded {
            instance: launch.instance.clone(),
            generation: launch.generation,
            exit: Exit::default(),
            ran_ms: 5,
            ago_ms: 60,
        };
        history.apply(&ended, Epoch(1), &itself, Wall(100));
        let run = history.jobs[&launch.instance.service].find(&launch.instance);
        let end = run.and_then(|run| run.end).expect("an end");
        assert_eq!((end.ran_ms, end.at), (5, Wall(40)));
    }

    #[test]
    fn only_a_one_way_run_that_began_freezes() {
        let mut history = History::default();
        let itself = Actor::itself();
        let called_off = Exit {
            asked: true,
            ..Exit::default()
        };
        let lost = Exit {
            lost: true,
            ..Exit::default()
        };
        for (ordinal, exit, freezes) in [(1, called_off, false), (2, lost, true)] {
            let mut launch = launch(ordinal, 1);
            launch.job.as_mut().unwrap().one_way = true;
            let release = Some(ReleaseNumber(1));
            let runs = history.jobs.entry(launch.instance.service.clone());
            runs.or_default().begin(&launch, release, &itself, Wall(1));
            let ended = Event::InstanceEnded {
                instance: launch.instance,
                generation: launch.generation,
                exit,
                ran_ms: 0,
                ago_ms: 0,
            };
            history.apply(&ended, Epoch(1), &itself, Wall(2));
            assert_eq!(history.one_way.is_some(), freezes, "{exit}");
        }
    }
}
