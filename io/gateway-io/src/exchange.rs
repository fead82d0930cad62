//! One request: where it goes, what it carries, and what becomes of it.

use crate::answer;
use crate::body::{Own, Upload};
use crate::connection::{ClientState, Seat};
use crate::download::{Active, Download, Flight};
use crate::pool::{Lost, Wire};
use crate::prepare;
use crate::series::Failure;
use crate::serving::{Pool, Serving};
use crate::tunnel::Tunnel;
use crate::upstream::{Sending, Ticket, Upstream};
use crate::worker::{self, Worker};
use http::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use mainstay_routing::{Host, Reason, path, retry};
use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// Answers the requests of one client connection.
pub(crate) struct Exchange {
    worker: Rc<Worker>,
    state: Arc<ClientState>,
    peer: HeaderValue,
    entrance: SocketAddr,
    seat: Weak<Seat>,
}

/// Where a request goes.
struct Way {
    label: u32,
    pool: Rc<Pool>,
    host: HeaderValue,
    websocket: bool,
}

/// The gateway answers itself, for a reason that is counted.
struct Instead(Box<Response<Own>>, Failure);

/// A request on its way, between two attempts.
struct Attempt {
    parts: Parts,
    body: Upload,
}

/// Why an attempt brought no answer, and what can be sent again.
struct Missed {
    failure: retry::Failure,
    again: Option<Attempt>,
}

