//! `checklist`, `checklist tick ITEM`, `checklist run [ITEM]`.

use crate::argument::{Arguments, ChecklistAction};
use crate::client::Client;
use crate::command::approve::waiting;
use crate::failure::Failure;
use crate::show::table::Table;
use crate::{context, show, terminal};
use mainstay_faults::Exit;
use mainstay_server::api::{GateItem, GateView, TickAsked};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often a command is asked whether it ended.
const POLL: Duration = Duration::from_millis(20);

pub(crate) fn run(
    arguments: &Arguments,
    action: Option<&ChecklistAction>,
) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let client = Client::must(&place)?;
    let gate = waiting(&client)?;
    let gate = match action {
        None => gate,
        Some(ChecklistAction::Tick { item }) => tick(&client, &gate, item)?,
        Some(ChecklistAction::Run { item }) => {
            let file = context::read(arguments)?;
            run_all(&client, gate, (&file.folder, item.as_deref()))?
        }
    };
    if arguments.json {
        terminal::json(&gate);
    } else {
        table(&gate);
    }
    let failed = gate.items.iter().any(|item| item.fault.is_some());
    Ok(if failed { Exit::Yours } else { Exit::Done })
}

fn table(gate: &GateView) {
    if gate.items.is_empty() {
        terminal::say_out(&format!("{} has no checklist", gate.release));
        return;
    }
    let mut table = Table::new(&["ITEM", "ANSWERED BY", "STANDS"]);
    for item in &gate.items {
        let by = match &item.run {
            Some(run) => run.join(" "),
            None => "a person".into(),
        };
        table.row(vec![item.item.clone(), by, stands(item)]);
    }
    terminal::say_out(&table.text());
}

fn stands(item: &GateItem) -> String {
    match (&item.fault, &item.by, item.at) {
        (Some(fault), Some(by), _) => format!("✗ {fault} ({by})"),
        (None, Some(by), Some(at)) => format!("✓ {by}, {}", show::time::relative(at)),
        _ => "open".into(),
    }
}

fn tick(client: &Client, gate: &GateView, item: &str) -> Result<GateView, Failure> {
    let known = gate.items.iter().find(|one| one.item == item);
    if known.is_some_and(|known| known.run.is_some()) {
        let message = format!("`{item}` is answered by its command");
        let hint = format!("`mainstay checklist run {item}` runs it");
        return Err(Failure::you("checklist", message).hint(hint));
    }
    answer(client, gate, item, None)
}

fn answer(
    client: &Client,
    gate: &GateView,
    item: &str,
    fault: Option<String>,
) -> Result<GateView, Failure> {
    let asked = TickAsked {
        release: gate.release,
        record: gate.record,
        fault,
    };
    client.post(&format!("/v1/checklist/{item}"), &asked)
}

/// Runs the commands, one after the other, and records what each came to.
fn run_all(
    client: &Client,
    mut gate: GateView,
    (folder, only): (&Path, Option<&str>),
) -> Result<GateView, Failure> {
    let items = gate.items.clone();
    if let Some(only) = only.filter(|only| !items.iter().any(|item| item.item == *only)) {
        let names: Vec<&str> = items.iter().map(|item| item.item.as_str()).collect();
        let message = format!("the checklist has no item `{only}`");
        let hint = format!("its items: {}", names.join(", "));
        return Err(Failure::you("checklist", message).hint(hint));
    }
    for item in items {
        let wanted = only.is_none_or(|only| only == item.item);
        let Some(run) = item.run.filter(|_| wanted) else {
            continue;
        };
        terminal::say(&format!("{}: {}", item.item, run.join(" ")));
        let limit = Duration::from_millis(item.timeout_ms);
        let fault = one(folder, &run, limit).err();
        gate = answer(client, &gate, &item.item, fault)?;
    }
    Ok(gate)
}

/// Runs one command in the file's folder; what it said last when it fails.
fn one(folder: &Path, run: &[String], limit: Duration) -> Result<(), String> {
    let (program, rest) = run.split_first().ok_or("it names no command")?;
    let mut child = Command::new(program)
        .args(rest)
        .current_dir(folder)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|fault| format!("`{program}` cannot be run: {fault}"))?;
    let began = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(status.to_string()),
            Ok(None) if began.elapsed() < limit => std::thread::sleep(POLL),
            Ok(None) => {
                // It may end at this very moment.
                child.kill().ok();
                child.wait().ok();
                return Err(format!(
                    "it ran longer than {}",
                    mainstay_atoms::span::format(limit)
                ));
            }
            Err(fault) => return Err(fault.to_string()),
        }
    }
}
