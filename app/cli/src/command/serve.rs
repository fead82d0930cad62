//! `serve`: the control plane, in the foreground.

use crate::argument::Arguments;
use crate::command::up;
use crate::context::{self, Place};
use crate::failure::Failure;
use crate::terminal;
use mainstay_faults::{Exit, Fault, Move, chain};
use mainstay_server::{Options, ServeFault, serve};
use mainstay_world::WorldFault;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;

/// Serves until the end. `replaces` is the program that this one took over from: it comes back when this
/// one cannot start.
pub(crate) fn run(arguments: &Arguments, replaces: Option<&Path>) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    mainstay_world::reap_inherited();
    if replaces.is_none()
        && let Some(program) = mainstay_world::replaced_by(&place.state())
    {
        // Whoever starts a program that an upgrade replaced gets the one that replaced it.
        let fault = become_program(&program, &place, None);
        say(&program, &fault);
    }
    let binary = std::env::current_exe().map_err(|fault| {
        Failure::operator("program", format!("this program cannot be found: {fault}"))
    })?;
    let options = Options {
        state: place.root.clone(),
        environment: place.environment.clone(),
        binary,
    };
    loop {
        match (serve(&options), replaces) {
            (Ok(None), _) => return Ok(Exit::Done),
            (Ok(Some(leaving)), _) => {
                let fault = become_program(&leaving.next, &place, Some(&leaving.back));
                say(&leaving.next, &fault);
            }
            (Err(fault), None) => return Err(failure(&fault)),
            (Err(fault), Some(back)) => {
                failure(&fault).show(false);
                let fault = become_program(back, &place, None);
                say(back, &fault);
                return Err(Failure::shown(Exit::Ours));
            }
        }
    }
}

/// Whether this program could open the state; it changes nothing.
pub(crate) fn check(arguments: &Arguments) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    match mainstay_world::check(&place.state()) {
        Ok(()) => Ok(Exit::Done),
        Err(WorldFault::Schema(fault)) => Err(up::schema(&fault)),
        Err(fault) => Err(Failure::operator("state", chain(&fault))),
    }
}

/// This process goes on as another program, with the same number; comes back only with a fault.
fn become_program(program: &Path, place: &Place, replaces: Option<&Path>) -> io::Error {
    let mut command = place.state().command(program, &["serve"]);
    if let Some(back) = replaces {
        command.arg("--replaces").arg(back);
    }
    command.exec()
}

fn say(program: &Path, fault: &io::Error) {
    terminal::say(&format!(
        "`{}` cannot be executed: {fault}",
        program.display()
    ));
}

fn failure(fault: &ServeFault) -> Failure {
    if let ServeFault::State { source, .. } = fault
        && let WorldFault::Schema(fault) = &**source
    {
        return up::schema(fault);
    }
    let (whose, code, hint) = match fault {
        ServeFault::Held { .. } => (
            Move::You,
            "held",
            "`mainstay status` asks the one that runs; `mainstay down` stops it",
        ),
        ServeFault::State { .. } | ServeFault::Socket { .. } => (
            Move::Operator,
            "state",
            "`mainstay doctor` looks at the state folder and the disk",
        ),
        ServeFault::Panicked => (
            Move::Bug,
            "panicked",
            "what runs goes on; please report the end of `logs/control-plane.log`",
        ),
        ServeFault::Start(_) | ServeFault::Threads(_) => (
            Move::Operator,
            "start",
            "`mainstay doctor` looks at the machine",
        ),
    };
    Fault::new(whose, code, chain(fault)).hint(hint).into()
}
