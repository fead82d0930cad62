//! `upgrade`: another program takes over control plane and gateway.

use crate::argument::Arguments;
use crate::client::Client;
use crate::command::up;
use crate::context::{self, Place};
use crate::failure::Failure;
use crate::terminal;
use mainstay_faults::Exit;
use mainstay_server::api::{Programs, UpgradeAsked, Upgrading};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a control plane may take to come up: a long ledger is replayed.
const START: Duration = Duration::from_secs(60);

/// How long the gateway may take to give way.
const GATEWAY: Duration = Duration::from_secs(60);

const LOOK: Duration = Duration::from_millis(50);

pub(crate) fn run(arguments: &Arguments, program: &Path) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let client = Client::must(&place)?;
    let path = std::fs::canonicalize(program).map_err(|fault| {
        let message = format!("`{}` cannot be found: {fault}", program.display());
        Failure::you("no_program", message)
    })?;
    let asked = UpgradeAsked {
        program: path.display().to_string(),
    };
    let upgrading: Upgrading = client.post("/v1/upgrade", &asked)?;
    talk(arguments, "the control plane gives way");
    came_up(&place, &upgrading)?;
    talk(arguments, "the gateway gives way");
    let programs = gateway_came(&place)?;
    if arguments.json {
        terminal::json(&serde_json::json!({ "upgrade": upgrading, "programs": programs }));
    } else {
        terminal::say_out(&told(&upgrading, &programs));
    }
    Ok(Exit::Done)
}

fn talk(arguments: &Arguments, words: &str) {
    if !arguments.json {
        terminal::say(&format!("  upgrade  {} {words}", terminal::mark("▸")));
    }
}

fn told(upgrading: &Upgrading, programs: &Programs) -> String {
    let short: String = upgrading.program.chars().take(8).collect();
    let mark = terminal::mark("✓");
    let first = format!("{mark} mainstay {} ({short}) runs.", programs.version);
    match (programs.retired, programs.streams) {
        (0, _) => first,
        (_, 0) => format!("{first} The gateway before it finishes what it took."),
        (_, streams) => {
            format!("{first} The gateway before it carries {streams} streams to their end.")
        }
    }
}

fn programs(place: &Place) -> Result<Option<Programs>, Failure> {
    let Some(client) = Client::connect(place)? else {
        return Ok(None);
    };
    // One that ends at this very moment is asked again.
    Ok(client.get("/v1/upgrade").ok())
}

/// Waits for the next control plane. Where it could not start, the one before is brought back.
fn came_up(place: &Place, upgrading: &Upgrading) -> Result<(), Failure> {
    let deadline = Instant::now() + START;
    let mut gone = None;
    while Instant::now() < deadline {
        match programs(place)? {
            Some(found) if found.program == upgrading.program => return Ok(()),
            Some(found) if found.epoch > upgrading.epoch => return Err(fell_back(place)),
            Some(_) => gone = None,
            None if mainstay_world::ledger_holder(&place.state().ledger()).is_some() => gone = None,
            None => {
                let since = *gone.get_or_insert_with(Instant::now);
                if since.elapsed() > Duration::from_secs(3) {
                    up::start_by(Path::new(&upgrading.back), place)?;
                    return Err(fell_back(place));
                }
            }
        }
        std::thread::sleep(LOOK);
    }
    let message = format!(
        "the new control plane does not answer within {} s",
        START.as_secs()
    );
    Err(Failure::operator("upgrade", message).hint(log(place)))
}

fn fell_back(place: &Place) -> Failure {
    let message = "the new control plane could not start; the one before runs again";
    Failure::operator("upgrade", message).hint(log(place))
}

fn log(place: &Place) -> String {
    format!("its log: `{}`", place.state().control_log().display())
}

/// Waits until the gateway is of the new program too.
fn gateway_came(place: &Place) -> Result<Programs, Failure> {
    let deadline = Instant::now() + GATEWAY;
    loop {
        if let Some(found) = programs(place)?
            && (found.gateway_current || found.gateway_pid.is_none())
        {
            return Ok(found);
        }
        if Instant::now() > deadline {
            let message = "the gateway of the version before did not give way; it goes on serving";
            let hint = "`mainstay status` says why; it is tried again";
            return Err(Failure::operator("upgrade", message).hint(hint));
        }
        std::thread::sleep(LOOK);
    }
}
