//! Routes: shown, paused for a time, resumed.

use crate::actor::Peer;
use crate::api::{PauseAsked, RoutePause, RouteRow};
use crate::brought::{At, Body};
use crate::desk::Desk;
use crate::refused::{Answer, problem, refused};
use crate::route::{Answered, working};
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use mainstay_atoms::{RouteName, Wall};
use mainstay_execute::{Engine, RouteView, World as _};
use std::time::Duration;

/// How long a route may be paused for, in milliseconds: a second to a day.
const LASTS: std::ops::RangeInclusive<u64> = 1000..=24 * 3_600_000;

/// Most characters of a reason.
const WHY: usize = 500;

fn row(view: RouteView) -> RouteRow {
    RouteRow {
        route: view.route,
        service: view.service.to_string(),
        paused: view.pause.map(|pause| RoutePause {
            until_ms: pause.until.0,
            by: pause.by.to_string(),
            why: pause.why,
        }),
        told: view.told,
    }
}

/// Every route of the gateway.
pub(crate) fn rows(engine: &Engine, now: Wall) -> Vec<RouteRow> {
    engine.routes(now).into_iter().map(row).collect()
}

/// The route of this name.
pub(crate) fn find(engine: &Engine, now: Wall, name: &str) -> Option<RouteRow> {
    rows(engine, now).into_iter().find(|row| row.route == name)
}

/// Those that are paused.
pub(crate) fn paused(engine: &Engine, now: Wall) -> Vec<RouteRow> {
    let mut rows = rows(engine, now);
    rows.retain(|row| row.paused.is_some());
    rows
}

/// What `why` says of routes that are paused: of this one, of those of a service, or without a subject of all.
pub(crate) fn facts(engine: &Engine, now: Wall, subject: &str) -> Vec<(String, String)> {
    let about = |row: &RouteRow| [&*row.route, &*row.service, ""].contains(&subject);
    let told = |row: RouteRow| {
        let pause = row.paused?;
        let left = Duration::from_millis(pause.until_ms.saturating_sub(now.0));
        let (by, why, left) = (pause.by, pause.why, crate::view::ago(left));
        let text = format!("{} by {by}, for {left} yet: {why}", row.route);
        Some(("paused".to_owned(), text))
    };
    let rows = paused(engine, now).into_iter();
    rows.filter(about).filter_map(told).collect()
}

pub(crate) async fn routes(State(desk): State<Desk>) -> Answered<Vec<RouteRow>> {
    working(&desk, |engine, world| Ok(rows(engine, world.now().1))).await
}

pub(crate) async fn set(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
    At(route): At<String>,
    Body(asked): Body<PauseAsked>,
) -> Answered<RouteRow> {
    let name = named(&route)?;
    let odd = |code, message: &str| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Err(problem(status, code, message, None, 1))
    };
    if !LASTS.contains(&asked.for_ms) {
        return odd("lasts", "a route is paused for a second to a day");
    }
    if !(1..=WHY).contains(&asked.why.trim().chars().count()) {
        return odd("why", &format!("a reason has 1 to {WHY} characters"));
    }
    working(&desk, move |engine, world| {
        let wish = (Duration::from_millis(asked.for_ms), asked.why);
        let paused = engine.pause_route(&name, wish, &by, world);
        paused.map_err(|refusal| refused(&refusal))?;
        of(engine, world.now().1, &name)
    })
    .await
}

pub(crate) async fn end(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
    At(route): At<String>,
) -> Answered<RouteRow> {
    let name = named(&route)?;
    working(&desk, move |engine, world| {
        let resumed = engine.resume_route(&name, &by, world);
        resumed.map_err(|refusal| refused(&refusal))?;
        of(engine, world.now().1, &name)
    })
    .await
}

fn named(route: &str) -> Result<RouteName, Answer> {
    RouteName::new(route).map_err(|fault| {
        let message = format!("`{}` cannot be a route: {fault}", route.escape_debug());
        let hint = Some("`mainstay routes` lists them");
        problem(StatusCode::BAD_REQUEST, "route", &message, hint, 1)
    })
}

fn of(engine: &Engine, now: Wall, name: &RouteName) -> Result<RouteRow, Answer> {
    find(engine, now, name.as_str()).ok_or_else(|| {
        let message = format!("the gateway has no route `{name}`");
        problem(StatusCode::NOT_FOUND, "unknown_route", &message, None, 1)
    })
}
