//! `down`: drains and stops everything, and leaves no process.

use crate::argument::Arguments;
use crate::client::Client;
use crate::failure::Failure;
use crate::{context, terminal};
use mainstay_faults::Exit;
use mainstay_server::api::{Status, Version};
use std::time::{Duration, Instant};

/// Drains, graces and kills of everything take no longer.
const LONGEST: Duration = Duration::from_secs(600);

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let Some(client) = Client::connect(&place)? else {
        return Ok(done(arguments, "nothing runs"));
    };
    let version: Version = client.get("/v1/version")?;
    client.post::<_, ()>("/v1/down", &())?;
    let deadline = Instant::now() + LONGEST;
    let mut said = String::new();
    while alive(version.pid) {
        if Instant::now() > deadline {
            return Err(Failure::operator("down", "something does not stop")
                .hint("`mainstay why` says what is waited for"));
        }
        if let Ok(status) = client.get::<Status>("/v1/status") {
            let waits = status
                .waits
                .first()
                .map(|wait| wait.what.clone())
                .unwrap_or_default();
            if !waits.is_empty() && waits != said && !arguments.json {
                terminal::say(&format!(
                    "  down     {} waits for {waits}",
                    terminal::mark("▸")
                ));
                said = waits;
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(done(
        arguments,
        "everything is stopped; `mainstay up` brings it back",
    ))
}

fn alive(pid: u32) -> bool {
    // A process that ended and was not reaped yet counts as ended.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

fn done(arguments: &Arguments, message: &str) -> Exit {
    if arguments.json {
        terminal::json(&serde_json::json!({ "ok": true, "message": message }));
    } else {
        terminal::say_out(&format!("{} {message}", terminal::mark("✓")));
    }
    Exit::Done
}
