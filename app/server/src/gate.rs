//! What people say to a release that waits, and the tokens under whose names they may speak.

use crate::actor::Peer;
use crate::api::{ApproveAsked, GateItem, GateView, TickAsked, TokenAsked, TokenMade};
use crate::brought::{At, Body};
use crate::desk::Desk;
use crate::refused::{Answer, problem, refused};
use crate::route::{Answered, working};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use mainstay_atoms::{Actor, Digest};
use mainstay_execute::{AtGate, Refusal, World as _};

/// Most bytes that are kept of what a command of the checklist said.
const SAID: usize = 1024;

/// Tokens at one time.
const TOKENS: usize = 1000;

/// What a token begins with, so that scanners of secrets know it.
const PREFIX: &str = "mst_";

fn view(gate: AtGate) -> GateView {
    let item = |row: mainstay_execute::ItemRow| GateItem {
        item: row.item,
        run: row.run,
        timeout_ms: row.timeout_ms,
        by: row.answered.as_ref().map(|(by, _)| by.to_string()),
        at: row.answered.map(|(_, at)| at.0),
        fault: row.fault,
    };
    GateView {
        release: gate.release,
        record: gate.record,
        author: gate.author.to_string(),
        reason: gate.reason,
        approved: gate.approved.iter().map(ToString::to_string).collect(),
        missing: gate.missing,
        items: gate.items.into_iter().map(item).collect(),
    }
}

pub(crate) async fn gate(State(desk): State<Desk>) -> Answered<Option<GateView>> {
    working(&desk, |engine, world| {
        let (_, now) = world.now();
        Ok(engine.gate_of_moving(now).map(view))
    })
    .await
}

pub(crate) async fn approve(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
    Body(asked): Body<ApproveAsked>,
) -> Answered<GateView> {
    working(&desk, move |engine, world| {
        let gate = engine.approve(asked.release, asked.record, &by, world);
        gate.map(view).map_err(|refusal| refused(&refusal))
    })
    .await
}

pub(crate) async fn tick(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
    At(item): At<String>,
    Body(asked): Body<TickAsked>,
) -> Answered<GateView> {
    let said = asked.fault.map(|said| said.chars().take(SAID).collect());
    working(&desk, move |engine, world| {
        let of = (asked.release, asked.record);
        let gate = engine.tick_item(of, (&item, said), &by, world);
        gate.map(view).map_err(|refusal| refused(&refusal))
    })
    .await
}

pub(crate) async fn tokens(State(desk): State<Desk>) -> Answered<Vec<String>> {
    working(&desk, |engine, _| {
        Ok(engine.history().tokens.keys().cloned().collect())
    })
    .await
}

pub(crate) async fn make_token(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
    Body(asked): Body<TokenAsked>,
) -> Answered<TokenMade> {
    let name = asked.name;
    if !is_name(&name) {
        let message = format!("`{}` cannot be the name of a token", name.escape_debug());
        let hint = "a letter first, then letters, digits and `_.@-`, 64 at most";
        let code = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(problem(code, "token", &message, Some(hint), 1));
    }
    let token = fresh()?;
    let hash = Digest::of(token.as_bytes());
    working(&desk, move |engine, world| {
        let known = &engine.history().tokens;
        if known.contains_key(&name) || known.len() >= TOKENS {
            let why = if known.contains_key(&name) {
                "is there already"
            } else {
                "is one too many"
            };
            let message = format!("the token `{name}` {why}");
            let hint = format!("`mainstay token revoke {name}` takes one away");
            return Err(problem(
                StatusCode::CONFLICT,
                "token",
                &message,
                Some(&hint),
                1,
            ));
        }
        let made = engine.make_token((&name, hash), &by, world);
        made.map_err(|fault| refused(&Refusal::Record(fault)))?;
        Ok(TokenMade { name, token })
    })
    .await
}

pub(crate) async fn revoke_token(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
    At(name): At<String>,
) -> Answered<()> {
    working(&desk, move |engine, world| {
        let revoked = engine.revoke_token(&name, &by, world);
        revoked.map_err(|refusal| refused(&refusal))
    })
    .await
}

/// 256 random bits.
fn fresh() -> Result<String, Answer> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| {
        let message = "the kernel gives no randomness";
        problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "entropy",
            message,
            None,
            2,
        )
    })?;
    // A digest of random bytes is as random, and writes itself in hex.
    Ok(format!("{PREFIX}{}", Digest::of(&bytes)))
}

fn is_name(name: &str) -> bool {
    let rest = |c: char| c.is_ascii_alphanumeric() || "_.@-".contains(c);
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.len() <= 64 && name.starts_with(first) && name.chars().all(rest)
}

/// Whoever shows a token acts under its name; one that nobody knows is refused.
pub(crate) async fn speaker(
    State(desk): State<Desk>,
    ConnectInfo(Peer(_, uid)): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(shown) = request.headers().get(header::AUTHORIZATION) else {
        return next.run(request).await;
    };
    let token = shown
        .to_str()
        .ok()
        .and_then(|text| text.strip_prefix("Bearer "));
    let hash = token.map(|token| Digest::of(token.trim().as_bytes()));
    // Names are found by digest, so how long a look takes says nothing about tokens.
    let name = desk.ask(move |office| {
        let mut tokens = office.history().tokens.iter();
        let found = tokens.find(|(_, known)| Some(**known) == hash);
        let name = found.map(|(name, _)| name.clone());
        office.refused += u64::from(name.is_none());
        name
    });
    match name.await {
        Ok(Some(name)) => {
            request
                .extensions_mut()
                .insert(ConnectInfo(Peer(Actor(name), uid)));
            next.run(request).await
        }
        Ok(None) => {
            let hint = "`mainstay token list` names those that are known";
            let message = "the token is not known";
            problem(StatusCode::UNAUTHORIZED, "token", message, Some(hint), 4).into_response()
        }
        Err(fault) => Answer::from(fault).into_response(),
    }
}
