//! `token make NAME`, `token list`, `token revoke NAME`.

use crate::argument::{Arguments, TokenAction};
use crate::client::Client;
use crate::failure::Failure;
use crate::{context, terminal};
use mainstay_faults::Exit;
use mainstay_server::api::{TokenAsked, TokenMade};

pub(crate) fn run(arguments: &Arguments, action: &TokenAction) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let client = Client::must(&place)?;
    match action {
        TokenAction::Make { name } => {
            let name = name.clone();
            let made: TokenMade = client.post("/v1/tokens", &TokenAsked { name })?;
            if arguments.json {
                terminal::json(&made);
            } else {
                let mark = terminal::mark("✓");
                terminal::say(&format!(
                    "{mark} `{}` may act; this is shown once, give it in `MAINSTAY_TOKEN`",
                    made.name
                ));
                terminal::say_out(&made.token);
            }
        }
        TokenAction::List => {
            let names: Vec<String> = client.get("/v1/tokens")?;
            if arguments.json {
                terminal::json(&names);
            } else if names.is_empty() {
                terminal::say_out("there is no token");
            } else {
                terminal::say_out(&names.join("\n"));
            }
        }
        TokenAction::Revoke { name } => {
            client.delete(&format!("/v1/tokens/{name}"))?;
            if arguments.json {
                terminal::json(&serde_json::json!({ "ok": true, "token": name }));
            } else {
                let mark = terminal::mark("✓");
                terminal::say_out(&format!("{mark} nobody acts as `{name}` any longer"));
            }
        }
    }
    Ok(Exit::Done)
}
