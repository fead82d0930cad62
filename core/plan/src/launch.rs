//! From a service of a release to the launch of one instance.

use crate::{Contents, ReleaseRecord, local_address};
use mainstay_atoms::{Digest, Generation, InstanceId, Launch, ReleaseNumber};
use mainstay_spec::Service;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The launch of `id`; the service must be part of the contents.
pub(crate) fn launch(
    record: &ReleaseRecord,
    release: ReleaseNumber,
    id: &InstanceId,
    generation: Generation,
    address: Option<SocketAddr>,
) -> Option<Launch> {
    let contents = &record.contents;
    let service = contents.platform.services.get(&id.service)?;
    Some(Launch {
        instance: id.clone(),
        generation,
        contents: *record.digests.get(&id.service)?,
        artifact: contents
            .artifacts
            .get(&id.service)
            .copied()
            .unwrap_or(Digest::of(b"")),
        run: service.run.clone(),
        env: environment(contents, service, release, id, address),
        address,
        size: service.size,
        ready: service.ready.clone(),
        health: service.health.clone(),
        stop: service.stop.clone(),
    })
}

fn environment(
    contents: &Contents,
    service: &Service,
    release: ReleaseNumber,
    id: &InstanceId,
    address: Option<SocketAddr>,
) -> BTreeMap<String, String> {
    let mut env = service.env.clone();
    for need in &service.needs {
        if let Some(at) = local_address(&contents.platform, need) {
            let name = need.variable();
            env.insert(format!("{name}_URL"), format!("http://{at}"));
            env.insert(format!("{name}_HOST"), at.ip().to_string());
            env.insert(format!("{name}_PORT"), at.port().to_string());
        }
    }
    if let Some(address) = address {
        env.insert("PORT".into(), address.port().to_string());
    }
    env.insert("MAINSTAY_SERVICE".into(), id.service.to_string());
    env.insert("MAINSTAY_RELEASE".into(), release.to_string());
    env.insert("MAINSTAY_INSTANCE".into(), id.to_string());
    env
}
