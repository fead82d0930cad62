//! `why [SUBJECT]`: what is waited for, the fact seen, its age and what comes next.

use crate::argument::Arguments;
use crate::client::Client;
use crate::failure::Failure;
use crate::{context, show, terminal};
use mainstay_faults::Exit;
use mainstay_server::api::Why;

pub(crate) fn run(arguments: &Arguments, subject: Option<&str>) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let client = Client::must(&place)?;
    let why: Why = match subject {
        Some(subject) => client.get(&format!("/v1/why/{}", show::in_path(subject)))?,
        None => client.get("/v1/why")?,
    };
    if arguments.json {
        terminal::json(&why);
    } else {
        terminal::say_out(&show::status::why(&why));
    }
    Ok(Exit::Done)
}
