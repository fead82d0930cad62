//! What each path answers.

use crate::{App, shop, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::TcpStream;

pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Most bytes of a request body.
const BODY_LIMIT: usize = 16 * 1024 * 1024;
/// How long the other service may take.
const API_PATIENCE: Duration = Duration::from_secs(2);

/// A whole answer.
pub(crate) fn whole(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status;
    let plain = hyper::header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert("content-type", plain);
    response
}

pub(crate) async fn answer(
    app: Arc<App>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let line = format!("{} {}", request.method(), request.uri());
    app.requests.fetch_add(1, Relaxed);
    app.in_flight.fetch_add(1, Relaxed);
    let response = route(&app, request).await;
    app.in_flight.fetch_sub(1, Relaxed);
    if response.status().is_server_error() {
        app.errors.fetch_add(1, Relaxed);
    }
    if !app.quiet {
        crate::log(&format!("{line} {}", response.status().as_u16()));
    }
    Ok(response)
}

async fn route(app: &Arc<App>, request: Request<Incoming>) -> Response<Body> {
    let query = form(request.uri().query().unwrap_or_default());
    let path = request.uri().path().to_owned();
    match path.as_str() {
        "/healthz" => whole(StatusCode::OK, "alive\n"),
        "/ready" => ready(app),
        "/metrics" => whole(StatusCode::OK, metrics(app)),
        "/fault" if request.method() == Method::POST => fault(app, request, query).await,
        _ => work(app, request, &path, &query).await,
    }
}

/// The paths that faults reach.
async fn work(
    app: &Arc<App>,
    request: Request<Incoming>,
    path: &str,
    query: &BTreeMap<String, String>,
) -> Response<Body> {
    let number = |name: &str| query.get(name).and_then(|text| text.parse::<u64>().ok());
    app.faults.leak();
    let latency = app.faults.latency();
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    if app.faults.fails() {
        return whole(
            StatusCode::INTERNAL_SERVER_ERROR,
            "this fault was asked for\n",
        );
    }
    match path {
        "/" => front(app).await,
        "/version" => whole(StatusCode::OK, format!("{} {}\n", app.service, app.release)),
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(number("ms").unwrap_or(1000))).await;
            whole(StatusCode::OK, "slow\n")
        }
        "/bytes" => {
            let count = number("n").unwrap_or(1024).min(BODY_LIMIT as u64);
            whole(
                StatusCode::OK,
                vec![b'x'; usize::try_from(count).unwrap_or(BODY_LIMIT)],
            )
        }
        "/echo" => echo(request).await,
        "/visits" => kept(|| Ok(format!("{} visits\n", shop::visits()?))).await,
        "/orders" if request.method() == Method::POST => {
            let mut words = query.clone();
            words.extend(form(&String::from_utf8_lossy(&body(request).await)));
            let Some(item) = words.get("item").cloned() else {
                return whole(StatusCode::BAD_REQUEST, "what `item`?\n");
            };
            kept(move || Ok(format!("{}\n", shop::order(&item)?))).await
        }
        "/orders" => kept(shop::orders).await,
        _ if path.starts_with("/uploads/") && request.method() == Method::POST => {
            let name = path["/uploads/".len()..].to_owned();
            let bytes = body(request).await;
            kept(move || Ok(format!("{} bytes kept\n", shop::upload(&name, &bytes)?))).await
        }
        "/events" => stream::events(app, number("every_ms"), number("count")),
        "/ws" => stream::websocket(app, request),
        _ => whole(StatusCode::NOT_FOUND, "there is nothing here\n"),
    }
}

/// What keeps data waits for it on a thread of its own.
async fn kept(
    work: impl FnOnce() -> Result<String, shop::Failed> + Send + 'static,
) -> Response<Body> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(text)) => whole(StatusCode::OK, text),
        Ok(Err(fault)) => whole(StatusCode::SERVICE_UNAVAILABLE, format!("{fault}\n")),
        Err(fault) => whole(StatusCode::INTERNAL_SERVER_ERROR, format!("{fault}\n")),
    }
}

