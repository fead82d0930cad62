//! Commands: a program with the message as JSON on its input, and nothing secret in its arguments or environment.

use crate::stream::Fault;
use crate::{Attempt, webhook};
use mainstay_alerting::{Message, Notification};
use std::io::{Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Most bytes of its faults that are kept.
const SAID_MAX: u64 = 4096;
/// How often it is looked at whether it has ended.
const LOOK: Duration = Duration::from_millis(10);
/// "Try again later", from `sysexits.h`.
const TEMPORARY: i32 = 75;
/// "The configuration is wrong", from `sysexits.h`.
const CONFIGURATION: i32 = 78;

pub(crate) fn send(
    attempt: &Attempt<'_>,
    arguments: &[String],
    notification: &Notification,
    message: &Message,
) -> Result<(), Fault> {
    let Some((program, arguments)) = arguments.split_first() else {
        return Err(Fault::Refused("no program is named".into()));
    };
    let body = webhook::body(notification, message, 0).to_string();
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", path)
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|fault| Fault::failed(format!("`{program}` cannot be started: {fault}")))?;
    let heard = talk(&mut child, body);
    let status = wait(&mut child, attempt.ends);
    // Whoever the program left behind goes too.
    end_group(&child);
    let said = heard
        .recv_timeout(Duration::from_millis(200))
        .unwrap_or_default();
    let Some(status) = status else {
        child.kill().ok();
        child.wait().ok();
        let why = format!("`{program}` did not end in time");
        return Err(Fault::failed(why).after_handing_over());
    };
    attempt.heard.hear(status.to_string());
    judge(program, status, &said)
}

/// Writes the message and reads what the program complains of, on threads of their own.
fn talk(child: &mut Child, body: String) -> mpsc::Receiver<String> {
    let (tell, hear) = mpsc::channel();
    if let Some(mut input) = child.stdin.take() {
        // A program that does not read its input ends the pipe, which is its right.
        std::thread::spawn(move || input.write_all(body.as_bytes()).ok());
    }
    if let Some(errors) = child.stderr.take() {
        std::thread::spawn(move || {
            let mut said = Vec::new();
            let mut errors = errors.take(SAID_MAX);
            errors.read_to_end(&mut said).ok();
            tell.send(String::from_utf8_lossy(&said).into_owned()).ok();
            // What goes beyond is read and dropped, so that the program does not stand still.
            std::io::copy(&mut errors.into_inner(), &mut std::io::sink()).ok();
        });
    }
    hear
}

fn wait(child: &mut Child, ends: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < ends => std::thread::sleep(LOOK),
            _ => return None,
        }
    }
}

fn end_group(child: &Child) {
    let id = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    if let Some(group) = id {
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
    }
}

fn judge(program: &str, status: ExitStatus, said: &str) -> Result<(), Fault> {
    if status.success() {
        return Ok(());
    }
    let line: String = said
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|one| !one.is_control())
        .take(200)
        .collect();
    let line = if line.is_empty() {
        line
    } else {
        format!(": {line}")
    };
    let why = format!("`{program}` ended with {status}{line}");
    match status.code() {
        Some(CONFIGURATION) => Err(Fault::Refused(why)),
        Some(TEMPORARY) => Err(Fault::Failed {
            why,
            maybe_accepted: false,
            wait: Some(Duration::from_secs(30)),
        }),
        _ => Err(Fault::failed(why)),
    }
}
