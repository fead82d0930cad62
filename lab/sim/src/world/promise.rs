//! What was asked of the platform, and so is promised to those who use it.

use super::{Run, World};
use mainstay_atoms::{Cause, InstanceId, Launch, ReleaseNumber, Role, ServiceName};
use mainstay_plan::{Event, Publish, Purpose, ReleaseEnd, ReleaseRecord, Serving, Step};
use mainstay_rollout::canary::Order;
use mainstay_routing::Side;
use mainstay_spec::{Amount, Overlap};
use std::collections::{BTreeMap, BTreeSet};

/// All that promises follow from, learnt from what is recorded.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one promise that holds or not"
)]
#[derive(Default)]
pub(super) struct Promised {
    /// The release that serves, and the one on its way.
    pub(super) serving: Option<(ReleaseNumber, ReleaseRecord)>,
    pub(super) moving: Option<(ReleaseNumber, ReleaseRecord)>,
    pub(super) down: bool,
    /// The last table that was ordered, delivered or not.
    ordered: Serving,
    /// The plan under way: why, and for which release.
    plan: Option<(Purpose, Option<ReleaseNumber>)>,
    /// Runs around a release, with that release, and those that succeeded.
    around: BTreeMap<InstanceId, (ReleaseNumber, bool)>,
    succeeded: BTreeSet<(ReleaseNumber, ServiceName)>,
    /// The release that did what cannot be undone and does not serve yet.
    pub(super) one_way: Option<ReleaseNumber>,
    /// The release on its way is on trial, and a person gave it all of the traffic.
    tried: bool,
    promoted: bool,
    /// The plan under way may only start again what ended by itself.
    held: bool,
    /// Who was let into each store last.
    pub(super) users: BTreeMap<ServiceName, BTreeSet<ServiceName>>,
}

impl Promised {
    /// The release that the plan under way is for.
    fn wanted(&self) -> Option<&(ReleaseNumber, ReleaseRecord)> {
        let release = self.plan?.1?;
        let mut known = self.moving.iter().chain(&self.serving);
        known.find(|(number, _)| *number == release)
    }

    fn ships(&self) -> bool {
        matches!(self.plan, Some((Purpose::Deploy | Purpose::Rollback, _)))
    }
}

impl World {
    /// Never fewer that take traffic than the rules of every release concerned allow, unless fewer
    /// of the last table that was ordered are ready.
    pub(super) fn holds_floors(&mut self, publish: &Publish) {
        let before = self.promised.ordered.clone();
        self.promised.ordered.apply(publish);
        for (name, pool) in &before.pools {
            let ready = pool.backends.iter().filter(|one| {
                let process = self.processes.get(&(one.instance.clone(), one.generation));
                process.is_some_and(|one| one.ended.is_none() && self.ready_since(one).is_some())
            });
            // Nobody misses what was on trial.
            let tried = pool.split.as_ref();
            let ready =
                ready.filter(|one| tried.is_none_or(|split| split.side(one) != Side::Canary));
            let due = self.floor(name).min(ready.count());
            let pool = self.promised.ordered.pools.get(name);
            let after = pool.map_or(0, |pool| pool.backends.len());
            if after < due {
                self.breaks(&format!(
                    "{name} is left with {after} that take traffic, {due} are due"
                ));
            }
        }
    }

    fn floor(&self, name: &ServiceName) -> usize {
        let floor = |record: &ReleaseRecord| {
            let service = record.contents.platform.services.get(name);
            service.map_or(0, |service| {
                let wanted = service.count(self.counts().get(name).copied());
                let missing = match service.deploy.unavailable {
                    Amount::Count(count) => count,
                    Amount::Share(share) => share.of_rounded_down(wanted),
                };
                let floor = wanted.saturating_sub(missing) as usize;
                // What cannot overlap is away for a while.
                if service.recreate { 0 } else { floor }
            })
        };
        let records = self.promised.serving.iter().chain(&self.promised.moving);
        let floor = records.map(|(_, record)| floor(record)).min().unwrap_or(0);
        if self.promised.down { 0 } else { floor }
    }

