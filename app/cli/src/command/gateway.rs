//! `gateway`: the gateway process, started by the control plane.

use crate::argument::Arguments;
use crate::context;
use crate::failure::Failure;
use mainstay_faults::{Exit, chain};

pub(crate) fn run(arguments: &Arguments, beside: bool) -> Result<Exit, Failure> {
    let state = context::place(arguments)?.state();
    mainstay_world::gateway(&state, beside)
        .map_err(|fault| Failure::operator("gateway", chain(&fault)))?;
    Ok(Exit::Done)
}
