//! `logs SUBJECT`: what a service or an instance wrote.

use crate::argument::Arguments;
use crate::client::Client;
use crate::failure::Failure;
use crate::{context, show, terminal};
use mainstay_faults::{Exit, escaped};
use mainstay_server::api::Logs;
use std::time::Duration;

/// How often is asked for more.
const AGAIN: Duration = Duration::from_millis(200);

pub(crate) fn run(
    arguments: &Arguments,
    subject: &str,
    lines: usize,
    follow: bool,
) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let client = Client::must(&place)?;
    let subject = show::in_path(subject);
    let mut logs: Logs = client.get(&format!("/v1/logs/{subject}?lines={lines}"))?;
    show(&logs, arguments.json);
    if !follow {
        return Ok(Exit::Done);
    }
    loop {
        std::thread::sleep(AGAIN);
        logs = client.get(&format!("/v1/logs/{subject}?cursor={}", logs.cursor))?;
        show(&logs, arguments.json);
    }
}

/// One JSON value a line, so that a stream of them stays readable by programs.
fn show(logs: &Logs, json: bool) {
    for line in &logs.lines {
        if json {
            terminal::say_out(&serde_json::json!(line).to_string());
        } else {
            let at = show::time::clock(line.at_ms);
            terminal::say_out(&format!("{at} {} {}", line.instance, escaped(&line.line)));
        }
    }
}
