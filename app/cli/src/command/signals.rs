//! `signals url`, `signals remotes`, and the process itself.

use crate::argument::{Arguments, SignalsAction};
use crate::failure::Failure;
use crate::show::table::Table;
use crate::{context, show, terminal};
use mainstay_faults::{Exit, chain, escaped};
use mainstay_world::SignalsClient;
use serde_json::Value;
use std::time::Duration;

/// Longest wait for an answer: a query has half a minute.
const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) fn run(arguments: &Arguments, action: &SignalsAction) -> Result<Exit, Failure> {
    match action {
        SignalsAction::Serve => {
            let state = context::place(arguments)?.state();
            mainstay_world::signals(&state)
                .map_err(|fault| Failure::operator("signals", chain(&fault)))?;
            Ok(Exit::Done)
        }
        SignalsAction::Url => url(arguments),
        SignalsAction::Remotes => remotes(arguments),
        SignalsAction::Export { .. } => super::export::run(arguments, action),
    }
}

fn url(arguments: &Arguments) -> Result<Exit, Failure> {
    let client = client(arguments)?;
    let config: Value = ask(&client, "GET", "/v1/config", &[])?;
    let Some(address) = config["listen"].as_str() else {
        let message = "signals listens on its unix socket alone";
        return Err(Failure::you("signals", message)
            .hint("give it a port: `signals: { port: 9090 }`, and deploy"));
    };
    let lent: Value = ask(&client, "POST", "/v1/token", &[])?;
    let token = lent["token"].as_str().unwrap_or_default();
    let url = format!("http://token:{token}@{address}");
    if arguments.json {
        terminal::json(&serde_json::json!({ "url": url, "lasts_s": 900 }));
    } else {
        terminal::say_out(&url);
    }
    Ok(Exit::Done)
}

fn remotes(arguments: &Arguments) -> Result<Exit, Failure> {
    let answer = ask(&client(arguments)?, "GET", "/v1/remotes", &[])?;
    let nothing = "samples are sent nowhere: the file has no `signals: { remotes }`";
    let heads = [
        "REMOTE",
        "SENT UNTIL",
        "SAMPLES",
        "REFUSED",
        "LEFT OUT",
        "LOST",
        "WHY",
    ];
    let cells = |row: &Value| {
        let text = |name: &str| escaped(row[name].as_str().unwrap_or_default()).into_owned();
        let number = |name: &str| row[name].as_u64().unwrap_or_default();
        let mut cells = vec![text("name"), show::time::relative(number("sent_until_ms"))];
        let counts = ["samples", "refused", "left_out", "lost"];
        cells.extend(counts.iter().map(|name| number(name).to_string()));
        cells.push(text("trouble"));
        cells
    };
    Ok(list(arguments, &answer["data"], nothing, &heads, cells))
}

/// Prints what signals has a list of, a row each; or what to say where there is none.
pub(super) fn list(
    arguments: &Arguments,
    rows: &Value,
    nothing: &str,
    heads: &[&str],
    cells: impl Fn(&Value) -> Vec<String>,
) -> Exit {
    if arguments.json {
        terminal::json(rows);
        return Exit::Done;
    }
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        terminal::say_out(nothing);
        return Exit::Done;
    }
    let mut table = Table::new(heads);
    for row in rows {
        table.row(cells(row));
    }
    terminal::say_out(&table.text());
    Exit::Done
}

/// The way to the signals process of this place.
pub(crate) fn client(arguments: &Arguments) -> Result<SignalsClient, Failure> {
    let place = context::place(arguments)?;
    Ok(SignalsClient::new(
        &place.state().signals_socket(),
        PATIENCE,
    ))
}

pub(super) fn asked(
    client: &SignalsClient,
    method: &str,
    path: &str,
    body: &[u8],
) -> Result<(u16, Vec<u8>), Failure> {
    client.ask(method, path, body).map_err(|fault| {
        Failure::operator("signals", fault.to_string()).hint(
            "metrics are collected once the file says `signals: {}` and a release with it serves; \
             `mainstay status` says how it stands",
        )
    })
}

pub(super) fn refused(body: &[u8]) -> Failure {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let why = answer["error"]
        .as_str()
        .unwrap_or("it failed without a reason");
    Failure::you("signals", why.to_owned())
}

/// One question; what the answer holds.
pub(crate) fn ask(
    client: &SignalsClient,
    method: &str,
    path: &str,
    body: &[u8],
) -> Result<Value, Failure> {
    let (status, bytes) = asked(client, method, path, body)?;
    if status != 200 {
        return Err(refused(&bytes));
    }
    serde_json::from_slice(&bytes).map_err(|fault| {
        Failure::operator("signals", format!("its answer cannot be read: {fault}"))
    })
}

/// As part of a query string.
pub(crate) fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
