//! `status`: how the platform stands.

use crate::argument::Arguments;
use crate::client::Client;
use crate::failure::Failure;
use crate::{context, show, terminal};
use mainstay_faults::Exit;
use mainstay_server::api::Status;

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let status: Status = Client::must(&place)?.get("/v1/status")?;
    if arguments.json {
        terminal::json(&status);
    } else {
        terminal::say_out(&show::status::text(&status));
    }
    Ok(Exit::Done)
}
