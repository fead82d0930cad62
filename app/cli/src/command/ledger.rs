//! `ledger verify [DIR]`: needs nothing but the folder.

use crate::argument::{Arguments, LedgerAction};
use crate::failure::Failure;
use crate::{context, show, terminal};
use mainstay_faults::{Exit, Fault, Move, chain};
use mainstay_world::verify_ledger;
use std::path::PathBuf;

pub(crate) fn run(arguments: &Arguments, action: &LedgerAction) -> Result<Exit, Failure> {
    let LedgerAction::Verify { dir } = action;
    let dir: PathBuf = match dir {
        Some(dir) => dir.clone(),
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
