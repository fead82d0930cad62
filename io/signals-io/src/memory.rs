//! Memory: what the process may take, so that a query or a flood of series ends it and not the machine's other work.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Where nothing is said: ten times what 50,000 series need.
const USUAL: u64 = 1 << 30;

/// Bounds the memory of this process (`RLIMIT_DATA`, setrlimit(2): heap and private writable mappings). A bound from
/// outside is not passed. Zero is the usual bound.
pub(crate) fn bound(bytes: u64) {
    let wanted = if bytes == 0 { USUAL } else { bytes };
    let known = getrlimit(Resource::Data);
    let most = known.maximum.unwrap_or(u64::MAX);
    let bounds = Rlimit {
        current: Some(wanted.min(most)),
        ..known
    };
    // Where the kernel does not grant it, the process works without.
    setrlimit(Resource::Data, bounds).unwrap_or(());
}
