//! The words between control plane and shim: one JSON line each way.

use crate::layout::Door;
use mainstay_atoms::{Epoch, Generation};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// What a shim is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    Stop {
        epoch: Epoch,
        generation: Generation,
        signal: i32,
        grace_ms: u64,
    },
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// Taken, now or before.
    Taken,
    /// A newer order was taken before.
    Stale {
        epoch: Epoch,
        generation: Generation,
    },
    /// Not a request.
    Malformed,
}

/// Longest request.
pub(crate) const REQUEST_LIMIT: usize = 4096;

/// A shim answers from memory; a second is a hundred times what it needs on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the shim whose socket has this name in `run`.
pub(crate) fn ask(run: &Path, socket: &str, request: &Request) -> io::Result<Reply> {
    let door = Door::open(run)?;
    let mut stream = UnixStream::connect(door.path(socket))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

/// The number of a signal that may stop a process, by its name without `SIG`.
pub(crate) fn signal_number(name: &str) -> Option<i32> {
    use rustix::process::Signal;
    let signal = match name.trim_start_matches("SIG") {
        "TERM" => Signal::TERM,
        "INT" => Signal::INT,
        "QUIT" => Signal::QUIT,
        "HUP" => Signal::HUP,
        "USR1" => Signal::USR1,
        "USR2" => Signal::USR2,
        "KILL" => Signal::KILL,
        _ => return None,
    };
    Some(signal.as_raw())
}
