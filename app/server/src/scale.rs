//! Counts that are left to what is measured: shown, set for a time, left to it again.

use crate::actor::Peer;
use crate::api::{ScaleAsked, ScaleChange, ScaleFigure, ScaleHand, ScaleRow};
use crate::brought::{At, Body};
use crate::desk::Desk;
use crate::refused::{Answer, problem, refused};
use crate::route::{Answered, working};
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use mainstay_atoms::{ServiceName, Wall};
use mainstay_execute::{Engine, Figure, ScaleView, SizeAdvice, World as _};
use mainstay_plan::Count;
use std::time::Duration;

/// How long a count may be set for, in milliseconds: a second to thirty days.
const LASTS: std::ops::RangeInclusive<u64> = 1000..=30 * 24 * 3_600_000;

fn row(view: ScaleView) -> ScaleRow {
    let figure = |figure: &Figure| ScaleFigure {
        metric: figure.metric.clone(),
        measured: figure.measured(),
        target: figure.target(),
    };
    let change = |count: Count| ScaleChange {
        from: count.before,
        to: count.instances,
        at_ms: count.at.0,
        why: count.why,
    };
    let looked = view.looked.as_ref();
    ScaleRow {
        service: view.service.to_string(),
        count: view.count,
        min: view.min,
        max: view.max,
        scheduled: view.scheduled,
        why: looked.map(|looked| looked.why.clone()),
        looked_ms: looked.map(|looked| looked.at.0),
        figures: looked.map_or_else(Vec::new, |looked| {
            looked.figures.iter().map(figure).collect()
        }),
        changed: view.decided.map(change),
        hand: view.hand.map(|hand| ScaleHand {
            instances: hand.instances,
            until_ms: hand.until.0,
            by: hand.by.to_string(),
        }),
        stands: view.stands,
    }
}

/// How the services stand that are scaled.
pub(crate) fn rows(engine: &Engine, now: Wall) -> Vec<ScaleRow> {
    engine.scales(now).into_iter().map(row).collect()
}

/// `cpu: 95 of 100 readings stay within 120m of 500m; ask for 138m`.
pub(crate) fn advice(advice: &SizeAdvice) -> String {
    let SizeAdvice {
        part,
        used,
        asked,
        ask,
        readings,
    } = advice;
    let rest = match ask {
        Some(ask) => format!("ask for {ask}"),
        None => "it fits".into(),
    };
    format!(
        "{part}: 95 of 100 readings stay within {used} of {asked} ({readings} readings); {rest}"
    )
}

/// What `why` says of a service that is scaled.
pub(crate) fn facts(engine: &Engine, now: Wall, service: &str) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut fact = |name: &str, text: String| facts.push((name.to_owned(), text));
    let found = rows(engine, now).into_iter();
    if let Some(row) = found.into_iter().find(|row| row.service == service) {
        let bounds = format!("{} of {} to {}", row.count, row.min, row.max);
        let why = row.stands.map(|why| format!("the count stands: {why}"));
        let why = why
            .or(row.why)
            .unwrap_or_else(|| "nothing was measured yet".into());
        fact("scaled", format!("{bounds}: {why}"));
        if let Some(ScaleChange {
            from,
            to,
            at_ms,
            why,
        }) = row.changed
        {
            let from = from.map_or_else(String::new, |from| format!("{from} → "));
            let ago = crate::view::ago(Duration::from_millis(now.0.saturating_sub(at_ms)));
            fact("count", format!("{from}{to}, {ago} ago: {why}"));
        }
        if let Some(hand) = row.hand {
            let left = Duration::from_millis(hand.until_ms.saturating_sub(now.0));
            let left = crate::view::ago(left);
            fact(
                "by hand",
                format!("{} by {}, for {left} yet", hand.instances, hand.by),
            );
        }
    }
    let name = ServiceName::new(service).ok();
    let sizes = name
        .map(|name| engine.size_advice(&name))
        .unwrap_or_default();
    facts.extend(sizes.iter().map(|one| ("size".to_owned(), advice(one))));
    facts
}

pub(crate) async fn scales(State(desk): State<Desk>) -> Answered<Vec<ScaleRow>> {
    working(&desk, |engine, world| Ok(rows(engine, world.now().1))).await
}

pub(crate) async fn set(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
    At(service): At<String>,
    Body(asked): Body<ScaleAsked>,
) -> Answered<ScaleRow> {
    let name = named(&service)?;
    if !LASTS.contains(&asked.for_ms) {
        let message = "a count is set for a second to thirty days";
        let code = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(problem(code, "lasts", message, None, 1));
    }
    working(&desk, move |engine, world| {
        let wish = (asked.instances, Duration::from_millis(asked.for_ms));
        let set = engine.set_scale(&name, wish, &by, world);
        set.map_err(|refusal| refused(&refusal))?;
        of(engine, world.now().1, &name)
    })
    .await
}

pub(crate) async fn free(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
    At(service): At<String>,
) -> Answered<ScaleRow> {
    let name = named(&service)?;
    working(&desk, move |engine, world| {
        let freed = engine.free_scale(&name, &by, world);
        freed.map_err(|refusal| refused(&refusal))?;
        of(engine, world.now().1, &name)
    })
    .await
}

fn named(service: &str) -> Result<ServiceName, Answer> {
    ServiceName::new(service).map_err(|fault| {
        let message = format!("`{}` cannot be a service: {fault}", service.escape_debug());
        problem(StatusCode::BAD_REQUEST, "service", &message, None, 1)
    })
}

fn of(engine: &Engine, now: Wall, name: &ServiceName) -> Result<ScaleRow, Answer> {
    let mut rows = rows(engine, now).into_iter();
    rows.find(|row| row.service == name.as_str())
        .ok_or_else(|| {
            let message = format!("`{name}` is not scaled");
            problem(StatusCode::NOT_FOUND, "not_scaled", &message, None, 1)
        })
}
