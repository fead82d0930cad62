//! Connections of the API: how many, how long a head may take, and who is at the other end.

use crate::actor::Peer;
use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

/// Connections at one time; more wait in the kernel's queue.
const CONNECTIONS: usize = 256;

/// How long a head may take, and a connection may be silent between two requests.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// Most bytes of a head.
const HEAD_LIMIT: usize = 64 * 1024;

/// Room for connections.
pub(crate) fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(CONNECTIONS))
}

/// Waits until nobody is connected.
pub(crate) async fn all_done(room: &Semaphore) {
    let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
    // It is never closed.
    drop(room.acquire_many(all).await);
}

/// Takes connections until it is dropped.
pub(crate) async fn accept(listener: UnixListener, router: Router, room: &Arc<Semaphore>) {
    loop {
        let Ok(place) = Arc::clone(room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    serve(stream, router).await;
                    drop(place);
                });
            }
            // Descriptors are used up: they come back, and whoever waits is not lost.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn serve(stream: UnixStream, router: Router) {
    let peer = ConnectInfo(Peer::of(&stream));
    let service = TowerToHyperService::new(router.layer(axum::Extension(peer)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service);
    // Whoever went away does not want to know.
    drop(connection.await);
}
