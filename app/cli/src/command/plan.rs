//! `plan`: what a deploy would change, why, and in which order.

use crate::argument::Arguments;
use crate::client::Client;
use crate::failure::Failure;
use crate::prepare::prepare;
use crate::{show, terminal};
use mainstay_atoms::Actor;
use mainstay_faults::Exit;
use mainstay_plan::{Contents, ReleaseRecord, Target};
use mainstay_server::api::{Planned, Proposal, SavedPlan};
use std::path::Path;

pub(crate) fn run(arguments: &Arguments, out: Option<&Path>, full: bool) -> Result<Exit, Failure> {
    let prepared = prepare(arguments)?;
    let client = Client::connect(&prepared.place)?;
    let planned = match &client {
        Some(client) => ask(client, prepared.contents.clone())?,
        None => first(&prepared.contents),
    };
    if let Some(out) = out {
        save(out, &planned, &prepared.contents)?;
    }
    if arguments.json {
        terminal::json(&show::plan::json(&planned));
    } else {
        terminal::say_out(&show::plan::text(&planned, &prepared, full));
        if let Some(out) = out {
            terminal::say(&format!(
                "kept in `{}`; `mainstay apply {}` executes exactly that",
                out.display(),
                out.display()
            ));
        }
    }
    let changes = !planned.changes.is_empty() || !planned.drift.is_empty();
    Ok(if changes { Exit::Changes } else { Exit::Done })
}

pub(crate) fn ask(client: &Client, contents: Contents) -> Result<Planned, Failure> {
    client.post(
        "/v1/plan",
        &Proposal {
            contents,
            confirmed: false,
            lease: None,
        },
    )
}

/// The plan of a platform whose control plane does not run: as on an empty machine.
fn first(contents: &Contents) -> Planned {
    let release = mainstay_atoms::ReleaseNumber(1);
    let record = ReleaseRecord::over(None, release, contents.clone());
    let target = Target {
        release,
        record: &record,
        pace: mainstay_plan::Pace::Rolling,
        serves: false,
        trial: None,
    };
    let observed = mainstay_plan::Observed::nothing();
    let decision = mainstay_plan::decide(
        Some(target),
        &observed,
        &mainstay_plan::Limits::default(),
        mainstay_atoms::Moment(0),
    );
    let plan = mainstay_plan::Plan {
        parent: mainstay_plan::Parent::default(),
        release: Some(release),
        contents: Some(contents.digest()),
        purpose: mainstay_plan::Purpose::Deploy,
        by: Actor::itself(),
        made_at: mainstay_atoms::Wall(0),
        steps: decision.steps,
        report: decision.report,
    };
    Planned {
        plan,
        changes: mainstay_plan::changes(None, Some(contents)),
        drift: vec![],
        trials: vec![],
    }
}

fn save(out: &Path, planned: &Planned, contents: &Contents) -> Result<(), Failure> {
    let saved = SavedPlan {
        plan: planned.plan.clone(),
        contents: contents.clone(),
    };
    let text = serde_json::to_string_pretty(&saved)
        .map_err(|fault| Failure::operator("plan", fault.to_string()))?;
    std::fs::write(out, text + "\n").map_err(|fault| {
        Failure::operator(
            "plan",
            format!("`{}` cannot be written: {fault}", out.display()),
        )
    })
}
