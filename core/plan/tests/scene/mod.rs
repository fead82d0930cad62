//! Reads a scene: the release that is wanted, the one that serves, and what is seen.

use mainstay_atoms::{
    Actor, Bytes, Cause, Digest, EnvironmentName, Fact, Generation, HostName, InstanceId, JobRun,
    Moment, PlatformName, ReleaseNumber, Role, RouteName, ServiceName, Size, Stop, Wall,
};
use mainstay_plan::{
    Contents, Decision, GatewaySeen, Goal, Limits, Observed, PORTS, Pace, Parent, Pause, Plan,
    Purpose, ReleaseRecord, Routes, Run, RunEnd, Runs, Serving, Target, Trial, decide,
    order_digest, store_order,
};
use mainstay_routing::{Backend, Pool};
use mainstay_spec::{
    Gates, GatewayPorts, Job, Missed, Overlap, Platform, Postgres, Service, Store, StoreKind,
};
use mainstay_workload::{Attempts, Exit, Instance, Readiness, Running};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

mod service;

use service::{goal, service};

/// The moment at which every scene is decided.
pub(crate) const NOW: Moment = Moment(1_000_000);

/// What a decision is asked about.
pub(crate) struct Scene {
    pub(crate) release: Option<ReleaseNumber>,
    pub(crate) purpose: Purpose,
    pub(crate) record: Option<ReleaseRecord>,
    pub(crate) observed: Observed,
    /// The release that serves, and what is wanted of the services that are on trial beside it.
    stable: Option<(ReleaseNumber, ReleaseRecord)>,
    goals: BTreeMap<ServiceName, Goal>,
}

impl Scene {
    pub(crate) fn decide(&self) -> Decision {
        let pace = if self.purpose == Purpose::Rollback {
            Pace::AtOnce
        } else {
            Pace::Rolling
        };
        let serves = matches!(self.purpose, Purpose::Heal | Purpose::Return);
        let stable = self.stable.as_ref().filter(|_| !self.goals.is_empty());
        let trial = stable.map(|(stable, record)| Trial {
            stable: *stable,
            record,
            goals: self.goals.clone(),
        });
        let target = self.release.zip(self.record.as_ref());
        let target = target.map(|(release, record)| Target {
            release,
            record,
            pace,
            serves,
            trial: trial.as_ref(),
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
            purpose: if self.goals.is_empty() {
                self.purpose
            } else {
                Purpose::Trial
            },
            by: Actor("tester".into()),
            made_at: Wall(0),
            steps: decision.steps,
            report: decision.report,
        }
    }

    /// What the second mind says.
    pub(crate) fn notes(&self, plan: &Plan) -> Vec<mainstay_plan::check::Note> {
        let stable = self.stable.as_ref().map(|(_, record)| record);
        mainstay_plan::check(plan, self.record.as_ref(), stable, &self.observed)
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
    paused: Vec<RouteName>,
    ports: BTreeSet<u16>,
    /// Stores and jobs of the release that serves, and of the one that is wanted.
    beside: [Beside; 2],
    applied: Vec<String>,
    runs: Vec<String>,
    goals: BTreeMap<ServiceName, Goal>,
    /// How many of each scaled service were decided.
    counts: BTreeMap<ServiceName, u32>,
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
            ["paused", name] => self.paused.push(RouteName::new(name).expect("a name")),
            ["gateway", ref rest @ ..] => self.gateway = Some(rest.join(" ")),
            ["store", name, ref rest @ ..] => {
                let (name, store) = store(name, rest);
                let only = rest.iter().find_map(|word| match *word {
                    "before" => Some(0),
                    "after" => Some(1),
                    _ => None,
                });
                for (place, beside) in self.beside.iter_mut().enumerate() {
                    if only.is_none_or(|only| only == place) {
                        beside.stores.insert(name.clone(), store.clone());
                    }
                }
            }
            ["job", name, ref rest @ ..] => {
                for beside in &mut self.beside {
                    let (name, job) = job(name, rest);
                    beside.jobs.insert(name, job);
                }
            }
            ["applied", ref names @ ..] => {
                self.applied
                    .extend(names.iter().map(|name| (*name).to_owned()));
            }
            ["trial", name, ref rest @ ..] => {
                let name = ServiceName::new(name).expect("a name");
                self.goals.insert(name, goal(rest));
            }
            ["count", name, count] => {
                let name = ServiceName::new(name).expect("a name");
                let count = count.parse().expect("a count");
                self.counts.insert(name, count);
            }
            ["run", ..] => self.runs.push(line.to_owned()),
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
            let contents = self.beside[0].add(contents(&self.before, None));
            ReleaseRecord::over(None, self.over.unwrap_or(first), contents)
        });
        let record = self.release.map(|number| {
            let contents = self.beside[1].add(contents(&self.wanted, self.route.as_ref()));
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
                let pool = nobody(one.1.stop.streams);
                serving.pools.insert(one.0.clone(), pool);
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
                    .or_insert_with(|| nobody(Stop::default().streams));
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
        serving.paused.held = self.paused.iter().map(paused).collect();
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
                    pauses: serving.paused.number,
                    load: BTreeMap::new(),
                };
                Fact::Known { value, at }
            }
        };
        let generation = serving.generation;
        let stores = self.stores_applied(known);
        let jobs = self.jobs_known();
        Scene {
            release: self.release,
            purpose: self.purpose.expect("the scene says what is asked"),
            record,
            stable: self.over.zip(before),
            goals: self.goals,
            observed: Observed {
                instances,
                gateway,
                ports_taken: self.ports,
                serving,
                attempts,
                generation,
                stores,
                jobs,
                counts: self.counts,
            },
        }
    }

    fn stores_applied(&self, known: Option<&ReleaseRecord>) -> BTreeMap<ServiceName, Digest> {
        let order = |name: &String| {
            let name = ServiceName::new(name.as_str()).expect("a name");
            let order = store_order(&known.expect("a release").contents, &name);
            (name, order_digest(&order.expect("the store is there")))
        };
        self.applied.iter().map(order).collect()
    }

    fn jobs_known(&self) -> BTreeMap<ServiceName, Runs> {
        let names = self.beside[1].jobs.keys();
        let mut jobs: BTreeMap<ServiceName, Runs> =
            names.map(|name| (name.clone(), Runs::default())).collect();
        for line in &self.runs {
            let run = run(line);
            let runs = jobs.entry(run.instance.service.clone()).or_default();
            runs.last = runs.last.max(run.instance.ordinal);
            runs.kept.push_back(run);
        }
        jobs
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
            let service = record.contents.platform.services.get(&id.service);
            let contents = record.digests.get(&id.service)?;
            same.then_some((*contents, service))
        });
        let has = |word: &str| words.contains(&word);
        let contents = match made {
            Some((contents, _)) if !has("strange") => contents,
            _ => Digest::of(b"other contents"),
        };
        let port = 20_001 + u16::try_from(place).expect("few instances");
        let is = |name: &str| id.service.as_str() == name;
        let role = match () {
            () if is("db") || is("cache") => Role::Store,
            () if is("migrate") || is("warm") => Role::Job,
            () => Role::Service,
        };
        let serves = made.is_none_or(|(_, service)| service.is_some_and(|one| one.port.is_some()));
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
            role,
        };
        Self {
            instance,
            inside: has("in") && serves,
            gone: has("gone"),
            ends,
        }
    }
}

