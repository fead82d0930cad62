//! Who is at the other end of the socket.

use mainstay_atoms::Actor;
use tokio::net::UnixStream;

/// The peer of a connection: the login name of its uid, or the uid itself where it has no name; and the uid.
#[derive(Debug, Clone)]
pub(crate) struct Peer(pub(crate) Actor, pub(crate) u32);

impl Peer {
    pub(crate) fn of(stream: &UnixStream) -> Self {
        let Ok(peer) = stream.peer_cred() else {
            return Self(Actor("unknown".into()), u32::MAX);
        };
        let name = match uzers::get_user_by_uid(peer.uid()) {
            Some(user) => user.name().to_string_lossy().into_owned(),
            None => format!("uid {}", peer.uid()),
        };
        Self(Actor(name), peer.uid())
    }
}
