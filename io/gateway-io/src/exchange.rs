//! One request: where it goes, what it carries, and what becomes of it.

use crate::answer;
use crate::connection::ClientState;
use crate::download::{Active, Download, Flight};
use crate::fields::Fields;
use crate::gateway::civil_ms;
use crate::link::{self, Lost};
use crate::mirror;
use crate::name::Name;
use crate::outgoing::Outgoing;
use crate::own::Own;
use crate::pool::Pool;
use crate::prepare::{self, Ours};
use crate::reply::Reply;
use crate::request::{Request, Version};
use crate::series::{Asker, Failure};
use crate::serving::{Serving, Way};
use crate::tunnel::Tunnel;
use crate::turn::{self, Given, Turn};
use crate::upload::{Broken, Incoming, Upload};
use crate::upstream::{Ticket, Upstream};
use crate::worker::{self, Worker};
use http::uri::PathAndQuery;
use http::{Method, Response, StatusCode};
use mainstay_atoms::Wall;
use mainstay_routing::{Host, Reason, path, pause, retry};
use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Answers the requests of one client connection.
pub(crate) struct Exchange {
    worker: Rc<Worker>,
    state: Arc<ClientState>,
    peer: String,
    entrance: SocketAddr,
}

/// What a client is answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) fields: Fields,
    /// The value of a `Set-Cookie` of ours.
    pub(crate) cookie: Option<Box<str>>,
    pub(crate) body: Download,
    /// With 101: what follows.
    pub(crate) tunnel: Option<Box<Tunnel>>,
}

/// Where a request goes.
struct Course {
    label: u32,
    pool: Rc<Pool>,
    turn: Turn,
    given: Option<Given>,
    /// The target, where it is not the client's own.
    target: Option<String>,
}

/// The gateway answers itself; a reason why nobody else could is counted.
struct Instead(Box<Response<Own>>, Option<Failure>);

impl Exchange {
    pub(crate) fn new(
        worker: Rc<Worker>,
        state: Arc<ClientState>,
        peer: SocketAddr,
        entrance: SocketAddr,
    ) -> Self {
        Self {
            worker,
            state,
            peer: peer.ip().to_canonical().to_string(),
            entrance,
        }
    }

    /// Notes a request, before anything else of it happens: from now on the connection is not idle.
    pub(crate) fn begin(&self) -> Active {
        Active::new(&self.state)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.worker.is_draining()
    }

    /// Answers one request.
    pub(crate) async fn answer(
        &self,
        request: Request,
        incoming: Incoming,
        active: Active,
    ) -> Answer {
        let begun = Instant::now();
        match self.forward(&request, incoming, begun).await {
            Ok(found) => found.into_answer(active),
            Err(Instead(response, failure)) => {
                let (parts, own) = response.into_parts();
                let ledger = &self.worker.ledger;
                if let Some(failure) = failure {
                    ledger.failed(failure);
                }
                ledger.own.record(parts.status.as_u16(), begun.elapsed());
                Answer {
                    status: parts.status,
                    fields: Fields::Map(parts.headers),
                    cookie: None,
                    body: Download::own(own, active),
                    tunnel: None,
                }
            }
        }
    }

