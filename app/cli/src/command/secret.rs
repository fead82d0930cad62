//! `secret set NAME`, `secret list`: what a person gives and no file of the platform holds.

use crate::argument::{Arguments, SecretAction};
use crate::command::up;
use crate::failure::Failure;
use crate::{context, terminal};
use mainstay_faults::{Exit, chain};
use mainstay_world::{FileSecrets, Secret, Secrets as _};
use std::io::Read as _;

/// Most bytes that are read: the longest value, a line end, and one more.
const LIMIT: u64 = 64 * 1024 + 3;

pub(crate) fn run(arguments: &Arguments, action: &SecretAction) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let secrets = FileSecrets::new(&place.state().secrets());
    match action {
        SecretAction::Set { name } => {
            mainstay_world::check_schema(&place.state()).map_err(|fault| up::schema(&fault))?;
            let value = read()?;
            secrets.put(name, &Secret::new(value)).map_err(|fault| {
                Failure::you("secret", chain(&fault))
                    .hint("give the value on standard input: `mainstay secret set NAME < FILE`")
            })?;
            if arguments.json {
                terminal::json(&serde_json::json!({ "ok": true, "secret": name }));
            } else {
                terminal::say_out(&format!(
                    "{} `{name}` is kept; what starts from now on is told",
                    terminal::mark("✓")
                ));
            }
        }
        SecretAction::List => {
            let names = secrets.names();
            if arguments.json {
                terminal::json(&names);
            } else if names.is_empty() {
                terminal::say_out("no secret is kept");
            } else {
                terminal::say_out(&names.join("\n"));
            }
        }
    }
    Ok(Exit::Done)
}

/// Standard input, without the line end that an editor leaves.
fn read() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .take(LIMIT)
        .read_to_string(&mut text)
        .map_err(|fault| Failure::you("secret", format!("the value cannot be read: {fault}")))?;
    if text.len() as u64 == LIMIT {
        return Err(Failure::you("secret", "the value is longer than 64 KiB"));
    }
    let end = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(end);
    Ok(text)
}