/// Stores and jobs of one release.
#[derive(Default)]
struct Beside {
    stores: BTreeMap<ServiceName, Store>,
    jobs: BTreeMap<ServiceName, Job>,
}

impl Beside {
    fn add(&self, mut contents: Contents) -> Contents {
        contents.platform.stores.clone_from(&self.stores);
        contents.platform.jobs.clone_from(&self.jobs);
        contents
    }
}

/// `store db postgres memory=1 before`; `store files volume`.
fn store(name: &str, words: &[&str]) -> (ServiceName, Store) {
    let number = |key: &str| {
        let found = words.iter().find_map(|word| word.strip_prefix(key));
        found.map(|text| text.parse::<u64>().expect("a number"))
    };
    let kind = if words.contains(&"volume") {
        StoreKind::Volume
    } else {
        let log =
            number("log=").map(|ms| ("log_min_duration_statement".to_owned(), format!("{ms}ms")));
        StoreKind::Postgres(Postgres {
            version: 15,
            memory: Bytes(number("memory=").unwrap_or(1) << 30),
            disk: None,
            extensions: vec![],
            settings: log.into_iter().collect(),
        })
    };
    let external = words.contains(&"external").then(|| "DB_URL".to_owned());
    (
        ServiceName::new(name).expect("a name"),
        Store { kind, external },
    )
}

/// `job migrate one_way retries=2 needs=db`.
fn job(name: &str, words: &[&str]) -> (ServiceName, Job) {
    let value = |key: &str| words.iter().find_map(|word| word.strip_prefix(key));
    let needs = value("needs=").map(|name| ServiceName::new(name).expect("a name"));
    let job = Job {
        build: None,
        run: vec!["./job".into()],
        artifact: vec!["job".into()],
        needs: needs.into_iter().collect(),
        inject: BTreeMap::new(),
        env: BTreeMap::new(),
        size: Size::default(),
        stop: Stop::default(),
        schedule: None,
        timeout: Duration::from_secs(60),
        retries: value("retries=").map_or(0, |count| count.parse().expect("a count")),
        overlap: Overlap::Forbid,
        missed: Missed::Run,
        at_least_once: false,
        one_way: words.contains(&"one_way"),
    };
    (ServiceName::new(name).expect("a name"), job)
}

/// `run migrate.v3.1 ok for v3`, `failed`, `running`.
fn run(line: &str) -> Run {
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    let exit = match words[1] {
        "ok" => Some(0),
        "failed" => Some(1),
        "running" => None,
        other => panic!("what is a run that {other}?"),
    };
    let end = exit.map(|code| RunEnd {
        exit: Exit {
            code: Some(code),
            ..Exit::default()
        },
        ran_ms: 1000,
        at: Wall(1000),
    });
    let instance: InstanceId = words[0].parse().expect("a run is like migrate.v3.1");
    Run {
        release: words.get(3).map(|word| word.parse().expect("a release")),
        generation: Generation(1),
        job: JobRun {
            cause: Cause::Before,
            due: None,
            attempt: instance.ordinal,
            retries: 0,
            timeout: Duration::from_secs(60),
            at_least_once: false,
            one_way: false,
        },
        instance,
        by: Actor("tester".into()),
        begun: Wall(0),
        stopping: None,
        end,
        launch: None,
    }
}

fn paused(route: &RouteName) -> (RouteName, Pause) {
    let pause = Pause {
        until: Wall(1),
        why: "it fails".into(),
        by: Actor("tester".into()),
    };
    (route.clone(), pause)
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
            jobs: BTreeMap::new(),
            stores: BTreeMap::new(),
            domains: domains.into_iter().collect(),
            gates: Gates::default(),
            signals: mainstay_spec::Signals::default(),
            status_page: None,
        },
    }
}

/// A pool with nobody in it.
fn nobody(streams: Duration) -> Pool {
    Pool {
        streams,
        backends: vec![],
        split: None,
    }
}
