//! What an installation consists of: folders, files and commands, in order. It does nothing itself.

use std::path::{Path, PathBuf};

/// Where installed platforms keep their state, one folder each.
pub(crate) const STATES: &str = mainstay_world::INSTALLED;

/// The program that units start.
const PROGRAM: &str = "/usr/local/bin/mainstay";

const UNITS: &str = "/etc/systemd/system";

/// Who may speak to control planes beside root.
const GROUP: &str = "mainstay";

/// One thing that is to be there afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// A folder with this mode.
    Folder { path: PathBuf, mode: u32 },
    /// This program at that place.
    Program { from: PathBuf, path: PathBuf },
    /// A file with this text.
    File { path: PathBuf, text: String },
    /// A symbolic link.
    Link { path: PathBuf, to: PathBuf },
    /// A command, run as root.
    Command(Vec<String>),
}

/// What is installed.
pub(crate) struct Installation<'a> {
    /// The platform's name.
    pub(crate) name: &'a str,
    /// Its environment.
    pub(crate) environment: &'a str,
    /// The folder of its file.
    pub(crate) folder: &'a Path,
    /// The program that runs now.
    pub(crate) program: &'a Path,
}

impl Installation<'_> {
    /// The unit's name.
    pub(crate) fn unit(&self) -> String {
        unit(self.name, self.environment)
    }

    /// Where its state lies.
    fn state(&self) -> PathBuf {
        Path::new(STATES).join(self.name)
    }

    /// Everything, in the order in which it is made.
    pub(crate) fn items(&self) -> Vec<Item> {
        let command = |line: &str| Item::Command(line.split(' ').map(Into::into).collect());
        let folder = |path: PathBuf, mode| Item::Folder { path, mode };
        let unit = self.unit();
        vec![
            Item::Program {
                from: self.program.to_owned(),
                path: PROGRAM.into(),
            },
            command(&format!("groupadd --system --force {GROUP}")),
            folder(STATES.into(), 0o755),
            folder(self.state(), 0o755),
            folder(mainstay_world::ANCHORS.into(), 0o700),
            Item::Link {
                path: self.folder.join(".mainstay"),
                to: self.state(),
            },
            Item::File {
                path: Path::new(UNITS).join(&unit),
                text: self.text(),
            },
            command("systemctl daemon-reload"),
            command(&format!("systemctl enable --now {unit}")),
        ]
    }

    fn text(&self) -> String {
        let Self {
            name, environment, ..
        } = self;
        let state = self.state();
        format!(
            "# Written by `mainstay install`; a changed file is shown and replaced only with `--yes`.
[Unit]
Description=Mainstay control plane of {name}, {environment}
After=network.target

[Service]
Type=exec
ExecStart={PROGRAM} serve --state {state} --environment {environment}
# `mainstay down` ends it with 0, and `mainstay up` starts it again.
Restart=on-failure
RestartSec=1s
# Gateway, shims and services outlive the control plane; it takes them over when it is back.
KillMode=process
# Groups for the limits of each instance are made below the unit's own.
Delegate=yes
LimitNOFILE=1048576
TasksMax=infinity

{HARDENING}
[Install]
WantedBy=multi-user.target
",
            state = state.display(),
        )
    }
}

/// What is taken away, and why the rest is not.
const HARDENING: &str = "\
# A user of its own for each service (SETUID, SETGID), which owns its home and its data (CHOWN, FOWNER,
# DAC_OVERRIDE), is ended (KILL), whose sockets are seen (SYS_PTRACE), and which sees of the state only
# its own folders (SYS_ADMIN: mount namespaces), also for probes (SYS_CHROOT: to enter one); ports below
# 1024 (NET_BIND_SERVICE).
CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE CAP_KILL CAP_SYS_PTRACE CAP_SYS_ADMIN CAP_SYS_CHROOT CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
ProtectSystem=full
ProtectHome=read-only
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectClock=yes
ProtectHostname=yes
RestrictRealtime=yes
RestrictAddressFamilies=~AF_PACKET
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM
# Not taken away, because services inherit it: namespaces (browsers, sandboxes), writable and executable
# memory (just-in-time compilers), devices, other address families. Control groups are written to. Folders of data
# that several users share hand their group down (RestrictSUIDSGID would refuse the bit); as a bit of a
# program it is worth nothing under NoNewPrivileges.
";

/// The unit of an environment of a platform.
pub(crate) fn unit(name: &str, environment: &str) -> String {
    format!("mainstay-{name}-{environment}.service")
}

/// The unit of an installed state, if that is what this folder is.
pub(crate) fn unit_of(root: &Path, environment: &str) -> Option<String> {
    let root = std::fs::canonicalize(root).ok()?;
    let name = root.strip_prefix(STATES).ok()?.to_str()?;
    let unit = unit(name, environment);
    Path::new(UNITS).join(&unit).is_file().then_some(unit)
}

/// Lines that go and lines that come, for people.
pub(crate) fn difference(before: &str, after: &str) -> String {
    let only = |these: &str, those: &str, mark: &str| {
        let lines = these
            .lines()
            .filter(|line| !those.lines().any(|other| other == *line));
        lines
            .map(|line| format!("{mark} {line}\n"))
            .collect::<Vec<_>>()
            .concat()
    };
    only(before, after, "-") + &only(after, before, "+")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_what_goes_and_what_comes() {
        assert_eq!(difference("a\nb\nc\n", "a\nd\nc\n"), "- b\n+ d\n");
        assert_eq!(difference("a\n", "a\n"), "");
    }

    #[test]
    fn two_environments_of_a_platform_share_all_but_the_unit() {
        let items = |environment| {
            Installation {
                name: "shop",
                environment,
                folder: Path::new("/srv/shop"),
                program: Path::new("/tmp/mainstay"),
            }
            .items()
        };
        let (one, other) = (items("production"), items("staging"));
        let same = one.iter().filter(|item| other.contains(item)).count();
        assert_eq!(same, one.len() - 2, "the unit and its start");
    }
}
