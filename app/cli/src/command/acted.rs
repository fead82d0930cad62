//! `alerts actions`: what alerts may do by themselves, where that stands, and what they did.

use crate::argument::Arguments;
use crate::client::Client;
use crate::failure::Failure;
use crate::show::table::Table;
use crate::show::time;
use crate::{context, terminal};
use mainstay_faults::{Exit, escaped};
use mainstay_server::api::{ActRow, ActionRow, Actions};

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let shown: Actions = Client::must(&place)?.get("/v1/actions")?;
    if arguments.json {
        terminal::json(&shown);
        return Ok(Exit::Done);
    }
    if shown.actions.is_empty() {
        terminal::say_out("no alert does anything by itself; `then` in the file does that");
    } else {
        let mut table = Table::new(&["ALERT", "DOES", "TODAY", "STANDS"]);
        for row in &shown.actions {
            table.row(cells(row));
        }
        terminal::say_out(&table.text());
    }
    if !shown.done.is_empty() {
        terminal::say_out("");
        terminal::say_out(&done(&shown.done));
    }
    Ok(Exit::Done)
}

fn cells(row: &ActionRow) -> Vec<String> {
    let dry = if row.dry_run { " (dry run)" } else { "" };
    vec![
        escaped(&row.alert).into_owned(),
        format!("{}{dry}", row.deed),
        format!("{} of {}", row.today, row.at_most),
        escaped(&row.stands).into_owned(),
    ]
}

/// What alerts did, as a table.
pub(crate) fn done(rows: &[ActRow]) -> String {
    let mut table = Table::new(&["ALERT", "WHEN", "DID"]);
    for row in rows {
        let count = row.reached.map(|count| format!(", to {count}"));
        let dry = if row.dry_run { " (dry run)" } else { "" };
        table.row(vec![
            escaped(&row.alert).into_owned(),
            time::relative(row.at_ms),
            format!("{}{}{dry}", row.deed, count.unwrap_or_default()),
        ]);
    }
    table.text()
}