    /// Somebody is stopped, or started who did not end by itself.
    fn goes_back(&self, step: &Step) -> bool {
        match step {
            Step::Stop { .. } => true,
            Step::Start { launch } => {
                // The server of a store is the same one, whichever release started it.
                let store = launch.server.is_some();
                let same = |id: &InstanceId| {
                    *id == launch.instance || store && id.service == launch.instance.service
                };
                let mut traces = self.processes.iter();
                !traces.any(|((id, _), one)| same(id) && one.ended.is_some())
            }
            _ => false,
        }
    }

    /// What was promised to the outside follows from what was asked.
    pub(super) fn learn(&mut self, event: &Event) {
        match event {
            Event::ReleaseMade {
                release, record, ..
            } => {
                let bytes = self.blobs.get(record);
                let record = bytes.and_then(|bytes| serde_json::from_slice(bytes).ok());
                self.promised.moving = record.map(|record| (*release, record));
                (self.promised.tried, self.promised.promoted) = (false, false);
            }
            Event::ReleaseEnded { release, end } => {
                self.judged_with_reason(*release, end);
                self.promised.moving = None;
            }
            Event::Canary { .. } | Event::BlueGreen { .. } => self.promised.tried = true,
            Event::CanaryOrdered {
                order: Order::Promote | Order::PromoteFully,
            } => self.promised.promoted = true,
            Event::PlanRecorded {
                purpose, release, ..
            } => {
                self.promised.plan = Some((*purpose, *release));
                let back = matches!(purpose, Purpose::Return | Purpose::Heal);
                let frozen = self.promised.one_way.is_some() && self.promised.moving.is_none();
                self.promised.held = back && frozen;
            }
            Event::StepBegun { step, .. } => {
                if self.promised.held && self.goes_back(step) {
                    self.breaks("it goes back by itself across what cannot be undone");
                }
                self.learn_step(step);
            }
            Event::InstanceEnded { instance, exit, .. } => {
                let run = self.promised.around.get(instance).copied();
                if let Some((release, one_way)) = run {
                    if exit.succeeded() {
                        let job = instance.service.clone();
                        self.promised.succeeded.insert((release, job));
                    }
                    if one_way && !exit.never_began() {
                        self.promised.one_way = Some(release);
                    }
                }
            }
            Event::DownAsked => self.promised.down = true,
            Event::UpAsked => self.promised.down = false,
            _ => {}
        }
    }

    /// Whether the release on its way answers with errors where it is on trial.
    fn is_worse(&self) -> bool {
        let Some((_, record)) = &self.promised.moving else {
            return false;
        };
        let services = record.contents.platform.services.iter();
        let tried = services.filter(|(_, one)| one.canary.is_some() || one.blue_green.is_some());
        let mut digests = tried.filter_map(|(name, _)| record.digests.get(name));
        digests.any(|digest| self.worse.contains(digest))
    }

    /// A release that is worse never comes to serve by itself.
    fn earned(&mut self) {
        if self.promised.tried && !self.promised.promoted && self.is_worse() {
            self.breaks("a release that is worse comes to serve by itself");
        }
    }

    /// A release is only taken back for being worse when it is.
    fn judged_with_reason(&mut self, release: ReleaseNumber, end: &ReleaseEnd) {
        let ReleaseEnd::Failed { why } = end else {
            return;
        };
        if why.contains("error_rate") && !self.is_worse() {
            self.breaks(&format!(
                "{release} is as good as what serves and goes back: {why}"
            ));
        }
    }

