//! Speaking HTTP to the control plane over its unix socket.

use crate::context::Place;
use crate::failure::Failure;
use crate::terminal;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use mainstay_server::api::{Problem, TOO_FAST, Version};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Most bytes of an answer.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// How long a control plane may take to make its socket: it looks after it every 50 ms.
const SOCKET: Duration = Duration::from_secs(5);

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pause before a change is asked for again that came too fast after others of the same user.
const TURN: Duration = Duration::from_millis(100);

/// The way to one control plane; each question is a connection of its own.
pub(crate) struct Client {
    socket: PathBuf,
    runtime: tokio::runtime::Runtime,
}

/// What came back instead of an answer.
enum Trouble {
    Absent,
    /// It went away while it was asked.
    Gone(String),
    Other(Failure),
}

impl Client {
    /// The control plane of this place, if one answers.
    pub(crate) fn connect(place: &Place) -> Result<Option<Self>, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|fault| Failure::operator("runtime", format!("no runtime: {fault}")))?;
        let client = Self {
            socket: place.state().control_socket(),
            runtime,
        };
        match client.try_ask(&Method::GET, "/v1/version", &[]) {
            Ok(version) => same_version(&read(&version)?).map(|()| Some(client)),
            // One that ends at this very moment is as good as absent.
            Err(Trouble::Absent | Trouble::Gone(_)) => Ok(None),
            Err(Trouble::Other(failure)) => Err(failure),
        }
    }

    /// The control plane of this place; a failure that says how to start one when none answers.
    pub(crate) fn must(place: &Place) -> Result<Self, Failure> {
        Self::find(place)?.ok_or_else(|| {
            let message = format!("no control plane runs for `{}`", place.environment);
            Failure::you("not_running", message).hint("`mainstay up` starts it")
        })
    }

    /// The control plane of this place, if one runs. One that runs and is not to be found, because its
    /// socket was deleted or is about to be made, is waited for.
    pub(crate) fn find(place: &Place) -> Result<Option<Self>, Failure> {
        let deadline = Instant::now() + SOCKET;
        let mut missed = false;
        loop {
            if let Some(client) = Self::connect(place)? {
                if missed {
                    terminal::say("the control plane's socket was gone; it is there again");
                }
                return Ok(Some(client));
            }
            let Some((pid, _)) = mainstay_world::ledger_holder(&place.state().ledger()) else {
                return Ok(None);
            };
            if Instant::now() > deadline {
                let socket = place.state().control_socket();
                let message = format!(
                    "the control plane runs as pid {pid} and cannot be reached: `{}` {}",
                    socket.display(),
                    if socket.exists() {
                        "does not answer"
                    } else {
                        "was deleted"
                    },
                );
                let log = place.state().control_log();
                return Err(Failure::operator("no_socket", message).hint(format!(
                    "see its log `{}`; `kill {pid}` ends it, what runs goes on, and `mainstay up` takes it over",
                    log.display()
                )));
            }
            missed = true;
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask::<(), T>(&Method::GET, path, None)
    }

    pub(crate) fn delete(&self, path: &str) -> Result<(), Failure> {
        self.ask::<(), ()>(&Method::DELETE, path, None)
    }

    /// The same where the answer says what is there now.
    pub(crate) fn delete_for<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask::<(), T>(&Method::DELETE, path, None)
    }

    pub(crate) fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Failure> {
        self.ask(&Method::POST, path, Some(body))
    }

    fn ask<B: Serialize, T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, Failure> {
        let body = match body {
            Some(body) => serde_json::to_vec(body)
                .map_err(|fault| Failure::operator("api", fault.to_string()))?,
            None => Vec::new(),
        };
        read(&self.ask_patiently(method, path, &body)?)
    }

    /// Asks until it is this user's turn; what was answered.
    fn ask_patiently(&self, method: &Method, path: &str, body: &[u8]) -> Result<Bytes, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let failure = match self.try_ask(method, path, body) {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Absent) => {
                    Failure::operator("gone", "the control plane ended meanwhile")
                        .hint("`mainstay up` starts it; nothing is lost")
                }
                Err(Trouble::Gone(fault)) => Failure::operator("gone", fault)
                    .hint("`mainstay up` starts it; nothing is lost"),
                // A turn is refused before anything is done; the next comes soon.
                Err(Trouble::Other(failure))
                    if failure.is(TOO_FAST) && Instant::now() < deadline =>
                {
                    std::thread::sleep(TURN);
                    continue;
                }
                Err(Trouble::Other(failure)) => failure,
            };
            return Err(failure);
        }
    }

    fn try_ask(&self, method: &Method, path: &str, body: &[u8]) -> Result<Bytes, Trouble> {
        let Ok(folder) = File::open(self.socket.parent().unwrap_or(&self.socket)) else {
            return Err(Trouble::Absent);
        };
        let short = mainstay_server::short_path(&folder, &self.socket);
        self.runtime.block_on(async {
            let exchange = exchange(short, method.clone(), path, body.to_vec());
            match tokio::time::timeout(PATIENCE, exchange).await {
                Ok(Ok((true, bytes))) => Ok(bytes),
                Ok(Ok((false, bytes))) => Err(Trouble::Other(
                    match serde_json::from_slice::<Problem>(&bytes) {
                        Ok(problem) => problem.into(),
                        Err(_) => {
                            Failure::operator("api", "the control plane failed without a reason")
                        }
                    },
                )),
                Ok(Err(Some(fault))) => Err(Trouble::Gone(fault)),
                Ok(Err(None)) => Err(Trouble::Absent),
                Err(_) => Err(Trouble::Other(
                    Failure::operator("api", "the control plane does not answer within 30 s")
                        .hint("`mainstay doctor` looks whether it lacks something"),
                )),
            }
        })
    }
}

