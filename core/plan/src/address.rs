//! Addresses, chosen by hash so that they are stable and need no registry.

use mainstay_atoms::{Digest, InstanceId, Server, ServiceName};
use mainstay_spec::Platform;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;

/// Ports of instances: below Linux' ephemeral range (32768–60999), above the registered services.
pub const PORTS: Range<u16> = 20_000..30_000;

/// The stable local address of a service or store: an address of the loopback network
/// (127.64.0.0/10) that belongs to it in this environment, and the port that the file gives a service,
/// or that is usual for a store. A service's is answered by the gateway, a store's by its server. None
/// where nothing is to be reached.
pub fn local_address(platform: &Platform, name: &ServiceName) -> Option<SocketAddr> {
    let port = port_of(platform, name)?;
    let mut taken = BTreeSet::new();
    // They are asked in the order of their names, so that a clash always moves the later one.
    let names: BTreeSet<_> = platform
        .services
        .keys()
        .chain(platform.stores.keys())
        .collect();
    for service in names {
        let key = format!("{}/{}/{service}", platform.name, platform.environment);
        let digest = Digest::of(key.as_bytes()).0;
        let mut host = u32::from_be_bytes([127, 64 | (digest[0] & 63), digest[1], digest[2]]);
        while matches!(host & 255, 0 | 255) || !taken.insert(host) {
            host = 0x7f40_0000 | (host.wrapping_add(1) & 0x003f_ffff);
        }
        if service == name {
            return Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(host)), port));
        }
    }
    None
}

/// Ports that clients expect: those of PostgreSQL and Redis.
fn port_of(platform: &Platform, name: &ServiceName) -> Option<u16> {
    if let Some(service) = platform.services.get(name) {
        return service.port;
    }
    match platform.stores.get(name)?.server()? {
        Server::Postgres(_) => Some(5432),
        Server::Redis(_) => Some(6379),
    }
}

/// A free loopback port for one run of an instance; None when all ten thousand are taken.
pub(crate) fn instance_address(
    platform: &Platform,
    id: &InstanceId,
    taken: &mut BTreeSet<u16>,
) -> Option<SocketAddr> {
    let key = format!("{}/{}/{id}", platform.name, platform.environment);
    let digest = Digest::of(key.as_bytes()).0;
    let count = PORTS.end - PORTS.start;
    let first = u16::from_be_bytes([digest[0], digest[1]]) % count;
    let port = (0..count)
        .map(|step| PORTS.start + (first + step) % count)
        .find(|port| !taken.contains(port))?;
    taken.insert(port);
    Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
}
