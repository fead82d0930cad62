//! `scale`, `scale SERVICE COUNT --for TIME`, `scale SERVICE --auto`: how many instances run, and why.

use crate::argument::{Arguments, ScaleWish};
use crate::client::Client;
use crate::failure::Failure;
use crate::show::table::Table;
use crate::show::{in_path, time};
use crate::{context, terminal};
use mainstay_atoms::span;
use mainstay_faults::{Exit, escaped};
use mainstay_server::api::{ScaleAsked, ScaleRow};

pub(crate) fn run(arguments: &Arguments, wish: &ScaleWish) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let client = Client::must(&place)?;
    let Some(service) = &wish.service else {
        let rows: Vec<ScaleRow> = client.get("/v1/scale")?;
        return Ok(show(arguments, rows));
    };
    let path = format!("/v1/scale/{}", in_path(service));
    let row: ScaleRow = match wish.count {
        Some(instances) => {
            let for_ms = lasts(&wish.lasts)?;
            client.post(&path, &ScaleAsked { instances, for_ms })?
        }
        None if wish.auto => client.delete_for(&path)?,
        None => {
            let rows: Vec<ScaleRow> = client.get("/v1/scale")?;
            let one: Vec<ScaleRow> = rows
                .into_iter()
                .filter(|row| row.service == *service)
                .collect();
            if one.is_empty() {
                let message = format!("`{service}` is not scaled");
                return Err(Failure::you("not_scaled", message)
                    .hint("`mainstay scale` lists the services that are"));
            }
            return Ok(show(arguments, one));
        }
    };
    if arguments.json {
        terminal::json(&row);
        return Ok(Exit::Done);
    }
    let mark = terminal::mark("✓");
    terminal::say_out(&match &row.hand {
        Some(hand) => format!(
            "{mark} {} has {} until {} ({}); `mainstay scale {} --auto` ends that",
            row.service,
            instances(hand.instances),
            time::clock(hand.until_ms),
            time::ahead(hand.until_ms),
            row.service
        ),
        None => format!(
            "{mark} the count of {} is left to what is measured",
            row.service
        ),
    });
    let waits = row
        .hand
        .as_ref()
        .is_none_or(|hand| hand.instances != row.count);
    if let Some(stands) = row.stands.as_ref().filter(|_| waits) {
        terminal::say_out(&format!("  it takes effect later: {}", escaped(stands)));
    }
    Ok(Exit::Done)
}

fn lasts(text: &str) -> Result<u64, Failure> {
    let lasts = span::parse(text).map_err(|fault| {
        Failure::you("lasts", format!("`--for {}`: {fault}", text.escape_debug()))
            .hint("write a time such as `30m` or `2h`")
    })?;
    Ok(u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX))
}

fn instances(count: u32) -> String {
    match count {
        1 => "1 instance".into(),
        count => format!("{count} instances"),
    }
}

fn show(arguments: &Arguments, rows: Vec<ScaleRow>) -> Exit {
    if arguments.json {
        terminal::json(&rows);
        return Exit::Done;
    }
    if rows.is_empty() {
        terminal::say_out("no service is scaled; `scale` in the file does that");
        return Exit::Done;
    }
    let mut table = Table::new(&["SERVICE", "COUNT", "BOUNDS", "CHANGED", "WHY"]).right(1);
    for row in rows {
        let hand = row.hand.as_ref().map(|hand| {
            let ends = time::ahead(hand.until_ms);
            format!("set by {}, ends {ends}", hand.by)
        });
        let stands = row.stands.as_ref().map(|why| format!("stands: {why}"));
        let why = stands.or(hand).or(row.why.clone());
        let why = why.unwrap_or_else(|| "nothing was measured yet".into());
        table.row(vec![
            row.service.clone(),
            row.count.to_string(),
            bounds(&row),
            row.changed
                .as_ref()
                .map_or_else(|| "-".into(), |changed| time::relative(changed.at_ms)),
            escaped(&why).into_owned(),
        ]);
    }
    terminal::say_out(&table.text());
    Exit::Done
}

/// `2 to 6`, `4 to 6 (scheduled)`.
fn bounds(row: &ScaleRow) -> String {
    let scheduled = if row.scheduled { " (scheduled)" } else { "" };
    format!("{} to {}{scheduled}", row.min, row.max)
}
