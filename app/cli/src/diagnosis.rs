//! What a machine is found to lack: facts in, findings and the command that mends each out.

use crate::terminal::mark;
use mainstay_world::{Disk, Holder, KillBy, Machine, Port};
use serde::Serialize;
use std::net::Ipv4Addr;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Good,
    /// It works, with something missing.
    Warn,
    /// It will not work.
    Bad,
}

impl State {
    pub(crate) fn mark(self) -> &'static str {
        match self {
            Self::Good => mark("✓"),
            Self::Warn => "!",
            Self::Bad => mark("✗"),
        }
    }
}

/// One line of `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) subject: &'static str,
    pub(crate) state: State,
    pub(crate) text: String,
    pub(crate) fix: Option<String>,
}

/// Everything that is judged.
pub(crate) struct Facts {
    pub(crate) machine: Machine,
    /// The control plane, if one holds the ledger.
    pub(crate) control_plane: Option<u32>,
    /// A platform was started here before.
    pub(crate) started: bool,
    /// Server programs that stores of the file need.
    pub(crate) servers: Vec<ServerFact>,
}

/// A server program and the stores that need it.
pub(crate) struct ServerFact {
    /// `postgres`, `redis`.
    pub(crate) subject: &'static str,
    pub(crate) stores: Vec<String>,
    /// What it says of itself; or why it is not here, and what installs it.
    pub(crate) found: Result<String, (String, String)>,
}

type Check = fn(&Facts) -> Finding;

/// One row a subject, in the order they are shown; below them one for each server program that the file's stores need.
const CHECKS: [Check; 12] = [
    disk,
    inodes,
    state_folder,
    cgroups,
    whole_group,
    users,
    ports,
    files,
    kernel,
    clock,
    anchor,
    processes,
];

pub(crate) fn judge(facts: &Facts) -> Vec<Finding> {
    let machine = CHECKS.iter().map(|check| check(facts));
    machine.chain(facts.servers.iter().map(server)).collect()
}

/// Which stores need it, and what is there.
fn server(fact: &ServerFact) -> Finding {
    let stores = fact.stores.join(", ");
    match &fact.found {
        Ok(said) => good(fact.subject, format!("{said}, for {stores}")),
        Err((why, install)) => bad(
            fact.subject,
            format!("{why}, and {stores} needs it"),
            install.clone(),
        ),
    }
}

fn good(subject: &'static str, text: String) -> Finding {
    Finding {
        subject,
        state: State::Good,
        text,
        fix: None,
    }
}

fn warn(subject: &'static str, text: String, fix: impl Into<String>) -> Finding {
    Finding {
        subject,
        state: State::Warn,
        text,
        fix: Some(fix.into()),
    }
}

