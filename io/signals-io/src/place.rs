//! Places: unix sockets at paths of any length, and files that are replaced whole.

use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

pub(crate) use crate::store::replace;

/// A socket address holds at most this many bytes (`sun_path`, unix(7)).
const LIMIT: usize = 107;

/// Calls `act` with a path of the same file that fits a socket address: longer ones go through their folder's
/// descriptor, `/proc/self/fd/N/NAME`.
fn with_short<T>(path: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    use rustix::fs::{Mode, OFlags};
    if path.as_os_str().len() <= LIMIT {
        return act(path);
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, Mode::empty())?;
    let short = format!("/proc/self/fd/{}", folder.as_raw_fd());
    act(&Path::new(&short).join(name))
}

/// Connects, without waiting for a process that takes nobody in: where too many wait already, that is an error.
pub(crate) fn connect(path: &Path) -> io::Result<UnixStream> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    with_short(path, |short| {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(short)?)?;
        let stream = UnixStream::from(socket);
        stream.set_nonblocking(false)?;
        Ok(stream)
    })
}

/// Listens with mode 0600, replacing what was there: the socket is made under another name and renamed, so that
/// nobody sees it with another mode.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    let fresh = path.with_extension("fresh");
    match std::fs::remove_file(&fresh) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
        _ => {}
    }
    let listener = with_short(&fresh, |short| UnixListener::bind(short))?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&fresh, path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
