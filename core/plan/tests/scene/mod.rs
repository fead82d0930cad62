//! Reads a scene: the release that is wanted, the one that serves, and what is seen.

use mainstay_atoms::{
    Actor, Check, Digest, EnvironmentName, Fact, Generation, HostName, InstanceId, Moment,
    PlatformName, Probe, ReleaseNumber, ServiceName, Size, Stop, Wall,
};
use mainstay_plan::{
    Contents, Decision, GatewaySeen, Limits, Observed, PORTS, Pace, Parent, Plan, Purpose,
    ReleaseRecord, Routes, Serving, Target, decide,
};
use mainstay_routing::{Backend, Pool};
use mainstay_spec::{Amount, GatewayPorts, Platform, Rolling, Service};
use mainstay_workload::{Attempts, Exit, Instance, Readiness, Running};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The moment at which every scene is decided.
pub(crate) const NOW: Moment = Moment(1_000_000);

/// What a decision is asked about.
pub(crate) struct Scene {
    pub(crate) release: Option<ReleaseNumber>,
    pub(crate) purpose: Purpose,
    pub(crate) record: Option<ReleaseRecord>,
    pub(crate) observed: Observed,
}

impl Scene {
    pub(crate) fn decide(&self) -> Decision {
        let pace = if self.purpose == Purpose::Rollback {
            Pace::AtOnce
        } else {
            Pace::Rolling
        };
        let serves = matches!(self.purpose, Purpose::Heal | Purpose::Return);
        let target = self.release.zip(self.record.as_ref());
        let target = target.map(|(release, record)| Target {
            release,
            record,
            pace,
            serves,
        });
        decide(target, &self.observed, &Limits::default(), NOW)
    }

    pub(crate) fn plan(&self, decision: Decision) -> Plan {
        Plan {
            parent: Parent {
                generation: self.observed.generation,
                ..Parent::default()
            },
            release: self.release,
            contents: self.record.as_ref().map(|one| one.contents.digest()),
            purpose: self.purpose,
            by: Actor("tester".into()),
            made_at: Wall(0),
            steps: decision.steps,
            report: decision.report,
        }
    }

    /// What the second mind says.
    pub(crate) fn notes(&self, plan: &Plan) -> Vec<mainstay_plan::check::Note> {
        mainstay_plan::check(plan, self.record.as_ref(), &self.observed)
    }

    /// Reads the lines of a scene; the first word of each says what it is about.
    pub(crate) fn read(text: &str) -> Self {
        let mut reader = Reader::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            reader.line(line);
        }
        reader.finish()
    }
}

#[derive(Default)]
struct Reader {
    purpose: Option<Purpose>,
    release: Option<ReleaseNumber>,
    over: Option<ReleaseNumber>,
    before: Vec<(ServiceName, Service)>,
    wanted: Vec<(ServiceName, Service)>,
    route: Option<ServiceName>,
    seen: Vec<String>,
    gateway: Option<String>,
    ports: BTreeSet<u16>,
}

