//! `approve [vN]`: shows the release that waits at its gates, and agrees to it.

use crate::argument::Arguments;
use crate::client::Client;
use crate::failure::Failure;
use crate::{context, terminal};
use mainstay_atoms::ReleaseNumber;
use mainstay_faults::Exit;
use mainstay_server::api::{ApproveAsked, GateView};

pub(crate) fn run(arguments: &Arguments, release: Option<ReleaseNumber>) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let client = Client::must(&place)?;
    let gate = waiting(&client)?;
    let gate = match release {
        None => gate,
        Some(release) => {
            let record = gate.record;
            client.post("/v1/approve", &ApproveAsked { release, record })?
        }
    };
    if arguments.json {
        terminal::json(&gate);
        return Ok(Exit::Done);
    }
    if release.is_some() {
        let mark = terminal::mark("✓");
        terminal::say_out(&format!("{mark} {} is approved", gate.release));
    }
    show(&gate);
    Ok(Exit::Done)
}

/// The release that waits at its gates.
pub(crate) fn waiting(client: &Client) -> Result<GateView, Failure> {
    let gate: Option<GateView> = client.get("/v1/gate")?;
    gate.ok_or_else(|| {
        Failure::you("idle", "no release is under way")
            .hint("`mainstay deploy` makes one, which waits at its gates")
    })
}

/// What waits, and for what.
pub(crate) fn show(gate: &GateView) {
    let mut lines = vec![
        format!("{} by {}: {}", gate.release, gate.author, gate.reason),
        format!("contents {}", gate.record),
    ];
    if !gate.approved.is_empty() {
        lines.push(format!("approved by {}", gate.approved.join(", ")));
    }
    lines.push(if gate.missing.is_empty() {
        "nothing is missing".to_owned()
    } else {
        format!("waits for {}", gate.missing.join("\n          "))
    });
    terminal::say_out(&lines.join("\n"));
}