impl Exchange {
    pub(crate) fn new(
        worker: Rc<Worker>,
        state: Arc<ClientState>,
        peer: SocketAddr,
        entrance: SocketAddr,
        seat: &Rc<Seat>,
    ) -> Self {
        let text = peer.ip().to_canonical().to_string();
        let peer = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("unknown"));
        Self {
            worker,
            state,
            peer,
            entrance,
            seat: Rc::downgrade(seat),
        }
    }

    /// Notes a request, before anything else of it happens: from now on the connection is not idle.
    pub(crate) fn begin(&self) -> Active {
        Active::new(&self.state)
    }

    /// Answers one request.
    pub(crate) async fn answer(
        self: Rc<Self>,
        request: Request<Incoming>,
        active: Active,
    ) -> Result<Response<Download>, Infallible> {
        let begun = Instant::now();
        let old = request.version() != Version::HTTP_2;
        let upgrade = old && request.headers().contains_key(UPGRADE);
        let mut response = match self.forward(request, begun).await {
            Ok(response) => response.map(|body| body.into_download(active)),
            Err(Instead(response, failure)) => {
                self.worker.ledger.failed(failure);
                self.worker
                    .ledger
                    .own
                    .record(response.status().as_u16(), begun.elapsed());
                (*response).map(|own| Download::own(own, active))
            }
        };
        if upgrade && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            self.state.resume();
        }
        if old && self.worker.is_draining() {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
        begun: Instant,
    ) -> Result<Response<Answered>, Instead> {
        let (mut parts, incoming) = request.into_parts();
        let way = self.find(&mut parts)?;
        let upgrade = way
            .websocket
            .then(|| parts.extensions.remove::<OnUpgrade>())
            .flatten();
        prepare::request(&mut parts, way.host.clone(), &self.peer, way.websocket);
        let broken = Rc::new(Cell::new(false));
        let idempotent = parts.method.is_idempotent();
        let body = Upload::new(incoming, &self.state, idempotent, &broken).await;
        if !body.is_sized() {
            prepare::chunked(&mut parts.headers);
        }
        if broken.get() {
            return Err(self.broken_body());
        }
        let found = self
            .attempts(&way.pool, Attempt { parts, body }, idempotent, &broken)
            .await?;
        self.answered(found, &way, upgrade, begun)
    }

    /// Checks host, path and method, and finds who answers; rewrites the target.
    fn find(&self, parts: &mut Parts) -> Result<Way, Instead> {
        let websocket = parts.headers.contains_key(UPGRADE) && prepare::wants_websocket(parts);
        let value = host_of(parts).map_err(refused)?;
        let host = Host::parse(value.as_bytes()).map_err(|_| refused(Reason::OddHost))?;
        if parts.version == Version::HTTP_2 {
            check_two(parts).map_err(refused)?;
        }
        let path = path::normalise(parts.uri.path()).map_err(|_| refused(Reason::Target))?;
        let serving = self.worker.serving();
        let (label, pool) = self.route(&serving, &host, &path)?;
        if let Some(target) = prepare::target(&parts.uri, &path) {
            parts.uri = target;
        }
        Ok(Way {
            label,
            pool,
            host: value,
            websocket,
        })
    }

    fn route(
        &self,
        serving: &Serving,
        host: &Host<'_>,
        path: &str,
    ) -> Result<(u32, Rc<Pool>), Instead> {
        let (label, pool) = if let Some((label, pool)) = serving.local(self.entrance) {
            (*label, pool.as_ref())
        } else {
            let number = serving
                .router()
                .find(host, path)
                .ok_or_else(|| no_route(host, path))?;
            serving.route(number)
        };
        match pool {
            Some(pool) => Ok((label, pool.clone())),
            None => Err(no_instance("the service")),
        }
    }

    /// Tries instances until one answers or the rules of repetition say no.
    async fn attempts(
        &self,
        pool: &Rc<Pool>,
        attempt: Attempt,
        idempotent: bool,
        broken: &Rc<Cell<bool>>,
    ) -> Result<Found, Instead> {
        let now = worker::moment();
        change(&pool.budget, |budget| budget.request(now));
        let (mut tried, mut attempt) = (Vec::new(), attempt);
        loop {
            let upstream = self.pick(pool, &tried)?;
            let missed = match self.attempt(&upstream, attempt, idempotent).await {
                Ok(found) => return Ok(found),
                Err(missed) => missed,
            };
            if broken.get() {
                return Err(self.broken_body());
            }
            attempt = Self::again(pool, &upstream, missed, idempotent)?;
            tried.push(upstream);
        }
    }

    /// Someone not tried yet; else, since the table may have changed meanwhile, someone of the present
    /// one; else someone tried, whose idle connections were closed.
    fn pick(&self, pool: &Rc<Pool>, tried: &[Rc<Upstream>]) -> Result<Rc<Upstream>, Instead> {
        let present = || self.worker.serving().pool(&pool.service).cloned();
        pool.pick(&self.worker, tried)
            .or_else(|| present()?.pick(&self.worker, tried))
            .or_else(|| present()?.pick(&self.worker, &[]))
            .ok_or_else(|| no_instance(&format!("`{}`", pool.service)))
    }

    async fn attempt(
        &self,
        upstream: &Rc<Upstream>,
        attempt: Attempt,
        idempotent: bool,
    ) -> Result<Found, Missed> {
        let ticket = Ticket::new(upstream);
        let mut wire = match upstream.pooled() {
            Some(wire) => wire,
            None => match upstream.connect(&self.worker).await {
                Ok(wire) => wire,
                Err(_) => {
                    return Err(Missed {
                        failure: retry::Failure::Connect,
                        again: Some(attempt),
                    });
                }
            },
        };
        let spare = (wire.reused && idempotent)
            .then(|| attempt.again())
            .flatten();
        match wire
            .send(Sending::from_parts(attempt.parts, attempt.body))
            .await
        {
            Ok(response) => Ok(Found {
                response,
                wire,
                ticket,
            }),
            Err(lost) => Err(missed(lost, spare, wire.reused)),
        }
    }

    fn again(
        pool: &Pool,
        upstream: &Upstream,
        missed: Missed,
        idempotent: bool,
    ) -> Result<Attempt, Instead> {
        let now = worker::moment();
        let stale = matches!(
            missed.failure,
            retry::Failure::Unsent | retry::Failure::Died { reused: true }
        );
        if stale {
            upstream.forget_idle();
        } else {
            upstream.unreachable(now);
        }
        let left = if missed.again.is_some() {
            retry::Body::Whole
        } else {
            retry::Body::Spent
        };
        let allowed = retry::decide(missed.failure, idempotent, left)
            && change(&pool.budget, |budget| budget.take(now));
        match missed.again {
            Some(attempt) if allowed => Ok(attempt),
            _ => Err(failed(missed.failure)),
        }
    }

    fn answered(
        &self,
        found: Found,
        way: &Way,
        upgrade: Option<OnUpgrade>,
        begun: Instant,
    ) -> Result<Response<Answered>, Instead> {
        let Found {
            mut response,
            wire,
            ticket,
        } = found;
        let code = response.status().as_u16();
        let upstream = ticket.upstream.clone();
        upstream.answered(code, worker::moment());
        let series = upstream.series(way.label, &self.worker);
        let flight = Flight {
            worker: self.worker.clone(),
            ticket,
            wire: Some(wire),
            series,
            code,
            begun,
        };
        let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let instance = switching
            .then(|| response.extensions_mut().remove::<OnUpgrade>())
            .flatten();
        // The client is answered in its own version, whatever the instance speaks.
        *response.version_mut() = Version::HTTP_11;
        prepare::response(response.headers_mut(), switching);
        match (switching, upgrade, instance) {
            (false, ..) => Ok(response.map(|incoming| Answered::Whole(incoming, flight))),
            (true, Some(client), Some(instance)) => {
                self.begin_tunnel(client, instance, flight);
                Ok(response.map(|_| Answered::Upgrade))
            }
            (true, ..) => Err(failed(retry::Failure::Died { reused: false })),
        }
        .map(classify)
    }

    fn begin_tunnel(&self, client: OnUpgrade, instance: OnUpgrade, mut flight: Flight) {
        flight.record();
        flight.ticket = flight.ticket.into_stream();
        self.state.tunnel.store(true, Relaxed);
        let tunnel = Tunnel {
            client,
            instance,
            flight,
            seat: self.seat.upgrade(),
        };
        drop(tokio::task::spawn_local(tunnel.run()));
    }

    /// The client's body broke off, or broke a rule.
    fn broken_body(&self) -> Instead {
        let refused = self
            .state
            .refused
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        let refuse = refused.unwrap_or(Reason::ChunkEnd.refuse());
        Instead(Box::new(answer::refused(refuse)), Failure::ClientBody)
    }
}

