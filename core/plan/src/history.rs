//! What a replay of the ledger knows.

use crate::acted::Acts;
use crate::event::{Event, PlanEnd, ReleaseEnd};
use crate::run::Runs;
use crate::scaled::Counts;
use crate::serving::Serving;
use crate::step::{Purpose, Step};
use crate::store::order_digest;
use mainstay_atoms::{
    Actor, Digest, Epoch, Generation, InstanceId, PlanId, ReleaseNumber, ServiceName, Wall,
};
use mainstay_rollout::gate::{Approval, Tick};
use mainstay_rollout::{blue_green, canary};
use mainstay_workload::{Attempts, Exit};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The state of one environment: nothing but the fold of its events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// The last control plane.
    pub epoch: Epoch,
    /// The last generation used.
    pub generation: Generation,
    /// Every release, by number.
    pub releases: BTreeMap<ReleaseNumber, Release>,
    /// The one that serves.
    pub serving: Option<ReleaseNumber>,
    /// The one that is to serve and does not yet.
    pub moving: Option<ReleaseNumber>,
    /// The plan that is under way.
    pub open: Option<OpenPlan>,
    /// The last plan that was recorded.
    pub last_plan: Option<PlanId>,
    /// The last plans that were recorded, oldest first: what somebody may still want to look at.
    pub recent_plans: VecDeque<PlanId>,
    /// What the gateway was last told.
    pub table: Serving,
    /// How often instances ended by themselves.
    pub attempts: BTreeMap<InstanceId, Attempts>,
    /// How often instances of each service ended by themselves, ever.
    pub restarts: BTreeMap<ServiceName, u64>,
    /// How many runs of each job came to a good end, and to another one, ever.
    pub run_ends: BTreeMap<ServiceName, [u64; 2]>,
    /// The last end of each instance that was recorded.
    pub ends: BTreeMap<InstanceId, Generation>,
    /// What is not released again by itself.
    pub holds: BTreeMap<ReleaseNumber, Hold>,
    /// Somebody asked for everything to stop.
    pub down: bool,
    /// What each store was last brought to: the digest of its order.
    pub stores: BTreeMap<ServiceName, Digest>,
    /// Runs of jobs.
    pub jobs: BTreeMap<ServiceName, Runs>,
    /// Services of the release that moves and that are on trial.
    pub trials: BTreeMap<ServiceName, canary::State>,
    /// Its services that are blue-green.
    pub flips: BTreeMap<ServiceName, blue_green::State>,
    /// What was ordered of them since one last moved.
    pub orders: Vec<canary::Order>,
    /// It has passed its gates: a plan of it was recorded.
    pub begun: bool,
    /// Who agreed to it.
    pub approvals: Vec<Approval>,
    /// How the items of its checklist were answered.
    pub ticks: Vec<Tick>,
    /// Names under which somebody may act, with the digest of a secret.
    pub tokens: BTreeMap<String, Digest>,
    /// How many instances of services that are scaled are wanted.
    pub counts: Counts,
    /// What alerts did by themselves.
    pub acts: Acts,
    /// What was done since a release last came to serve, and cannot be undone.
    pub one_way: Option<Frozen>,
    /// Releases up to this number may have been made by entries that are gone.
    pub lost_to: Option<ReleaseNumber>,
}

/// A job that did what cannot be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// The release that ran it.
    pub release: ReleaseNumber,
    /// The job.
    pub job: ServiceName,
}

/// Plans that count as recent; a release is one to three of them, a healed instance one.
const RECENT_PLANS: usize = 256;

/// Fewest entries that a release leaves, so that lost entries bound how many releases are lost.
const ENTRIES_OF_A_RELEASE: u64 = 5;

/// One release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its number.
    pub release: ReleaseNumber,
    /// Digest of its contents.
    pub contents: Digest,
    /// Digest of its stored record.
    pub record: Digest,
    /// The release whose contents it brought back.
    pub of: Option<ReleaseNumber>,
    /// What changed, in a few words.
    pub reason: String,
    /// Who made it.
    pub by: Actor,
    /// When it was made.
    pub at: Wall,
    /// What became of it.
    pub state: ReleaseState,
    /// A job of it that did what cannot be undone.
    #[serde(default)]
    pub one_way: Option<ServiceName>,
}

/// What became of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum ReleaseState {
    /// Its plan is under way.
    Moving,
    /// It serves.
    Serving,
    /// It served, and can be brought back.
    Kept,
    /// It did not come to serve.
    Ended {
        /// How.
        end: ReleaseEnd,
    },
}

