//! `abort`, `retry`, and what is ordered of a release on trial.

use crate::argument::Arguments;
use crate::client::Client;
use crate::failure::Failure;
use crate::{context, show, terminal};
use mainstay_faults::Exit;
use mainstay_server::api::{HistoryRow, Moving};

pub(crate) fn abort(arguments: &Arguments) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let client = Client::must(&place)?;
    let moving: Moving = client.post("/v1/abort", &())?;
    if arguments.json {
        terminal::json(&moving);
        return Ok(Exit::Done);
    }
    let rows: Vec<HistoryRow> = client.get("/v1/history")?;
    let serving = rows.iter().find(|row| row.state == "serving");
    let serves = serving.map_or("nothing serves".into(), |row| {
        format!("{} serves as before", row.release)
    });
    terminal::say_out(&format!(
        "{} {} is aborted; {serves}",
        terminal::mark("✓"),
        moving.release
    ));
    Ok(Exit::Done)
}

/// `promote`, `pause` and `resume`.
pub(crate) fn order(
    arguments: &Arguments,
    word: &str,
    body: &impl serde::Serialize,
) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let client = Client::must(&place)?;
    let moving: Moving = client.post(&format!("/v1/{word}"), body)?;
    if arguments.json {
        terminal::json(&moving);
        return Ok(Exit::Done);
    }
    terminal::say_out(&format!(
        "{} {word} is asked of {}; `mainstay status` shows how it stands",
        terminal::mark("✓"),
        moving.release
    ));
    Ok(Exit::Done)
}

pub(crate) fn retry(arguments: &Arguments) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let client = Client::must(&place)?;
    let moving: Moving = client.post("/v1/retry", &())?;
    show::progress::watch_retry(&client, &moving, arguments.json)
}
