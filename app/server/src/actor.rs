//! Who is at the other end of the socket.

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use mainstay_atoms::Actor;
use tokio::net::UnixListener;

/// The peer of a connection: the login name of its uid, or the uid itself where it has no name.
#[derive(Debug, Clone)]
pub(crate) struct Peer(pub(crate) Actor);

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let name = match stream.io().peer_cred() {
            Ok(peer) => match uzers::get_user_by_uid(peer.uid()) {
                Some(user) => user.name().to_string_lossy().into_owned(),
                None => format!("uid {}", peer.uid()),
            },
            Err(_) => "unknown".into(),
        };
        Self(Actor(name))
    }
}
