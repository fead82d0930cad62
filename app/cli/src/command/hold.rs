//! `hold list`, `hold lift vN`.

use crate::argument::{Arguments, HoldAction};
use crate::client::Client;
use crate::failure::Failure;
use crate::show::table::Table;
use crate::{context, show, terminal};
use mainstay_faults::Exit;
use mainstay_server::api::HoldRow;

pub(crate) fn run(arguments: &Arguments, action: &HoldAction) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let client = Client::must(&place)?;
    match action {
        HoldAction::List => {
            let holds: Vec<HoldRow> = client.get("/v1/holds")?;
            if arguments.json {
                terminal::json(&holds);
                return Ok(Exit::Done);
            }
            if holds.is_empty() {
                terminal::say_out("no release is on hold");
                return Ok(Exit::Done);
            }
            let mut table = Table::new(&["RELEASE", "SINCE", "BY"]);
            for hold in holds {
                table.row(vec![
                    hold.release.to_string(),
                    show::time::relative(hold.since.0),
                    hold.by,
                ]);
            }
            terminal::say_out(&table.text());
        }
        HoldAction::Lift { release } => {
            client.delete(&format!("/v1/holds/{release}"))?;
            if arguments.json {
                terminal::json(&serde_json::json!({ "ok": true, "release": release }));
            } else {
                terminal::say_out(&format!(
                    "{} the hold on {release} is lifted",
                    terminal::mark("✓")
                ));
            }
        }
    }
    Ok(Exit::Done)
}