    /// Answers a request that the HTTP/2 library has read.
    pub(crate) async fn answer_two(
        self: Rc<Self>,
        request: http::Request<hyper::body::Incoming>,
        active: Active,
    ) -> Result<Response<Download>, Infallible> {
        let (parts, incoming) = request.into_parts();
        let (request, incoming) = (Request::two(parts), Incoming::Two(incoming));
        let answer = self.answer(request, incoming, active).await;
        let mut response = Response::new(answer.body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = prepare::answer_two(answer.fields, answer.cookie);
        Ok(response)
    }

    async fn forward(
        &self,
        request: &Request,
        incoming: Incoming,
        begun: Instant,
    ) -> Result<Found, Instead> {
        let host = host_of(request).map_err(refused)?;
        let course = self.find(request, host)?;
        let (idempotent, websocket) = (request.method.is_idempotent(), request.wants_websocket());
        let body = Upload::new(incoming, &self.state, idempotent).await;
        let body = body.map_err(|Broken| self.broken_body())?;
        let given = || request.target.path_and_query();
        let given = || given().map_or("/", PathAndQuery::as_str);
        let ours = Ours {
            host,
            peer: &self.peer,
            target: course.target.as_deref().unwrap_or_else(given),
            websocket,
            length: body.length(),
            copy: false,
        };
        let head = prepare::request(request, &ours);
        let mut outgoing = Outgoing::new(head, body, request.method == Method::HEAD);
        let attempts = self.attempts(&course, &mut outgoing, idempotent);
        let (mut answer, ticket) = attempts.await?;
        if !outgoing.is_over() {
            answer.reply.send_on(outgoing);
        }
        self.mirror(request, ours, &course, &answer, &ticket.upstream);
        let mut found = self.answered(answer, ticket, course.label, websocket, begun)?;
        found.cookie = course.given.map(|given| given.cookie(&course.pool));
        Ok(found)
    }

    /// Sends a copy of a request that is being answered to the canary, if one is due.
    fn mirror(
        &self,
        request: &Request,
        ours: Ours<'_>,
        course: &Course,
        answer: &link::Answer,
        answering: &Upstream,
    ) {
        let pool = &course.pool;
        if !pool.has_copies() || matches!(course.turn, Turn::Only(_)) {
            return;
        }
        let safe = matches!(request.method, Method::GET | Method::HEAD) && ours.length == Some(0);
        let endless = ours.websocket || is_events(&answer.fields);
        if !safe || endless || !pool.owes_copy(answering) {
            return;
        }
        let sent = Ours { copy: true, ..ours };
        let head = || prepare::request(request, &sent);
        let bodiless = request.method == Method::HEAD;
        mirror::send(&self.worker, pool, course.label, head, bodiless);
    }

    /// Checks host, path and method, and finds who answers.
    fn find(&self, request: &Request, host: &[u8]) -> Result<Course, Instead> {
        let host = Host::parse(host).map_err(|_| refused(Reason::OddHost))?;
        if request.version == Version::Two {
            check_two(request).map_err(refused)?;
        }
        let target = &request.target;
        let path = path::normalise(target.path()).map_err(|_| refused(Reason::Target))?;
        let serving = self.worker.serving();
        self.not_the_page(request, &serving, &host, &path)?;
        let way = self.route(&serving, &host, &path)?;
        if let Some(left) = way
            .paused
            .and_then(|until| pause::left(until, Wall(civil_ms())))
        {
            return Err(paused(left));
        }
        let pool = way
            .pool
            .as_ref()
            .ok_or_else(|| no_instance("the service"))?;
        let (turn, given) = turn::decide(pool, way.only, request);
        Ok(Course {
            label: way.label,
            pool: pool.clone(),
            turn,
            given,
            target: prepare::target(target, &path),
        })
    }

    /// What comes from outside for the status page is answered with it, before any route.
    fn not_the_page(
        &self,
        request: &Request,
        serving: &Serving,
        host: &Host<'_>,
        path: &str,
    ) -> Result<(), Instead> {
        let page = self.worker.page_at(host, path);
        match page.filter(|_| serving.local(self.entrance).is_none()) {
            Some(page) => Err(Instead(Box::new(page.answer(request)), None)),
            None => Ok(()),
        }
    }

    fn route<'a>(
        &self,
        serving: &'a Serving,
        host: &Host<'_>,
        path: &str,
    ) -> Result<&'a Way, Instead> {
        let routed = || serving.route(serving.router().find(host, path)?);
        let way = serving.local(self.entrance).or_else(routed);
        way.ok_or_else(|| no_route(host, path))
    }

    /// Tries instances until one answers or the rules of repetition say no.
    async fn attempts(
        &self,
        course: &Course,
        outgoing: &mut Outgoing,
        idempotent: bool,
    ) -> Result<(link::Answer, Ticket), Instead> {
        let (pool, turn) = (&course.pool, course.turn);
        let now = worker::moment();
        change(&pool.budget, |budget| budget.request(now));
        let mut tried = Vec::new();
        loop {
            let upstream = self.pick(pool, turn, &tried)?;
            let failure = match Self::attempt(&self.worker, &upstream, outgoing).await {
                Ok(found) => return Ok(found),
                Err(Some(failure)) => failure,
                Err(None) => return Err(self.broken_body()),
            };
            note(&upstream, failure);
            if !may_repeat(pool, failure, idempotent, outgoing) {
                return Err(failed(failure));
            }
            tried.push(upstream);
        }
    }

    /// Someone not tried yet; else, since the table may have changed meanwhile, someone of the present
    /// one; else someone tried, whose idle connections were closed.
    fn pick(
        &self,
        pool: &Rc<Pool>,
        turn: Turn,
        tried: &[Rc<Upstream>],
    ) -> Result<Rc<Upstream>, Instead> {
        let present = || self.worker.serving().pool(&pool.service).cloned();
        pool.pick(&self.worker, turn, tried)
            .or_else(|| present()?.pick(&self.worker, turn, tried))
            .or_else(|| present()?.pick(&self.worker, turn, &[]))
            .ok_or_else(|| match turn {
                Turn::Only(release) => no_instance(&format!("`{}` of {release}", pool.service)),
                Turn::Any | Turn::Side(_) => no_instance(&format!("`{}`", pool.service)),
            })
    }

    /// Sends a request to one instance; no failure of it at all when it was the client that broke off.
    async fn attempt(
        worker: &Worker,
        upstream: &Rc<Upstream>,
        outgoing: &mut Outgoing,
    ) -> Result<(link::Answer, Ticket), Option<retry::Failure>> {
        let ticket = Ticket::new(upstream);
        let link = match upstream.pooled() {
            Some(link) => link,
            None => match upstream.connect(worker).await {
                Ok(link) => link,
                Err(_) => return Err(Some(retry::Failure::Connect)),
            },
        };
        match link.send(outgoing).await {
            Ok(answer) => Ok((answer, ticket)),
            Err(Lost::Client) => Err(None),
            Err(Lost::Late) => Err(Some(retry::Failure::Slow)),
            Err(Lost::Unsent) => Err(Some(retry::Failure::Unsent)),
            Err(Lost::Died { stale }) => Err(Some(retry::Failure::Died { reused: stale })),
        }
    }

    fn answered(
        &self,
        answer: link::Answer,
        ticket: Ticket,
        label: u32,
        websocket: bool,
        begun: Instant,
    ) -> Result<Found, Instead> {
        let code = answer.status.as_u16();
        let upstream = &ticket.upstream;
        upstream.answered(code, worker::moment());
        let series = upstream.series(label, Asker::Client, &self.worker);
        let flight = Flight {
            worker: self.worker.clone(),
            ticket,
            series,
            code,
            begun,
        };
        let switching = answer.status == StatusCode::SWITCHING_PROTOCOLS;
        if switching && !websocket {
            return Err(failed(retry::Failure::Died { reused: false }));
        }
        if switching {
            self.state.tunnel.store(true, Relaxed);
        }
        Ok(Found {
            answer,
            flight,
            cookie: None,
        })
    }

    /// The client's body broke off, or broke a rule.
    fn broken_body(&self) -> Instead {
        let refuse = self.state.take_refused();
        let refuse = refuse.unwrap_or(Reason::ChunkEnd.refuse());
        Instead(Box::new(answer::refused(refuse)), Some(Failure::ClientBody))
    }
}