/// A plan that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPlan {
    /// Its id.
    pub plan: PlanId,
    /// Why it was made.
    pub purpose: Purpose,
    /// The release it is for.
    pub release: Option<ReleaseNumber>,
    /// The first step that is not done.
    pub next: usize,
    /// That step was begun.
    pub begun: bool,
    /// That step, where its being done is remembered.
    pub step: Option<Step>,
}

/// Contents that nothing releases again by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The contents.
    pub contents: Digest,
    /// Since when.
    pub since: Wall,
    /// Who set it.
    pub by: Actor,
}

impl History {
    /// Takes one event in. Total: an event that does not fit changes what it can and no more.
    pub fn apply(&mut self, event: &Event, epoch: Epoch, by: &Actor, at: Wall) {
        self.epoch = self.epoch.max(epoch);
        self.generation = event
            .generation()
            .map_or(self.generation, |one| one.max(self.generation));
        match event {
            Event::ControlPlaneStarted { .. } | Event::UpgradeBegun { .. } => {}
            Event::ReleaseMade { .. } => self.made(event, by, at),
            Event::PlanRecorded {
                plan,
                purpose,
                release,
                ..
            } => {
                self.begun |= release.is_some() && *release == self.moving;
                self.last_plan = Some(*plan);
                self.recent_plans.push_back(*plan);
                if self.recent_plans.len() > RECENT_PLANS {
                    self.recent_plans.pop_front();
                }
                self.open = Some(OpenPlan {
                    plan: *plan,
                    purpose: *purpose,
                    release: *release,
                    next: 0,
                    begun: false,
                    step: None,
                });
            }
            Event::StepBegun { index, step, .. } => self.begun(*index, step, by, at),
            Event::StepDone { index, .. } => self.done(*index),
            Event::Canary { .. }
            | Event::BlueGreen { .. }
            | Event::CanaryOrdered { .. }
            | Event::Approved { .. }
            | Event::Ticked { .. } => self.trial(event, by, at),
            Event::TokenMade { name, hash } => drop(self.tokens.insert(name.clone(), *hash)),
            Event::TokenRevoked { name } => drop(self.tokens.remove(name)),
            Event::Scaled { .. } | Event::ScaleSet { .. } | Event::ScaleFreed { .. } => {
                self.counts.apply(event, by, at);
            }
            Event::AlertActed { .. } => self.acts.apply(event, at),
            Event::RoutePaused { .. } | Event::RouteResumed { .. } => {
                self.table.paused.apply(event, by);
            }
            Event::JobAsked { job } => self.job_asked(job, by),
            Event::JobStep { step } => self.job_step(step, None, by, at),
            Event::PlanEnded { end, .. } => self.plan_ended(end),
            Event::ReleaseEnded { release, end } => self.release_ended(*release, end),
            Event::InstanceEnded {
                instance,
                generation,
                exit,
                ran_ms,
                ago_ms,
            } => {
                let runs = self.jobs.get(&instance.service);
                if runs.is_some_and(|runs| runs.find(instance).is_some()) {
                    let at = Wall(at.0.saturating_sub(*ago_ms));
                    self.run_ended(instance, *exit, *ran_ms, at);
                    return;
                }
                *self.restarts.entry(instance.service.clone()).or_default() += 1;
                let attempts = self.attempts.entry(instance.clone()).or_default();
                *attempts = attempts.ended(Duration::from_millis(*ran_ms));
                self.ends.insert(instance.clone(), *generation);
            }
            Event::HoldSet { release, contents } => {
                let hold = Hold {
                    contents: *contents,
                    since: at,
                    by: by.clone(),
                };
                self.holds.insert(*release, hold);
            }
            Event::HoldLifted { release } => drop(self.holds.remove(release)),
            Event::DownAsked => self.down = true,
            Event::UpAsked => self.down = false,
            Event::LedgerResumed {
                timeline,
                kept,
                signed,
                serving,
            } => {
                self.resumed(*timeline, signed.saturating_sub(*kept));
                if let Some(serving) = serving {
                    self.table.clone_from(serving);
                }
            }
        }
    }

