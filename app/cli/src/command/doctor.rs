//! `doctor`: what is missing on this machine, and the command that installs it.

use crate::argument::Arguments;
use crate::failure::Failure;
use crate::{context, terminal};
use mainstay_faults::Exit;
use mainstay_world::RunsAs;
use rustix::process::geteuid;
use serde::Serialize;
use std::net::TcpListener;
use std::path::Path;

/// Less free space than this is a fault: a ledger and a release need room.
const LEAST_FREE: u64 = 512 * 1024 * 1024;

#[derive(Debug, Serialize)]
struct Finding {
    subject: &'static str,
    state: &'static str,
    text: String,
    fix: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let place = context::place(arguments).ok();
    let root = place
        .as_ref()
        .map_or_else(|| Path::new(".").to_owned(), |place| place.root.clone());
    let port = context::read(arguments)
        .ok()
        .and_then(|file| file.resolve(arguments).ok())
        .map_or(8080, |resolved| resolved.platform.gateway.http);
    let running = place.is_some_and(|place| {
        crate::client::Client::connect(&place).is_ok_and(|client| client.is_some())
    });
    let findings = vec![
        disk(&root),
        writable(&root),
        cgroups(),
        user(),
        gateway_port(port, running),
        clock(),
    ];
    let bad = findings.iter().any(|finding| finding.state == "bad");
    if arguments.json {
        terminal::json(&findings);
    } else {
        for finding in &findings {
            show(finding);
        }
    }
    if bad {
        Err(Failure::shown(Exit::Yours))
    } else {
        Ok(Exit::Done)
    }
}

fn show(finding: &Finding) {
    let sign = match finding.state {
        "good" => terminal::mark("✓"),
        "bad" => terminal::mark("✗"),
        _ => "!",
    };
    terminal::say_out(&format!("{sign} {:<11} {}", finding.subject, finding.text));
    if let Some(fix) = &finding.fix {
        terminal::say_out(&format!("  {:<11} fix: {fix}", ""));
    }
}

fn finding(subject: &'static str, state: &'static str, text: String, fix: Option<&str>) -> Finding {
    Finding {
        subject,
        state,
        text,
        fix: fix.map(Into::into),
    }
}

/// The nearest folder that exists.
fn existing(path: &Path) -> &Path {
    path.ancestors()
        .find(|folder| folder.is_dir())
        .unwrap_or(Path::new("/"))
}

fn disk(root: &Path) -> Finding {
    match rustix::fs::statvfs(existing(root)) {
        Ok(stat) => {
            let free = stat.f_bavail * stat.f_frsize;
            let all = stat.f_blocks * stat.f_frsize;
            let text = format!("{} MiB free of {}", free >> 20, all >> 20);
            if free < LEAST_FREE {
                finding(
                    "disk",
                    "bad",
                    text,
                    Some("free some space, or name another folder with `--state DIR`"),
                )
            } else {
                finding("disk", "good", text, None)
            }
        }
        Err(fault) => finding("disk", "bad", format!("cannot be looked at: {fault}"), None),
    }
}

fn writable(root: &Path) -> Finding {
    let folder = existing(root);
    let access = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK);
    match access {
        Ok(()) => finding(
            "state",
            "good",
            format!("`{}` can be written", root.display()),
            None,
        ),
        Err(fault) => finding(
            "state",
            "bad",
            format!("`{}` cannot be written: {fault}", folder.display()),
            Some("name another folder with `--state DIR`"),
        ),
    }
}

fn cgroups() -> Finding {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let memory = own.lines().any(|line| {
        line.split(':')
            .nth(1)
            .is_some_and(|names| names.split(',').any(|name| name == "memory"))
    });
    let controllers =
        std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    if controllers.contains("memory") {
        return finding(
            "cgroups",
            "good",
            "v2; `mainstay why SERVICE` says which limits hold".into(),
            None,
        );
    }
    if memory {
        return finding(
            "cgroups",
            "good",
            "v1; `mainstay why SERVICE` says which limits hold".into(),
            None,
        );
    }
    finding(
        "cgroups",
        "warn",
        "no memory controller: limits are rlimits, and orphans cannot be excluded".into(),
        None,
    )
}

fn user() -> Finding {
    if !geteuid().is_root() {
        let text = format!("services run {}", RunsAs::default());
        return finding("user", "warn", text, None);
    }
    match mainstay_world::cannot_change_user() {
        None => finding("user", "good", "each service runs as its own".into(), None),
        Some(why) => {
            let text = format!("services run {}", RunsAs::Root { why });
            finding("user", "warn", text, None)
        }
    }
}

fn gateway_port(port: u16, running: bool) -> Finding {
    if running {
        return finding(
            "port",
            "good",
            format!("{port} is the running gateway's"),
            None,
        );
    }
    match TcpListener::bind(("0.0.0.0", port)) {
        Ok(_) => finding("port", "good", format!("{port} is free"), None),
        Err(fault) => finding(
            "port",
            "bad",
            format!("{port} cannot be listened on: {fault}"),
            Some("choose another one: `gateway: { http: PORT }` in the file"),
        ),
    }
}

fn clock() -> Finding {
    let year = jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .year();
    if year >= 2025 {
        finding(
            "clock",
            "good",
            jiff::Timestamp::now()
                .strftime("%Y-%m-%d %H:%M UTC")
                .to_string(),
            None,
        )
    } else {
        finding(
            "clock",
            "bad",
            format!("it is not {year}"),
            Some("set the clock: `timedatectl set-ntp true`"),
        )
    }
}
