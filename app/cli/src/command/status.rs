//! `status`: how the platform stands, once or as it changes.

use crate::argument::Arguments;
use crate::client::Client;
use crate::failure::Failure;
use crate::{context, show, terminal};
use mainstay_faults::Exit;
use mainstay_server::api::Status;
use std::time::Duration;

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let status: Status = Client::must(&place)?.get("/v1/status")?;
    if arguments.json {
        terminal::json(&status);
    } else {
        terminal::say_out(&show::status::text(&status));
    }
    Ok(Exit::Done)
}

/// Goes on until the control plane is gone or somebody ends it. A terminal is drawn over; a pipe gets a line
/// for each change, and with `--json` the whole.
pub(crate) fn watch(arguments: &Arguments) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let client = Client::must(&place)?;
    let (mut drawn, mut told) = (0, Vec::new());
    loop {
        let status: Status = client.get("/v1/status")?;
        if arguments.json {
            let line = serde_json::to_string(&status).unwrap_or_default();
            if told.first() != Some(&line) {
                terminal::say_out(&line);
                told = vec![line];
            }
        } else if terminal::live() {
            drawn = terminal::redraw(&show::status::text(&status), drawn);
        } else {
            told = tell(&status, &told);
        }
        std::thread::sleep(LOOK);
    }
}

/// Says what is new; what it says now.
fn tell(status: &Status, told: &[String]) -> Vec<String> {
    let lines = show::status::changes(status);
    for line in lines.iter().filter(|line| !told.contains(line)) {
        let at = show::time::clock(show::time::now());
        terminal::say_out(&format!("{at}  {line}"));
    }
    lines
}
