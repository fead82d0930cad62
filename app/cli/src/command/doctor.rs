//! `doctor`: what is missing on this machine, and the command that mends it.

use crate::argument::Arguments;
use crate::diagnosis::{Facts, Finding, State, judge};
use crate::failure::Failure;
use crate::{context, terminal};
use mainstay_faults::Exit;
use mainstay_world::Machine;

/// Where a platform listens whose file says nothing else.
const PORT: u16 = 8080;

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    // It looks as well where the file is broken or not there.
    let place = context::place(arguments).unwrap_or_else(|_| context::Place {
        root: ".mainstay".into(),
        environment: "default".into(),
    });
    let port = context::read(arguments)
        .ok()
        .and_then(|file| file.resolve(arguments).ok())
        .map_or(PORT, |resolved| resolved.platform.gateway.http);
    let state = place.state();
    // Asked of the kernel, because one that has no files left answers nobody.
    let control_plane = mainstay_world::ledger_holder(&state.ledger()).map(|(pid, _)| pid);
    let findings = judge(&Facts {
        machine: Machine::look(&state, &[port], control_plane),
        control_plane,
        started: state.ledger().is_dir(),
    });
    if arguments.json {
        terminal::json(&findings);
    } else {
        findings.iter().for_each(show);
    }
    if findings.iter().any(|finding| finding.state == State::Bad) {
        Err(Failure::shown(Exit::Yours))
    } else {
        Ok(Exit::Done)
    }
}

fn show(finding: &Finding) {
    let sign = finding.state.mark();
    terminal::say_out(&format!("{sign} {:<11} {}", finding.subject, finding.text));
    if let Some(fix) = &finding.fix {
        terminal::say_out(&format!("  {:<11} fix: {fix}", ""));
    }
}