/// An instance's answer, and what counts it.
struct Found {
    answer: link::Answer,
    flight: Flight,
    cookie: Option<Box<str>>,
}

impl Found {
    fn into_answer(self, active: Active) -> Answer {
        let Self {
            answer,
            flight,
            cookie,
        } = self;
        let (status, fields, reply) = (answer.status, answer.fields, answer.reply);
        let mut tunnel = None;
        let body = if status == StatusCode::SWITCHING_PROTOCOLS {
            tunnel = Some(Box::new(begin_tunnel(reply, flight)));
            Download::upgrade()
        } else if is_events(&fields) {
            Download::stream(reply, flight, active)
        } else {
            Download::relay(reply, flight, active)
        };
        Answer {
            status,
            fields,
            cookie,
            body,
            tunnel,
        }
    }
}

fn begin_tunnel(reply: Reply, mut flight: Flight) -> Tunnel {
    flight.record();
    flight.ticket = flight.ticket.into_stream();
    let (instance, early) = reply.into_tunnel();
    Tunnel {
        instance,
        early,
        flight,
    }
}

/// Tells event streams from other answers, by their type.
fn is_events(fields: &Fields) -> bool {
    let kind = fields.get(Name::ContentType);
    kind.is_some_and(|value| value.starts_with(b"text/event-stream"))
}

