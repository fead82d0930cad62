//! `rollback [vN]`: brings back an earlier release as a new one, and holds the one it leaves.

use crate::argument::Arguments;
use crate::client::Client;
use crate::context;
use crate::failure::Failure;
use crate::show;
use mainstay_atoms::ReleaseNumber;
use mainstay_faults::Exit;
use mainstay_server::api::{Moving, RollbackAsked};

pub(crate) fn run(arguments: &Arguments, to: Option<ReleaseNumber>) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let client = Client::must(&place)?;
    let moving: Moving = client.post("/v1/rollback", &RollbackAsked { to })?;
    show::progress::watch_rollback(&client, &moving, arguments.json)
}