/// The whole body, as far as it may go.
async fn body(request: Request<Incoming>) -> Bytes {
    let limited = Limited::new(request.into_body(), BODY_LIMIT)
        .collect()
        .await;
    limited
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default()
}

fn ready(app: &App) -> Response<Body> {
    if app.faults.is_ready() && !*app.ending.borrow() {
        whole(StatusCode::OK, "ready\n")
    } else {
        whole(StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn front(app: &App) -> Response<Body> {
    let (greeting, service, release) = (&app.greeting, &app.service, &app.release);
    let mut text = format!("{greeting} from {service} {release} ({})\n", app.instance);
    if let Some(url) = &app.api_url {
        let said = match tokio::time::timeout(API_PATIENCE, get(url)).await {
            Ok(Ok(said)) => said,
            Ok(Err(why)) => format!("no answer: {why}"),
            Err(_) => "no answer in time".into(),
        };
        let line = said.lines().next().unwrap_or_default();
        text.extend(["api says: ", line, "\n"]);
    }
    whole(StatusCode::OK, text)
}

/// GET of a plain HTTP address.
pub(crate) async fn get(url: &str) -> Result<String, String> {
    let uri: hyper::Uri = url.parse().map_err(|_| format!("`{url}` is no address"))?;
    let host = uri.authority().ok_or("the address has no host")?.clone();
    let place = (host.host().to_owned(), host.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(place)
        .await
        .map_err(|fault| fault.to_string())?;
    let said = |fault: hyper::Error| fault.to_string();
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(said)?;
    tokio::spawn(async move { drop(connection.await) });
    let request = Request::get(uri.path())
        .header("host", host.as_str())
        .body(Empty::<Bytes>::new())
        .map_err(|fault| fault.to_string())?;
    let response = sender.send_request(request).await.map_err(said)?;
    let body = Limited::new(response.into_body(), BODY_LIMIT)
        .collect()
        .await;
    let bytes = body.map_err(|fault| fault.to_string())?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn echo(request: Request<Incoming>) -> Response<Body> {
    let line = format!("{} {}\n", request.method(), request.uri());
    let mut text = line.into_bytes();
    for (name, value) in request.headers() {
        text.extend(name.as_str().bytes().chain(*b": "));
        text.extend(value.as_bytes().iter().chain(b"\n"));
    }
    match Limited::new(request.into_body(), BODY_LIMIT)
        .collect()
        .await
    {
        Ok(body) => {
            text.push(b'\n');
            text.extend(body.to_bytes());
            whole(StatusCode::OK, text)
        }
        Err(_) => whole(StatusCode::PAYLOAD_TOO_LARGE, "too much\n"),
    }
}

async fn fault(
    app: &App,
    request: Request<Incoming>,
    mut words: BTreeMap<String, String>,
) -> Response<Body> {
    let Ok(body) = Limited::new(request.into_body(), 4096).collect().await else {
        return whole(StatusCode::PAYLOAD_TOO_LARGE, "too much\n");
    };
    words.extend(form(&String::from_utf8_lossy(&body.to_bytes())));
    match app.faults.apply(&words) {
        Ok(()) => whole(StatusCode::OK, "done\n"),
        Err(unread) => whole(
            StatusCode::BAD_REQUEST,
            format!("not understood: {}\n", unread.0),
        ),
    }
}

fn metrics(app: &App) -> String {
    let rows = [
        ("sample_requests_total", "counter", &app.requests),
        ("sample_errors_total", "counter", &app.errors),
        ("sample_in_flight", "gauge", &app.in_flight),
    ];
    let line = |(name, kind, value): (&str, &str, &AtomicU64)| {
        format!("# TYPE {name} {kind}\n{name} {}\n", value.load(Relaxed))
    };
    rows.map(line).concat()
}

/// `a=1&b=2`; what our settings hold needs no escapes.
pub(crate) fn form(text: &str) -> BTreeMap<String, String> {
    text.trim()
        .split('&')
        .filter(|word| !word.is_empty())
        .map(|word| word.split_once('=').unwrap_or((word, "1")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
