//! What alerts do by themselves, as the API shows it.

use crate::api::{ActRow, ActionRow, Actions};
use crate::desk::Desk;
use crate::route::{Answered, working};
use axum::extract::State;
use mainstay_atoms::{Moment, Wall};
use mainstay_execute::{ActionView, Engine, Stand, World as _};
use mainstay_plan::Act;
use std::time::Duration;

/// Most rows of what was done.
const ROWS: usize = 100;

/// Most of it that `why` tells.
const TOLD: usize = 3;

fn row(view: ActionView) -> ActionRow {
    let action = view.action;
    ActionRow {
        deed: action.deed.to_string(),
        alert: action.alert,
        stands: view.stand.to_string(),
        cool_down_ms: action.cool_down_ms.unsigned_abs(),
        at_most: action.daily_max,
        today: view.today,
        dry_run: action.dry_run,
    }
}

fn act_row(act: &Act) -> ActRow {
    ActRow {
        at_ms: act.at.0,
        alert: act.alert.clone(),
        deed: act.deed.clone(),
        subject: act.subject.clone(),
        reached: act.reaches,
        dry_run: act.dry_run,
    }
}

fn actions_of(engine: &Engine, now: Moment) -> Actions {
    let done = engine.history().acts.newest();
    Actions {
        actions: engine.actions(now).into_iter().map(row).collect(),
        done: done.into_iter().take(ROWS).map(act_row).collect(),
    }
}

/// What `why` says of what alerts did to a service, and what keeps them from it; without one to anything.
pub(crate) fn facts(
    engine: &Engine,
    (now, wall): (Moment, Wall),
    subject: &str,
) -> Vec<(String, String)> {
    let about = |name: &str| subject.is_empty() || name == subject;
    let held = engine.actions(now).into_iter().filter_map(|view| {
        let shown = matches!(view.stand, Stand::Held(_)) && about(view.action.deed.subject());
        let row = row(view);
        shown.then(|| format!("{}: {} {}", row.alert, row.deed, row.stands))
    });
    let done = engine.history().acts.newest().into_iter();
    let told = |act: &Act| {
        let would = if act.dry_run { " would have" } else { "" };
        let count = act.reaches.map(|count| format!(", to {count}"));
        let ago = crate::view::ago(Duration::from_millis(wall.0.saturating_sub(act.at.0)));
        format!(
            "{}{would}: {}{}, {ago} ago",
            act.alert,
            act.deed,
            count.unwrap_or_default()
        )
    };
    let done = done.filter(|act| about(&act.subject));
    let lines = held.chain(done.take(TOLD).map(told));
    lines.map(|text| ("alert".to_owned(), text)).collect()
}

pub(crate) async fn actions(State(desk): State<Desk>) -> Answered<Actions> {
    working(&desk, |engine, world| Ok(actions_of(engine, world.now().0))).await
}
