//! A plan as people read it: one line a resource, then changed fields, then steps.

use crate::prepare::Prepared;
use crate::terminal::mark;
use mainstay_atoms::{ReleaseNumber, ServiceName};
use mainstay_faults::escaped;
use mainstay_plan::{Change, Field, Mark, Plan, Step};
use mainstay_server::api::Planned;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Longest value that a line shows.
const VALUE: usize = 40;

pub(crate) fn json(planned: &Planned) -> Value {
    let plan = &planned.plan;
    json!({
        "id": plan.id().to_string(),
        "digest": plan.id(),
        "parent": plan.parent,
        "release": plan.release,
        "changes": planned.changes,
        "drift": planned.drift,
        "trials": planned.trials,
        "steps": plan.steps,
        "report": plan.report,
    })
}

pub(crate) fn text(planned: &Planned, prepared: &Prepared, full: bool) -> String {
    let plan = &planned.plan;
    let platform = &prepared.contents.platform;
    let mut lines = vec![title(
        plan,
        &platform.name.to_string(),
        &platform.environment.to_string(),
        planned,
    )];
    for change in planned
        .changes
        .iter()
        .filter(|change| change.mark != Mark::Removed)
    {
        lines.extend(changed(change, prepared));
    }
    for change in planned
        .changes
        .iter()
        .filter(|change| change.mark == Mark::Removed)
    {
        lines.extend(changed(change, prepared));
    }
    for drift in &planned.drift {
        lines.push(format!("  ! drift  {}", escaped(drift)));
    }
    lines.extend(unchanged(planned, prepared));
    if planned.changes.is_empty() && planned.drift.is_empty() {
        lines.push(format!(
            "  {} nothing to do: the file is what serves",
            mark("✓")
        ));
        return lines.join("\n");
    }
    lines.push(String::new());
    lines.extend(summary(planned));
    lines.extend(super::prospect::lines(&planned.trials));
    if full {
        lines.push(String::new());
        lines.extend(
            plan.steps
                .iter()
                .enumerate()
                .map(|(place, step)| format!("  {:>3}  {step}", place + 1)),
        );
    }
    lines.push(String::new());
    let release = plan
        .release
        .map_or("next".into(), |release| release.to_string());
    if planned.changes.is_empty() {
        lines.push(
            "The control plane heals drift by itself; `mainstay why` shows how far it is.".into(),
        );
    } else {
        lines.push(format!(
            "Do it: `mainstay deploy`. Keep it: `mainstay plan --out {release}.plan`, then `mainstay apply {release}.plan`."
        ));
    }
    lines.join("\n")
}

fn title(plan: &Plan, name: &str, environment: &str, planned: &Planned) -> String {
    let dot = mark("·");
    let name_of =
        |release: Option<ReleaseNumber>| release.map_or("nothing".into(), |one| one.to_string());
    let before = name_of(plan.parent.release);
    let moves = if planned.changes.is_empty() {
        before.clone()
    } else {
        format!("{before} {} {}", mark("→"), name_of(plan.release))
    };
    let left = format!("{name} {dot} {environment} {dot} {moves}");
    let right = format!("plan {}, from {before}", plan.id());
    format!(
        "{left}{:>width$}",
        right,
        width = 100_usize
            .saturating_sub(left.chars().count())
            .max(right.len() + 2)
    )
}

/// `services.web` → `web`, `stores.db` → `db`.
fn short(resource: &str) -> &str {
    let maps = ["services.", "jobs.", "stores."];
    maps.iter()
        .find_map(|map| resource.strip_prefix(map))
        .unwrap_or(resource)
}

fn changed(change: &Change, prepared: &Prepared) -> Vec<String> {
    let name = short(&change.resource);
    match change.mark {
        Mark::Added => vec![format!("  + {name:<8} {}", added(change, prepared))],
        Mark::Removed => vec![format!("  - {name:<8} {}", removed(&change.resource))],
        Mark::Changed => {
            let mut lines = Vec::new();
            let widest = change
                .fields
                .iter()
                .map(|field| field.path.chars().count())
                .max()
                .unwrap_or(0);
            for (place, field) in change.fields.iter().enumerate() {
                let head = if place == 0 {
                    format!("  ~ {name:<8}")
                } else {
                    " ".repeat(12)
                };
                lines.push(format!(
                    "{head} {}",
                    changed_field(change, field, widest, prepared)
                ));
            }
            lines
        }
    }
}

