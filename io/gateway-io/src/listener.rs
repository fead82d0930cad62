//! Listening sockets: one per address and worker, bound only where nobody else listens.

use crate::stranger;
use crate::wire::Refusal;
use mainstay_routing::Listener;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::AsFd;

/// Listening sockets by address.
pub(crate) type Bound = BTreeMap<SocketAddr, Vec<TcpListener>>;

/// Connections that wait to be accepted, per socket; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// The address of a listener.
pub(crate) fn address(listener: &Listener) -> SocketAddr {
    match listener {
        Listener::Public { address } | Listener::Local { address, .. } => *address,
    }
}

/// Binds `count` sockets to one address; none where the machine has no IPv6 and `[::]` was asked for.
///
/// With `SO_REUSEPORT` a stranger of the same user could share the port unseen, so the address is
/// bound once without it first.
pub(crate) fn bind(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, Refusal> {
    match probe(address) {
        Err(fault) if is_absent_family(&fault, address) => return Ok(Vec::new()),
        Err(fault) if fault.kind() == io::ErrorKind::AddrInUse => return Err(taken(address)),
        Err(fault) => return Err(refusal(address, &fault)),
        Ok(()) => {}
    }
    let bound: io::Result<Vec<_>> = (0..count).map(|_| listen(address)).collect();
    bound.map_err(|fault| refusal(address, &fault))
}

/// Adds sockets beside ones that were handed over, until there are `count`; fewer do too.
pub(crate) fn fill(address: SocketAddr, sockets: &mut Vec<TcpListener>, count: usize) {
    while sockets.len() < count {
        match listen(address) {
            Ok(socket) => sockets.push(socket),
            Err(_) => return,
        }
    }
}

/// Stops listening for good, whoever else holds duplicates: a shut listening socket leaves the port.
pub(crate) fn shut(listener: impl AsFd) {
    // Fails only on a socket that does not listen any more, which is what is wanted.
    rustix::net::shutdown(listener, rustix::net::Shutdown::Read).ok();
}

fn probe(address: SocketAddr) -> io::Result<()> {
    let socket = socket(address)?;
    socket.bind(&address.into())?;
    socket.listen(1)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(
        domain,
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn is_absent_family(fault: &io::Error, address: SocketAddr) -> bool {
    let unspecified = matches!(address.ip(), IpAddr::V6(ip) if ip.is_unspecified());
    let no_family = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    let absent =
        fault.kind() == io::ErrorKind::AddrNotAvailable || fault.raw_os_error() == Some(no_family);
    unspecified && absent
}

fn taken(address: SocketAddr) -> Refusal {
    let stranger = stranger::find(address);
    Refusal::PortTaken {
        address,
        pid: stranger.as_ref().map(|one| one.pid),
        program: stranger.and_then(|one| one.program),
    }
}

fn refusal(address: SocketAddr, fault: &io::Error) -> Refusal {
    Refusal::Bind {
        address,
        message: fault.to_string(),
    }
}

/// What one worker of `count` listens on.
pub(crate) fn share(bound: &Bound, worker: usize, count: usize) -> Vec<(SocketAddr, TcpListener)> {
    let mut mine = Vec::new();
    for (address, sockets) in bound {
        let sockets = sockets.iter().skip(worker).step_by(count);
        mine.extend(sockets.filter_map(|socket| Some((*address, socket.try_clone().ok()?))));
    }
    mine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_named_even_if_it_would_share() {
        let stranger = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = stranger.local_addr().unwrap();
        let refused = bind(address, 2).unwrap_err();
        assert!(
            matches!(
                refused,
                Refusal::PortTaken {
                    pid: Some(_),
                    program: Some(_),
                    ..
                }
            ),
            "{refused}"
        );
        drop(stranger);
        assert_eq!(bind(address, 2).unwrap().len(), 2);
    }

    #[test]
    fn a_shut_socket_frees_its_port_while_a_duplicate_lives() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let duplicate = listener.try_clone().unwrap();
        shut(&listener);
        assert_eq!(bind(address, 1).unwrap().len(), 1);
        drop(duplicate);
    }
}
