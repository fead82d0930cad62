//! `routes`, `routes pause ROUTE TIME --why WHY`, `routes resume ROUTE`: what the gateway answers itself, and until when.

use crate::argument::{Arguments, RouteAction};
use crate::client::Client;
use crate::failure::Failure;
use crate::show::table::Table;
use crate::show::{in_path, time};
use crate::{context, terminal};
use mainstay_atoms::span;
use mainstay_faults::{Exit, escaped};
use mainstay_server::api::{PauseAsked, RouteRow};

pub(crate) fn run(arguments: &Arguments, action: Option<&RouteAction>) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let client = Client::must(&place)?;
    let path = |route: &str| format!("/v1/pauses/{}", in_path(route));
    let row: RouteRow = match action {
        None => return list(arguments, &client),
        Some(RouteAction::Pause { route, lasts, why }) => {
            let (for_ms, why) = (milliseconds(lasts)?, why.clone());
            client.post(&path(route), &PauseAsked { for_ms, why })?
        }
        Some(RouteAction::Resume { route }) => client.delete_for(&path(route))?,
    };
    if arguments.json {
        terminal::json(&row);
        return Ok(Exit::Done);
    }
    let (mark, route) = (terminal::mark("✓"), &row.route);
    terminal::say_out(&match &row.paused {
        Some(pause) => format!(
            "{mark} {route} is paused until {} ({}); `mainstay routes resume {route}` ends that",
            time::clock(pause.until_ms),
            time::ahead(pause.until_ms),
        ),
        None => format!("{mark} {route} is answered by {}", row.service),
    });
    if !row.told {
        terminal::say_out("  it takes effect as soon as the gateway is told");
    }
    Ok(Exit::Done)
}

fn milliseconds(text: &str) -> Result<u64, Failure> {
    let lasts = span::parse(text).map_err(|fault| {
        Failure::you("lasts", format!("`{}`: {fault}", text.escape_debug()))
            .hint("write a time such as `10m`")
    })?;
    Ok(u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX))
}

fn list(arguments: &Arguments, client: &Client) -> Result<Exit, Failure> {
    let rows: Vec<RouteRow> = client.get("/v1/routes")?;
    if arguments.json {
        terminal::json(&rows);
        return Ok(Exit::Done);
    }
    if rows.is_empty() {
        terminal::say_out("the gateway has no routes; `domains` in the file does that");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["ROUTE", "SERVICE", "PAUSED"]);
    for row in rows {
        let paused = said(&row).unwrap_or_else(|| "-".into());
        table.row(vec![row.route, row.service, paused]);
    }
    terminal::say_out(&table.text());
    Ok(Exit::Done)
}

/// `by ann, ends in 9 min: it fails`.
pub(crate) fn said(row: &RouteRow) -> Option<String> {
    let pause = row.paused.as_ref()?;
    let ends = time::ahead(pause.until_ms);
    let line = format!("by {}, ends {ends}: {}", pause.by, pause.why);
    Some(escaped(&line).into_owned())
}
