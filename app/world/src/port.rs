//! Ports that somebody listens on.

use std::collections::BTreeSet;
use std::ops::Range;

/// TCP ports of the range on which somebody listens, on whatever address. Empty where the kernel's
/// tables cannot be read; then a start finds out.
pub(crate) fn listening(range: &Range<u16>) -> BTreeSet<u16> {
    let four = procfs::net::tcp().unwrap_or_default();
    let six = procfs::net::tcp6().unwrap_or_default();
    four.into_iter()
        .chain(six)
        .filter(|entry| entry.state == procfs::net::TcpState::Listen)
        .map(|entry| entry.local_address.port())
        .filter(|port| range.contains(port))
        .collect()
}