fn read<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(answer).map_err(|fault| {
        let message = format!("the control plane's answer cannot be read: {fault}");
        Failure::operator("api", message)
    })
}

/// One request and its answer: whether it is a success, and its body. `None`: nobody listens.
async fn exchange(
    socket: PathBuf,
    method: Method,
    path: &str,
    body: Vec<u8>,
) -> Result<(bool, Bytes), Option<String>> {
    let stream = tokio::net::UnixStream::connect(socket)
        .await
        .map_err(|fault| match fault.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => None,
            _ => Some(format!("the control plane's socket: {fault}")),
        })?;
    let text = |fault: hyper::Error| Some(format!("the control plane went away: {fault}"));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(text)?;
    let connection = tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path);
    // Read where it is used, and nowhere else: it is a secret.
    if let Ok(token) = std::env::var("MAINSTAY_TOKEN") {
        request = request.header("authorization", format!("Bearer {}", token.trim()));
    }
    let request = request
        .header("host", "mainstay")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|fault| Some(fault.to_string()))?;
    let response = sender.send_request(request).await.map_err(text)?;
    let success = response.status().is_success();
    let body = Limited::new(response.into_body(), ANSWER_LIMIT)
        .collect()
        .await;
    let body = body.map_err(|fault| Some(fault.to_string()))?.to_bytes();
    connection.abort();
    Ok((success, body))
}

/// One minor version older or newer works.
fn same_version(server: &Version) -> Result<(), Failure> {
    let own = env!("CARGO_PKG_VERSION");
    let line = |version: &str| {
        let mut parts = version
            .split('.')
            .map(|part| part.parse::<i64>().unwrap_or(-1));
        (parts.next(), parts.next().unwrap_or(0))
    };
    let (mine, theirs) = (line(own), line(&server.version));
    if mine.0 == theirs.0 && (mine.1 - theirs.1).abs() <= 1 {
        return Ok(());
    }
    let message = format!(
        "this is mainstay {own}, the control plane is {}",
        server.version
    );
    Err(Failure::you("version", message).hint("use the same version for both"))
}
