//! `down`: drains and stops everything, and leaves no process.

use crate::argument::Arguments;
use crate::client::Client;
use crate::command::up;
use crate::context::Place;
use crate::failure::Failure;
use crate::{context, terminal};
use mainstay_faults::Exit;
use mainstay_server::api::{Status, Version};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Drains, graces and kills of everything take no longer.
const LONGEST: Duration = Duration::from_secs(600);

pub(crate) fn run(arguments: &Arguments, delete: Option<&str>) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    if delete.is_some() {
        mainstay_world::check_schema(&place.state()).map_err(|fault| up::schema(&fault))?;
    }
    let folder = delete.map(|store| data_of(&place, store)).transpose()?;
    if let (Some(store), Some(folder)) = (delete, &folder) {
        confirm(arguments, store, folder)?;
    }
    let exit = stop(arguments, &place, folder.is_some())?;
    let Some((store, folder)) = delete.zip(folder) else {
        return Ok(exit);
    };
    std::fs::remove_dir_all(&folder).map_err(|fault| {
        let message = format!("`{}` cannot be deleted: {fault}", folder.display());
        Failure::operator("delete", message)
    })?;
    Ok(done(
        arguments,
        &format!("everything is stopped, and the data of `{store}` is deleted"),
    ))
}

/// The folder of a store's data; a name that no data has is refused before anything is stopped.
fn data_of(place: &Place, store: &str) -> Result<PathBuf, Failure> {
    let stores = place.state().stores();
    let folder = stores.join(store);
    let named = mainstay_atoms::ServiceName::new(store).is_ok();
    if named && folder.is_dir() {
        return Ok(folder);
    }
    let entries = std::fs::read_dir(&stores).into_iter().flatten().flatten();
    let mut known: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    known.sort();
    let failure = Failure::you(
        "unknown_store",
        format!("no store `{store}` keeps data here"),
    );
    Err(if known.is_empty() {
        failure.hint("no store keeps data here")
    } else {
        failure.hint(format!("stores with data: {}", known.join(", ")))
    })
}

/// The name has to be typed, and `--yes` does not type it.
fn confirm(arguments: &Arguments, store: &str, folder: &Path) -> Result<(), Failure> {
    if !arguments.json {
        terminal::say(&format!(
            "this deletes the data of `{store}` in {} and cannot be undone; type its name:",
            folder.display()
        ));
    }
    let mut typed = String::new();
    // Nobody at the other end types nothing.
    drop(std::io::stdin().read_line(&mut typed));
    if typed.trim() == store {
        return Ok(());
    }
    Err(Failure::you(
        "not_confirmed",
        format!("`{store}` was not typed; nothing was changed"),
    )
    .hint(format!(
        "type the name, or pipe it: `echo {store} | mainstay down --delete-data {store}`"
    )))
}

fn stop(arguments: &Arguments, place: &Place, silent: bool) -> Result<Exit, Failure> {
    let Some(client) = Client::connect(place)? else {
        return Ok(if silent {
            Exit::Done
        } else {
            done(arguments, "nothing runs")
        });
    };
    let version: Version = client.get("/v1/version")?;
    client.post::<_, ()>("/v1/down", &())?;
    let deadline = Instant::now() + LONGEST;
    let mut said = String::new();
    while alive(version.pid) {
        if Instant::now() > deadline {
            return Err(Failure::operator("down", "something does not stop")
                .hint("`mainstay why` says what is waited for"));
        }
        if let Ok(status) = client.get::<Status>("/v1/status") {
            let waits = status
                .waits
                .first()
                .map(|wait| wait.what.clone())
                .unwrap_or_default();
            if !waits.is_empty() && waits != said && !arguments.json {
                terminal::say(&format!(
                    "  down     {} waits for {waits}",
                    terminal::mark("▸")
                ));
                said = waits;
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    if silent {
        return Ok(Exit::Done);
    }
    Ok(done(
        arguments,
        "everything is stopped; `mainstay up` brings it back",
    ))
}

fn alive(pid: u32) -> bool {
    // A process that ended and was not reaped yet counts as ended.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

fn done(arguments: &Arguments, message: &str) -> Exit {
    if arguments.json {
        terminal::json(&serde_json::json!({ "ok": true, "message": message }));
    } else {
        terminal::say_out(&format!("{} {message}", terminal::mark("✓")));
    }
    Exit::Done
}
