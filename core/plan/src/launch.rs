//! From a service, a job or a store of a release to the launch of one instance.

use crate::{Contents, ReleaseRecord, local_address};
use mainstay_atoms::{
    Digest, Generation, InstanceId, JobRun, Launch, ServiceName, Size, Stop, Told,
};
use mainstay_spec::{Injection, Store};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// How the server of a store stops: TERM is PostgreSQL's smart shutdown, which waits for clients, so
/// it is asked by INT (fast: clients are disconnected, everything is written); Redis saves at TERM.
const STORE_GRACE: Duration = Duration::from_secs(60);

/// The launch of one instance of a service; the service must be part of the contents.
pub(crate) fn service_launch(
    record: &ReleaseRecord,
    id: &InstanceId,
    generation: Generation,
    address: Option<SocketAddr>,
) -> Option<Launch> {
    let contents = &record.contents;
    let service = contents.platform.services.get(&id.service)?;
    let needs = Needs {
        contents,
        login: &id.service,
        names: &service.needs,
        inject: &service.inject,
    };
    let mut env = service.env.clone();
    needs.services(&mut env);
    who(&mut env, id);
    if let Some(address) = address {
        env.insert("PORT".into(), address.port().to_string());
    }
    Some(Launch {
        run: service.run.clone(),
        env,
        address,
        size: service.size,
        ready: service.ready.clone(),
        health: service.health.clone(),
        stop: service.stop.clone(),
        told: needs.stores(),
        ..blank(record, id, generation)?
    })
}

/// The launch of one run of a job.
pub(crate) fn job_launch(
    record: &ReleaseRecord,
    id: &InstanceId,
    generation: Generation,
    run: JobRun,
) -> Option<Launch> {
    let contents = &record.contents;
    let job = contents.platform.jobs.get(&id.service)?;
    let needs = Needs {
        contents,
        login: &id.service,
        names: &job.needs,
        inject: &job.inject,
    };
    let mut env = job.env.clone();
    needs.services(&mut env);
    who(&mut env, id);
    Some(Launch {
        run: job.run.clone(),
        env,
        size: job.size,
        stop: job.stop.clone(),
        told: needs.stores(),
        job: Some(run),
        ..blank(record, id, generation)?
    })
}

/// The launch of a store's server.
pub(crate) fn store_launch(
    record: &ReleaseRecord,
    id: &InstanceId,
    generation: Generation,
) -> Option<Launch> {
    let platform = &record.contents.platform;
    let server = platform.stores.get(&id.service)?.server()?;
    let signal = match server {
        mainstay_atoms::Server::Postgres(_) => "INT",
        mainstay_atoms::Server::Redis(_) => "TERM",
    };
    let stop = Stop {
        signal: signal.into(),
        grace: STORE_GRACE,
        drain: Duration::ZERO,
        streams: Duration::ZERO,
    };
    Some(Launch {
        address: local_address(platform, &id.service),
        stop,
        server: Some(server),
        ..blank(record, id, generation)?
    })
}

/// How a service that needs a store reaches it: the first variable that it is told.
pub fn reached(contents: &Contents, service: &ServiceName, store: &ServiceName) -> Option<Told> {
    let found = contents.platform.stores.get(store)?;
    let variable = found.variables(store).into_iter().next()?;
    Some(tell(contents, (service, store), found, variable))
}

/// What a user of a store is told under one variable.
fn tell(
    contents: &Contents,
    (login, name): (&ServiceName, &ServiceName),
    store: &Store,
    variable: String,
) -> Told {
    Told {
        store: name.clone(),
        kind: store.kind.word().into(),
        variable,
        login: login.clone(),
        address: local_address(&contents.platform, name),
        external: store.external.clone(),
    }
}

/// Tells the workload who it is.
fn who(env: &mut BTreeMap<String, String>, id: &InstanceId) {
    env.insert("MAINSTAY_SERVICE".into(), id.service.to_string());
    env.insert("MAINSTAY_RELEASE".into(), id.release.to_string());
    env.insert("MAINSTAY_INSTANCE".into(), id.to_string());
}

/// What every launch says.
fn blank(record: &ReleaseRecord, id: &InstanceId, generation: Generation) -> Option<Launch> {
    let artifacts = &record.contents.artifacts;
    Some(Launch {
        instance: id.clone(),
        generation,
        contents: *record.digests.get(&id.service)?,
        artifact: artifacts
            .get(&id.service)
            .copied()
            .unwrap_or(Digest::of(b"")),
        run: vec![],
        env: BTreeMap::new(),
        address: None,
        size: Size::default(),
        ready: None,
        health: None,
        stop: Stop::default(),
        told: BTreeMap::new(),
        server: None,
        job: None,
    })
}

/// What a service or job needs, and how it wants to be told.
struct Needs<'a> {
    contents: &'a Contents,
    login: &'a ServiceName,
    names: &'a [ServiceName],
    inject: &'a BTreeMap<String, Injection>,
}

impl Needs<'_> {
    /// Addresses of the services that it calls.
    fn services(&self, env: &mut BTreeMap<String, String>) {
        let platform = &self.contents.platform;
        let services = self.names.iter();
        for need in services.filter(|need| platform.services.contains_key(*need)) {
            if let Some(at) = local_address(platform, need) {
                let name = need.variable();
                env.insert(format!("{name}_URL"), format!("http://{at}"));
                env.insert(format!("{name}_HOST"), at.ip().to_string());
                env.insert(format!("{name}_PORT"), at.port().to_string());
            }
        }
    }

    /// What the stores that it uses tell it: under their own names, or under those that it chose.
    fn stores(&self) -> BTreeMap<String, Told> {
        let platform = &self.contents.platform;
        let mut told = BTreeMap::new();
        for need in self.names {
            let Some(store) = platform.stores.get(need) else {
                continue;
            };
            let tell = |variable| tell(self.contents, (self.login, need), store, variable);
            let chosen = self.inject.iter().filter(|(_, one)| one.store == *need);
            let chosen: Vec<_> = chosen
                .map(|(name, one)| (name.clone(), tell(one.variable.clone())))
                .collect();
            if chosen.is_empty() {
                let usual = store.variables(need).into_iter();
                told.extend(usual.map(|name| (name.clone(), tell(name))));
            }
            told.extend(chosen);
        }
        told
    }
}
