//! What a release consists of.

use mainstay_atoms::{Digest, ReleaseNumber, ServiceName};
use mainstay_spec::{Platform, Store, StoreKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that a release decides: the platform and the artifact of each service, by digest. No
/// run-time value (ports, generations, `MAINSTAY_*`) is part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The checked file, one environment of it.
    pub platform: Platform,
    /// What each service and job runs from.
    pub artifacts: BTreeMap<ServiceName, Digest>,
}

impl Contents {
    /// The bytes that are stored and digested: JSON with sorted keys.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("contents hold only what JSON can say")
    }

    /// Two releases of equal digest are the same release.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Digest of what one instance of a service, a job or a store's server is started from. What is
    /// not part of it replaces nobody when it changes: counts, deploy rules, when a job runs, settings
    /// that a server takes over while it runs.
    pub fn digest_of(&self, name: &ServiceName) -> Option<Digest> {
        let platform = &self.platform;
        if let Some(store) = platform.stores.get(name) {
            store.server()?;
            return Some(digest(&(
                &platform.name,
                &platform.environment,
                name,
                at_start(store),
            )));
        }
        if let Some(job) = platform.jobs.get(name) {
            let parts = (&job.run, &job.env, &job.size, &job.stop);
            return Some(digest(&(
                name,
                self.artifacts.get(name),
                parts,
                self.needs_of(&job.needs),
                &job.inject,
            )));
        }
        self.service_digest(name)
    }

    fn service_digest(&self, name: &ServiceName) -> Option<Digest> {
        let service = self.platform.services.get(name)?;
        let needs = self.needs_of(&service.needs);
        let parts = (
            &self.platform.name,
            &self.platform.environment,
            name,
            self.artifacts.get(name),
            (
                &service.run,
                service.port,
                &service.env,
                needs,
                &service.inject,
            ),
            (
                &service.health,
                &service.ready,
                &service.size,
                &service.stop,
            ),
        );
        Some(digest(&parts))
    }

    /// What is told of each need: a service's port, or which kind of store it is.
    fn needs_of<'a>(&'a self, needs: &'a [ServiceName]) -> Vec<Need<'a>> {
        let told = |need: &'a ServiceName| {
            let store = self.platform.stores.get(need);
            Need {
                name: need,
                port: self.platform.services.get(need).and_then(|one| one.port),
                kind: store.map(|store| store.kind.word()),
                external: store.and_then(|store| store.external.as_deref()),
            }
        };
        needs.iter().map(told).collect()
    }

    /// The names of everything that has instances.
    fn names(&self) -> impl Iterator<Item = &ServiceName> {
        let platform = &self.platform;
        let services = platform.services.keys().chain(platform.jobs.keys());
        services.chain(platform.stores.keys())
    }
}

/// What is told of one need.
#[derive(Serialize)]
struct Need<'a> {
    name: &'a ServiceName,
    port: Option<u16>,
    kind: Option<&'a str>,
    external: Option<&'a str>,
}

/// What a store's server takes over at its start only.
fn at_start(store: &Store) -> impl Serialize {
    let settings: Option<(_, BTreeMap<_, _>)> = match &store.kind {
        StoreKind::Postgres(one) => Some((one.memory, one.settings_at_start().collect())),
        _ => None,
    };
    (store.kind.server(), settings)
}

fn digest(parts: &impl Serialize) -> Digest {
    Digest::of(&serde_json::to_vec(parts).expect("contents hold only what JSON can say"))
}

/// A release as it is kept: its contents, and for each service the release that last changed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRecord {
    /// What it consists of.
    pub contents: Contents,
    /// Who made the present instances of each service, job and store.
    pub since: BTreeMap<ServiceName, ReleaseNumber>,
    /// [`Contents::digest_of`] each of them, reckoned once.
    pub digests: BTreeMap<ServiceName, Digest>,
}

impl ReleaseRecord {
    /// The record of release `number` over the one that serves: a service that does not change keeps
    /// its instances and their release.
    pub fn over(serving: Option<&Self>, number: ReleaseNumber, contents: Contents) -> Self {
        let digests: BTreeMap<_, _> = contents
            .names()
            .filter_map(|name| Some((name.clone(), contents.digest_of(name)?)))
            .collect();
        let kept = |name: &ServiceName, digest: &Digest| {
            let before = serving.filter(|before| before.digests.get(name) == Some(digest))?;
            before.since.get(name).copied()
        };
        let since = digests
            .iter()
            .map(|(name, digest)| (name.clone(), kept(name, digest).unwrap_or(number)))
            .collect();
        Self {
            contents,
            since,
            digests,
        }
    }

    /// The bytes that are stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record holds only what JSON can say")
    }
}
