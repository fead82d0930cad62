//! `up`: starts the control plane where none runs, and ships only a first release.

use crate::argument::Arguments;
use crate::client::Client;
use crate::command::deploy;
use crate::context::Place;
use crate::failure::Failure;
use crate::prepare::checked;
use crate::{install, show, terminal};
use mainstay_faults::{Exit, chain};
use mainstay_plan::Contents;
use mainstay_server::api::{HistoryRow, Status};
use mainstay_world::SchemaFault;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a control plane may take from its start to its first answer: a long ledger is replayed.
const START: Duration = Duration::from_secs(30);

/// How long instances may take to come back.
const RETURN: Duration = Duration::from_secs(120);

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let (_, resolved, place) = checked(arguments)?;
    let mut first = None;
    if !place.state().ledger().join("ledger.db").exists() {
        // Built before anything is started: a build that fails leaves nothing behind.
        first = Some(deploy::contents(arguments)?);
    }
    let client = start(&place)?;
    client.post::<_, ()>("/v1/up", &())?;
    let rows: Vec<HistoryRow> = client.get("/v1/history")?;
    if rows
        .iter()
        .all(|row| row.state != "serving" && row.state != "moving")
    {
        let contents = match first {
            Some(contents) => contents,
            None => deploy::contents(arguments)?,
        };
        return deploy::ship(arguments, &client, contents, None);
    }
    let status = settled(&client)?;
    if arguments.json {
        terminal::json(&status);
        return Ok(Exit::Done);
    }
    terminal::say_out(&show::status::text(&status));
    let serving: Option<Contents> = client.get("/v1/contents")?;
    let mut wanted = resolved.platform;
    for service in wanted.services.values_mut() {
        service.build = None;
    }
    if serving.is_some_and(|serving| serving.platform != wanted) {
        terminal::say("the file differs; `mainstay deploy` ships it");
    }
    Ok(Exit::Done)
}

/// The control plane of a place: the one that runs, or a new one.
fn start(place: &Place) -> Result<Client, Failure> {
    if let Some(client) = Client::find(place)? {
        return Ok(client);
    }
    if let Some(unit) = install::unit_of(&place.root, &place.environment)
        && Path::new(BOOTED).is_dir()
    {
        return start_unit(&unit, place);
    }
    let binary = std::env::current_exe().map_err(|fault| {
        Failure::operator("program", format!("this program cannot be found: {fault}"))
    })?;
    start_by(&binary, place)
}

/// Is there where systemd runs the machine (`sd_booted(3)`).
const BOOTED: &str = "/run/systemd/system";

/// The control plane of an installed platform: the system starts it.
fn start_unit(unit: &str, place: &Place) -> Result<Client, Failure> {
    let failed = |why: String| {
        Failure::operator("start", format!("`systemctl start {unit}` failed: {why}"))
            .hint(format!("`journalctl -u {unit}` says why"))
    };
    let status = Command::new("systemctl").args(["start", unit]).status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(failed(status.to_string())),
        Err(fault) => return Err(failed(fault.to_string())),
    }
    let deadline = Instant::now() + START;
    loop {
        if let Some(client) = Client::connect(place)? {
            return Ok(client);
        }
        if Instant::now() > deadline {
            return Err(failed("the control plane does not answer".into()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A new control plane, of this program.
pub(crate) fn start_by(binary: &Path, place: &Place) -> Result<Client, Failure> {
    let state = place.state();
    mainstay_world::check_schema(&state).map_err(|fault| schema(&fault))?;
    let unwritable = |fault: std::io::Error| {
        Failure::operator("state", format!("the state folder cannot be used: {fault}"))
            .hint("name another one with `--state DIR`")
    };
    state.create().map_err(unwritable)?;
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(state.control_log())
        .map_err(unwritable)?;
    let before = log.metadata().map_or(0, |metadata| metadata.len());
    let mut command = state.command(binary, &["serve"]);
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .process_group(0);
    let mut child = command.spawn().map_err(|fault| {
        Failure::operator(
            "start",
            format!("the control plane cannot be started: {fault}"),
        )
    })?;
    let deadline = Instant::now() + START;
    loop {
        if let Some(client) = Client::connect(place)? {
            return Ok(client);
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Err(ended(&state, before, status));
        }
        if Instant::now() > deadline {
            return Err(
                Failure::operator("start", "the control plane does not answer")
                    .hint(format!("its log: `{}`", state.control_log().display())),
            );
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A state that this program does not open.
pub(crate) fn schema(fault: &SchemaFault) -> Failure {
    let hint = match fault {
        SchemaFault::Newer { by, .. } => {
            format!("use mainstay {by} or newer; nothing was changed, and traffic goes on")
        }
        SchemaFault::Read { .. } | SchemaFault::Migrate { .. } => {
            "`mainstay doctor` looks at the state folder and the disk".into()
        }
    };
    Failure::operator("schema", chain(fault)).hint(hint)
}

/// A control plane that ended at once: its own words.
fn ended(state: &mainstay_world::State, before: u64, status: std::process::ExitStatus) -> Failure {
    let text = std::fs::read(state.control_log()).unwrap_or_default();
    let from = usize::try_from(before).unwrap_or(0).min(text.len());
    let words = String::from_utf8_lossy(&text[from..]);
    let first = words
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let said = first.trim().trim_start_matches("error: ").to_owned();
    let message = if said.is_empty() {
        format!("the control plane ended at once: {status}")
    } else {
        said
    };
    Failure::operator("start", message)
        .hint(format!("its log: `{}`", state.control_log().display()))
}

/// Waits until everything is as the last release says.
fn settled(client: &Client) -> Result<Status, Failure> {
    let deadline = Instant::now() + RETURN;
    loop {
        let status: Status = client.get("/v1/status")?;
        if matches!(status.phase.as_str(), "steady" | "halted" | "fenced")
            || Instant::now() > deadline
        {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