impl Reader {
    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let release = |word: &str| word.parse().expect("a release is like v3");
        match words[..] {
            ["deploy", number] => self.target(Purpose::Deploy, release(number), None),
            ["deploy", number, "over", old] => {
                self.target(Purpose::Deploy, release(number), Some(release(old)));
            }
            ["rollback", number, "over", old] => {
                self.target(Purpose::Rollback, release(number), Some(release(old)));
            }
            ["heal", number] => self.target(Purpose::Heal, release(number), None),
            ["return", number] => self.target(Purpose::Return, release(number), None),
            ["down"] => self.purpose = Some(Purpose::Down),
            ["serves", name, ref rest @ ..] => self.before.push(service(name, rest)),
            ["wants", name, ref rest @ ..] => self.wanted.push(service(name, rest)),
            ["both", name, ref rest @ ..] => {
                self.before.push(service(name, rest));
                self.wanted.push(service(name, rest));
            }
            ["route", name] => self.route = Some(ServiceName::new(name).expect("a name")),
            ["seen", ..] => self.seen.push(line.to_owned()),
            ["gateway", ref rest @ ..] => self.gateway = Some(rest.join(" ")),
            ["port", number, "taken"] => drop(self.ports.insert(number.parse().expect("a port"))),
            ["no", "port", "left"] => self.ports.extend(PORTS),
            _ => panic!("what is `{line}`?"),
        }
    }

    fn target(&mut self, why: Purpose, release: ReleaseNumber, over: Option<ReleaseNumber>) {
        (self.purpose, self.release, self.over) = (Some(why), Some(release), over);
    }

    fn finish(self) -> Scene {
        let first = ReleaseNumber(1);
        let before = (!self.before.is_empty()).then(|| {
            let contents = contents(&self.before, None);
            ReleaseRecord::over(None, self.over.unwrap_or(first), contents)
        });
        let record = self.release.map(|number| {
            let contents = contents(&self.wanted, self.route.as_ref());
            ReleaseRecord::over(before.as_ref(), number, contents)
        });
        let known = before.as_ref().or(record.as_ref());
        let mut serving = Serving {
            routes: known.map_or_else(Routes::default, |one| Routes::of(&one.contents)),
            ..Serving::default()
        };
        for one in known
            .into_iter()
            .flat_map(|one| &one.contents.platform.services)
        {
            if one.1.port.is_some() && !self.seen.is_empty() {
                let streams = one.1.stop.streams;
                let backends = vec![];
                serving
                    .pools
                    .insert(one.0.clone(), Pool { streams, backends });
            }
        }
        let mut attempts = BTreeMap::new();
        let mut instances = Vec::new();
        for line in &self.seen {
            let records = [record.as_ref(), before.as_ref()];
            let seen = Seen::read(line, instances.len(), records);
            if seen.inside {
                serving
                    .pools
                    .entry(seen.instance.id.service.clone())
                    .or_insert_with(|| Pool {
                        streams: Stop::default().streams,
                        backends: vec![],
                    });
                let pool = serving
                    .pools
                    .get_mut(&seen.instance.id.service)
                    .expect("it is there");
                pool.backends.push(Backend {
                    instance: seen.instance.id.clone(),
                    generation: seen.instance.generation,
                    release: seen.instance.id.release,
                    address: seen.instance.address.expect("it has a port"),
                });
            }
            if seen.ends > 0 {
                let looping = seen.ends >= 3;
                let ends = seen.ends;
                attempts.insert(seen.instance.id.clone(), Attempts { ends, looping });
            }
            if !seen.gone {
                instances.push(seen.instance);
            }
        }
        let highest = instances.iter().map(|one| one.generation.0).max();
        if self.seen.is_empty() {
            serving = Serving::default();
        } else {
            serving.generation = Generation(highest.unwrap_or(10) + 1);
        }
        let at = NOW;
        let gateway = match self.gateway.as_deref() {
            Some("away") => Fact::Missing {
                reason: "the gateway does not answer".into(),
            },
            found => {
                let behind = found.is_some_and(|found| found == "behind");
                let generation = Generation(serving.generation.0.saturating_sub(u64::from(behind)));
                let value = GatewaySeen {
                    generation,
                    load: BTreeMap::new(),
                };
                Fact::Known { value, at }
            }
        };
        let generation = serving.generation;
        Scene {
            release: self.release,
            purpose: self.purpose.expect("the scene says what is asked"),
            record,
            observed: Observed {
                instances,
                gateway,
                ports_taken: self.ports,
                serving,
                attempts,
                generation,
            },
        }
    }
}

struct Seen {
    instance: Instance,
    inside: bool,
    gone: bool,
    ends: u32,
}

