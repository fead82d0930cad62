//! What every checked file guarantees, asked once more of a platform that came from elsewhere.

use crate::{Amount, Job, Platform, Service};
use mainstay_atoms::{Probe, ServiceName, Share, Stop};
use std::collections::BTreeSet;
use std::time::Duration;

/// Most instances of one service, as the file has it.
const REPLICAS: u32 = 1000;

/// Most further tries of a job, as the file has it.
const RETRIES: u32 = 20;

/// Longest time that any key takes.
const LONGEST: Duration = Duration::from_hours(7 * 24);

/// Shortest time from one probe to the next.
const EVERY: Duration = Duration::from_millis(100);

/// Most services, jobs and stores together.
const NAMES: usize = 10_000;

impl Platform {
    /// Why no file says this, in one line; nothing when one could. Who decides over a platform may lean on
    /// it: references lead somewhere, needs form no circle, counts and times are bounded.
    pub fn unsound(&self) -> Option<String> {
        let names = self.services.len() + self.jobs.len() + self.stores.len();
        if names > NAMES {
            return Some(format!("{names} names; at most {NAMES} are allowed"));
        }
        let shared = |name: &&ServiceName| {
            let maps = [
                self.services.contains_key(*name),
                self.jobs.contains_key(*name),
                self.stores.contains_key(*name),
            ];
            maps.iter().filter(|there| **there).count() > 1
        };
        let mut all = self.services.keys().chain(self.jobs.keys());
        if let Some(name) = all.find(shared) {
            return Some(format!("`{name}` is the name of two things"));
        }
        if self.gateway.http == 0 {
            return Some("`gateway.http` is 0; a port is at least 1".into());
        }
        let mut services = self.services.iter();
        let mut jobs = self.jobs.iter();
        services
            .find_map(|(name, service)| self.service(name, service))
            .or_else(|| jobs.find_map(|(name, job)| self.job(name, job)))
            .or_else(|| self.routes())
            .or_else(|| self.status_page.as_ref()?.unsound())
            .or_else(|| self.circle())
    }

    fn service(&self, name: &ServiceName, service: &Service) -> Option<String> {
        if service.replicas > REPLICAS {
            let found = service.replicas;
            return Some(format!(
                "`{name}` has {found} replicas; at most {REPLICAS} are allowed"
            ));
        }
        let scale = service.scale.as_ref();
        if let Some(why) = scale.and_then(|scale| scale.unsound(service)) {
            return Some(format!("`{name}` is scaled {why}"));
        }
        if service.port == Some(0) {
            return Some(format!("`{name}` has port 0; a port is at least 1"));
        }
        let rolling = (&service.deploy.surge, &service.deploy.unavailable);
        if matches!(rolling, (Amount::Count(0), Amount::Count(0))) {
            return Some(format!(
                "`{name}` may have neither more nor fewer instances, so it cannot move"
            ));
        }
        let large = |amount: &Amount| match amount {
            Amount::Count(count) => *count > REPLICAS,
            Amount::Share(share) => *share > Share(10_000),
        };
        if large(rolling.0) || large(rolling.1) {
            return Some(format!(
                "`{name}` has a surge or unavailable above {REPLICAS} or 100 %"
            ));
        }
        let deploy = [service.deploy.min_ready, service.deploy.deadline];
        if let Some(why) = times(name, &service.stop, &deploy) {
            return Some(why);
        }
        let mut probes = service.ready.iter().chain(&service.health);
        if let Some(why) = probes.find_map(|probe| probed(name, probe)) {
            return Some(why);
        }
        let around = service.before.iter().chain(&service.after);
        let mut unknown = around.filter(|job| !self.jobs.contains_key(*job));
        if let Some(job) = unknown.next() {
            return Some(format!("`{name}` has `{job}` run, which is no job"));
        }
        self.program(name, &service.run, &service.needs)
    }

    fn job(&self, name: &ServiceName, job: &Job) -> Option<String> {
        if job.retries > RETRIES {
            let found = job.retries;
            return Some(format!(
                "`{name}` has {found} retries; at most {RETRIES} are allowed"
            ));
        }
        times(name, &job.stop, &[job.timeout]).or_else(|| self.program(name, &job.run, &job.needs))
    }

    fn program(&self, name: &ServiceName, run: &[String], needs: &[ServiceName]) -> Option<String> {
        if run.first().is_none_or(String::is_empty) {
            return Some(format!("`{name}` has an empty `run`"));
        }
        let known = |need: &&ServiceName| {
            self.services.contains_key(*need) || self.stores.contains_key(*need)
        };
        let unknown = needs.iter().find(|need| !known(need))?;
        Some(format!(
            "`{name}` needs `{unknown}`, which is no service or store"
        ))
    }

    fn routes(&self) -> Option<String> {
        let mut routes = self.domains.iter().flat_map(|(host, routes)| {
            let routes = routes.iter();
            routes.map(move |(prefix, service)| (host, prefix, service))
        });
        routes.find_map(|(host, prefix, service)| {
            let routed = self
                .services
                .get(service)
                .is_some_and(|one| one.port.is_some());
            if !prefix.starts_with('/') {
                return Some(format!(
                    "`{host}` has the route `{prefix}`, which does not begin with `/`"
                ));
            }
            (!routed).then(|| {
                format!("`{host}{prefix}` leads to `{service}`, which is no service with a port")
            })
        })
    }

    /// A service that needs itself in the end: whoever needs only what is settled is settled.
    fn circle(&self) -> Option<String> {
        let mut settled: BTreeSet<&ServiceName> = self.stores.keys().collect();
        loop {
            let ready = |(name, service): &(&ServiceName, &Service)| {
                !settled.contains(name) && service.needs.iter().all(|need| settled.contains(need))
            };
            let next: Vec<_> = self
                .services
                .iter()
                .filter(ready)
                .map(|(name, _)| name)
                .collect();
            if next.is_empty() {
                break;
            }
            settled.extend(next);
        }
        let stuck = self.services.keys().find(|name| !settled.contains(name))?;
        Some(format!("`{stuck}` needs itself, through what it needs"))
    }
}

fn times(name: &ServiceName, stop: &Stop, more: &[Duration]) -> Option<String> {
    let all = [stop.grace, stop.drain, stop.streams];
    let long = all.iter().chain(more).find(|time| **time > LONGEST)?;
    Some(format!(
        "`{name}` has a time of {} s; at most {} s are allowed",
        long.as_secs(),
        LONGEST.as_secs()
    ))
}

fn probed(name: &ServiceName, probe: &Probe) -> Option<String> {
    if probe.every < EVERY {
        return Some(format!(
            "`{name}` is probed every {} ms; at least {} ms lie between two probes",
            probe.every.as_millis(),
            EVERY.as_millis()
        ));
    }
    let times = [probe.every, probe.timeout, probe.after];
    times.iter().any(|time| *time > LONGEST).then(|| {
        format!(
            "`{name}` has a probe with a time above {} s",
            LONGEST.as_secs()
        )
    })
}
