//! `ledger verify [DIR]` needs nothing but the folder; `ledger resume` accepts what a halted one lost.

use crate::argument::{Arguments, LedgerAction};
use crate::client::Client;
use crate::failure::Failure;
use crate::{context, show, terminal};
use mainstay_faults::{Exit, Fault, Move, chain};
use mainstay_server::api::{LedgerLoss, LedgerResumed, LossAccepted};
use mainstay_world::verify_ledger;
use std::path::{Path, PathBuf};

pub(crate) fn run(arguments: &Arguments, action: &LedgerAction) -> Result<Exit, Failure> {
    match action {
        LedgerAction::Verify { dir } => verify(arguments, dir.as_deref()),
        LedgerAction::Resume { missing } => resume(arguments, *missing),
    }
}

/// Says what is lost and goes on once somebody has named it; `--yes` names nothing.
fn resume(arguments: &Arguments, named: Option<u64>) -> Result<Exit, Failure> {
    let client = Client::must(&context::place(arguments)?)?;
    let loss: LedgerLoss = client.get("/v1/ledger/loss")?;
    if !arguments.json {
        terminal::say(&show::ledger::loss(&loss));
    }
    let missing = match named {
        Some(missing) => missing,
        None => asked(&loss)?,
    };
    if missing != loss.missing {
        let message = format!("{} entries are missing, not {missing}", loss.missing);
        return Err(Failure::you("another_loss", message).hint(hint(&loss)));
    }
    let accepted = LossAccepted {
        kept: loss.kept,
        missing,
    };
    let resumed: LedgerResumed = client.post("/v1/ledger/resume", &accepted)?;
    if arguments.json {
        terminal::json(&resumed);
    } else {
        terminal::say_out(&show::ledger::resumed(&resumed));
    }
    Ok(Exit::Done)
}

fn hint(loss: &LedgerLoss) -> String {
    format!(
        "`mainstay ledger resume --missing {}` gives them up; or put the newer copy back and run `mainstay up`",
        loss.missing
    )
}

/// The number that somebody types at a terminal.
fn asked(loss: &LedgerLoss) -> Result<u64, Failure> {
    let question = "type the number of missing entries to go on without them: ";
    let answer = terminal::ask(question).ok_or_else(|| {
        let message = "going on gives entries up, which somebody has to name";
        Failure::you("not_accepted", message).hint(hint(loss))
    })?;
    answer.trim().parse().map_err(|_| {
        let message = format!("`{}` is not the number of missing entries", answer.trim());
        Failure::you("not_accepted", message).hint(hint(loss))
    })
}

fn verify(arguments: &Arguments, dir: Option<&Path>) -> Result<Exit, Failure> {
    let dir: PathBuf = match dir {
        Some(dir) => dir.to_owned(),
        None => context::place(arguments)?.state().ledger(),
    };
    let report = verify_ledger(&dir).map_err(|fault| {
        Failure::you("ledger", chain(&fault)).hint("name the folder that holds `ledger.db`")
    })?;
    if arguments.json {
        terminal::json(&show::ledger::json(&report));
        return if report.is_good() {
            Ok(Exit::Done)
        } else {
            Err(Failure::shown(Exit::Ours))
        };
    }
    if report.is_good() {
        terminal::say_out(&show::ledger::text(&report));
        return Ok(Exit::Done);
    }
    let mut fault = Fault::new(
        Move::Operator,
        "ledger_altered",
        "the ledger does not hold what was signed",
    );
    fault.evidence = report.findings.iter().map(ToString::to_string).collect();
    fault.hint = Some("keep the folder as it is; put a newer copy in its place, or start anew with another `--state`".into());
    Err(fault.into())
}