    fn learn_step(&mut self, step: &Step) {
        match step {
            Step::Serve { .. } => {
                self.earned();
                let promised = &mut self.promised;
                promised.serving = promised.moving.take().or(promised.serving.take());
                promised.one_way = None;
            }
            Step::Publish(publish) => self.holds_floors(publish),
            Step::Start { launch } => {
                let release = self.promised.plan.and_then(|(_, release)| release);
                let around = |cause| matches!(cause, Cause::Before | Cause::After);
                let run = launch.job.as_ref().filter(|run| around(run.cause));
                if let Some((run, release)) = run.zip(release) {
                    let id = launch.instance.clone();
                    let job = (release, id.service.clone());
                    if self.promised.succeeded.contains(&job) {
                        self.breaks(&format!("{id} is run though it has succeeded"));
                    }
                    self.promised.around.insert(id, (release, run.one_way));
                }
            }
            _ => {}
        }
    }

    /// Who uses stores starts once they are ready and let it in, and once what has to come before its
    /// release has succeeded.
    pub(super) fn start_user(&mut self, launch: &Launch) {
        let around = |cause| matches!(cause, Cause::Before | Cause::After);
        let planned = launch.job.as_ref().is_none_or(|run| around(run.cause));
        if !self.promised.ships() || !planned {
            return;
        }
        let id = &launch.instance;
        let told = launch.told.values().filter(|told| told.address.is_some());
        let stores: BTreeSet<ServiceName> = told.map(|told| told.store.clone()).collect();
        for store in stores {
            let mut servers = self.processes.iter();
            let ready =
                servers.any(|((id, _), one)| id.service == store && one.ready_at <= self.now);
            let users = self.promised.users.get(&store);
            if !ready {
                self.breaks(&format!("{id} starts before {store} was ready"));
            } else if !users.is_some_and(|users| users.contains(&id.service)) {
                self.breaks(&format!("{id} starts before {store} lets it in"));
            }
        }
        if launch.role() == Role::Service {
            self.start_after(id);
        }
    }

    fn start_after(&mut self, id: &InstanceId) {
        let rolling = matches!(self.promised.plan, Some((Purpose::Deploy, _)));
        let Some((release, record)) = self.promised.wanted().filter(|_| rolling) else {
            return;
        };
        if *release != id.release {
            return;
        }
        let service = record.contents.platform.services.get(&id.service);
        let mut before = service.into_iter().flat_map(|service| &service.before);
        let due = before.find(|job| {
            !self
                .promised
                .succeeded
                .contains(&(*release, (*job).clone()))
        });
        if let Some(job) = due.cloned() {
            self.breaks(&format!("{id} starts before {job} has succeeded"));
        }
    }

    /// A store's server is stopped for what its own keys say, and after everybody else when all goes.
    pub(super) fn stop_server(&mut self, id: &InstanceId, contents: mainstay_atoms::Digest) {
        if self.promised.down {
            let mut others = self.processes.values();
            let user = others.find(|one| one.ended.is_none() && one.launch.role() != Role::Store);
            if let Some(user) = user.map(|one| one.launch.instance.clone()) {
                self.breaks(&format!("{id} is stopped before {user}"));
            }
            return;
        }
        let wanted = self.promised.wanted();
        let wanted = wanted.and_then(|(_, record)| record.digests.get(&id.service));
        if wanted == Some(&contents) {
            self.breaks(&format!("{id} is stopped though nothing of it changes"));
        }
    }

    /// A run of a job is stopped at its deadline, for a newer one, or with everything.
    pub(super) fn stop_run(&mut self, run: &Run) {
        let Some(process) = self.processes.get(run) else {
            return;
        };
        let Some(job) = &process.launch.job else {
            return;
        };
        let early = self.now.since(process.started) < job.timeout;
        let serving = self.promised.serving.as_ref();
        let jobs = serving.map(|(_, record)| &record.contents.platform.jobs);
        let spec = jobs.and_then(|jobs| jobs.get(&run.0.service));
        let replaced = spec.is_some_and(|job| job.overlap == Overlap::Replace);
        let nothing = matches!(self.promised.plan, Some((_, None)));
        if early && !replaced && !nothing && !self.promised.down {
            self.breaks(&format!("{} is stopped before its time", run.0));
        }
    }
}
