//! The API: connections, who may do what, and which answer belongs to which path.

mod alert;
mod content;
mod data;
mod duty;
mod export;
mod parcel;
mod push;
mod token;

use crate::answer::{self, ApiFault};
use crate::config::Config;
use crate::form::Form;
use crate::process::Process;
use base64::Engine as _;
use content::Content;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
pub(crate) use parcel::AT_A_TIME as EXPORTS;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
pub(crate) use token::Tokens;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};

/// Connections at one time.
const CONNECTIONS: usize = 128;

/// How long a head or body may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest body that is not a write of samples.
const BODY_MAX: usize = 16 << 20;

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    /// Nothing: the token is missing or wrong.
    Nothing,
    /// Ask.
    Read,
    /// Ask, send samples and change the configuration.
    Write,
}

/// An answer that is ready.
pub(crate) struct Ready {
    status: u16,
    content_type: &'static str,
    body: Content,
    /// Fields of the head with numbers.
    fields: Vec<(&'static str, usize)>,
}

impl Ready {
    pub(crate) fn json(body: Vec<u8>) -> Self {
        Self {
            status: 200,
            content_type: "application/json",
            body: body.into(),
            fields: Vec::new(),
        }
    }

    pub(crate) fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            body: body.into().into(),
            fields: Vec::new(),
        }
    }

    pub(crate) fn protobuf(body: Vec<u8>) -> Self {
        Self {
            status: 200,
            content_type: "application/x-protobuf",
            body: body.into(),
            fields: Vec::new(),
        }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self::text(status, Vec::new())
    }
}

impl From<ApiFault> for Ready {
    fn from(fault: ApiFault) -> Self {
        Self {
            status: fault.status,
            content_type: "application/json",
            body: fault.json().into(),
            fields: Vec::new(),
        }
    }
}

/// The server.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) process: Arc<Process>,
}

/// A request with its body read.
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) form: Form,
    pub(crate) content_type: String,
    pub(crate) content_encoding: String,
    pub(crate) body: Bytes,
}

