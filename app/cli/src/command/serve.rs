//! `serve`: the control plane, in the foreground.

use crate::argument::Arguments;
use crate::context;
use crate::failure::Failure;
use mainstay_faults::{Exit, Fault, Move, chain};
use mainstay_server::{Options, ServeFault, serve};

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let binary = std::env::current_exe().map_err(|fault| {
        Failure::operator("program", format!("this program cannot be found: {fault}"))
    })?;
    let options = Options {
        state: place.root,
        environment: place.environment,
        binary,
    };
    serve(&options).map_err(|fault| failure(&fault))?;
    Ok(Exit::Done)
}

fn failure(fault: &ServeFault) -> Failure {
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
        ServeFault::Start(_) | ServeFault::Threads(_) => (
            Move::Operator,
            "start",
            "`mainstay doctor` looks at the machine",
        ),
    };
    Fault::new(whose, code, chain(fault)).hint(hint).into()
}
