//! `alerts ack`, `alerts on-call`, `alerts on-call override`, `alerts test`.

use crate::argument::{Arguments, OnCallAction};
use crate::command::alerts::done;
use crate::command::signals::{self, ask};
use crate::failure::Failure;
use crate::{show, terminal};
use mainstay_atoms::span;
use mainstay_faults::{Exit, escaped};
use mainstay_world::SignalsClient;
use serde_json::{Value, json};

/// Under which name somebody acts.
pub(crate) fn own_name() -> String {
    std::env::var("USER").unwrap_or_else(|_| "somebody".into())
}

fn post(client: &SignalsClient, path: &str, order: &Value) -> Result<Value, Failure> {
    let body = serde_json::to_vec(order).unwrap_or_default();
    Ok(ask(client, "POST", path, &body)?["data"].take())
}

/// Takes every alert of a name that fires.
pub(crate) fn acknowledge(
    arguments: &Arguments,
    client: &SignalsClient,
    alert: &str,
) -> Result<Exit, Failure> {
    let order = json!({ "alert": alert, "by": own_name() });
    let taken = post(client, "/v1/acknowledge", &order)?;
    let count = taken["alerts"].as_u64().unwrap_or(0);
    let alerts = if count == 1 { "alert" } else { "alerts" };
    let text = format!("you have {alert} ({count} {alerts}): nobody further is called");
    Ok(done(arguments, &text))
}

/// Who is on duty, or somebody stands in.
pub(crate) fn run(
    arguments: &Arguments,
    client: &SignalsClient,
    action: Option<&OnCallAction>,
) -> Result<Exit, Failure> {
    match action {
        None => list(arguments, client),
        Some(OnCallAction::Override {
            person,
            lasts,
            rotation,
        }) => stand_in(arguments, client, (person, lasts, rotation.as_deref())),
    }
}

fn list(arguments: &Arguments, client: &SignalsClient) -> Result<Exit, Failure> {
    let duty = ask(client, "GET", "/v1/on-call", &[])?;
    let nothing = "nobody takes turns: there is no rotation under `alerts.on_call`";
    let heads = ["ROTATION", "ON DUTY", "UNTIL", "THEN"];
    let rotations = &duty["data"]["rotations"];
    Ok(signals::list(arguments, rotations, nothing, &heads, cells))
}

fn cells(row: &Value) -> Vec<String> {
    let text = |name: &str| row[name].as_str().map(|text| escaped(text).into_owned());
    let nobody = || "nobody".to_owned();
    let mut person = text("person").unwrap_or_else(nobody);
    if row["stands_in"] == true {
        person.push_str(" (stands in)");
    }
    let zone = row["zone"].as_str().unwrap_or("UTC");
    let until = row["until_ms"].as_i64();
    vec![
        text("rotation").unwrap_or_default(),
        person,
        until.map_or_else(|| "for ever".to_owned(), |at| show::time::at(at, zone)),
        text("then").unwrap_or_else(nobody),
    ]
}

fn stand_in(
    arguments: &Arguments,
    client: &SignalsClient,
    (person, lasts, rotation): (&str, &str, Option<&str>),
) -> Result<Exit, Failure> {
    let span = span::parse(lasts).map_err(|_| {
        Failure::you("on-call", format!("`{lasts}` is no duration"))
            .hint("write for example `mainstay alerts on-call override ada --for 4h`")
    })?;
    let for_ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    let order = json!({ "rotation": rotation, "person": person, "for_ms": for_ms });
    let duty = post(client, "/v1/on-call", &order)?;
    let name = duty["rotation"].as_str().unwrap_or_default();
    let text = format!("{person} is on duty in {name} for {}", span::format(span));
    Ok(done(arguments, &text))
}

/// Sends a test message, and says to whom it went and what came back.
pub(crate) fn test(
    arguments: &Arguments,
    client: &SignalsClient,
    channel: &str,
) -> Result<Exit, Failure> {
    let rows = post(client, "/v1/try", &json!({ "to": channel }))?;
    let rows = rows.as_array().cloned().unwrap_or_default();
    if arguments.json {
        terminal::json(&rows);
    } else {
        for row in &rows {
            say(row);
        }
    }
    let failed = rows.iter().filter(|row| row["accepted"] != true).count();
    if failed > 0 {
        let message = format!("{failed} of {} messages were not taken", rows.len());
        return Err(Failure::operator("channel", message)
            .hint("check the address, the key and the network of the channel, and try again"));
    }
    Ok(Exit::Done)
}

fn say(row: &Value) {
    let text = |name: &str| escaped(row[name].as_str().unwrap_or_default()).into_owned();
    let person = match row["person"].as_str() {
        Some(person) => format!("{}: ", escaped(person)),
        None => String::new(),
    };
    let accepted = row["accepted"] == true;
    let mark = if accepted { "✓" } else { "✗" };
    let (title, answer) = (text("title"), text("answer"));
    terminal::say_out(&format!(
        "{} {person}{} to {}: {title}",
        terminal::mark(mark),
        text("channel"),
        text("whom"),
    ));
    if !accepted {
        terminal::say_out(&format!("  not taken: {}", text("why")));
    } else if answer.is_empty() {
        terminal::say_out("  taken");
    } else {
        terminal::say_out(&format!("  taken; it answered: {answer}"));
    }
    if row["remark"]
        .as_str()
        .is_some_and(|remark| !remark.is_empty())
    {
        terminal::say_out(&format!("  {}", text("remark")));
    }
}
