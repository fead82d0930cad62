//! Answers that last: server-sent events and a WebSocket that echoes.

use crate::App;
use crate::page::{Body, whole};
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Bytes, Frame, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

/// A body that grows.
struct Lines(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(context)
            .map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

/// One event a period, `count` of them or until the client or the application goes.
pub(crate) fn events(app: &App, every_ms: Option<u64>, count: Option<u64>) -> Response<Body> {
    let (lines, body) = mpsc::channel(4);
    let every = Duration::from_millis(every_ms.unwrap_or(1000).max(1));
    let mut ending = app.ending.subscribe();
    let instance = app.instance.clone();
    tokio::spawn(async move {
        for number in 1..=count.unwrap_or(u64::MAX) {
            let event = format!("id: {number}\ndata: {instance} {number}\n\n");
            if *ending.borrow() || lines.send(event.into()).await.is_err() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                _ = ending.changed() => return,
            }
        }
    });
    let body = Lines(body);
    debug_assert!(
        body.size_hint().exact().is_none(),
        "nobody knows how long it lasts"
    );
    let mut response = Response::new(body.boxed_unsync());
    let kind = hyper::header::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert("content-type", kind);
    response
}

/// Upgrades, greets with the instance's name, and echoes until either side closes.
pub(crate) fn websocket(app: &Arc<App>, mut request: Request<Incoming>) -> Response<Body> {
    let Some(key) = request.headers().get("sec-websocket-key") else {
        return whole(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket\n");
    };
    let accept = derive_accept_key(key.as_bytes());
    let upgrade = hyper::upgrade::on(&mut request);
    let (instance, ending) = (app.instance.clone(), app.ending.subscribe());
    let guest = app.guests.enter();
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            let socket =
                WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None);
            // A peer that goes away is no fault of ours.
            drop(converse(socket.await, instance, ending).await);
        }
        drop(guest);
    });
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", accept)
        .body(Empty::new().boxed_unsync());
    response.unwrap_or_else(|_| whole(StatusCode::INTERNAL_SERVER_ERROR, "no upgrade\n"))
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

async fn converse(
    mut socket: Socket,
    instance: String,
    mut ending: watch::Receiver<bool>,
) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    socket.send(Message::text(instance)).await?;
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(message)) if message.is_text() || message.is_binary() => socket.send(message).await?,
                Some(Ok(message)) if message.is_close() => return socket.flush().await,
                Some(Ok(_)) => {}
                Some(Err(fault)) => return Err(fault),
                None => return Ok(()),
            },
            _ = ending.changed() => {
                let away = CloseFrame { code: CloseCode::Away, reason: "ending".into() };
                return socket.close(Some(away)).await;
            }
        }
    }
}
