//! `alerts`, `alerts silence`, `alerts unsilence`, `alerts rules`; who is on duty is in `on_call.rs`.

use crate::argument::{AlertsAction, Arguments};
use crate::command::signals::{ask, client, encoded};
use crate::command::{acted, on_call, watched};
use crate::failure::Failure;
use crate::show::table::Table;
use crate::{show, terminal};
use mainstay_alerting::ready::{self, Need, Parts, Presets, Stand};
use mainstay_atoms::span;
use mainstay_faults::{Exit, escaped};
use mainstay_world::SignalsClient;
use serde_json::{Value, json};

pub(crate) fn run(arguments: &Arguments, action: Option<&AlertsAction>) -> Result<Exit, Failure> {
    let client = client(arguments)?;
    match action {
        Some(AlertsAction::Actions) => acted::run(arguments),
        None => list(arguments, &client),
        Some(AlertsAction::Checks) => watched::checks(arguments, &client),
        Some(AlertsAction::Rules) => rules(arguments, &client),
        Some(AlertsAction::Ack { alert }) => on_call::acknowledge(arguments, &client, alert),
        Some(AlertsAction::OnCall { action }) => on_call::run(arguments, &client, action.as_ref()),
        Some(AlertsAction::Test { channel }) => on_call::test(arguments, &client, channel),
        Some(AlertsAction::Silence { alert, lasts, why }) => {
            silence(arguments, &client, (alert, lasts, why))
        }
        Some(AlertsAction::Unsilence { id }) => {
            ask(
                &client,
                "DELETE",
                &format!("/v1/silences?id={}", encoded(id)),
                &[],
            )?;
            Ok(done(arguments, &format!("the silence {id} is over")))
        }
    }
}

/// Says that an order was carried out.
pub(crate) fn done(arguments: &Arguments, text: &str) -> Exit {
    if arguments.json {
        terminal::json(&json!({ "ok": true }));
    } else {
        terminal::say_out(&format!("{} {text}", terminal::mark("✓")));
    }
    Exit::Done
}