    /// How the release that moves stands on trial and at its gates.
    fn trial(&mut self, event: &Event, by: &Actor, at: Wall) {
        match event {
            Event::Canary { service, state, .. } => {
                self.trials.insert(service.clone(), (**state).clone());
                self.orders.clear();
            }
            Event::BlueGreen { service, state } => {
                self.flips.insert(service.clone(), (**state).clone());
                self.orders.clear();
            }
            Event::CanaryOrdered { order } => self.orders.push(*order),
            Event::Approved { record, .. } => self.approvals.push(Approval {
                by: by.clone(),
                plan: *record,
                at,
            }),
            Event::Ticked {
                record,
                item,
                fault,
                ..
            } => self.ticks.push(Tick {
                item: item.clone(),
                plan: *record,
                by: by.clone(),
                at,
                fault: fault.clone(),
            }),
            _ => {}
        }
    }

    fn job_asked(&mut self, job: &ServiceName, by: &Actor) {
        let runs = self.jobs.entry(job.clone()).or_default();
        runs.asked.push_back(by.clone());
    }

    /// What the lost entries used is not known, and instances and gateways may hold it: epochs,
    /// generations and releases go on above anything they can have reached.
    fn resumed(&mut self, timeline: u32, missing: u64) {
        let timeline = u64::from(timeline);
        self.epoch = self.epoch.max(Epoch(timeline << 32));
        self.generation = self.generation.max(Generation(timeline << 40));
        let skipped = missing.div_ceil(ENTRIES_OF_A_RELEASE);
        let last = self.next_release().0.saturating_add(skipped);
        self.lost_to = Some(ReleaseNumber(last));
        let runs = u32::try_from(missing).unwrap_or(u32::MAX);
        for job in self.jobs.values_mut() {
            job.last = job.last.saturating_add(runs);
        }
    }

    fn made(&mut self, event: &Event, by: &Actor, at: Wall) {
        let Event::ReleaseMade {
            release,
            contents,
            record,
            of,
            reason,
            jobs,
        } = event
        else {
            return;
        };
        for job in jobs {
            let runs = self.jobs.entry(job.clone()).or_default();
            if runs.since == Wall(0) {
                runs.since = at;
            }
        }
        let made = Release {
            release: *release,
            contents: *contents,
            record: *record,
            of: *of,
            reason: reason.clone(),
            by: by.clone(),
            at,
            state: ReleaseState::Moving,
            one_way: None,
        };
        self.releases.insert(*release, made);
        self.moving = Some(*release);
        self.trials.clear();
        self.flips.clear();
        self.orders.clear();
        self.begun = false;
        self.approvals.clear();
        self.ticks.clear();
    }

    fn begun(&mut self, index: usize, step: &Step, by: &Actor, at: Wall) {
        let mut release = None;
        if let Some(open) = &mut self.open {
            open.next = index;
            open.begun = true;
            let remembered = matches!(step, Step::Prepare { .. } | Step::Provision { .. });
            open.step = remembered.then(|| step.clone());
            release = open.release;
        }
        self.job_step(step, release, by, at);
        match step {
            // From the moment it may have reached a gateway it counts as published.
            Step::Publish(publish) => self.table.apply(publish),
            Step::Serve { release } => self.serve(*release),
            Step::Clear { instance, .. } => {
                self.attempts.remove(instance);
                self.ends.remove(instance);
            }
            _ => {}
        }
    }

    fn done(&mut self, index: usize) {
        let Some(open) = &mut self.open else { return };
        open.next = index + 1;
        open.begun = false;
        // A store is brought to its order by the last step about it: its server's, if it has one.
        let (order, server) = match open.step.take() {
            Some(Step::Prepare { order }) => (order, false),
            Some(Step::Provision { order }) => (order, true),
            _ => return,
        };
        if order.kind.server().is_some() == server {
            let digest = order_digest(&order);
            self.stores.insert(order.store.clone(), digest);
        } else {
            // The data may be new, and nobody was let in yet.
            self.stores.remove(&order.store);
        }
    }

    /// A step that may be about a run of a job.
    fn job_step(&mut self, step: &Step, release: Option<ReleaseNumber>, by: &Actor, at: Wall) {
        match step {
            Step::Start { launch } if launch.job.is_some() => {
                let runs = self
                    .jobs
                    .entry(launch.instance.service.clone())
                    .or_default();
                runs.begin(launch, release, by, at);
            }
            Step::Stop { instance, .. } => {
                if let Some(runs) = self.jobs.get_mut(&instance.service) {
                    runs.stop(instance, at);
                }
            }
            _ => {}
        }
    }

