//! The state folder of one environment.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where installed platforms keep their state, a folder for each name.
pub const INSTALLED: &str = "/var/lib/mainstay";

/// Whether this is the state of an installed platform, or leads there.
pub fn is_installed(root: &Path) -> bool {
    std::fs::canonicalize(root).is_ok_and(|root| root.starts_with(INSTALLED))
}

/// Where the signed checkpoints of installed platforms are kept.
pub const ANCHORS: &str = "/var/lib/mainstay-anchors";

/// `STATE/ENV/` with `ledger/ artifacts/ instances/ logs/ run/ keys/ plans/ programs/ secrets/ stores/`, all private to the owner.
#[derive(Debug, Clone)]
pub struct State {
    root: PathBuf,
    environment: String,
    dir: PathBuf,
}

impl State {
    /// The folder of `environment` below `state`; nothing is made yet.
    pub fn new(state: &Path, environment: &str) -> Self {
        Self {
            root: state.to_owned(),
            environment: environment.to_owned(),
            dir: state.join(environment),
        }
    }

    /// `program`, told by `words` what to do, with this environment.
    pub fn command(&self, program: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(self.words(words));
        command
    }

    /// The words of [`State::command`].
    pub(crate) fn words(&self, words: &[&str]) -> Vec<OsString> {
        let place: [OsString; 4] = [
            "--state".into(),
            self.root.clone().into(),
            "--environment".into(),
            self.environment.clone().into(),
        ];
        words.iter().map(OsString::from).chain(place).collect()
    }

    /// The folder itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes what is missing, each folder 0700.
    pub fn create(&self) -> io::Result<()> {
        for name in [
            "ledger",
            "artifacts",
            "instances",
            "logs",
            "run",
            "keys",
            "plans",
            "programs",
            "secrets",
            "stores",
        ] {
            let path = self.dir.join(name);
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(|fault| {
                    io::Error::new(fault.kind(), format!("`{}`: {fault}", path.display()))
                })?;
        }
        Ok(())
    }

    /// Where the ledger lies.
    pub fn ledger(&self) -> PathBuf {
        self.dir.join("ledger")
    }

    /// The key that signs the status page.
    pub(crate) fn status_key(&self) -> PathBuf {
        self.dir.join("keys/status.key")
    }

    /// Where plans and release records lie, by digest.
    pub(crate) fn plans(&self) -> PathBuf {
        self.dir.join("plans")
    }

    /// Where programs lie that this state was upgraded to, by digest.
    pub(crate) fn programs(&self) -> PathBuf {
        self.dir.join("programs")
    }

    /// Where secrets lie, one file each.
    pub fn secrets(&self) -> PathBuf {
        self.dir.join("secrets")
    }

    /// Where stores keep their data, one folder each.
    pub fn stores(&self) -> PathBuf {
        self.dir.join("stores")
    }

    /// The socket of the control plane's API.
    pub fn control_socket(&self) -> PathBuf {
        self.dir.join("run/control.sock")
    }

    /// What the control plane says, and why it ended.
    pub fn control_log(&self) -> PathBuf {
        self.dir.join("logs/control-plane.log")
    }

    /// Where the signals process keeps its things.
    pub fn signals(&self) -> PathBuf {
        self.dir.join("signals")
    }

    /// Where it lies what was told of releases, a folder for each who hears.
    pub(crate) fn told(&self) -> PathBuf {
        self.dir.join("told")
    }

    /// The socket of the signals process.
    pub fn signals_socket(&self) -> PathBuf {
        self.dir.join("run/signals.sock")
    }

    /// What the signals process says, and why it ended.
    pub(crate) fn signals_log(&self) -> PathBuf {
        self.dir.join("logs/signals.log")
    }

    /// The gateway's control socket.
    pub(crate) fn gateway_socket(&self) -> PathBuf {
        self.dir.join("run/gateway.sock")
    }

    /// The control socket that a gateway process has for itself, whichever is in place.
    pub(crate) fn gateway_socket_of(&self, pid: u32) -> PathBuf {
        self.dir.join(format!("run/gateway.{pid}.sock"))
    }

    /// The gateway's last table.
    pub(crate) fn gateway_table(&self) -> PathBuf {
        self.dir.join("run/gateway.table")
    }

    /// What the gateway says.
    pub(crate) fn gateway_log(&self) -> PathBuf {
        self.dir.join("logs/gateway.log")
    }
}

/// Where signed checkpoints are kept outside the state folder, so that an older copy of it is noticed:
/// a folder of its own for each state folder.
pub(crate) fn anchors(state: &State) -> Vec<PathBuf> {
    let place = std::fs::canonicalize(state.dir()).unwrap_or_else(|_| state.dir().to_owned());
    let name = mainstay_atoms::Digest::of(place.as_os_str().as_encoded_bytes());
    let base = if place.starts_with(INSTALLED) {
        Some(PathBuf::from(ANCHORS))
    } else {
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
        let base = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
        base.or_else(home).map(|base| base.join("mainstay/anchors"))
    };
    base.map(|base| base.join(&name.to_hex()[..32]))
        .into_iter()
        .collect()
}
