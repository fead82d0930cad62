//! `apply FILE`: executes exactly a kept plan.

use crate::argument::Arguments;
use crate::client::Client;
use crate::context;
use crate::failure::Failure;
use crate::show;
use mainstay_faults::Exit;
use mainstay_server::api::{Moving, SavedPlan};
use std::path::Path;

pub(crate) fn run(arguments: &Arguments, path: &Path) -> Result<Exit, Failure> {
    let bytes = std::fs::read(path).map_err(|fault| {
        Failure::you(
            "plan",
            format!("`{}` cannot be read: {fault}", path.display()),
        )
    })?;
    let saved: SavedPlan = serde_json::from_slice(&bytes).map_err(|fault| {
        Failure::you(
            "plan",
            format!("`{}` is not a kept plan: {fault}", path.display()),
        )
        .hint("`mainstay plan --out FILE` makes one")
    })?;
    let mut arguments = arguments.clone();
    // The plan knows its environment; a file need not be at hand.
    arguments
        .environment
        .get_or_insert_with(|| saved.contents.platform.environment.to_string());
    let place = context::place(&arguments)?;
    let client = Client::must(&place)?;
    let moving: Moving = client.post("/v1/apply", &saved)?;
    show::progress::watch(&client, &moving, &saved.contents.platform, arguments.json)
}
