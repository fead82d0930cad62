//! Files between control plane and shim, each replaced as a whole.

use crate::isolation::Isolation;
use crate::user::RunsAs;
use mainstay_atoms::{Epoch, Generation, Launch, Wall};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// `launch.json`: everything a shim needs, written by the control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) launch: Launch,
    pub(crate) epoch: Epoch,
    /// The working folder.
    pub(crate) artifact: PathBuf,
    /// Further folders that it uses.
    #[serde(default)]
    pub(crate) folders: Vec<PathBuf>,
    /// Further groups that it is in.
    #[serde(default)]
    pub(crate) groups: Vec<u32>,
    pub(crate) logs: PathBuf,
    pub(crate) run: PathBuf,
    pub(crate) socket: String,
    /// Part of the control groups' names, so that two platforms never meet.
    pub(crate) group: String,
    /// Whose rights it has.
    #[serde(default)]
    pub(crate) user: RunsAs,
    /// `HOME` and `TMPDIR`.
    #[serde(default)]
    pub(crate) home: PathBuf,
}

/// `state.json`: who runs, written by the shim once the program was executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) generation: Generation,
    pub(crate) shim: Identity,
    pub(crate) workload: Identity,
    pub(crate) at: Wall,
    pub(crate) isolation: Isolation,
    pub(crate) groups: Vec<PathBuf>,
}

/// A process that no other can be taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    /// Clock ticks since boot (`/proc/PID/stat`, field 22).
    pub(crate) start_ticks: u64,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// By itself.
    Itself,
    /// After an order to stop.
    Stopped,
    /// The program was never executed.
    NeverStarted,
}

/// `exit.json`: how a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The run.
    pub generation: Generation,
    /// Exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal's number, if one ended it.
    pub signal: Option<i32>,
    /// The kernel killed it because its memory limit was reached.
    pub oom: bool,
    /// When.
    pub at: Wall,
    /// Why.
    pub ended: Ended,
    /// Why the program could not be executed, in words.
    pub fault: Option<String>,
    /// The last lines of its output, at most 30, oldest first; invalid UTF-8 replaced.
    pub last_lines: Vec<String>,
}

/// Reads a record; `None` where there is none.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(Into::into),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Replaces a record durably: write, sync, rename, sync folder.
pub(crate) fn write<T: Serialize>(path: &Path, record: &T) -> io::Result<()> {
    replace(path, record, File::sync_all)?;
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    File::open(dir)?.sync_all()
}

/// Replaces a record about processes that live: a power cut ends them, so it need not outlast one.
pub(crate) fn note<T: Serialize>(path: &Path, record: &T) -> io::Result<()> {
    replace(path, record, |_| Ok(()))
}

fn replace<T: Serialize>(
    path: &Path,
    record: &T,
    settle: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    settle(&file)?;
    fs::rename(&new, path)
}

/// Removes a file that may be gone already.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
        _ => Ok(()),
    }
}

/// Civil time.
pub(crate) fn wall_now() -> Wall {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let ms = since.unwrap_or_default().as_millis();
    Wall(u64::try_from(ms).unwrap_or(u64::MAX))
}