impl Api {
    /// Serves the unix socket, and an address where the configuration names one.
    pub(crate) async fn serve(
        self,
        listener: UnixListener,
        mut listening: watch::Receiver<Option<SocketAddr>>,
    ) {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let mut outside: Option<TcpListener> = None;
        listening.mark_changed();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((stream, _)) = accepted else {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        continue;
                    };
                    let uid = stream.peer_cred().map(|cred| cred.uid());
                    let own = rustix::process::geteuid().as_raw();
                    let right = match uid {
                        Ok(uid) if uid == own || uid == 0 => Right::Write,
                        _ => Right::Nothing,
                    };
                    self.clone().attend(stream, Some(right), &room);
                }
                accepted = accept(outside.as_ref()) => {
                    if let Ok(stream) = accepted {
                        self.clone().attend(stream, None, &room);
                    } else {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
                changed = listening.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let address = *listening.borrow_and_update();
                    outside = match address {
                        Some(address) => TcpListener::bind(address).await.ok(),
                        None => None,
                    };
                }
            }
        }
    }

    fn attend(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        right: Option<Right>,
        room: &Arc<Semaphore>,
    ) {
        // Whoever comes beyond the limit is closed at once.
        let Ok(permit) = room.clone().try_acquire_owned() else {
            return;
        };
        drop(tokio::spawn(async move {
            let service = service_fn(move |request| {
                let api = self.clone();
                async move { Ok::<_, Infallible>(api.answer(request, right).await) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), service);
            // A peer that goes or talks nonsense is its own affair.
            drop(served.await);
            drop(permit);
        }));
    }

    async fn answer(&self, request: Request<Incoming>, right: Option<Right>) -> Response<Content> {
        let head = request.method() == Method::HEAD;
        let ready = self.ready(request, right).await;
        let mut response = Response::new(if head { Content::default() } else { ready.body });
        *response.status_mut() =
            StatusCode::from_u16(ready.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let content_type = hyper::header::HeaderValue::from_static(ready.content_type);
        let headers = response.headers_mut();
        headers.insert(hyper::header::CONTENT_TYPE, content_type);
        for (name, number) in ready.fields {
            headers.insert(name, number.into());
        }
        if ready.status == 401 {
            let value = hyper::header::HeaderValue::from_static("Bearer");
            headers.insert(hyper::header::WWW_AUTHENTICATE, value);
        }
        response
    }

    async fn ready(&self, request: Request<Incoming>, right: Option<Right>) -> Ready {
        let right = right.unwrap_or_else(|| self.right(&request));
        let path = request.uri().path().to_owned();
        if let "/-/healthy" | "/-/ready" = path.as_str() {
            return Ready::text(200, "Mainstay signals is ready.\n");
        }
        if right == Right::Nothing {
            self.process.refused.fetch_add(1, Relaxed);
            let fault = ApiFault {
                kind: "unauthorized",
                status: 401,
                message: "a token is needed: `Authorization: Bearer TOKEN`".into(),
            };
            return fault.into();
        }
        let writes = matches!(
            path.as_str(),
            "/api/v1/write"
                | "/api/v1/otlp/v1/metrics"
                | "/v1/config"
                | "/v1/token"
                | "/v1/silences"
                | "/v1/acknowledge"
                | "/v1/on-call"
                | "/v1/try"
        );
        if writes && right < Right::Write && request.method() != Method::GET {
            let fault = ApiFault {
                kind: "forbidden",
                status: 403,
                message: "this token may only read".into(),
            };
            return fault.into();
        }
        match tokio::time::timeout(PATIENCE, self.read(request, path)).await {
            Ok(Ok(asked)) => self.route(asked).await.unwrap_or_else(Ready::from),
            Ok(Err(fault)) => fault.into(),
            Err(_) => Ready::text(408, "the request took too long\n"),
        }
    }

    fn right(&self, request: &Request<Incoming>) -> Right {
        let value = request.headers().get(hyper::header::AUTHORIZATION);
        let value = value.and_then(|value| value.to_str().ok());
        let token = value.and_then(token_of);
        token.map_or(Right::Nothing, |token| self.process.right_of(&token))
    }

    /// Reads the body, and the parameters from it and from the query string.
    async fn read(&self, request: Request<Incoming>, path: String) -> Result<Asked, ApiFault> {
        let (head, body) = request.into_parts();
        let field = |name| {
            let value = head.headers.get(name);
            let value = value.and_then(|value: &hyper::header::HeaderValue| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let limit = match path.as_str() {
            "/api/v1/write" | "/api/v1/otlp/v1/metrics" => {
                self.process.config().limits.write_bytes_max
            }
            _ => BODY_MAX,
        };
        let body = Limited::new(body, limit).collect().await;
        let body = body.map_err(|_| ApiFault {
            kind: "bad_data",
            status: 413,
            message: format!("the body cannot be read, or has more than {limit} bytes"),
        })?;
        let mut asked = Asked {
            method: head.method,
            path,
            form: Form::default(),
            content_type: field(hyper::header::CONTENT_TYPE),
            content_encoding: field(hyper::header::CONTENT_ENCODING),
            body: body.to_bytes(),
        };
        if asked
            .content_type
            .starts_with("application/x-www-form-urlencoded")
        {
            asked.form.read(&String::from_utf8_lossy(&asked.body));
        }
        asked.form.read(head.uri.query().unwrap_or_default());
        Ok(asked)
    }

    async fn route(&self, asked: Asked) -> Result<Ready, ApiFault> {
        let get = matches!(asked.method, Method::GET | Method::HEAD);
        let ask = get || asked.method == Method::POST;
        let path = asked.path.clone();
        match path.as_str() {
            "/api/v1/query" if ask => self.query(asked).await,
            "/api/v1/query_range" if ask => self.query_range(asked).await,
            "/api/v1/series" if ask => self.series(asked).await,
            "/api/v1/labels" if ask => self.label_names(asked).await,
            "/api/v1/metadata" if get => Ok(self.metadata(&asked)),
            "/api/v1/targets" if get => Ok(self.targets(&asked)),
            "/api/v1/rules" if get => Ok(self.rules(&asked)),
            "/api/v1/alerts" if get => Ok(self.alerts()),
            "/v1/firing" if get => Ok(self.firing()),
            "/api/v1/query_exemplars" if ask => Ok(Ready::json(answer::success("[]"))),
            "/api/v1/status/buildinfo" if get => Ok(build_info()),
            "/api/v1/write" if asked.method == Method::POST => self.write(asked).await,
            "/api/v1/otlp/v1/metrics" if asked.method == Method::POST => self.otlp(asked).await,
            "/metrics" if get => Ok(Ready::text(200, self.own_metrics())),
            "/v1/export" if get => self.export(asked).await,
            "/v1/parcels" if get => self.parcels(&asked),
            "/v1/span" if get => Ok(self.span()),
            "/v1/config" if get => self.shown_config(),
            "/v1/remotes" if get => Ok(self.remotes()),
            "/v1/config" if asked.method == Method::PUT => self.configure(&asked),
            "/v1/token" if asked.method == Method::POST => self.issue(),
            "/v1/silences" => self.silences(&asked),
            "/v1/acknowledge" if asked.method == Method::POST => self.acknowledge(&asked).await,
            "/v1/checks" if get => self.checks(),
            "/v1/on-call" if get => self.on_call().await,
            "/v1/on-call" if asked.method == Method::POST => self.stand_in(&asked).await,
            "/v1/try" if asked.method == Method::POST => self.try_out(&asked).await,
            _ => {
                let name = path.strip_prefix("/api/v1/label/");
                match name.and_then(|name| name.strip_suffix("/values")) {
                    Some(name) if get => {
                        let name = crate::form::decoded(name);
                        self.label_values(asked, name).await
                    }
                    _ => Err(ApiFault {
                        kind: "not_found",
                        status: 404,
                        message: format!("`{} {path}` is not known", asked.method),
                    }),
                }
            }
        }
    }

    fn shown_config(&self) -> Result<Ready, ApiFault> {
        let config = serde_json::to_vec(&*self.process.config());
        let config = config.map_err(|fault| ApiFault::unavailable(fault.to_string()))?;
        Ok(Ready::json(config))
    }

    /// Where samples are sent to as well, and how far that has come.
    fn remotes(&self) -> Ready {
        let known = self.process.progress().into_iter();
        let known = known.map(|(name, one)| {
            serde_json::json!({
                "name": name,
                "sent_until_ms": one.sent_ms,
                "samples": one.samples,
                "failures": one.failures,
                "refused": one.refused,
                "left_out": one.left_out,
                "lost": one.lost(),
                "trouble": one.trouble,
            })
        });
        let all = known.collect::<serde_json::Value>().to_string();
        Ready::json(answer::success(&all))
    }

    fn configure(&self, asked: &Asked) -> Result<Ready, ApiFault> {
        let config: Config = serde_json::from_slice(&asked.body)
            .map_err(|fault| ApiFault::bad(format!("the configuration cannot be read: {fault}")))?;
        let taken = self.process.configure(config);
        taken.map_err(|fault| ApiFault::bad(fault.to_string()))?;
        Ok(Ready::json(b"{\"status\":\"success\"}".to_vec()))
    }
}

/// The token of a request: a bearer's, or the password of whoever can only send one.
fn token_of(value: &str) -> Option<String> {
    if let Some(token) = value.strip_prefix("Bearer ") {
        return Some(token.to_owned());
    }
    let pair = base64::prelude::BASE64_STANDARD.decode(value.strip_prefix("Basic ")?);
    let pair = String::from_utf8(pair.ok()?).ok()?;
    pair.split_once(':').map(|(_, token)| token.to_owned())
}

/// The next connection; never where nobody listens.
async fn accept(listener: Option<&TcpListener>) -> std::io::Result<tokio::net::TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

/// The version whose language and API this is, as those who ask compare it.
fn build_info() -> Ready {
    let version = env!("CARGO_PKG_VERSION");
    Ready::json(answer::success(&format!(
        "{{\"version\":\"3.0.0\",\"revision\":\"mainstay-{version}\",\"branch\":\"\",\"buildUser\":\"\",\
         \"buildDate\":\"\",\"goVersion\":\"\"}}"
    )))
}
