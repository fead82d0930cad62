//! HTTP/1.1 with a client: one request after another, each answered before the next is read.

use crate::answer;
use crate::connection::ClientState;
use crate::download::Download;
use crate::exchange::{Answer, Exchange};
use crate::name::Name;
use crate::piece;
use crate::pieces::Pieces;
use crate::prepare::{self, Framing};
use crate::request::{Request, Version};
use crate::saying::Saying;
use crate::source::Source;
use crate::upload::Incoming;
use http::{Method, StatusCode};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// What is read on behind the last answer, at most, so that a client gets to read it.
const LINGER: usize = 1024 * 1024;

/// One client.
pub(crate) struct Http1 {
    pub(crate) source: Rc<RefCell<Source>>,
    pub(crate) state: Arc<ClientState>,
    pub(crate) exchange: Rc<Exchange>,
}

/// What becomes of a connection after an answer.
enum After {
    Next,
    Close,
    /// It broke, or an answer on it could not be ended as it was begun.
    Cut,
}

impl Http1 {
    /// Serves until the connection ends.
    pub(crate) async fn run(self) {
        loop {
            let next = |context: &mut Context<'_>| self.source.borrow_mut().poll_request(context);
            let Some(request) = poll_fn(next).await else {
                break;
            };
            let shape = Shape::of(&request);
            let Some(answer) = self.answer(request).await else {
                return;
            };
            if answer.status == StatusCode::SWITCHING_PROTOCOLS {
                return self.tunnel(answer).await;
            }
            match self.say(answer, &shape).await {
                After::Next => {}
                After::Close => break,
                After::Cut => return,
            }
        }
        // The client may have gone; nobody is left to be told.
        self.part().await.ok();
    }

    /// `None` when the client has gone meanwhile.
    async fn answer(&self, request: Request) -> Option<Answer> {
        let active = self.exchange.begin();
        let incoming = Incoming::One(self.source.clone());
        let mut answer = pin!(self.exchange.answer(request, incoming, active));
        poll_fn(|context| {
            if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                return Poll::Ready(Some(answer));
            }
            self.source.borrow_mut().poll_gone(context).map(|()| None)
        })
        .await
    }

    async fn say(&self, answer: Answer, shape: &Shape) -> After {
        self.source.borrow_mut().resume();
        let own = answer.body.is_own();
        if own {
            self.skip().await;
        }
        let closes = own && answer.fields.lists(Name::Connection, b"close");
        let over = self.source.borrow().is_over();
        let keeps = shape.keeps && over && !closes && !self.exchange.is_draining();
        let framing = shape.framing(answer.status, &answer.body);
        let keeps = keeps && framing != Framing::Close;
        let head = prepare::answer(&answer, framing, keeps, shape.old);
        let mut saying = Saying::new(head, answer.body, framing);
        let said = poll_fn(|context| saying.poll(context, &self.source, &self.state)).await;
        drop(saying);
        match said {
            Err(_) => After::Cut,
            Ok(()) if self.skip().await && keeps => After::Next,
            Ok(()) => After::Close,
        }
    }

    /// Throws away what is here of a request's body; whether that was all of it.
    async fn skip(&self) -> bool {
        poll_fn(|context| Poll::Ready(self.source.borrow_mut().skip_body(context))).await
    }

    async fn tunnel(self, answer: Answer) {
        let head = prepare::answer(&answer, Framing::Switch, true, false);
        let Self { source, .. } = self;
        let (Some(tunnel), Some(source)) = (answer.tunnel, Rc::into_inner(source)) else {
            return;
        };
        let (mut stream, early) = source.into_inner().into_tunnel();
        if stream.write_all(&head).await.is_ok() {
            Box::pin(tunnel.run(stream, early)).await;
        }
    }

    /// Ends the connection so that what was said last is read (RFC 9112, 9.6).
    async fn part(&self) -> io::Result<()> {
        let (refusal, unread) = {
            let source = self.source.borrow();
            (source.refusal(), source.is_unread())
        };
        if let Some(refuse) = refusal {
            let said = answer::raw(refuse.status, &refuse.reason.to_string());
            let mut pieces = Pieces::new(said);
            poll_fn(|context| {
                let written = pieces.poll(context, &mut self.source.borrow_mut().stream);
                self.state.note_write(&written);
                written
            })
            .await?;
        }
        poll_fn(|context| {
            let stream = &mut self.source.borrow_mut().stream;
            Pin::new(stream).poll_shutdown(context)
        })
        .await?;
        if unread {
            self.linger().await?;
        }
        Ok(())
    }

    async fn linger(&self) -> io::Result<()> {
        let now = crate::worker::now_ms();
        self.state.linger_ms.store(now, Relaxed);
        let mut left = LINGER;
        loop {
            let read = poll_fn(|context| {
                let stream = &mut self.source.borrow_mut().stream;
                piece::poll(stream, context, piece::SIZE, <[u8]>::len)
            });
            left = match (read.await?, left) {
                (0, _) => return Ok(()),
                (count, left) if count >= left => return Ok(()),
                (count, left) => left - count,
            };
        }
    }
}

/// What a request says about its answer.
struct Shape {
    old: bool,
    bodiless: bool,
    keeps: bool,
}

impl Shape {
    fn of(request: &Request) -> Self {
        Self {
            old: request.version == Version::Old,
            bodiless: request.method == Method::HEAD,
            keeps: request.keeps(),
        }
    }

    fn framing(&self, status: StatusCode, body: &Download) -> Framing {
        let none = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if self.bodiless || none {
            return Framing::None;
        }
        match body.length() {
            Some(length) => Framing::Length(length),
            None if self.old => Framing::Close,
            None => Framing::Chunked,
        }
    }
}
