//! What a release consists of.

use mainstay_atoms::{Digest, ReleaseNumber, ServiceName};
use mainstay_spec::Platform;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that a release decides: the platform and the artifact of each service, by digest. No
/// run-time value (ports, generations, `MAINSTAY_*`) is part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The checked file, one environment of it.
    pub platform: Platform,
    /// What each service runs from.
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

    /// Digest of what one instance of the service is started from; counts and deploy rules are not
    /// part of it, so changing them replaces nobody.
    pub fn service_digest(&self, name: &ServiceName) -> Option<Digest> {
        let service = self.platform.services.get(name)?;
        let needs: Vec<_> = service
            .needs
            .iter()
            .map(|need| {
                (
                    need,
                    self.platform
                        .services
                        .get(need)
                        .and_then(|service| service.port),
                )
            })
            .collect();
        let parts = (
            &self.platform.name,
            &self.platform.environment,
            name,
            self.artifacts.get(name),
            (&service.run, service.port, &service.env, needs),
            (
                &service.health,
                &service.ready,
                &service.size,
                &service.stop,
            ),
        );
        Some(Digest::of(
            &serde_json::to_vec(&parts).expect("a service is what JSON can say"),
        ))
    }
}

/// A release as it is kept: its contents, and for each service the release that last changed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRecord {
    /// What it consists of.
    pub contents: Contents,
    /// Who made the present instances of each service.
    pub since: BTreeMap<ServiceName, ReleaseNumber>,
    /// [`Contents::service_digest`] of each service, reckoned once.
    pub digests: BTreeMap<ServiceName, Digest>,
}

impl ReleaseRecord {
    /// The record of release `number` over the one that serves: a service that does not change keeps
    /// its instances and their release.
    pub fn over(serving: Option<&Self>, number: ReleaseNumber, contents: Contents) -> Self {
        let names = contents.platform.services.keys();
        let digests: BTreeMap<_, _> = names
            .filter_map(|name| Some((name.clone(), contents.service_digest(name)?)))
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
