//! Jobs around a release: those that run before the first instance of a service is replaced, and
//! those that run once its instances serve.

use crate::decide::{Decider, Pace, Target};
use crate::job::{next_run, run_of};
use crate::run::under_way;
use crate::step::Step;
use mainstay_atoms::{Cause, Generation, InstanceId, ServiceName};
use mainstay_spec::Job;
use std::time::Duration;

/// Added to a run's own deadline and grace before the step that awaits it fails.
const SLACK: Duration = Duration::from_secs(30);

impl Decider<'_> {
    /// Runs the jobs of a service that stand before or after a release, unless they have succeeded
    /// for this release.
    pub(crate) fn around(&mut self, target: Target<'_>, jobs: &[ServiceName], cause: Cause) {
        for name in jobs {
            let known = self.observed.jobs.get(name);
            let mut tries = known
                .into_iter()
                .flat_map(|runs| runs.around(target.release, cause));
            let done = tries.any(|run| run.end.is_some_and(|end| end.exit.succeeded()));
            let planned = self.planned(name).any(|planned| planned == cause);
            if !done && !planned {
                self.run_job(target, name, cause);
            }
        }
    }

    /// Runs of a job that this plan makes so far: one that stands before and after a release runs both times.
    fn planned(&self, name: &ServiceName) -> impl Iterator<Item = Cause> {
        self.draft.steps.iter().filter_map(move |step| match step {
            Step::Start { launch } if launch.instance.service == *name => {
                launch.job.as_ref().map(|job| job.cause)
            }
            _ => None,
        })
    }

    fn run_job(&mut self, target: Target<'_>, name: &ServiceName, cause: Cause) {
        let Some(job) = target.record.contents.platform.jobs.get(name) else {
            return;
        };
        let known = self.observed.jobs.get(name);
        let mut own = known
            .into_iter()
            .flat_map(|runs| runs.around(target.release, cause));
        if let Some(run) = own.find(|run| run.end.is_none()) {
            // A plan that this one carries on with began it.
            let (instance, generation) = (run.instance.clone(), run.generation);
            return self.await_run(instance, generation, job);
        }
        let tries = known.map_or(0, |runs| runs.around(target.release, cause).count());
        let attempt = u32::try_from(tries).unwrap_or(u32::MAX).saturating_add(1);
        let run = run_of(job, cause, attempt, None);
        let ahead = u32::try_from(self.planned(name).count()).unwrap_or(u32::MAX);
        let last = known.map_or(0, |runs| runs.last).saturating_add(ahead);
        let Some(launch) = next_run(target.record, name, last, run) else {
            return;
        };
        self.report.jobs.push(name.clone());
        let (instance, generation) = (launch.instance.clone(), launch.generation);
        self.draft.steps.push(Step::Start {
            launch: Box::new(launch),
        });
        self.await_run(instance, generation, job);
    }

    fn await_run(&mut self, instance: InstanceId, generation: Generation, job: &Job) {
        self.draft.steps.push(Step::AwaitRun {
            instance,
            generation,
            succeeds: true,
            within: job.timeout + job.stop.grace + SLACK,
        });
    }

    /// A newer release waits for what an older one runs: two migrations never meet.
    pub(crate) fn await_runs(&mut self, target: Target<'_>) {
        let jobs = &target.record.contents.platform.jobs;
        for run in under_way(&self.observed.jobs) {
            let name = &run.instance.service;
            let around = matches!(run.job.cause, Cause::Before | Cause::After);
            if around && run.release == Some(target.release) && target.pace == Pace::Rolling {
                // Its own: it has to succeed, before what it stands before.
                continue;
            }
            if around || stands_around(target, name) {
                let grace = jobs.get(name).map_or(Duration::ZERO, |job| job.stop.grace);
                self.draft.steps.push(Step::AwaitRun {
                    instance: run.instance.clone(),
                    generation: run.generation,
                    succeeds: false,
                    within: run.job.timeout + grace + SLACK,
                });
            }
        }
    }
}

fn stands_around(target: Target<'_>, name: &ServiceName) -> bool {
    let services = &target.record.contents.platform.services;
    services
        .values()
        .any(|service| service.before.contains(name) || service.after.contains(name))
}
