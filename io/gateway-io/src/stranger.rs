//! Who listens on a port: found by the socket's inode in `/proc`.

use procfs::process::FDTarget;
use std::net::SocketAddr;

/// A process that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stranger {
    pub(crate) pid: i32,
    pub(crate) program: Option<String>,
}

/// The process that holds a listening TCP socket on the port of `address`, as far as `/proc` shows it
/// to us: another user's processes hide theirs.
pub(crate) fn find(address: SocketAddr) -> Option<Stranger> {
    let inodes = listening(address);
    procfs::process::all_processes()
        .ok()?
        .flatten()
        .find_map(|process| {
            let held = process.fd().ok()?.flatten().any(|fd| match fd.target {
                FDTarget::Socket(inode) => inodes.contains(&inode),
                _ => false,
            });
            held.then(|| Stranger {
                pid: process.pid,
                program: process.stat().ok().map(|stat| stat.comm),
            })
        })
}

fn listening(address: SocketAddr) -> Vec<u64> {
    let four = procfs::net::tcp().unwrap_or_default();
    let six = procfs::net::tcp6().unwrap_or_default();
    four.into_iter()
        .chain(six)
        .filter(|entry| entry.state == procfs::net::TcpState::Listen)
        .filter(|entry| entry.local_address.port() == address.port())
        .map(|entry| entry.inode)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_found_by_its_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let found = find(listener.local_addr().unwrap()).unwrap();
        assert_eq!(found.pid.unsigned_abs(), std::process::id());
        assert!(found.program.is_some());
    }
}