impl Seen {
    /// `seen web.v1.1 ready in`: id, state, and whether it is in the table.
    fn read(line: &str, place: usize, records: [Option<&ReleaseRecord>; 2]) -> Self {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let id: InstanceId = words[0].parse().expect("an instance is like web.v1.2");
        let number = |after: &str| {
            let at = words.iter().position(|word| *word == after);
            at.and_then(|at| words.get(at + 1)?.parse::<u64>().ok())
        };
        let made = records.into_iter().flatten().find_map(|record| {
            let same = record.since.get(&id.service) == Some(&id.release);
            let service = record.contents.platform.services.get(&id.service)?;
            same.then(|| (record.digests[&id.service], service))
        });
        let has = |word: &str| words.contains(&word);
        let contents = match made {
            Some((contents, _)) if !has("strange") => contents,
            _ => Digest::of(b"other contents"),
        };
        let port = 20_001 + u16::try_from(place).expect("few instances");
        let serves = made.is_none_or(|(_, service)| service.port.is_some());
        let ends = u32::try_from(number("ended").unwrap_or(0)).expect("few ends");
        let running = if has("ended") {
            let exit = Exit {
                code: Some(1),
                ..Exit::default()
            };
            let ago = number("ago").unwrap_or(0) * 1000;
            Running::Ended {
                exit,
                at: Moment(NOW.0 - ago),
            }
        } else {
            Running::Yes { pid: 100 }
        };
        let readiness = if has("unready") {
            Readiness::NotReady {
                seen: "503 from GET /ready".into(),
            }
        } else {
            Readiness::Ready {
                since: Moment(500_000),
            }
        };
        let instance = Instance {
            id,
            generation: Generation(number("run").unwrap_or(place as u64 + 1)),
            contents,
            address: serves.then(|| ([127, 0, 0, 1], port).into()),
            started: Moment(400_000),
            running,
            readiness,
            live: !has("dead"),
            stop: Stop::default(),
        };
        Self {
            instance,
            inside: has("in") && serves,
            gone: has("gone"),
            ends,
        }
    }
}

/// `web x3 surge=1 unavailable=0 needs=api version=2 quiet`.
fn service(name: &str, words: &[&str]) -> (ServiceName, Service) {
    let name = ServiceName::new(name).expect("a valid name");
    let mut deploy = Rolling::default();
    let mut service = plain();
    for word in words {
        let count = |text: &str| Amount::Count(text.parse().expect("a count"));
        match word.split_once('=') {
            None if *word == "quiet" => (service.port, service.ready) = (None, None),
            None => {
                let count = word.strip_prefix('x').and_then(|count| count.parse().ok());
                service.replicas = count.expect("replicas are like x3");
            }
            Some(("needs", needs)) => {
                let needs = needs
                    .split(',')
                    .map(|need| ServiceName::new(need).expect("a name"));
                service.needs = needs.collect();
            }
            Some(("surge", text)) => deploy.surge = count(text),
            Some(("unavailable", text)) => deploy.unavailable = count(text),
            Some(("version", text)) => {
                service.env.insert("VERSION".into(), text.into());
            }
            _ => panic!("what is `{word}`?"),
        }
    }
    service.deploy = deploy;
    (name, service)
}

fn plain() -> Service {
    Service {
        build: None,
        run: vec!["./program".into()],
        artifact: vec!["program".into()],
        port: Some(8080),
        needs: vec![],
        health: None,
        ready: Some(Probe::readiness(Check::Http("/ready".into()))),
        replicas: 1,
        size: Size::default(),
        env: BTreeMap::new(),
        stop: Stop::default(),
        deploy: Rolling {
            min_ready: Duration::ZERO,
            ..Rolling::default()
        },
    }
}

/// A platform of these services; the one called `web`, or the one said, answers for `localhost`.
pub(crate) fn contents(
    services: &[(ServiceName, Service)],
    route: Option<&ServiceName>,
) -> Contents {
    let web = ServiceName::new("web").expect("a valid name");
    let first = Some(route.cloned().unwrap_or(web));
    let routed = first.filter(|name| services.iter().any(|(other, _)| other == name));
    let domains = routed.map(|name| {
        let host = HostName::new("localhost").expect("a valid name");
        (host, BTreeMap::from([("/".to_owned(), name)]))
    });
    let artifact = |(name, _): &(ServiceName, Service)| (name.clone(), Digest::of(b"program"));
    Contents {
        artifacts: services.iter().map(artifact).collect(),
        platform: Platform {
            name: PlatformName::new("shop").expect("a valid name"),
            environment: EnvironmentName::default_environment(),
            gateway: GatewayPorts { http: 8080 },
            services: services.iter().cloned().collect(),
            domains: domains.into_iter().collect(),
        },
    }
}