/// The head of an answer, and what it came by.
struct Found {
    response: Response<Incoming>,
    wire: Wire,
    ticket: Ticket,
}

/// The body of an answer, before it is known whose request waits.
enum Answered {
    Whole(Incoming, Flight),
    Events(Incoming, Flight),
    Upgrade,
}

impl Answered {
    fn into_download(self, active: Active) -> Download {
        match self {
            Self::Whole(incoming, flight) => Download::relay(incoming, flight, active),
            Self::Events(incoming, flight) => Download::stream(incoming, flight, active),
            Self::Upgrade => Download::upgrade(),
        }
    }
}

/// Tells event streams from other answers, by their type.
fn classify(response: Response<Answered>) -> Response<Answered> {
    let kind = response.headers().get(CONTENT_TYPE);
    let events = kind.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
    response.map(|body| match body {
        Answered::Whole(incoming, flight) if events => Answered::Events(incoming, flight),
        other => other,
    })
}

impl Attempt {
    fn again(&self) -> Option<Self> {
        let body = self.body.again()?;
        Some(Self {
            parts: self.parts.clone(),
            body,
        })
    }
}

fn missed(lost: Lost, spare: Option<Attempt>, reused: bool) -> Missed {
    match lost {
        Lost::Late => Missed {
            failure: retry::Failure::Slow,
            again: None,
        },
        Lost::Broken(Some(unsent)) => {
            let (parts, body) = (*unsent).into_parts();
            Missed {
                failure: retry::Failure::Unsent,
                again: Some(Attempt { parts, body }),
            }
        }
        Lost::Broken(None) => Missed {
            failure: retry::Failure::Died { reused },
            again: spare,
        },
    }
}

/// The host a request names: `Host`, or in HTTP/2 `:authority`, which must agree with it.
fn host_of(parts: &Parts) -> Result<HeaderValue, Reason> {
    let field = parts.headers.get(HOST);
    match (parts.uri.authority(), field) {
        (Some(authority), Some(field))
            if !authority
                .as_str()
                .as_bytes()
                .eq_ignore_ascii_case(field.as_bytes()) =>
        {
            Err(Reason::HostMismatch)
        }
        (_, Some(field)) => Ok(field.clone()),
        (Some(authority), None) => {
            HeaderValue::from_str(authority.as_str()).map_err(|_| Reason::OddHost)
        }
        (None, None) => Err(Reason::NoHost),
    }
}

/// What the scanner checks in HTTP/1.1 and the HTTP/2 library leaves open.
fn check_two(parts: &Parts) -> Result<(), Reason> {
    if parts.method == Method::CONNECT || parts.method == Method::TRACE {
        return Err(Reason::Method);
    }
    if parts.headers.get_all(HOST).iter().count() > 1 {
        return Err(Reason::TwoHosts);
    }
    if parts.headers.len() > mainstay_routing::Scanner::FIELD_LIMIT {
        return Err(Reason::FieldCount);
    }
    if parts.headers.keys().any(|name| name.as_str().contains('_')) {
        return Err(Reason::UnderscoreName);
    }
    Ok(())
}

fn change<T: Copy, R>(cell: &Cell<T>, act: impl FnOnce(&mut T) -> R) -> R {
    let mut value = cell.get();
    let result = act(&mut value);
    cell.set(value);
    result
}

fn refused(reason: Reason) -> Instead {
    Instead(Box::new(answer::refused(reason.refuse())), Failure::Refused)
}

fn no_route(host: &Host<'_>, path: &str) -> Instead {
    let line = format!("no route for host `{}` and path `{path}`", host.as_str());
    Instead(
        Box::new(answer::text(StatusCode::NOT_FOUND, line)),
        Failure::NoRoute,
    )
}

fn no_instance(service: &str) -> Instead {
    let line = format!("no instance of {service} is ready");
    Instead(Box::new(answer::unavailable(line)), Failure::NoInstance)
}

fn failed(failure: retry::Failure) -> Instead {
    let (status, line, counted) = match failure {
        retry::Failure::Connect => (
            StatusCode::BAD_GATEWAY,
            "the instance cannot be reached",
            Failure::Connect,
        ),
        retry::Failure::Slow => (
            StatusCode::GATEWAY_TIMEOUT,
            "the instance took too long to answer",
            Failure::Slow,
        ),
        retry::Failure::Unsent | retry::Failure::Died { .. } => (
            StatusCode::BAD_GATEWAY,
            "the instance closed the connection without an answer",
            Failure::Died,
        ),
    };
    Instead(Box::new(answer::text(status, line)), counted)
}
