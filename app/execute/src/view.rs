//! How the releases on trial stand, for people.

use crate::engine::Engine;
use crate::measure::MetricView;
use mainstay_atoms::{ReleaseNumber, ServiceName};
use mainstay_rollout::canary::Phase;
use mainstay_rollout::{Held, Weights, blue_green};
use std::time::Duration;

/// One service on trial.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialView {
    /// Which.
    pub service: ServiceName,
    /// The release on trial, and the one that serves.
    pub release: ReleaseNumber,
    /// The release that serves.
    pub stable: Option<ReleaseNumber>,
    /// Where it stands, in words.
    pub stands: String,
    /// Shares of the traffic as they were published last.
    pub weights: Weights,
    /// Which step, from 1, and of how many; the last one is all of the traffic.
    pub step: Option<(usize, usize)>,
    /// How long the step was held, and is to be at least.
    pub held: Option<(Duration, Duration)>,
    /// What it is judged by.
    pub metrics: Vec<MetricView>,
}

impl Engine {
    /// Every service of the release that moves that is on trial.
    pub fn trials(&self) -> Vec<TrialView> {
        let Some(moving) = &self.moving else {
            return vec![];
        };
        let services = &moving.record.contents.platform.services;
        let views = services.iter().filter_map(|(name, service)| {
            let (stands, step, held) = if let Some(way) = &service.canary {
                let state = self
                    .trials
                    .state(name)
                    .filter(|state| state.release == moving.release)?;
                let all = way.steps.all();
                let (step, held) = match &state.phase {
                    Phase::Stage { stage, held, .. } => {
                        let hold = all.get(*stage).map_or(Some(way.bake), |step| step.hold);
                        let held = hold.map(|hold| (held.time, hold));
                        (Some((stage + 1, all.len() + 1)), held)
                    }
                    _ => (None, None),
                };
                (state.phase.to_string(), step, held)
            } else {
                let way = service.blue_green.as_ref()?;
                let state = self
                    .trials
                    .flips
                    .get(name)
                    .filter(|state| state.release == moving.release)?;
                let of = |time: Duration, held: &Held| Some((held.time, time));
                let held = match &state.phase {
                    blue_green::Phase::Preview => of(way.before, &state.held),
                    blue_green::Phase::Flipped => of(way.after, &state.held),
                    blue_green::Phase::Warm => of(way.warm, &state.held),
                    _ => None,
                };
                (state.phase.to_string(), None, held)
            };
            let judging = self.trials.judging.get(name);
            let judging = judging.filter(|judging| judging.is_of(moving.release));
            Some(TrialView {
                service: name.clone(),
                release: moving.release,
                stable: self.history.serving,
                stands,
                weights: self.published(name, moving.release),
                step,
                held,
                metrics: judging.map_or_else(Vec::new, crate::measure::Judging::view),
            })
        });
        views.collect()
    }

    /// The shares of a service as they were published last.
    fn published(&self, name: &ServiceName, release: ReleaseNumber) -> Weights {
        let pool = self.history.table.pools.get(name);
        let split = pool.and_then(|pool| pool.split.as_ref());
        let split = split.filter(|split| split.release == release);
        split.map_or(Weights::STABLE, crate::trial::weights)
    }
}