/// What a failed attempt says of the instance.
fn note(upstream: &Upstream, failure: retry::Failure) {
    match failure {
        retry::Failure::Unsent | retry::Failure::Died { reused: true } => upstream.forget_idle(),
        _ => upstream.unreachable(worker::moment()),
    }
}

/// Whether a request may be sent again, and is ready to.
fn may_repeat(
    pool: &Pool,
    failure: retry::Failure,
    idempotent: bool,
    outgoing: &mut Outgoing,
) -> bool {
    let left = if outgoing.rewind() {
        retry::Body::Whole
    } else {
        retry::Body::Spent
    };
    retry::decide(failure, idempotent, left)
        && change(&pool.budget, |budget| budget.take(worker::moment()))
}

/// The host a request names: `Host`, or in HTTP/2 `:authority`, which must agree with it.
fn host_of(request: &Request) -> Result<&[u8], Reason> {
    let authority = request
        .target
        .authority()
        .map(|one| one.as_str().as_bytes());
    match (authority, request.fields.get(Name::Host)) {
        (Some(authority), Some(field)) if !authority.eq_ignore_ascii_case(field) => {
            Err(Reason::HostMismatch)
        }
        (_, Some(field)) => Ok(field),
        (Some(authority), None) => Ok(authority),
        (None, None) => Err(Reason::NoHost),
    }
}

/// What the scanner checks in HTTP/1.1 and the HTTP/2 library leaves open.
fn check_two(request: &Request) -> Result<(), Reason> {
    if request.method == Method::CONNECT || request.method == Method::TRACE {
        return Err(Reason::Method);
    }
    if request.fields.all(Name::Host).nth(1).is_some() {
        return Err(Reason::TwoHosts);
    }
    if request.fields.count() > mainstay_routing::Scanner::FIELD_LIMIT {
        return Err(Reason::FieldCount);
    }
    if request
        .fields
        .iter()
        .any(|field| field.name.contains(&b'_'))
    {
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
    Instead(
        Box::new(answer::refused(reason.refuse())),
        Some(Failure::Refused),
    )
}

fn no_route(host: &Host<'_>, path: &str) -> Instead {
    let line = format!("no route for host `{}` and path `{path}`", host.as_str());
    Instead(
        Box::new(answer::text(StatusCode::NOT_FOUND, line)),
        Some(Failure::NoRoute),
    )
}

fn no_instance(service: &str) -> Instead {
    let line = format!("no instance of {service} is ready");
    Instead(
        Box::new(answer::unavailable(1, line)),
        Some(Failure::NoInstance),
    )
}

fn paused(left: Duration) -> Instead {
    let seconds = pause::retry_after(left);
    let line = format!("the route is paused for {seconds} s yet");
    Instead(
        Box::new(answer::unavailable(seconds, line)),
        Some(Failure::Paused),
    )
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
    Instead(Box::new(answer::text(status, line)), Some(counted))
}
