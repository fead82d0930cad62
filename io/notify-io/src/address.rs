//! Which addresses may be reached, and looking names up within a deadline.

use crate::stream::Fault;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

/// Addresses that may be reached although they are link-local or those of metadata services.
#[derive(Debug, Clone, Default)]
pub struct Allowed(pub Vec<IpAddr>);

/// Most look-ups at once: one that hangs holds a thread until the system gives it up.
const LOOKUPS_MAX: usize = 16;

static LOOKUPS: AtomicUsize = AtomicUsize::new(0);

/// Metadata services outside of the link-local ranges: Alibaba's and Oracle's, and Amazon's by IPv6.
const METADATA_V4: [Ipv4Addr; 2] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

impl Allowed {
    /// Why an address is not reached, or `None` where it may be.
    pub(crate) fn refusal(&self, address: IpAddr) -> Option<&'static str> {
        let address = plain(address);
        if self.0.iter().any(|one| plain(*one) == address) {
            return None;
        }
        match address {
            IpAddr::V4(v4) if v4.is_link_local() => Some("link-local, where metadata services are"),
            IpAddr::V4(v4) if METADATA_V4.contains(&v4) => Some("that of a metadata service"),
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("link-local"),
            IpAddr::V6(v6) if v6 == METADATA_V6 => Some("that of a metadata service"),
            IpAddr::V4(v4) if v4.is_broadcast() => Some("that of everybody"),
            other if other.is_unspecified() => Some("no address"),
            other if other.is_multicast() => Some("that of a group"),
            _ => None,
        }
    }
}

/// The address of version 4 that one of version 6 stands for: mapped, by NAT64 or by 6to4.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let embedded = match v6.segments() {
        _ if v6.is_loopback() || v6.is_unspecified() => None,
        [0, 0, 0, 0, 0, 0xffff | 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some((high.to_be_bytes(), low.to_be_bytes())),
        _ => None,
    };
    match embedded {
        Some(([a, b], [c, d])) => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        None => address,
    }
}

/// The addresses of a host that may be reached; where one of them may not, none is.
pub(crate) fn look_up(
    host: &str,
    port: u16,
    allowed: &Allowed,
    ends: Instant,
) -> Result<Vec<SocketAddr>, Fault> {
    let found = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => system(host, port, ends)?,
    };
    for address in &found {
        if let Some(why) = allowed.refusal(address.ip()) {
            return Err(Fault::Refused(format!(
                "`{host}` is {}, which is {why}; list it under `allow` if it is meant",
                address.ip()
            )));
        }
    }
    if found.is_empty() {
        return Err(Fault::failed(format!("`{host}` has no address")));
    }
    Ok(found)
}

/// Asks the system, which may take its time, on a thread of its own.
fn system(host: &str, port: u16, ends: Instant) -> Result<Vec<SocketAddr>, Fault> {
    if LOOKUPS.fetch_add(1, Ordering::SeqCst) >= LOOKUPS_MAX {
        LOOKUPS.fetch_sub(1, Ordering::SeqCst);
        return Err(Fault::failed("too many names are being looked up".into()));
    }
    let (tell, hear) = mpsc::channel();
    let name = host.to_owned();
    let started = std::thread::Builder::new()
        .name("look-up".into())
        .spawn(move || {
            let found = (name.as_str(), port)
                .to_socket_addrs()
                .map(Iterator::collect);
            LOOKUPS.fetch_sub(1, Ordering::SeqCst);
            // Whoever asked may have given up.
            tell.send(found).ok();
        });
    if let Err(fault) = started {
        LOOKUPS.fetch_sub(1, Ordering::SeqCst);
        return Err(Fault::failed(format!("no thread for the look-up: {fault}")));
    }
    let wait = ends.saturating_duration_since(Instant::now());
    match hear.recv_timeout(wait) {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(fault)) => Err(Fault::failed(format!("`{host}` is not found: {fault}"))),
        Err(_) => Err(Fault::failed(format!("`{host}` was not found in time"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_are_not_reached_by_any_spelling() {
        let allowed = Allowed::default();
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "192.0.0.192",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            assert!(
                allowed.refusal(address.parse().unwrap()).is_some(),
                "{address}"
            );
        }
        for address in [
            "127.0.0.1",
            "::1",
            "10.0.0.1",
            "192.168.1.1",
            "8.8.8.8",
            "2001:db8::1",
        ] {
            assert_eq!(allowed.refusal(address.parse().unwrap()), None, "{address}");
        }
        let listed = Allowed(vec!["169.254.1.2".parse().unwrap()]);
        assert_eq!(listed.refusal("::ffff:169.254.1.2".parse().unwrap()), None);
    }
}
