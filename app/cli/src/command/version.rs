//! `version`: of this program, and of the control plane if one runs.

use crate::argument::Arguments;
use crate::client::Client;
use crate::{context, terminal};
use mainstay_faults::Exit;
use mainstay_server::api::Version;

pub(crate) fn run(arguments: &Arguments) -> Exit {
    let own = env!("CARGO_PKG_VERSION");
    let place = context::place(arguments).ok();
    let client = place.and_then(|place| Client::connect(&place).ok().flatten());
    let server = client.and_then(|client| client.get::<Version>("/v1/version").ok());
    if arguments.json {
        terminal::json(&serde_json::json!({
            "version": own,
            "schema": mainstay_world::SCHEMA,
            "control_plane": server,
        }));
        return Exit::Done;
    }
    terminal::say_out(&format!("mainstay       {own}"));
    if let Some(server) = server {
        terminal::say_out(&format!(
            "control plane  {} (pid {})",
            server.version, server.pid
        ));
    }
    Exit::Done
}
