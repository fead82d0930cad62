//! `query EXPR`, `query EXPR --range 1h`.

use crate::argument::Arguments;
use crate::command::signals::{ask, client, encoded};
use crate::failure::Failure;
use crate::show::plot;
use crate::show::table::Table;
use crate::{show, terminal};
use mainstay_atoms::span;
use mainstay_faults::{Exit, escaped};
use serde_json::Value;
use std::time::Duration;

/// Columns of a plot.
const COLUMNS: u64 = 60;

pub(crate) fn run(
    arguments: &Arguments,
    query: &str,
    range: Option<&str>,
) -> Result<Exit, Failure> {
    let client = client(arguments)?;
    let path = match range {
        None => format!("/api/v1/query?query={}", encoded(query)),
        Some(range) => ranged(query, range)?,
    };
    let answer = ask(&client, "GET", &path, &[])?;
    if arguments.json {
        terminal::json(&answer);
        return Ok(Exit::Done);
    }
    for kind in ["warnings", "infos"] {
        for text in answer[kind].as_array().into_iter().flatten() {
            terminal::say(&format!(
                "{}: {}",
                &kind[..kind.len() - 1],
                escaped(text.as_str().unwrap_or_default())
            ));
        }
    }
    let data = &answer["data"];
    let series = data["result"].as_array().cloned().unwrap_or_default();
    match data["resultType"].as_str() {
        Some("matrix") => terminal::say_out(&plot::text(query, &read(&series))),
        Some("vector") if series.is_empty() => terminal::say_out("no data"),
        Some("vector") => table(&series),
        _ => terminal::say_out(data["result"][1].as_str().unwrap_or("no data")),
    }
    Ok(Exit::Done)
}

fn ranged(query: &str, range: &str) -> Result<String, Failure> {
    let range = span::parse(range)
        .ok()
        .filter(|range| *range >= Duration::from_secs(1));
    let range = range.ok_or_else(|| {
        Failure::you("range", "`--range` takes a duration of at least a second")
            .hint("write for example `--range 1h`")
    })?;
    let end = show::time::now() / 1000;
    let start = end.saturating_sub(range.as_secs());
    let step = (range.as_secs() / COLUMNS).max(1);
    Ok(format!(
        "/api/v1/query_range?query={}&start={start}&end={end}&step={step}",
        encoded(query)
    ))
}

/// `{a="b"}` with its name in front, as the field writes series.
fn name(metric: &Value) -> String {
    let labels = metric.as_object().cloned().unwrap_or_default();
    let head = labels
        .get("__name__")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let rest = labels.iter().filter(|(name, _)| *name != "__name__");
    let rest: Vec<String> = rest
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    match (head, rest.is_empty()) {
        ("", true) => "{}".to_owned(),
        (head, true) => head.to_owned(),
        (head, false) => format!("{head}{{{}}}", rest.join(",")),
    }
}

fn table(series: &[Value]) {
    let mut table = Table::new(&["SERIES", "VALUE"]).right(1);
    for one in series {
        let value = one["value"][1].as_str().unwrap_or("(histogram)");
        table.row(vec![
            escaped(&name(&one["metric"])).into_owned(),
            value.to_owned(),
        ]);
    }
    terminal::say_out(&table.text());
}

fn read(series: &[Value]) -> Vec<plot::Line> {
    let line = |one: &Value| {
        let values = one["values"].as_array().into_iter().flatten();
        let point = |pair: &Value| {
            let at = pair[0].as_f64()?;
            Some((at, pair[1].as_str()?.parse::<f64>().ok()?))
        };
        plot::Line {
            name: escaped(&name(&one["metric"])).into_owned(),
            points: values.filter_map(point).collect(),
        }
    };
    series.iter().map(line).collect()
}