fn removed(resource: &str) -> &'static str {
    match resource.split('.').next() {
        Some("jobs") => "runs no more",
        Some("stores") => "is detached; its data stays",
        _ => "drains and stops",
    }
}

fn changed_field(change: &Change, field: &Field, widest: usize, prepared: &Prepared) -> String {
    let values = format!(
        "{} {} {}",
        shown(field.before.as_ref()),
        mark("→"),
        shown(field.after.as_ref())
    );
    let path = format!("{}.{}", change.resource, field.path);
    let place = mainstay_spec::place_of(&prepared.resolved, &path).map_or(String::new(), |place| {
        format!("  {}:{}", place.file, place.line)
    });
    format!("{:<widest$}  {values:<34}{place}", field.path)
        .trim_end()
        .to_owned()
}

fn shown(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => "none".into(),
        Some(Value::String(text)) if text.starts_with("sha256:") => {
            format!("{}{}", &text[..text.len().min(13)], mark("…"))
        }
        Some(other) => other.to_string(),
    };
    let text = escaped(&text).into_owned();
    if text.chars().count() > VALUE {
        format!(
            "{}{}",
            text.chars().take(VALUE).collect::<String>(),
            mark("…")
        )
    } else {
        text
    }
}

fn added(change: &Change, prepared: &Prepared) -> String {
    let name = ServiceName::new(short(&change.resource)).ok();
    let service = name.and_then(|name| prepared.contents.platform.services.get(&name));
    let Some(service) = service else {
        let facts: Vec<String> = change
            .fields
            .iter()
            .map(|field| format!("{} {}", field.path, shown(field.after.as_ref())))
            .collect();
        return facts.join(", ");
    };
    let mut facts = vec![match (&service.scale, service.replicas) {
        (Some(scale), _) => format!("{} to {} instances", scale.min, scale.max),
        (None, 1) => "1 instance".into(),
        (None, count) => format!("{count} instances"),
    }];
    facts.extend(
        service
            .size
            .memory
            .map(|memory| format!("{} each", memory.limit)),
    );
    if !service.needs.is_empty() {
        let needs: Vec<&str> = service.needs.iter().map(ServiceName::as_str).collect();
        facts.push(format!("needs {}", needs.join(", ")));
    }
    facts.join(", ")
}

fn unchanged(planned: &Planned, prepared: &Prepared) -> Option<String> {
    let platform = &prepared.contents.platform;
    let touched = &planned.plan.report.stores;
    let stores: Vec<&str> = platform
        .stores
        .keys()
        .filter(|name| !touched.iter().any(|line| line.store == **name))
        .map(ServiceName::as_str)
        .collect();
    let stores = match stores.as_slice() {
        [] => String::new(),
        [one] => format!("; store {one} is not touched"),
        more => format!("; stores {} are not touched", more.join(", ")),
    };
    let changed: BTreeSet<&str> = planned
        .changes
        .iter()
        .map(|change| short(&change.resource))
        .collect();
    let same = prepared
        .contents
        .platform
        .services
        .keys()
        .filter(|name| !changed.contains(name.as_str()));
    let count = same.count();
    (count > 0).then(|| format!("  = {count} unchanged{stores}"))
}

fn summary(planned: &Planned) -> Vec<String> {
    let plan = &planned.plan;
    let starts = plan
        .steps
        .iter()
        .filter(|step| matches!(step, Step::Start { launch } if launch.job.is_none()))
        .count();
    let stops = plan
        .steps
        .iter()
        .filter(|step| matches!(step, Step::Stop { .. }))
        .count();
    let mut lines = vec![format!(
        "  {} steps: {starts} instances start, {stops} drain and stop",
        plan.steps.len()
    )];
    for line in &plan.report.stores {
        lines.push(format!("  store {line}"));
    }
    if !plan.report.jobs.is_empty() {
        let jobs: Vec<&str> = plan.report.jobs.iter().map(ServiceName::as_str).collect();
        lines.push(format!("  runs {}", jobs.join(", ")));
    }
    for line in plan
        .report
        .services
        .iter()
        .filter(|line| line.least_ready > 0)
    {
        lines.push(format!(
            "  `{}` never below {} ready",
            line.service, line.least_ready
        ));
    }
    lines.extend(
        plan.report
            .waits
            .iter()
            .map(|wait| format!("  waits for {wait}")),
    );
    lines
}
