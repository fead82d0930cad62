//! `status` and `why`.

use crate::command::routes;
use crate::show::table::Table;
use crate::show::{objective, time, trial};
use crate::terminal::mark;
use mainstay_faults::escaped;
use mainstay_server::api::{Status, Why};

pub(crate) fn text(status: &Status) -> String {
    let dot = mark("·");
    let release = status
        .release
        .clone()
        .unwrap_or_else(|| "no release".into());
    let since = status.since_ms.filter(|_| status.phase == "steady");
    let phase = since.map_or(status.phase.clone(), |since| {
        format!("steady for {}", time::lasted(since))
    });
    let left = format!(
        "{} {dot} {} {dot} {release} {dot} {phase}",
        status.platform, status.environment
    );
    let url = status.urls.first().cloned().unwrap_or_default();
    let mut lines = vec![format!("{left}   {url}").trim_end().to_owned()];
    if status.attention.is_empty() {
        lines.push("  needs attention: nothing".into());
    }
    for line in &status.attention {
        lines.push(format!("  needs attention: {}", escaped(line)));
    }
    for wait in &status.waits {
        lines.push(format!(
            "  waits for {} ({})",
            escaped(&wait.what),
            time::span(wait.for_ms)
        ));
    }
    lines.extend(paused(status).map(|line| format!("  {line}")));
    for one in &status.trials {
        lines.push(String::new());
        lines.extend(trial::lines(one));
    }
    if !status.services.is_empty() {
        lines.push(String::new());
        lines.push(services(status));
    }
    lines.extend(scaled(status));
    lines.extend(objective::lines(&status.objectives));
    if !status.stores.is_empty() {
        lines.push(String::new());
        lines.push(stores(status));
    }
    if let Some(page) = &status.status_page {
        lines.push(String::new());
        let key = page.key.as_deref().unwrap_or("(no page was signed yet)");
        lines.push(format!("status page  {}", page.urls.join(", ")));
        lines.push(format!("  signed by  {}", escaped(key)));
    }
    lines.join("\n")
}

/// `localhost/ is paused by ann, ends in 9 min: it fails`.
fn paused(status: &Status) -> impl Iterator<Item = String> {
    let rows = status.paused.iter();
    rows.filter_map(|row| Some(format!("{} is paused {}", row.route, routes::said(row)?)))
}

/// What a log of changes says: without what counts on by itself.
pub(crate) fn changes(status: &Status) -> Vec<String> {
    let release = status.release.as_deref().unwrap_or("nothing");
    let mut lines = vec![format!("{release} serves, {}", status.phase)];
    lines.extend(
        status
            .attention
            .iter()
            .map(|line| escaped(line).into_owned()),
    );
    let rows = status.paused.iter();
    lines.extend(rows.map(|row| format!("{} is paused", row.route)));
    for one in &status.trials {
        lines.push(format!(
            "{} {}: {}",
            one.service,
            one.release,
            escaped(&one.stands)
        ));
        for metric in &one.metrics {
            lines.push(format!(
                "{} {}: {} is {}",
                one.service, one.release, metric.condition, metric.grade
            ));
        }
    }
    for service in &status.services {
        lines.push(format!(
            "{} {}: {} of {} ready",
            service.name, service.release, service.ready, service.desired
        ));
    }
    lines
}

/// A line for each count that is measured, and for each `size` that does not fit.
fn scaled(status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    for service in &status.services {
        if let Some(row) = &service.scale {
            let hand = row.hand.as_ref().map(|hand| format!("set by {}", hand.by));
            let stands = row.stands.as_ref().map(|why| format!("stands: {why}"));
            let why = stands.or(hand).or(row.why.clone());
            let why = why.unwrap_or_else(|| "nothing was measured yet".into());
            let line = format!(
                "{} has {} of {} to {}: {why}",
                row.service, row.count, row.min, row.max
            );
            lines.push(format!("  {}", escaped(&line)));
        }
        let advice = service.advice.iter();
        lines.extend(advice.map(|one| format!("  {} {}", service.name, escaped(one))));
    }
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}

fn stores(status: &Status) -> String {
    let mut table = Table::new(&["STORE", "KIND", "ADDRESS", "PID", "STATE"]);
    for store in &status.stores {
        let state = store.state.replace('_', " ");
        table.row(vec![
            store.name.clone(),
            store.kind.clone(),
            store.address.clone().unwrap_or_else(|| "-".into()),
            store.pid.map_or_else(|| "-".into(), |pid| pid.to_string()),
            match &store.detail {
                Some(detail) => format!("{state}: {}", escaped(detail)),
                None => state,
            },
        ]);
    }
    table.text()
}

fn services(status: &Status) -> String {
    let mut table = Table::new(&[
        "SERVICE", "RELEASE", "READY", "INSTANCE", "ADDRESS", "PID", "STATE",
    ])
    .right(2);
    for service in &status.services {
        let head = [
            service.name.clone(),
            service.release.clone(),
            format!("{}/{}", service.ready, service.desired),
        ];
        if service.instances.is_empty() {
            table.row(head.to_vec());
        }
        for (place, one) in service.instances.iter().enumerate() {
            let mut row = if place == 0 {
                head.to_vec()
            } else {
                vec![String::new(); 3]
            };
            let state = match &one.detail {
                Some(detail) => format!("{}: {}", one.state.replace('_', " "), escaped(detail)),
                None => one.state.replace('_', " "),
            };
            row.extend([
                one.name.clone(),
                one.address.clone().unwrap_or_default(),
                one.pid.map(|pid| pid.to_string()).unwrap_or_default(),
                state,
            ]);
            table.row(row);
        }
    }
    table.text()
}

pub(crate) fn why(why: &Why) -> String {
    let mut lines = vec![why.summary.clone()];
    for wait in &why.waits {
        lines.push(format!(
            "  waits    for {} ({})",
            escaped(&wait.what),
            time::span(wait.for_ms)
        ));
    }
    let width = why
        .facts
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0)
        .max(7);
    lines.extend(
        why.facts
            .iter()
            .map(|(name, fact)| format!("  {name:<width$}  {}", escaped(fact))),
    );
    lines.join("\n")
}