fn bad(subject: &'static str, text: String, fix: impl Into<String>) -> Finding {
    Finding {
        state: State::Bad,
        ..warn(subject, text, fix)
    }
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn size(bytes: u64) -> String {
    if bytes >= 10 * GIB {
        format!("{} GiB", bytes / GIB)
    } else {
        format!("{} MiB", bytes / MIB)
    }
}

const ELSEWHERE: &str = "name another folder with `--state DIR`";

fn looked(facts: &Facts) -> Result<&Disk, Finding> {
    let machine = &facts.machine;
    machine.disk.as_ref().map_err(|fault| {
        let text = format!("cannot be looked at: {fault}");
        bad("disk", text, ELSEWHERE)
    })
}

/// A ledger, logs (16 MiB an instance) and a few releases need room; the ledger refuses when there is none.
fn disk(facts: &Facts) -> Finding {
    let disk = match looked(facts) {
        Ok(disk) => disk,
        Err(finding) => return finding,
    };
    let (free, all) = disk.bytes;
    let text = format!("{} free of {}", size(free), size(all));
    let fix = format!(
        "see what takes it: `du -xh -d1 {} | sort -h`; or {ELSEWHERE}",
        disk.folder.display()
    );
    match free {
        0..GIB if free < 256 * MIB => bad("disk", text, fix),
        0..GIB => warn("disk", text, fix),
        _ => good("disk", text),
    }
}

fn inodes(facts: &Facts) -> Finding {
    let disk = match looked(facts) {
        Ok(disk) => disk,
        Err(finding) => return finding,
    };
    let (free, all) = disk.inodes;
    if all == 0 {
        return good("inodes", "not counted by this file system".into());
    }
    let text = format!("{free} free of {all}");
    let fix = format!("remove small files that nobody needs, or {ELSEWHERE}");
    match free {
        0..1_000 => bad("inodes", text, fix),
        1_000..20_000 => warn("inodes", text, fix),
        _ => good("inodes", text),
    }
}

fn state_folder(facts: &Facts) -> Finding {
    let disk = match looked(facts) {
        Ok(disk) => disk,
        Err(finding) => return finding,
    };
    let folder = disk.folder.display();
    if let Some(why) = &disk.refused {
        let text = format!("`{folder}` cannot be written: {why}");
        return bad("state", text, ELSEWHERE);
    }
    let text = format!("`{folder}` can be written, {}", disk.kind);
    match disk.kind.as_str() {
        "btrfs" | "xfs" | "bcachefs" => good(
            "state",
            format!("{text}: artifacts share blocks with their files where it allows"),
        ),
        "tmpfs" | "ramfs" => warn(
            "state",
            format!("{text}: a restart of the machine empties it"),
            ELSEWHERE,
        ),
        "nfs" | "nfs4" | "cifs" | "smb3" | "9p" => warn(
            "state",
            format!(
                "{text}: locks and syncs of a network file system may not hold what they promise"
            ),
            ELSEWHERE,
        ),
        _ => good("state", format!("{text}: artifacts are copied")),
    }
}

/// What held in a trial.
fn cgroups(facts: &Facts) -> Finding {
    let limits = &facts.machine.limits;
    let all = [
        ("memory", &limits.memory),
        ("cpu", &limits.cpu),
        ("processes", &limits.processes),
    ];
    let by = |wanted: &Holder| -> Vec<&str> {
        let held = all.iter().filter(|(_, holder)| *holder == wanted);
        held.map(|(name, _)| *name).collect()
    };
    let (v1, v2) = (by(&Holder::CgroupV1), by(&Holder::CgroupV2));
    let lacking: Vec<&str> = all
        .iter()
        .filter(|(_, holder)| !matches!(holder, Holder::CgroupV1 | Holder::CgroupV2))
        .map(|(name, _)| *name)
        .collect();
    let version = match (v1.is_empty(), v2.is_empty()) {
        (true, true) => {
            return warn(
                "cgroups",
                "none may be made here: memory is bounded a process at a time (rlimit), cpu and processes not at all"
                    .into(),
                "run as root, or under `systemd-run --user --scope -p Delegate=yes mainstay up`",
            );
        }
        (false, true) => "v1",
        (true, false) => "v2",
        (false, false) => "v1 and v2",
    };
    if lacking.is_empty() {
        return good("cgroups", format!("{version}; limits hold"));
    }
    let held = [v1, v2].concat().join(", ");
    warn(
        "cgroups",
        format!(
            "{version}; {held} holds, {} does not",
            lacking.join(" and ")
        ),
        "delegate the missing controllers to this group (`Delegate=yes` in its unit)",
    )
}

fn whole_group(facts: &Facts) -> Finding {
    match facts.machine.limits.kill {
        KillBy::CgroupKill => good("kill", "a whole group at once, by cgroup.kill".into()),
        KillBy::CgroupProcs => good("kill", "a whole group, by its cgroup".into()),
        KillBy::ProcessGroup => warn(
            "kill",
            "by process group: a child that leaves it is not found after its shim was killed"
                .into(),
            "run as root, or under `systemd-run --user --scope -p Delegate=yes mainstay up`",
        ),
    }
}

fn users(facts: &Facts) -> Finding {
    match &facts.machine.user {
        Ok(()) => good("users", "each service runs as a user of its own".into()),
        Err(other) => warn(
            "users",
            format!("services run {other}"),
            "start the control plane as root of the machine",
        ),
    }
}

fn ports(facts: &Facts) -> Finding {
    let mut said = Vec::new();
    for (port, found) in &facts.machine.ports {
        match found {
            Port::Free => said.push(format!("{port} is free")),
            Port::Ours => said.push(format!("{port} is the running gateway's")),
            Port::Taken { pid, program } => {
                let who = pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
                let fix = pid.map_or_else(
                    || format!("find it with `ss -ltnp 'sport = :{port}'`"),
                    |pid| format!("end it: `kill {pid}`"),
                );
                return bad(
                    "ports",
                    format!("{port} is taken by `{program}`{who}"),
                    format!("{fix}; or choose another one: `gateway: {{ http: PORT }}`"),
                );
            }
            Port::Refused { why } if *port < facts.machine.free_ports_from => {
                return bad(
                    "ports",
                    format!("{port} needs root or CAP_NET_BIND_SERVICE: {why}"),
                    "`setcap cap_net_bind_service=+ep $(command -v mainstay)`, or choose another one: `gateway: { http: 8080 }`",
                );
            }
            Port::Refused { why } => {
                return bad(
                    "ports",
                    format!(
                        "{port} cannot be listened on at {}: {why}",
                        Ipv4Addr::UNSPECIFIED
                    ),
                    "choose another one: `gateway: { http: PORT }` in the file",
                );
            }
        }
    }
    good("ports", said.join(", "))
}

/// A proxied connection holds two descriptors; a control plane needs a few hundred.
fn files(facts: &Facts) -> Finding {
    let full = |(_, held, most): &&(&str, u64, u64)| *held >= most.saturating_sub(most / 16);
    if let Some((name, held, most)) = facts.machine.held.iter().find(full) {
        return bad(
            "files",
            format!(
                "the {name} holds {held} open of {most} that it may, and can do nothing that takes another"
            ),
            "`prlimit --nofile=65536 --pid PID` gives it room at once; `LimitNOFILE=65536` in its unit for good",
        );
    }
    let Some(most) = facts.machine.files else {
        return good("files", "no limit of open files is known".into());
    };
    let connections = most.saturating_sub(64) / 2;
    let who = match facts.machine.gateway {
        Some(_) => "the gateway may hold",
        None => "a process started here may hold",
    };
    let text = format!("{who} {most} open, about {connections} connections");
    let fix = "`ulimit -n 65536` before `mainstay up`, or `LimitNOFILE=65536` in its unit";
    match most {
        0..256 => bad("files", text, fix),
        256..8192 => warn("files", text, fix),
        _ => good("files", text),
    }
}

fn kernel(facts: &Facts) -> Finding {
    let kernel = &facts.machine.kernel;
    let mut lacks = Vec::new();
    if !kernel.pidfd {
        lacks.push("pidfd (5.3)");
    }
    if !kernel.reuseport {
        lacks.push("SO_REUSEPORT (3.9)");
    }
    if !lacks.is_empty() {
        let text = format!("{} lacks {}", kernel.release, lacks.join(" and "));
        return bad("kernel", text, "boot a kernel from 5.3 on");
    }
    let mut has = vec!["pidfd", "SO_REUSEPORT"];
    if facts.machine.limits.kill == KillBy::CgroupKill {
        has.push("cgroup.kill");
    }
    if kernel.views {
        has.push("views");
    }
    good(
        "kernel",
        format!("{} with {}", kernel.release, has.join(", ")),
    )
}

/// A clock may be read a little behind one that was read just before.
const SLACK_MS: u64 = 2_000;

/// No release of Mainstay is older, in milliseconds since 1970 (2025-01-01).
const OLDEST_MS: u64 = 1_735_689_600_000;

fn clock(facts: &Facts) -> Finding {
    let now = facts.machine.now.0;
    let shown = i64::try_from(now).ok();
    let shown = shown.and_then(|now| jiff::Timestamp::from_millisecond(now).ok());
    let shown = shown.map_or("out of range".into(), |time| {
        time.strftime("%Y-%m-%d %H:%M UTC").to_string()
    });
    let fix = "set the clock: `timedatectl set-ntp true`";
    if now < OLDEST_MS {
        return bad("clock", format!("it is not {shown}"), fix);
    }
    match facts.machine.signed {
        Some(signed) if signed.0 > now + SLACK_MS => {
            let behind = std::time::Duration::from_secs((signed.0 - now) / 1000);
            let behind = mainstay_atoms::span::format(behind);
            warn(
                "clock",
                format!("{shown} is {behind} before the newest entry of the ledger"),
                fix,
            )
        }
        _ => good("clock", shown),
    }
}

fn anchor(facts: &Facts) -> Finding {
    let machine = &facts.machine;
    match &machine.anchor {
        None => warn(
            "anchor",
            "no place outside the state folder is known: an older copy of the state would not be noticed".into(),
            "set `XDG_STATE_HOME` or `HOME` for the control plane",
        ),
        Some((folder, true)) => good("anchor", format!("`{}`", folder.display())),
        Some((folder, false)) if machine.signed.is_some() => warn(
            "anchor",
            format!(
                "`{}` has no copy of the signed checkpoint: an older copy of the state would not be noticed",
                folder.display()
            ),
            "`mainstay up` writes it; if it was removed, compare the ledger with a backup first",
        ),
        Some((folder, false)) => good(
            "anchor",
            format!("`{}`, from the first release on", folder.display()),
        ),
    }
}

fn processes(facts: &Facts) -> Finding {
    let gateway = facts.machine.gateway;
    let up = "`mainstay up` starts it";
    match (facts.control_plane, gateway) {
        (Some(serve), Some(gateway)) => good(
            "processes",
            format!("the control plane runs as pid {serve}, the gateway as pid {gateway}"),
        ),
        (Some(serve), None) => bad(
            "processes",
            format!("the control plane runs as pid {serve}, and the gateway does not answer"),
            "`mainstay status` says why",
        ),
        (None, Some(gateway)) => warn(
            "processes",
            format!("the gateway serves as pid {gateway}, and no control plane runs"),
            up,
        ),
        (None, None) if facts.started => warn("processes", "nothing runs here".into(), up),
        (None, None) => good("processes", "nothing was started here yet".into()),
    }
}

#[cfg(test)]
#[path = "diagnosis_test.rs"]
mod tests;