fn list(arguments: &Arguments, client: &SignalsClient) -> Result<Exit, Failure> {
    let alerts = ask(client, "GET", "/api/v1/alerts", &[])?;
    let silences = ask(client, "GET", "/v1/silences", &[])?;
    let duty = ask(client, "GET", "/v1/on-call", &[])?;
    let taken = &duty["data"]["acknowledged"];
    if arguments.json {
        terminal::json(
            &json!({ "alerts": alerts["data"]["alerts"], "silences": silences["data"], "acknowledged": taken }),
        );
        return Ok(Exit::Done);
    }
    let rows = alerts["data"]["alerts"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    if rows.is_empty() {
        terminal::say_out("no alert is pending or fires");
    } else {
        let mut table = Table::new(&["ALERT", "STATE", "SEVERITY", "SINCE", "VALUE", "WHAT"]);
        for row in &rows {
            table.row(alert(row));
        }
        terminal::say_out(&table.text());
    }
    for one in taken.as_array().into_iter().flatten() {
        let text = |name: &str| escaped(one[name].as_str().unwrap_or_default()).into_owned();
        let since = show::time::relative(one["at_ms"].as_u64().unwrap_or(0));
        terminal::say_out(&format!(
            "{} was taken by {} {since}",
            text("alert"),
            text("by")
        ));
    }
    for one in silences["data"].as_array().into_iter().flatten() {
        let text = |name: &str| escaped(one[name].as_str().unwrap_or_default()).into_owned();
        let ends = one["ends_ms"].as_u64().unwrap_or(0);
        terminal::say_out(&format!(
            "silence {} by {}, ends {}: {}",
            text("id"),
            text("by"),
            show::time::ahead(ends),
            text("comment")
        ));
    }
    Ok(Exit::Done)
}

fn alert(row: &Value) -> Vec<String> {
    let label = |name: &str| row["labels"][name].as_str().unwrap_or_default();
    let what = row["annotations"]["summary"].as_str();
    let what = what.or(row["annotations"]["description"].as_str());
    let cells = [
        label("alertname"),
        row["state"].as_str().unwrap_or_default(),
        label("severity"),
        row["activeAt"].as_str().unwrap_or_default(),
        row["value"].as_str().unwrap_or_default(),
        what.unwrap_or_default(),
    ];
    cells.map(|cell| escaped(cell).into_owned()).to_vec()
}

fn silence(
    arguments: &Arguments,
    client: &SignalsClient,
    (alert, lasts, why): (&str, &str, &str),
) -> Result<Exit, Failure> {
    let lasts = span::parse(lasts).map_err(|_| {
        Failure::you("silence", format!("`{lasts}` is no duration"))
            .hint("write for example `mainstay alerts silence ApiErrorRate 2h --why known`")
    })?;
    let now = show::time::now();
    let by = on_call::own_name();
    let body = json!({
        "matchers": [{ "name": "alertname", "value": alert }],
        "starts_ms": now,
        "ends_ms": now + u64::try_from(lasts.as_millis()).unwrap_or(0),
        "by": by,
        "comment": why,
    });
    let body = serde_json::to_vec(&body).unwrap_or_default();
    ask(client, "POST", "/v1/silences", &body)?;
    Ok(done(
        arguments,
        &format!("nobody is told of {alert} for {}", span::format(lasts)),
    ))
}

/// Every rule that comes with Mainstay, the row of needs it answers, and whether it runs here.
fn rules(arguments: &Arguments, client: &SignalsClient) -> Result<Exit, Failure> {
    let config = ask(client, "GET", "/v1/config", &[])?;
    let parts = parts(&config);
    let presets = presets(&config);
    let rows: Vec<(&'static ready::Ready, String)> = ready::all()
        .map(|rule| (rule, stands(&ready::stand(rule, &parts, &presets))))
        .collect();
    let aims = watched::aims(client, &config)?;
    if arguments.json {
        let row = |(rule, stands): &(&ready::Ready, String)| json!({ "id": rule.id, "alert": rule.alert(), "answers": rule.answers, "stands": stands });
        let rows = rows
            .iter()
            .map(row)
            .chain(aims.iter().map(watched::Aim::json));
        terminal::json(&rows.collect::<Vec<_>>());
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["RULE", "STANDS", "ANSWERS"]);
    for (rule, stands) in rows {
        table.row(vec![rule.id.to_owned(), stands, rule.answers.join("; ")]);
    }
    for one in aims {
        table.row(one.cells());
    }
    terminal::say_out(&table.text());
    Ok(Exit::Done)
}

fn stands(stand: &Stand) -> String {
    match stand {
        Stand::On => "on".into(),
        Stand::Off => "off, by the file".into(),
        Stand::Absent(need) => format!("off: there is no {need:?}").to_lowercase(),
        Stand::Unnamed(metrics) => format!("off: name {} in `alerts.preset`", metrics.join(", ")),
        Stand::Waiting(what) => format!("waits for {what}"),
    }
}

fn parts(config: &Value) -> Parts {
    let known = [
        ("host", Need::Host),
        ("gateway", Need::Gateway),
        ("service", Need::Service),
        ("postgres", Need::Postgres),
        ("redis", Need::Redis),
        ("job", Need::Job),
        ("check", Need::Check),
        ("certificate", Need::Certificate),
        ("metrics", Need::Metrics),
    ];
    let listed = config["parts"].as_array().cloned().unwrap_or_default();
    let there = |name: &str| listed.iter().any(|part| part == name);
    Parts(
        known
            .iter()
            .filter(|(name, _)| there(name))
            .map(|(_, need)| *need)
            .collect(),
    )
}

fn presets(config: &Value) -> Presets {
    let file =
        serde_json::from_value::<mainstay_alerting::file::AlertsFile>(config["alerts"].clone());
    let compiled = file.ok().and_then(|file| file.compile().ok());
    compiled.map_or_else(Presets::new, |alerts| alerts.presets)
}