    fn run_ended(&mut self, instance: &InstanceId, exit: Exit, ran_ms: u64, at: Wall) {
        let Some(runs) = self.jobs.get_mut(&instance.service) else {
            return;
        };
        runs.end(instance, exit, ran_ms, at);
        let ends = self.run_ends.entry(instance.service.clone()).or_default();
        ends[usize::from(!exit.succeeded())] += 1;
        let Some(run) = runs.find(instance).filter(|run| run.job.one_way) else {
            return;
        };
        if exit.never_began() {
            return;
        }
        // Cut off or failed half-way it may have done its work as well.
        if let Some(release) = run.release {
            let job = instance.service.clone();
            if let Some(made) = self.releases.get_mut(&release) {
                made.one_way = Some(job.clone());
            }
            self.one_way = Some(Frozen { release, job });
        }
    }

    /// Nothing goes back by itself: since the last release that served, something was done that
    /// cannot be undone, and the release that did it came to no good end.
    pub fn frozen(&self) -> Option<&Frozen> {
        self.one_way.as_ref().filter(|_| self.moving.is_none())
    }

    fn serve(&mut self, release: ReleaseNumber) {
        for made in self.releases.values_mut() {
            if made.release == release {
                made.state = ReleaseState::Serving;
            } else if made.state == ReleaseState::Serving {
                made.state = ReleaseState::Kept;
            }
        }
        self.serving = Some(release);
        self.table.paused.keep(&self.table.routes);
        self.moving = None;
        self.one_way = None;
    }

    fn plan_ended(&mut self, end: &PlanEnd) {
        let deviated = matches!(end, PlanEnd::Deviated { .. });
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.purpose == Purpose::Down)
            && !deviated
        {
            self.attempts.clear();
        }
        self.open = None;
    }

    fn release_ended(&mut self, release: ReleaseNumber, end: &ReleaseEnd) {
        if let Some(made) = self.releases.get_mut(&release) {
            made.state = ReleaseState::Ended { end: end.clone() };
        }
        if self.moving == Some(release) {
            self.moving = None;
        }
    }

    /// The number that the next release gets.
    pub fn next_release(&self) -> ReleaseNumber {
        let last = self.releases.last_key_value();
        let last = last.map(|(number, _)| *number);
        last.max(self.lost_to)
            .map_or(ReleaseNumber(1), ReleaseNumber::next)
    }

    /// The release that served before the present one, or before the one that is moving: where
    /// `rollback` without a number leads.
    pub fn previous(&self) -> Option<ReleaseNumber> {
        let present = self.serving?;
        let contents = self.releases.get(&present)?.contents;
        self.releases
            .range(..present)
            .rev()
            .find(|(_, made)| made.state == ReleaseState::Kept && made.contents != contents)
            .map(|(number, _)| *number)
    }

    /// Releases that must be able to come back without a build, `count` of the newest at least: those,
    /// the one that serves, the one that moves, and the one that `rollback` leads to.
    pub fn kept_releases(&self, count: usize) -> impl Iterator<Item = &Release> {
        let named = [self.serving, self.moving, self.previous()];
        let first = self.releases.keys().rev().nth(count.saturating_sub(1));
        let first = first.copied().unwrap_or(ReleaseNumber(0));
        let all = self.releases.values();
        all.filter(move |made| made.release >= first || named.contains(&Some(made.release)))
    }

    /// The hold that these contents are under.
    pub fn hold_on(&self, contents: Digest) -> Option<(ReleaseNumber, &Hold)> {
        let found = self
            .holds
            .iter()
            .find(|(_, hold)| hold.contents == contents)?;
        Some((*found.0, found.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_lost_entries_may_have_used_is_used_again() {
        let mut history = History::default();
        let by = Actor::itself();
        let made = Event::ReleaseMade {
            release: ReleaseNumber(7),
            contents: Digest([1; 32]),
            record: Digest([2; 32]),
            of: None,
            reason: String::new(),
            jobs: vec![],
        };
        history.apply(&made, Epoch(3), &by, Wall(1));
        assert_eq!(history.next_release(), ReleaseNumber(8));
        let resumed = Event::LedgerResumed {
            timeline: 2,
            kept: 100,
            signed: 123,
            serving: None,
        };
        history.apply(&resumed, Epoch(3), &by, Wall(2));
        // 23 entries are five releases at most, and one may have been under way.
        assert_eq!(history.next_release(), ReleaseNumber(14));
        assert!(history.epoch > Epoch(u64::from(u32::MAX)));
        assert!(history.generation > Generation(1 << 40));
    }
}
