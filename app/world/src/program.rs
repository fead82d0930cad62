//! Programs that a state is upgraded to: looked at, copied by digest, and remembered.
//!
//! `STATE/ENV/programs/DIGEST/mainstay`; `upgrade.json` beside them says which one took over from which,
//! so that whoever starts one that was replaced gets the one that replaced it.

use crate::durable;
use crate::schema::SCHEMA;
use crate::state::State;
use mainstay_atoms::Digest;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// No program of ours comes near.
const LARGEST: u64 = 512 * 1024 * 1024;

/// How long a program may take to say its version, and to read a long ledger.
const VERSION: Duration = Duration::from_secs(10);
const CHECK: Duration = Duration::from_secs(60);

/// The program of this process, wherever its file has gone.
const SELF: &str = "/proc/self/exe";

/// Programs that are kept: the one that runs and those before it.
const KEPT: usize = 3;

/// Why a program may not take over; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeFault {
    /// It cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what one would run.
    #[error("`{}` {why}", path.display())]
    Unfit {
        /// Which.
        path: PathBuf,
        /// Why, in words.
        why: String,
    },
    /// It is the one that runs.
    #[error("`{}` runs already", path.display())]
    Same {
        /// Which.
        path: PathBuf,
    },
    /// It knows only older schemas.
    #[error("`{}` is mainstay {version}, which knows schemas up to {knows}; the state is of schema {SCHEMA}", path.display())]
    Older {
        /// Which.
        path: PathBuf,
        /// Its version.
        version: String,
        /// The last schema it knows.
        knows: u32,
    },
    /// It cannot be kept.
    #[error("`{}` cannot be copied into the state", path.display())]
    Keep {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A program that may take over, as it is kept.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// Where it is kept.
    pub path: PathBuf,
    /// Its digest.
    pub digest: Digest,
    /// Its version, as it says itself.
    pub version: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Upgrade {
    current: Digest,
    replaced: Vec<Digest>,
    /// The current one came up.
    settled: bool,
}

#[derive(Deserialize)]
struct Said {
    version: String,
    schema: Option<u32>,
}

/// One program is looked at at a time: each is read whole.
static LOOKED_AT: Mutex<()> = Mutex::new(());

/// Looks at a program, keeps a copy, and lets the copy say whether it can open this state. A copy of one that is
/// refused does not stay.
pub fn admit(state: &State, path: &Path) -> Result<Admitted, UpgradeFault> {
    let _one = LOOKED_AT.lock().unwrap_or_else(PoisonError::into_inner);
    let bytes = read(path)?;
    let digest = Digest::of(&bytes);
    let known = place(state, digest).exists();
    if own_digest().is_ok_and(|own| own == digest) {
        return Err(UpgradeFault::Same {
            path: path.to_owned(),
        });
    }
    let kept = keep(state, digest, &bytes).map_err(|source| UpgradeFault::Keep {
        path: path.to_owned(),
        source,
    })?;
    drop(bytes);
    let admitted = judge(state, path, &kept).map(|version| Admitted {
        path: kept.clone(),
        digest,
        version,
    });
    if admitted.is_err() && !known {
        // One that cannot be removed goes when the next program has come up.
        kept.parent().map(fs::remove_dir_all);
    }
    admitted
}

/// Lets the copy of a program speak for itself; its version, if it can take over.
fn judge(state: &State, path: &Path, kept: &Path) -> Result<String, UpgradeFault> {
    let unfit = |why: String| UpgradeFault::Unfit {
        path: path.to_owned(),
        why,
    };
    let said = ask(kept, &["version", "--json"], state, VERSION).map_err(&unfit)?;
    let said: Option<Said> = serde_json::from_slice(&said.stdout).ok();
    let said = said.ok_or_else(|| unfit("says no version: it is no `mainstay`".into()))?;
    let knows = said.schema.unwrap_or(1);
    if knows < SCHEMA {
        return Err(UpgradeFault::Older {
            path: path.to_owned(),
            version: said.version,
            knows,
        });
    }
    let checked = ask(kept, &["serve", "--check"], state, CHECK).map_err(&unfit)?;
    if !checked.status.success() {
        let words = String::from_utf8_lossy(&checked.stderr);
        let first = words.lines().next().unwrap_or_default();
        let first = first.trim_start_matches("error: ");
        return Err(unfit(format!("cannot open this state: {first}")));
    }
    Ok(said.version)
}

/// Opened once, so that what was looked at is what is copied.
fn read(path: &Path) -> Result<Vec<u8>, UpgradeFault> {
    let fault = |source| UpgradeFault::Read {
        path: path.to_owned(),
        source,
    };
    let unfit = |why: &str| UpgradeFault::Unfit {
        path: path.to_owned(),
        why: why.into(),
    };
    if !path.is_absolute() {
        return Err(unfit("is not an absolute path"));
    }
    // Non-blocking: a named pipe would wait for whoever writes to it.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    let file = File::from(opened.map_err(|errno| fault(errno.into()))?);
    let found = file.metadata().map_err(fault)?;
    let own = rustix::process::geteuid().as_raw();
    if !found.is_file() {
        return Err(unfit("is no file"));
    }
    if found.uid() != 0 && found.uid() != own {
        return Err(unfit(
            "belongs neither to root nor to the control plane's user",
        ));
    }
    if found.mode() & 0o022 != 0 {
        return Err(unfit("can be written to by others than its owner"));
    }
    if found.mode() & 0o111 == 0 {
        return Err(unfit("is not executable"));
    }
    if found.len() > LARGEST {
        return Err(unfit("is larger than a program of ours"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).map_err(fault)?;
    Ok(bytes)
}

fn place(state: &State, digest: Digest) -> PathBuf {
    state.programs().join(digest.to_hex()).join("mainstay")
}

fn keep(state: &State, digest: Digest, bytes: &[u8]) -> io::Result<PathBuf> {
    let path = place(state, digest);
    if fs::read(&path).is_ok_and(|held| held == bytes) {
        return Ok(path);
    }
    let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
    fs::create_dir_all(&folder)?;
    durable::write(&path, bytes, 0o555)?;
    Ok(path)
}

/// Runs it to its end, within a limit; its output is small.
fn ask(program: &Path, words: &[&str], state: &State, limit: Duration) -> Result<Output, String> {
    let not = |fault: io::Error| format!("cannot be run: {fault}");
    let deadline = Instant::now() + limit;
    let mut command = state.command(program, words);
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = loop {
        match command.spawn() {
            // A child of another thread holds it open for writing, until it executes its own program.
            Err(fault)
                if fault.kind() == io::ErrorKind::ExecutableFileBusy
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            spawned => break spawned.map_err(not)?,
        }
    };
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() > deadline {
            // One that has ended meanwhile is no less late.
            drop(child.kill());
            drop(child.wait());
            return Err(format!("does not answer within {} s", limit.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().map_err(not)
}

/// The digest of the program that this process runs, wherever its file has gone.
pub fn own_digest() -> io::Result<Digest> {
    fs::read(SELF).map(|bytes| Digest::of(&bytes))
}

fn record(state: &State) -> PathBuf {
    state.programs().join("upgrade.json")
}

fn known(state: &State) -> Option<Upgrade> {
    serde_json::from_slice(&fs::read(record(state)).ok()?).ok()
}

fn write(state: &State, upgrade: &Upgrade) -> io::Result<()> {
    durable::write(&record(state), &serde_json::to_vec(upgrade)?, 0o600)
}

/// Remembers that this program gives way to `next`, which is not known to come up yet; where this one is
/// kept meanwhile.
pub fn begin(state: &State, next: Digest) -> io::Result<PathBuf> {
    let bytes = fs::read(SELF)?;
    let own = Digest::of(&bytes);
    let back = keep(state, own, &bytes)?;
    let mut replaced = known(state).map(|known| known.replaced).unwrap_or_default();
    replaced.retain(|digest| *digest != next && *digest != own);
    replaced.push(own);
    let upgrade = Upgrade {
        current: next,
        replaced,
        settled: false,
    };
    write(state, &upgrade)?;
    Ok(back)
}

/// This program came up: from now on it is started by whoever starts one that it replaced. Programs
/// that are not needed any more go.
pub fn settle(state: &State) -> io::Result<()> {
    let Some(mut upgrade) = known(state).filter(|known| !known.settled) else {
        return Ok(());
    };
    if upgrade.current != own_digest()? {
        return Ok(());
    }
    upgrade.settled = true;
    write(state, &upgrade)?;
    let kept: Vec<String> = upgrade
        .replaced
        .iter()
        .rev()
        .take(KEPT - 1)
        .chain([&upgrade.current])
        .map(|digest| digest.to_hex())
        .collect();
    for entry in fs::read_dir(state.programs())?.flatten() {
        let name = entry.file_name();
        let is_kept = name
            .to_str()
            .is_none_or(|name| kept.iter().any(|kept| kept == name));
        if !is_kept && entry.path().is_dir() {
            // What runs from it goes on; what cannot be removed costs disk, nothing else.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
    Ok(())
}

/// The program that replaced this one in the state, if it came up there and is whole.
pub fn replaced_by(state: &State) -> Option<PathBuf> {
    let upgrade = known(state).filter(|known| known.settled)?;
    let own = own_digest().ok()?;
    if upgrade.current == own || !upgrade.replaced.contains(&own) {
        return None;
    }
    let path = place(state, upgrade.current);
    let bytes = fs::read(&path).ok()?;
    (Digest::of(&bytes) == upgrade.current).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn state() -> (tempfile::TempDir, State) {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(folder.path(), "default");
        state.create().unwrap();
        (folder, state)
    }

    fn script(folder: &Path, mode: u32, text: &str) -> PathBuf {
        let path = folder.join("program");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn what_others_can_write_or_what_is_no_mainstay_is_refused() {
        let (folder, state) = state();
        let says = |mode, text| {
            admit(&state, &script(folder.path(), mode, text))
                .unwrap_err()
                .to_string()
        };
        assert!(says(0o775, "").contains("can be written to by others"));
        assert!(says(0o644, "").contains("is not executable"));
        assert!(says(0o755, "echo hello").contains("says no version"));
        let older = r#"echo '{"version":"0.0.9"}'"#;
        assert!(says(0o755, older).contains("mainstay 0.0.9, which knows schemas up to 1"));
        let broken = format!(
            "case $1 in version) echo '{{\"version\":\"0.2.0\",\"schema\":{SCHEMA}}}';; *) echo 'error: no' >&2; exit 2;; esac"
        );
        assert!(says(0o755, &broken).ends_with("cannot open this state: no"));
        let left = fs::read_dir(state.programs()).unwrap().count();
        assert_eq!(left, 0, "what is refused does not stay");
        let relative = admit(&state, Path::new("program")).unwrap_err().to_string();
        assert!(relative.contains("absolute"));
        let own = std::env::current_exe().unwrap();
        assert!(matches!(
            admit(&state, &own),
            Err(UpgradeFault::Same { .. } | UpgradeFault::Unfit { .. })
        ));
    }

    #[test]
    fn a_replaced_program_finds_what_replaced_it_once_that_came_up() {
        let (folder, state) = state();
        let path = script(folder.path(), 0o755, "");
        let bytes = fs::read(path).unwrap();
        let next = Digest::of(&bytes);
        let kept = keep(&state, next, &bytes).unwrap();
        begin(&state, next).unwrap();
        assert_eq!(replaced_by(&state), None, "it has not come up");
        let mut upgrade = known(&state).unwrap();
        upgrade.settled = true;
        write(&state, &upgrade).unwrap();
        assert_eq!(replaced_by(&state), Some(kept.clone()));
        fs::set_permissions(&kept, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(&kept, "something else").unwrap();
        assert_eq!(replaced_by(&state), None, "it is not whole");
    }
}
