//! `history`: every release, newest first, and what alerts did by themselves.

use crate::argument::Arguments;
use crate::client::Client;
use crate::command::acted;
use crate::failure::Failure;
use crate::show::table::Table;
use crate::{context, show, terminal};
use mainstay_faults::Exit;
use mainstay_server::api::{Actions, HistoryRow};

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let client = Client::must(&place)?;
    let rows: Vec<HistoryRow> = client.get("/v1/history")?;
    if arguments.json {
        terminal::json(&rows);
        return Ok(Exit::Done);
    }
    if rows.is_empty() {
        terminal::say_out("no release yet; `mainstay deploy` ships the file");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["RELEASE", "WHEN", "STATE", "BY", "WHAT"]);
    for row in rows {
        let state = if row.held {
            format!("{}, held", row.state)
        } else {
            row.state
        };
        table.row(vec![
            row.release.to_string(),
            show::time::relative(row.at.0),
            state,
            row.by,
            row.reason,
        ]);
    }
    terminal::say_out(&table.text());
    // While the ledger is halted, nobody decides what alerts do, and the releases are shown all the same.
    if let Ok(shown) = client.get::<Actions>("/v1/actions")
        && !shown.done.is_empty()
    {
        terminal::say_out("");
        terminal::say_out(&acted::done(&shown.done));
    }
    Ok(Exit::Done)
}
