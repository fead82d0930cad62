//! What a service wants.

use mainstay_atoms::{Digest, InstanceId, ReleaseNumber, ServiceName};

/// How many instances of which contents a service wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The service.
    pub service: ServiceName,
    /// The release that last changed it; its instances carry this number.
    pub since: ReleaseNumber,
    /// Digest of everything the file decides about one instance.
    pub contents: Digest,
    /// How many.
    pub replicas: u32,
}

impl Wanted {
    /// The ids it wants, in order.
    pub fn ids(&self) -> impl Iterator<Item = InstanceId> + '_ {
        (1..=self.replicas).map(|ordinal| InstanceId {
            service: self.service.clone(),
            release: self.since,
            ordinal,
        })
    }
}
