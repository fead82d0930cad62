//! Who listens on an address, by the socket's inode.

use crate::process;
use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Who answers on an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listener {
    /// Nobody yet.
    Nobody,
    /// A process of the instance, and nobody else.
    Instance {
        /// Which one.
        pid: u32,
    },
    /// Somebody else.
    Stranger {
        /// Its process, where we may see it.
        pid: Option<u32>,
        /// Its program, or what is known of it.
        program: String,
    },
}

/// Looks for sockets that take connections to this address.
pub(crate) fn find(address: SocketAddr, members: &BTreeSet<u32>) -> Listener {
    let inodes: BTreeSet<u64> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .flat_map(|path| listening(&fs::read_to_string(path).unwrap_or_default(), address))
        .collect();
    if inodes.is_empty() {
        return Listener::Nobody;
    }
    let mut ours = None;
    let mut strange = inodes;
    for &pid in members {
        for inode in sockets(pid) {
            if strange.remove(&inode) {
                ours = Some(pid);
            }
        }
    }
    match (ours, strange.is_empty()) {
        (Some(pid), true) => Listener::Instance { pid },
        _ => stranger(&strange, members),
    }
}

fn stranger(inodes: &BTreeSet<u64>, members: &BTreeSet<u32>) -> Listener {
    let holds = |pid: &u32| sockets(*pid).iter().any(|inode| inodes.contains(inode));
    let others = process::all().into_iter().map(|stat| stat.pid);
    let pid = others.filter(|pid| !members.contains(pid)).find(holds);
    let program = pid.map_or_else(|| "a process of another user".into(), process::program);
    Listener::Stranger { pid, program }
}

/// Inodes of the sockets a process holds.
fn sockets(pid: u32) -> Vec<u64> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    entries
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            let inode = target
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')?;
            inode.parse().ok()
        })
        .collect()
}

/// Inodes of listening sockets (state `0A`) that take connections to this address.
fn listening(table: &str, address: SocketAddr) -> Vec<u64> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (ip, port) = fields.get(1)?.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let covers =
            port == address.port() && *fields.get(3)? == "0A" && covers(ip_of(ip)?, address.ip());
        covers.then(|| fields.get(9)?.parse().ok())?
    };
    table.lines().skip(1).filter_map(row).collect()
}

/// Whether a socket bound to `bound` takes connections to `wanted`.
fn covers(bound: IpAddr, wanted: IpAddr) -> bool {
    let bound = bound.to_canonical();
    bound == wanted.to_canonical()
        || bound == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        || (bound == IpAddr::V4(Ipv4Addr::UNSPECIFIED) && wanted.to_canonical().is_ipv4())
}

/// Addresses stand there as words of 32 bits in the machine's order.
fn ip_of(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    if hex.len() == 8 {
        return Some(IpAddr::V4(Ipv4Addr::from(word(0)?)));
    }
    let mut bytes = [0; 16];
    for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
        part.copy_from_slice(&word(at * 8)?);
    }
    Some(IpAddr::V6(Ipv6Addr::from(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn our_own_listener_is_found_and_told_from_a_strangers() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let us = std::process::id();
        assert_eq!(find(address, &[us].into()), Listener::Instance { pid: us });
        let Listener::Stranger { pid, program } = find(address, &BTreeSet::new()) else {
            panic!("nobody was found");
        };
        assert_eq!(pid, Some(us));
        assert!(program.contains("mainstay_process_io"), "{program}");
        drop(socket);
        assert_eq!(find(address, &[us].into()), Listener::Nobody);
    }

    #[test]
    fn a_wildcard_covers_what_it_takes() {
        let any4: IpAddr = "0.0.0.0".parse().unwrap();
        let any6: IpAddr = "::".parse().unwrap();
        let local: IpAddr = "127.0.0.1".parse().unwrap();
        assert!(covers(any4, local) && covers(any6, local) && covers(local, local));
        assert!(!covers(any4, "::1".parse().unwrap()));
        assert!(!covers("127.0.0.2".parse().unwrap(), local));
    }
}
