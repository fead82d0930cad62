//! One request: where it goes, what it carries, and what becomes of it.

use crate::answer;
use crate::connection::{ClientState, Seat};
use crate::download::{Active, Download, Flight};
use crate::link::{self, Lost};
use crate::outgoing::Outgoing;
use crate::own::Own;
use crate::prepare::{self, Ours};
use crate::reply::Reply;
use crate::series::Failure;
use crate::serving::{Pool, Serving};
use crate::tunnel::Tunnel;
use crate::upload::{Broken, Upload};
use crate::upstream::{Ticket, Upstream};
use crate::worker::{self, Worker};
use http::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
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
    /// The target, where it is not the client's own.
    target: Option<String>,
    websocket: bool,
}

/// The gateway answers itself, for a reason that is counted.
struct Instead(Box<Response<Own>>, Failure);

/// Why an attempt brought no answer, and what can be sent again.
struct Missed {
    failure: retry::Failure,
    again: Option<Outgoing>,
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
        let way = self.find(&parts)?;
        let upgrade = way
            .websocket
            .then(|| parts.extensions.remove::<OnUpgrade>())
            .flatten();
        let idempotent = parts.method.is_idempotent();
        let body = Upload::new(incoming, &self.state, idempotent).await;
        let body = body.map_err(|Broken| self.broken_body())?;
        let outgoing = self.outgoing(&parts, body, &way);
        let found = self.attempts(&way.pool, outgoing, idempotent).await?;
        self.answered(found, &way, upgrade, begun)
    }

    fn outgoing(&self, parts: &Parts, body: Upload, way: &Way) -> Outgoing {
        let given = || parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let ours = Ours {
            host: &way.host,
            peer: &self.peer,
            target: way.target.as_deref().unwrap_or_else(given),
            websocket: way.websocket,
            length: body.length(),
        };
        let head = prepare::request(parts, &ours);
        Outgoing::new(head, body, parts.method == Method::HEAD)
    }

    /// Checks host, path and method, and finds who answers.
    fn find(&self, parts: &Parts) -> Result<Way, Instead> {
        let websocket = parts.headers.contains_key(UPGRADE) && prepare::wants_websocket(parts);
        let value = host_of(parts).map_err(refused)?;
        let host = Host::parse(value.as_bytes()).map_err(|_| refused(Reason::OddHost))?;
        if parts.version == Version::HTTP_2 {
            check_two(parts).map_err(refused)?;
        }
        let path = path::normalise(parts.uri.path()).map_err(|_| refused(Reason::Target))?;
        let serving = self.worker.serving();
        let (label, pool) = self.route(&serving, &host, &path)?;
        Ok(Way {
            label,
            pool,
            host: value,
            target: prepare::target(&parts.uri, &path),
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
        mut outgoing: Outgoing,
        idempotent: bool,
    ) -> Result<Found, Instead> {
        let now = worker::moment();
        change(&pool.budget, |budget| budget.request(now));
        let mut tried = Vec::new();
        loop {
            let upstream = self.pick(pool, &tried)?;
            let missed = match Self::attempt(&self.worker, &upstream, outgoing).await {
                Ok(found) => return Ok(found),
                Err(Some(missed)) => missed,
                Err(None) => return Err(self.broken_body()),
            };
            outgoing = Self::again(pool, &upstream, missed, idempotent)?;
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

    /// Sends a request to one instance; no fault at all when it was the client that broke off.
    async fn attempt(
        worker: &Worker,
        upstream: &Rc<Upstream>,
        outgoing: Outgoing,
    ) -> Result<Found, Option<Missed>> {
        let ticket = Ticket::new(upstream);
        let link = match upstream.pooled() {
            Some(link) => link,
            None => match upstream.connect(worker).await {
                Ok(link) => link,
                Err(_) => {
                    return Err(Some(Missed {
                        failure: retry::Failure::Connect,
                        again: Some(outgoing),
                    }));
                }
            },
        };
        match link.send(outgoing).await {
            Ok(answer) => Ok(Found { answer, ticket }),
            Err(lost) => Err(missed(lost)),
        }
    }

    fn again(
        pool: &Pool,
        upstream: &Upstream,
        missed: Missed,
        idempotent: bool,
    ) -> Result<Outgoing, Instead> {
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
            Some(outgoing) if allowed => Ok(outgoing),
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
        let Found { answer, ticket } = found;
        let code = answer.status.as_u16();
        let upstream = &ticket.upstream;
        upstream.answered(code, worker::moment());
        let series = upstream.series(way.label, &self.worker);
        let flight = Flight {
            worker: self.worker.clone(),
            ticket,
            series,
            code,
            begun,
        };
        let switching = answer.status == StatusCode::SWITCHING_PROTOCOLS;
        let body = match (switching, upgrade) {
            (false, _) if is_events(&answer.fields) => Answered::Events(answer.reply, flight),
            (false, _) => Answered::Whole(answer.reply, flight),
            (true, Some(client)) => {
                self.begin_tunnel(client, answer.reply, flight);
                Answered::Upgrade
            }
            (true, None) => return Err(failed(retry::Failure::Died { reused: false })),
        };
        let mut response = Response::new(body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.fields;
        prepare::response(response.headers_mut(), switching);
        Ok(response)
    }

    fn begin_tunnel(&self, client: OnUpgrade, reply: Reply, mut flight: Flight) {
        flight.record();
        flight.ticket = flight.ticket.into_stream();
        self.state.tunnel.store(true, Relaxed);
        let (instance, early) = reply.into_tunnel();
        let tunnel = Tunnel {
            client,
            instance,
            early,
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

/// An answer, and what counts it.
struct Found {
    answer: link::Answer,
    ticket: Ticket,
}

/// The body of an answer, before it is known whose request waits.
enum Answered {
    Whole(Reply, Flight),
    Events(Reply, Flight),
    Upgrade,
}

impl Answered {
    fn into_download(self, active: Active) -> Download {
        match self {
            Self::Whole(reply, flight) => Download::relay(reply, flight, active),
            Self::Events(reply, flight) => Download::stream(reply, flight, active),
            Self::Upgrade => Download::upgrade(),
        }
    }
}

/// Tells event streams from other answers, by their type.
fn is_events(fields: &HeaderMap) -> bool {
    let kind = fields.get(CONTENT_TYPE);
    kind.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

fn missed(lost: Lost) -> Option<Missed> {
    let (failure, again) = match lost {
        Lost::Client => return None,
        Lost::Late => (retry::Failure::Slow, None),
        Lost::Unsent(outgoing) => (retry::Failure::Unsent, Some(outgoing)),
        Lost::Died { stale, again } => (retry::Failure::Died { reused: stale }, again),
    };
    Some(Missed { failure, again })
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
